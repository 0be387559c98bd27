package compat

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zkstream/zkstream/zktest"
)

// hostVariable tells this test binary that it was started in the place of ZooKeeper, and the address of
// the host to turn to.
const hostVariable = "ZKCOMPAT_HOST"

// host serves zktest to test suites that start ZooKeeper as a process. The process that they start is
// this test binary, which passes the name of the configuration file on to the host. A server then runs
// until that process ends, however it ends. Its data stay, as files would.
type host struct {
	listener net.Listener
	wg       sync.WaitGroup // the goroutines of accept and run

	mu      sync.Mutex // guards what follows
	closed  bool
	conns   map[net.Conn]struct{}
	servers map[string]*hosted // by address
	starts  int
}

// hosted is one server. It never runs for two processes at once.
type hosted struct {
	config string // the path of its configuration file
	server *zktest.Server
	mu     sync.Mutex // held while a process runs it
}

// startHost starts a host that t's cleanup ends.
func startHost(t *testing.T) *host {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &host{listener: l, conns: map[net.Conn]struct{}{}, servers: map[string]*hosted{}}
	h.wg.Go(func() { h.accept(t) }) // ends when close closes the listener; close waits for it
	t.Cleanup(h.close)
	return h
}

// commands makes a folder with programs of the given names that run servers of this host, if env is in
// their environment.
func (h *host) commands(t *testing.T, names ...string) (dir string, env []string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	for _, name := range names {
		if err := os.Symlink(self, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir, []string{hostVariable + "=" + h.listener.Addr().String()}
}

func (h *host) accept(t *testing.T) {
	for {
		conn, err := h.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			t.Errorf("host: %v", err)
			return
		}
		h.mu.Lock()
		if h.closed {
			conn.Close()
		} else {
			h.conns[conn] = struct{}{}
			h.wg.Go(func() { h.run(t, conn) }) // ends when the process does, or close; close waits for it
		}
		h.mu.Unlock()
	}
}

// run runs a server until its process ends, which closes the connection.
func (h *host) run(t *testing.T, conn net.Conn) {
	defer func() {
		conn.Close()
		h.mu.Lock()
		delete(h.conns, conn)
		h.mu.Unlock()
	}()
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return // killed before it had said anything
	}
	s, err := h.server(strings.TrimSuffix(line, "\n"))
	if err != nil {
		t.Logf("host: %v", err)
		fmt.Fprintln(conn, err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h.mu.Lock()
	h.starts++
	h.mu.Unlock()
	s.server.Restart()
	s.server.Partition(false)
	_, _ = io.Copy(io.Discard, conn)
	s.server.Partition(true)
	s.server.Freeze(true) // no session expires while there is no process
}

// server finds or makes the server of a configuration file.
func (h *host) server(path string) (*hosted, error) {
	config, err := readConfig(path)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, net.ErrClosed
	}
	s := h.servers[config.addr]
	if s != nil && s.config == path {
		return s, nil
	}
	if s != nil { // a new server on the port of an old one
		delete(h.servers, config.addr)
		s.server.Close()
	}
	server, err := zktest.New(zktest.WithAddr(config.addr), zktest.WithTickTime(config.tick), zktest.WithExtendedTypes())
	if err != nil {
		return nil, err
	}
	server.Partition(true)
	server.Intercept(asFromDisk)
	s = &hosted{config: path, server: server}
	h.servers[config.addr] = s
	return s, nil
}

// asFromDisk has writes take about as long as on a server that has them on disk before it answers. kazoo's
// test_lock waits for a moment between two owners of a lock, and never sees it where a server is faster than
// the threads of the test.
func asFromDisk(r zktest.Request) zktest.Fault {
	switch r.Op {
	case zktest.OpCreate, zktest.OpCreate2, zktest.OpDelete, zktest.OpSetData, zktest.OpMulti:
		return zktest.Fault{Delay: 2 * time.Millisecond}
	}
	return zktest.Fault{}
}

// started is how often servers were started.
func (h *host) started() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.starts
}

func (h *host) close() {
	h.mu.Lock()
	h.closed = true
	h.listener.Close()
	for conn := range h.conns {
		conn.Close()
	}
	h.mu.Unlock()
	h.wg.Wait()
	for _, s := range h.servers {
		s.server.Close()
	}
}

// config is what counts of a zoo.cfg.
type config struct {
	addr string
	tick time.Duration
}

func readConfig(path string) (config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return config{}, err
	}
	var c config
	members := 0
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch {
		case key == "clientPort":
			c.addr = net.JoinHostPort("127.0.0.1", value)
		case key == "tickTime":
			ms, err := strconv.Atoi(value)
			if err != nil {
				return config{}, fmt.Errorf("%s: %w", path, err)
			}
			c.tick = time.Duration(ms) * time.Millisecond
		case strings.HasPrefix(key, "server."):
			members++
		}
	}
	switch {
	case c.addr == "":
		return config{}, fmt.Errorf("%s: no clientPort", path)
	case members > 1:
		return config{}, fmt.Errorf("%s: an ensemble of %d; zktest is one server", path, members)
	}
	return c, nil
}

// standIn is what this test binary does in the place of ZooKeeper: it has the host serve until it is
// killed, or the host is gone. The result is the exit code.
func standIn(hostAddr string) int {
	conn, err := net.Dial("tcp", hostAddr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer conn.Close()
	config := os.Args[len(os.Args)-1] // of Java's command and of zkServer.sh's alike
	if _, err := fmt.Fprintln(conn, config); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	_, _ = io.Copy(os.Stderr, conn)
	return 1
}
