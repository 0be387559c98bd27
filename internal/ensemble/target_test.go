package ensemble

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

// silence is how long a test watches that nothing happens.
const silence = 50 * time.Millisecond

// target is a server that sends back what it gets.
type target struct {
	listener net.Listener
	wg       sync.WaitGroup
	conns    chan net.Conn // each accepted connection; open until the test closes it

	mu  sync.Mutex // guards what follows
	got bytes.Buffer
	all []net.Conn
}

func startTarget(t *testing.T) *target {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &target{listener: l, conns: make(chan net.Conn, 1000)}
	// Ends when the listener is closed by the cleanup, which waits for it and for
	// the goroutines of the connections, which end with their connections.
	s.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.all = append(s.all, conn)
			s.mu.Unlock()
			s.conns <- conn
			s.wg.Go(func() { s.echo(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.mu.Lock()
		for _, conn := range s.all {
			_ = conn.Close()
		}
		s.mu.Unlock()
		s.wg.Wait()
	})
	return s
}

func (s *target) addr() string { return s.listener.Addr().String() }

func (s *target) echo(conn net.Conn) {
	buf := make([]byte, bufferSize)
	for {
		n, err := conn.Read(buf)
		s.mu.Lock()
		s.got.Write(buf[:n])
		s.mu.Unlock()
		if err != nil {
			return
		}
		if _, err := conn.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (s *target) received() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got.String()
}

// start starts a target and a proxy for it.
func start(t *testing.T) (*target, *Proxy) {
	t.Helper()
	s := startTarget(t)
	return s, StartProxy(t, s.addr())
}

func dial(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func send(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

func wantText(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, len(want))
	if n, err := io.ReadFull(conn, buf); err != nil || string(buf) != want {
		t.Fatalf("got %q, %v; want %q", buf[:n], err, want)
	}
}

// wantEcho makes a round trip to the target.
func wantEcho(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	send(t, conn, text)
	wantText(t, conn, text)
}

func wantClosed(t *testing.T, conn net.Conn) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	n, err := conn.Read(make([]byte, 1))
	if n != 0 || !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("read %d bytes, %v; want a closed connection", n, err)
	}
}

// wantSilence checks that nothing comes and that the connection is open.
func wantSilence(t *testing.T, conn net.Conn) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(silence))
	n, err := conn.Read(make([]byte, 1))
	var timeout net.Error
	if n != 0 || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Fatalf("read %d bytes, %v; want nothing", n, err)
	}
}

// waitFor waits until a condition holds.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	if err := poll(within(t), func() (bool, error) { return holds(), nil }); err != nil {
		t.Fatalf("waited for %s: %v", what, err)
	}
}
