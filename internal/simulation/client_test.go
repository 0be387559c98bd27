package simulation

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"time"

	"github.com/zkstream/zkstream"
)

// simClient is one client, from Connect on.
type simClient struct {
	s       *simulation
	id      int
	labels  context.Context // of its goroutines
	chroot  string
	timeout time.Duration
	sockets atomic.Int64 // open ones

	// Written before ready is true.
	client   *zkstream.Client
	sessions *zkstream.Stream[zkstream.Session]
	ready    atomic.Bool // connected, and not closed by the schedule yet

	closing bool // Close was called, or Connect has failed

	// Used by the goroutine that follows sessions, and read when that has nothing to do.
	session zkstream.Session
	lastID  int64 // newest session
	closed  bool  // sessions has ended
	gone    map[int64]bool
}

func (c *simClient) String() string { return fmt.Sprintf("client %d", c.id) }

// label tells its goroutines from all others of the test's process.
func (c *simClient) label() string { return fmt.Sprintf("seed=%d client=%d", c.s.seed, c.id) }

// path returns an absolute path as the client names it.
func (c *simClient) path(abs string) string {
	if abs == c.chroot {
		return "/"
	}
	return abs[len(c.chroot):]
}

// openClients are those that the schedule can use.
func (s *simulation) openClients() (open []*simClient) {
	for _, c := range s.clients {
		if c.ready.Load() {
			open = append(open, c)
		}
	}
	return open
}

// connect opens a client in a goroutine of its own.
func (s *simulation) connect(limit time.Duration) {
	c := &simClient{s: s, id: s.id(), timeout: time.Duration(2+s.rng.IntN(7)) * time.Second, gone: map[int64]bool{}}
	c.labels = pprof.WithLabels(context.Background(), pprof.Labels("simulated", c.label()))
	if s.chance(2) {
		c.chroot = simRoot
	}
	opts := []zkstream.Option{zkstream.WithSessionTimeout(c.timeout), zkstream.WithDialer(s.dialer(c))}
	if s.chance(3) {
		opts = append(opts, zkstream.WithMaxInFlight(1+s.rng.IntN(3)))
	}
	if s.chance(3) {
		opts = append(opts, zkstream.WithAuth("digest", []byte("user:password")))
	}
	servers := "sim:2181"
	if s.chance(3) {
		servers = "down:2181,sim:2181"
	}
	if s.verbose {
		opts = append(opts, zkstream.WithLogger(testLogger(s.t).With("client", c.id)))
	}
	s.clients = append(s.clients, c)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	s.call(c, "Connect to "+servers+c.chroot, &simContext{ctx: ctx, stop: cancel, ends: time.Now().Add(limit)}, func(ctx context.Context) error {
		client, err := zkstream.Connect(ctx, servers+c.chroot, opts...)
		if err == nil {
			c.client, c.sessions = client, client.Session(context.Background())
			pprof.SetGoroutineLabels(context.Background())
			go c.followSessions() // ends with the stream, when the client is closed
			c.ready.Store(true)
		}
		return err
	}, nil)
}

// dialer is what c dials with.
func (s *simulation) dialer(c *simClient) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		pprof.SetGoroutineLabels(context.Background()) // the server's goroutines are not the client's
		defer pprof.SetGoroutineLabels(c.labels)
		s.mu.Lock()
		silent := s.silent
		s.mu.Unlock()
		if silent != nil {
			select {
			case <-silent:
			case <-ctx.Done():
			}
		}
		if strings.HasPrefix(addr, "down:") {
			return nil, errors.New("connection refused")
		}
		conn, err := s.server.Dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		c.sockets.Add(1)
		return &simConn{Conn: conn, client: c, asked: map[int32]question{}, watched: map[question]bool{}}, nil
	}
}
