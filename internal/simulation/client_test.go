package simulation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/pprof"
	"slices"
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
	speed   atomic.Int64 // of its network connections in bytes per second; 0: no limit
	refused atomic.Int64 // requests that were answered with an error of the server's own
	lines   atomic.Int64 // that it has logged

	// Written before ready is true.
	client   *zkstream.Client
	sessions *zkstream.Stream[zkstream.Session]
	ready    atomic.Bool // connected, and not closed by the schedule yet

	known map[string]version // guarded by s.mu; the newest that was seen of each node, by calls and streams

	closing bool // Close was called, or Connect has failed

	// Guarded by s.mu.
	heard time.Time   // when the newest request was sent that has been answered
	death *time.Timer // then the session timeout has passed since

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
	c := &simClient{s: s, id: s.id(), timeout: time.Duration(2+s.rng.IntN(7)) * time.Second, gone: map[int64]bool{}, known: map[string]version{}}
	c.labels = pprof.WithLabels(context.Background(), pprof.Labels("simulated", c.label()))
	if s.chance(2) {
		c.chroot = simRoot
	}
	opts := []zkstream.Option{zkstream.WithSessionTimeout(c.timeout), zkstream.WithDialer(s.dialer(c))}
	if s.chance(3) {
		opts = append(opts, zkstream.WithMaxInFlight(1+s.rng.IntN(3)))
	}
	if s.has(noRechecks) && !s.chance(4) {
		opts = append(opts, zkstream.WithRecheck(0))
	}
	if s.chance(3) {
		opts = append(opts, zkstream.WithAuth("digest", []byte("user:password")))
	}
	if s.has(slowLines) && s.chance(2) {
		c.speed.Store(int64(60<<10 + s.rng.IntN(200<<10)))
	}
	servers := s.hosts()
	if s.has(names) {
		opts = append(opts, zkstream.WithResolver(s.resolver.Resolver()))
	}
	opts = append(opts, zkstream.WithLogger(slog.New(c.logger())))
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

// hosts gives a connection string for the servers.
func (s *simulation) hosts() string {
	hosts := s.servers.DialAddrs()
	if s.has(names) {
		return simName + ":2181"
	}
	if s.chance(3) {
		hosts = append(hosts, simNobody+":2181")
	}
	s.rng.Shuffle(len(hosts), func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] })
	return strings.Join(hosts, ",")
}

// setNames has all servers share a name.
func (s *simulation) setNames() {
	s.mute = s.chance(2) && !s.has(crowds) // dials that take the same time have a crowd march in step
	all := []string{simNobody}
	for _, addr := range s.servers.DialAddrs() {
		host, _, _ := strings.Cut(addr, ":")
		all = append(all, host)
	}
	s.resolver.Set(simName, all...)
}

// dialer is what c dials with.
func (s *simulation) dialer(c *simClient) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		pprof.SetGoroutineLabels(context.Background()) // the server's goroutines are not the client's
		defer pprof.SetGoroutineLabels(c.labels)
		s.mu.Lock()
		s.dials = append(s.dials, time.Now())
		silent := s.silent
		s.mu.Unlock()
		if silent != nil {
			select {
			case <-silent:
			case <-ctx.Done():
			}
		}
		if strings.HasPrefix(addr, simNobody) {
			if s.mute {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return nil, errors.New("connection refused")
		}
		conn, err := s.servers.Dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return newLine(c, conn), nil
	}
}

func (s *simulation) openClient() {
	if len(s.openClients()) < 3 {
		s.connect(time.Second + s.upTo(30*time.Second))
	}
}

func (s *simulation) closeClient() {
	if open := s.openClients(); len(open) > 1 || len(open) == 1 && s.chance(4) {
		s.closeOne(pick(s, open))
	}
}

// closes notes that a client is about to be closed.
func (s *simulation) closes(c *simClient) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.closing = true
}

// closeOne closes a client and looks what is left of it.
func (s *simulation) closeOne(c *simClient) {
	calm := s.calm()
	now, _ := c.sessions.Latest()
	s.note("%v: close", c)
	c.ready.Store(false)
	s.closes(c)
	for _, w := range s.streams {
		if w.client == c && w.err() == nil {
			w.reasons = append(w.reasons, zkstream.ErrClosed)
		}
	}
	began := time.Now()
	if err := c.client.Close(); err != nil {
		s.breach("nothing left behind", "%v: Close returns %v", c, err)
	}
	if took := time.Since(began); took > 3*time.Second {
		s.breach("nothing left behind", "%v: Close took %v", c, took)
	}
	s.checkGone(c)
	if calm && slices.Contains(s.servers.Sessions(), now.ID) {
		s.breach("nothing left behind", "%v is closed; the server still has its session %s", c, hex(now.ID))
	}
}
