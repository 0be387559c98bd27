package zktest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

// ErrServerClosed is what the methods of a closed Server return.
var ErrServerClosed = errors.New("zktest: server closed")

// Server is one ZooKeeper server in memory: a standalone one, or a member of an [Ensemble]. All methods may be
// called from any goroutine.
type Server struct {
	cfg config
	log *slog.Logger
	e   *Ensemble // a standalone server is alone in one
	id  int
	wg  sync.WaitGroup // goroutines of connections and the listener; Add only with mu held and closed false

	// mu is the Ensemble's. It guards everything below and all that hangs on it: the tree, the watches, the
	// sessions and the connections. It is never held while waiting for a client.
	mu *sync.Mutex

	// The state: what transactions make of it, alike on all members that have applied the same.
	zxid     int64 // what the server tells clients: of the last transaction, or of the leader's election
	txn      int64 // zxid of the last transaction applied
	tree     *tree
	sessions map[int64]*session

	// The place in the ensemble.
	role          role
	follows       *Server                 // nil unless following
	term          int                     // of the leader that it is or follows
	lost          time.Time               // since when it has no contact with its leader; zero while it has
	lookingSince  time.Time               // since when it could be found by others that look; zero while it cannot
	noLeaderSince time.Time               // since when it has looked for a leader; zero while it does not
	local         *tracker                // sessions of a read-only server; nil on others
	backlog       []logged                // logged and not applied yet
	unsent        []logged                // what the leader has for it when there is contact again
	unreported    map[int64]time.Duration // sessions heard of without contact, with their timeouts
	unanswered    map[int64][]func()      // by zxid: answers that wait until it is applied

	// What goes wrong.
	closed      bool
	stopped     bool
	partitioned bool
	isolated    bool
	held        bool
	lag         time.Duration
	thawed      chan struct{} // closed when a freeze ends; nil while there is none
	intercept   func(Request) Fault

	// The clients.
	listener     net.Listener // nil until somebody wants an address
	started      time.Time
	conns        map[*conn]struct{}
	attached     map[int64]*conn // by session
	dataWatches  *watchTable
	childWatches *watchTable
	nextSession  int64
	lingering    map[net.Conn]struct{} // sockets of connections that have been closed
	nextPort     int                   // of the next in-memory client's made-up address
	traffic      traffic
	traceMask    int64
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

// New makes a standalone server. It fails if it was given an address that it cannot listen on, a version that is
// not served, or options that contradict one another.
func New(opts ...Option) (*Server, error) {
	e, err := NewEnsemble(1, opts...)
	if err != nil {
		return nil, err
	}
	return e.members[0], nil
}

// newServer makes a member with the state of one that has never run.
func newServer(e *Ensemble, id int) *Server {
	s := &Server{
		cfg: e.cfg, log: e.log, e: e, id: id, mu: &e.mu,
		unreported: map[int64]time.Duration{},
		unanswered: map[int64][]func(){},
		conns:      map[*conn]struct{}{},
		attached:   map[int64]*conn{},
		lingering:  map[net.Conn]struct{}{},
		nextPort:   1 << 16,
	}
	if len(e.members) > 0 || id > 1 {
		s.log = e.log.With("server", id)
	}
	s.resetLocked()
	return s
}

// resetLocked gives the server the state of one that has never run.
func (s *Server) resetLocked() {
	s.zxid, s.txn = 0, 0
	s.tree = newTree()
	s.sessions = map[int64]*session{}
	s.backlog = nil
	s.restartLocked()
}

// restartLocked forgets what a server process does not keep on disk. A standalone server leads at once.
func (s *Server) restartLocked() {
	s.started = time.Now()
	s.nextSession = firstSessionID(s.id)
	s.dataWatches, s.childWatches = newWatchTable(s.cfg.release), newWatchTable(s.cfg.release)
	s.traffic = newTraffic()
	s.traceMask = firstTraceMask
	if s.e.leader == s {
		s.leadLocked()
	}
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
// if it cannot, as when the server is closed, and in a synctest bubble, which would never come to rest: network
// connections are not of its time.
func (s *Server) Addr() string {
	if inBubble() {
		panic("zktest: Addr in a synctest bubble, where TCP does not work: have the client connect through Dial")
	}
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
	return s.addrLocked()
}

func (s *Server) addrLocked() string {
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
			case <-s.e.done:
				return
			case <-time.After(10 * time.Millisecond):
			}
			continue
		}
		if !s.serve(nc, nc.LocalAddr().String(), nil) {
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
// take a dialer, and works inside a synctest bubble, if the server was made in the same bubble: otherwise it
// panics. It fails while the server is partitioned or closed, as if the connection were refused, and when ctx
// has ended; it does not wait otherwise.
func (s *Server) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return s.dial(ctx, network, addr, nil)
}

// dial connects through a Dialer, which may be nil.
func (s *Server) dial(ctx context.Context, network, addr string, d *Dialer) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.e.checkBubble()
	s.mu.Lock()
	s.nextPort--
	if s.nextPort < 1<<15 {
		s.nextPort = 1<<16 - 1
	}
	local := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: s.nextPort}
	s.mu.Unlock()
	remote := s.dialAddr()
	client, server := newPipe(local, remote)
	if !s.serve(server, addr, d) {
		return nil, dialError(network, remote.String(), syscall.ECONNREFUSED)
	}
	return client, nil
}

// dialAddr is the made-up address of the server.
func (s *Server) dialAddr() *net.TCPAddr {
	if len(s.e.members) == 1 {
		return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2181}
	}
	return &net.TCPAddr{IP: net.IPv4(10, 0, 0, byte(s.id)), Port: 2181}
}

// DialTimeout is Dial in the form that go-zookeeper's WithDialer takes. The timeout is not used:
// connecting takes no time.
func (s *Server) DialTimeout(network, addr string, timeout time.Duration) (net.Conn, error) {
	return s.Dial(context.Background(), network, addr)
}

// Close drops all connections, stops listening and waits for the server's goroutines. A member of an
// ensemble is gone for good, while the others go on. It must not be
// called from within Intercept. A second call does nothing. The error is always nil.
func (s *Server) Close() error {
	if len(s.e.members) == 1 {
		return s.e.Close()
	}
	s.mu.Lock()
	s.closeLocked()
	s.e.reviewLocked(time.Now())
	s.mu.Unlock()
	s.wg.Wait()
	return nil
}

func (s *Server) closeLocked() {
	if s.closed {
		return
	}
	s.closed = true
	if s.listener != nil {
		s.listener.Close()
	}
	s.endProcessLocked()
	for socket := range s.lingering {
		socket.Close()
	}
}
