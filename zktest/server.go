package zktest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// ErrServerClosed is what the methods of a closed Server return.
var ErrServerClosed = errors.New("zktest: server closed")

// Server is one ZooKeeper server in memory. All methods may be called from any goroutine.
type Server struct {
	cfg           config
	log           *slog.Logger
	sweepInterval time.Duration
	done          chan struct{}  // closed by Close
	wake          chan struct{}  // tells the clock to look again
	wg            sync.WaitGroup // all goroutines; Add only with mu held and closed false

	// mu guards everything below and all that hangs on it: the tree, the watches, the sessions and
	// the connections. It is never held while waiting for a client.
	mu           sync.Mutex
	closed       bool
	listener     net.Listener // nil until somebody wants an address
	started      time.Time
	zxid         int64
	tree         *tree
	dataWatches  *watchTable
	childWatches *watchTable
	sessions     map[int64]*session
	expiry       expiryQueue
	nextSession  int64
	conns        map[*conn]struct{}
	lingering    map[net.Conn]struct{} // sockets of connections that have been closed
	nextPort     int                   // of the next in-memory client's made-up address
	nextWake     time.Time             // when the clock will look again; zero for never
	nextSweep    time.Time
	partitioned  bool
	thawed       chan struct{} // closed when a freeze ends; nil while there is none
	intercept    func(Request) Fault
	journal      func(Change)
	traffic      traffic
}

// Start makes a server that t's cleanup closes. It calls t.Fatal if that fails. It may be called in
// a synctest bubble; clients then have to use Dial, and nobody may call Addr.
func Start(t testing.TB, opts ...Option) *Server {
	t.Helper()
	s, err := New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// New makes a server. It fails if it was given an address that it cannot listen on, or a version that is
// not served.
func New(opts ...Option) (*Server, error) {
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg:           cfg,
		log:           cfg.log,
		sweepInterval: cfg.sweep,
		done:          make(chan struct{}),
		wake:          make(chan struct{}, 1),
		conns:         map[*conn]struct{}{},
		lingering:     map[net.Conn]struct{}{},
		nextPort:      1 << 16,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resetLocked()
	if cfg.addr != "" {
		if err := s.listenLocked(cfg.addr); err != nil {
			return nil, err
		}
	}
	s.wg.Go(s.clock) // ends when Close closes done; Close waits for it
	return s, nil
}

// resetLocked gives the server the state of one that has never run.
func (s *Server) resetLocked() {
	s.zxid = 0
	s.tree = newTree()
	s.sessions = map[int64]*session{}
	s.expiry = nil
	s.restartLocked()
}

// restartLocked forgets what a server process does not keep on disk.
func (s *Server) restartLocked() {
	s.started = time.Now()
	s.nextSession = firstSessionID()
	s.dataWatches, s.childWatches = newWatchTable(s.cfg.release), newWatchTable(s.cfg.release)
	s.traffic = newTraffic()
}

func (s *Server) listenLocked(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("zktest: %w", err)
	}
	s.listener = l
	s.wg.Go(func() { s.accept(l) }) // ends when Close closes the listener; Close waits for it
	return nil
}

// Addr is the address of the server, "127.0.0.1:port" unless WithAddr says otherwise, and a connection
// string. The server begins to listen at the first call, unless it was made with WithAddr; Addr panics
// if it cannot, as when the server is closed. It must not be called in a synctest bubble, which would
// never come to rest: network connections are not of its time.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		if s.closed {
			panic(ErrServerClosed)
		}
		if err := s.listenLocked("127.0.0.1:0"); err != nil {
			panic(err)
		}
	}
	addr := s.listener.Addr().(*net.TCPAddr)
	if addr.IP.IsUnspecified() {
		return fmt.Sprintf("127.0.0.1:%d", addr.Port)
	}
	return addr.String()
}

func (s *Server) accept(l net.Listener) {
	for {
		nc, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of file descriptors, or the client has gone already
			s.log.Warn("zktest: accept failed", "error", err)
			select {
			case <-s.done:
				return
			case <-time.After(10 * time.Millisecond):
			}
			continue
		}
		if !s.serve(nc) {
			refuse(nc)
		}
	}
}

// refuse resets a connection, which is as near to refusing as an open listener comes.
func refuse(nc net.Conn) {
	if tcp, ok := nc.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	nc.Close()
}

// Dial connects to the server in memory, whatever the network and address. It is for clients that
// take a dialer, and works inside a synctest bubble, if the server was made in the same bubble. It
// fails while the server is partitioned or closed, as if the connection were refused, and when ctx
// has ended; it does not wait otherwise.
func (s *Server) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.nextPort--
	if s.nextPort < 1<<15 {
		s.nextPort = 1<<16 - 1
	}
	local := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: s.nextPort}
	s.mu.Unlock()
	remote := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2181}
	client, server := newPipe(local, remote)
	if !s.serve(server) {
		return nil, &net.OpError{
			Op: "dial", Net: network, Addr: remote,
			Err: os.NewSyscallError("connect", syscall.ECONNREFUSED),
		}
	}
	return client, nil
}

// DialTimeout is Dial in the form that go-zookeeper's WithDialer takes. The timeout is not used:
// connecting takes no time.
func (s *Server) DialTimeout(network, addr string, timeout time.Duration) (net.Conn, error) {
	return s.Dial(context.Background(), network, addr)
}

// Close drops all connections, stops listening and waits for the server's goroutines. It must not be
// called from within Intercept. A second call does nothing. The error is always nil.
func (s *Server) Close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.done)
		if s.listener != nil {
			s.listener.Close()
		}
		s.dropAllLocked()
		for socket := range s.lingering {
			socket.Close()
		}
	}
	s.mu.Unlock()
	s.wg.Wait()
	return nil
}
