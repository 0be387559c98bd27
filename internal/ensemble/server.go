package ensemble

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

var (
	errDead       = errors.New("not running")
	errStopped    = errors.New("stopped by SIGSTOP")
	errNotServing = errors.New("running, not serving clients")
	errClosed     = errors.New("the ensemble is closed")
)

// Server is one ZooKeeper server. Its address and its data stay the same across
// restarts.
type Server struct {
	id      int
	dir     string // the folder of all that belongs to this server
	addr    string
	ports   ports
	peers   map[int]string // by ID: where it finds another server's quorum port, if not there
	command []string       // the program and its arguments
	log     io.Writer

	mu      sync.Mutex // guards what follows
	proc    *process   // the latest run; nil before the first
	stopped bool       // by Stop, until Continue
	closed  bool
}

// ports are those that a server listens on. They are its own until close.
type ports struct {
	client, quorum, election int
	secure                   int // for TLS; 0 without it
	release                  []func()
}

// newServer chooses the ports of a server, with secure one for TLS, too; configure
// must follow.
func newServer(id int, dir string, secure bool, reserve reserver) (*Server, error) {
	s := &Server{id: id, dir: dir}
	numbers := []*int{&s.ports.client, &s.ports.quorum, &s.ports.election}
	if secure {
		numbers = append(numbers, &s.ports.secure)
	}
	for _, port := range numbers {
		number, release, err := reserve()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("choose a port: %w", err), s.close())
		}
		*port = number
		s.ports.release = append(s.ports.release, release)
	}
	s.addr = net.JoinHostPort(loopback, strconv.Itoa(s.ports.client))
	return s, nil
}

// Addr returns the address for clients, "127.0.0.1:port".
func (s *Server) Addr() string { return s.addr }

// ID returns the server's number in the ensemble (its myid), from 1.
func (s *Server) ID() int { return s.id }

// String names the server for messages.
func (s *Server) String() string { return fmt.Sprintf("server %d (%s)", s.id, s.addr) }

// PID returns the process ID of the server, 0 when it is not running.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.runningLocked() {
		return 0
	}
	return s.proc.cmd.Process.Pid
}

// Running reports whether the server's process is alive. A stopped one is.
func (s *Server) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runningLocked()
}

func (s *Server) runningLocked() bool {
	return s.proc != nil && s.proc.alive()
}

// StartProcess starts a server that is not running, with the data that it has,
// and does not wait until it serves: see WaitServing and Restart for that.
func (s *Server) StartProcess() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return fmt.Errorf("start %v: %w", s, errClosed)
	case s.runningLocked():
		return fmt.Errorf("start %v: it is running", s)
	}
	logFile, err := os.OpenFile(s.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start %v: %w", s, err)
	}
	cmd := exec.Command(s.command[0], s.command[1:]...)
	// The Java machine leaves its crash reports in the working directory.
	cmd.Dir = s.dir
	cmd.Stdout = logFile
	if s.log != nil {
		cmd.Stdout = io.MultiWriter(logFile, s.log)
	}
	cmd.Stderr = cmd.Stdout
	proc, err := startProcess(cmd, func() { _ = logFile.Close() })
	if err != nil {
		return fmt.Errorf("start %v: %w", s, err)
	}
	s.proc, s.stopped = proc, false
	return nil
}

// Kill ends the server with SIGKILL and waits for its end. Killing a server that
// is not running does nothing.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.killLocked()
}

func (s *Server) killLocked() error {
	if !s.runningLocked() {
		return nil
	}
	if err := s.proc.kill(); err != nil {
		return fmt.Errorf("kill %v: %w", s, err)
	}
	s.stopped = false
	return nil
}

// Stop freezes the server with SIGSTOP and waits until it stands still: its
// connections stay open and the kernel accepts new ones, but nothing is
// answered.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.runningLocked() {
		return fmt.Errorf("stop %v: %w", s, errDead)
	}
	if err := stopProcess(s.proc.cmd.Process); err != nil {
		return fmt.Errorf("stop %v: %w", s, err)
	}
	s.stopped = true
	return nil
}

// Continue lets a stopped server run on, with SIGCONT. It does nothing to one
// that is not stopped.
func (s *Server) Continue() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.runningLocked() {
		return fmt.Errorf("continue %v: %w", s, errDead)
	}
	if err := continueProcess(s.proc.cmd.Process); err != nil {
		return fmt.Errorf("continue %v: %w", s, err)
	}
	s.stopped = false
	return nil
}

// Restart kills the server if it is running, starts it again on the same port
// with its data, and waits until it serves clients. It fails when the new
// process ends, and when ctx ends, which it does for a server of an ensemble
// that has no majority: the server keeps running then.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Kill(); err != nil {
		return err
	}
	if err := s.StartProcess(); err != nil {
		return err
	}
	return s.WaitServing(ctx)
}

// WaitServing waits until this server serves clients. It fails when ctx ends, and
// at once when the server is not running.
func (s *Server) WaitServing(ctx context.Context) error {
	var last status
	err := poll(ctx, func() (bool, error) {
		last = s.status(ctx)
		if errors.Is(last.err, errDead) {
			return false, last.err
		}
		return last.serves(), nil
	})
	if err != nil {
		return fmt.Errorf("%v does not serve: %w%s", s, err, report([]status{last}))
	}
	return nil
}

// Wipe deletes the data of a server that is not running. Its identity in the
// ensemble (myid) is kept.
func (s *Server) Wipe() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.runningLocked() {
		return fmt.Errorf("wipe %v: it is running", s)
	}
	entries, err := os.ReadDir(s.dataDir())
	if err != nil {
		return fmt.Errorf("wipe %v: %w", s, err)
	}
	for _, entry := range entries {
		if entry.Name() == myidFile {
			continue
		}
		if err := os.RemoveAll(filepath.Join(s.dataDir(), entry.Name())); err != nil {
			return fmt.Errorf("wipe %v: %w", s, err)
		}
	}
	return nil
}

// close kills the server for good and gives its ports back.
func (s *Server) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	err := s.killLocked()
	for _, release := range s.ports.release {
		release()
	}
	s.ports.release = nil
	return err
}

// endedLocked says how the latest run ended.
func (s *Server) endedLocked() error {
	if s.proc == nil || s.proc.alive() || s.proc.err == nil {
		return errDead
	}
	return fmt.Errorf("%w (%w)", errDead, s.proc.err)
}

func (s *Server) logPath() string { return filepath.Join(s.dir, "log") }

// logTail returns the last lines of the log for an error message, indented, with
// a line break before each; "" when there are none.
func (s *Server) logTail() string {
	const lines, size = 20, 8 << 10
	f, err := os.Open(s.logPath())
	if err != nil {
		return ""
	}
	defer f.Close()
	if end, err := f.Seek(0, io.SeekEnd); err == nil {
		_, err = f.Seek(max(0, end-size), io.SeekStart)
		if err != nil {
			return ""
		}
	}
	text, err := io.ReadAll(f)
	if err != nil || len(text) == 0 {
		return ""
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	all = all[max(0, len(all)-lines):]
	return "\n\t" + strings.Join(all, "\n\t")
}
