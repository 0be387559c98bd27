package zktest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// ErrNoQuorum is what the methods that write return while there is no leader with a majority behind it.
var ErrNoQuorum = errors.New("zktest: no quorum")

// Ensemble is a group of servers, its members, that share one history: the leader decides on every write and
// every session, the others follow. All methods may be called from any goroutine.
//
// Each member is a [Server], and has the faults of one: [Server.Partition] cuts it off from its clients,
// [Server.Isolate] from the other members, [Server.Freeze] hangs it, [Server.Stop] ends its process,
// [Server.Lag] and [Server.Hold] have it fall behind.
type Ensemble struct {
	cfg    config
	log    *slog.Logger
	secret [16]byte // makes the passwords of sessions
	bubble bool     // made in a synctest bubble
	done   chan struct{}
	wake   chan struct{}  // tells the clock to look again
	wg     sync.WaitGroup // the clock

	// mu guards everything below, and all of every member: the state, the watches and the connections. It is
	// never held while waiting for a client.
	mu        sync.Mutex
	cond      *sync.Cond // told of whatever a request may wait for: a quorum, a follower that catches up
	closed    bool
	members   []*Server // never changes
	leader    *Server   // nil while there is none
	tracker   *tracker  // the leader's
	term      int       // counts leaders
	epoch     int64     // the high half of the leader's zxids
	nextSweep time.Time
	journal   func(Change)
	dialers   map[string]*Dialer
	dialerOf  map[int64]*Dialer // by session, for those that came through one
	cutOff    map[int64]bool    // sessions that PartitionSession keeps from their clients
	nextWake  time.Time         // when the clock will look again; zero for never
}

// StartEnsemble makes an ensemble of n servers that t's cleanup closes. It calls t.Fatal if that fails.
// An ensemble of one is a standalone server. It may be called in a synctest bubble, as [Start] may.
func StartEnsemble(t testing.TB, n int, opts ...Option) *Ensemble {
	t.Helper()
	e, err := NewEnsemble(n, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// NewEnsemble makes an ensemble of n servers, all of them up, and one of them the leader. It fails if n is
// not between 1 and 255, or for the reasons that [New] fails for.
func NewEnsemble(n int, opts ...Option) (*Ensemble, error) {
	if n < 1 || n > 255 {
		return nil, fmt.Errorf("zktest: an ensemble of %d servers", n)
	}
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	e := &Ensemble{
		cfg: cfg, log: cfg.log, bubble: inBubble(),
		done:     make(chan struct{}),
		wake:     make(chan struct{}, 1),
		dialers:  map[string]*Dialer{},
		dialerOf: map[int64]*Dialer{},
		cutOff:   map[int64]bool{},
	}
	e.cond = sync.NewCond(&e.mu)
	rand.Read(e.secret[:]) // never fails
	e.mu.Lock()
	defer e.mu.Unlock()
	for id := 1; id <= n; id++ {
		e.members = append(e.members, newServer(e, id))
	}
	e.formLocked()
	if err := e.plantLocked(cfg.tree); err != nil {
		e.closeLocked()
		return nil, err
	}
	for i, s := range e.members {
		if cfg.addr == "" {
			break
		}
		if err := s.listenLocked(nthAddr(cfg.addr, i)); err != nil {
			e.closeLocked()
			return nil, err
		}
	}
	e.wg.Go(e.clock) // ends when closeLocked closes done; Close waits for it
	return e, nil
}

// nthAddr gives addr with a port that is i higher, or the same if that is 0, which stands for a free one.
func nthAddr(addr string, i int) string {
	host, port, err := net.SplitHostPort(addr)
	n, perr := strconv.Atoi(port)
	if err != nil || perr != nil || n == 0 {
		return addr
	}
	return net.JoinHostPort(host, strconv.Itoa(n+i))
}

// Members gives all servers, in the order of their ids, which count from 1.
func (e *Ensemble) Members() []*Server { return slices.Clone(e.members) }

// Leader is the server that leads, or nil while none does. A leader that has lost its quorum
// leads until it has noticed; see [Server.Isolate].
func (e *Ensemble) Leader() *Server {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.leader
}

// Followers gives the servers that follow the leader and serve clients, in the order of their ids.
func (e *Ensemble) Followers() []*Server {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(e.members), func(s *Server) bool { return s.role != following })
}

// Addrs gives the TCP address of each member, as [Server.Addr] does. It must not be called in a synctest
// bubble.
func (e *Ensemble) Addrs() []string {
	var addrs []string
	for _, s := range e.members {
		addrs = append(addrs, s.Addr())
	}
	return addrs
}

// DialAddrs gives the address of each member for Dial, as [Server.DialAddr] does.
func (e *Ensemble) DialAddrs() []string {
	var addrs []string
	for _, s := range e.members {
		addrs = append(addrs, s.DialAddr())
	}
	return addrs
}

// Dial connects in memory to the member with the address, which is one of DialAddrs or Addrs. An
// ensemble of one takes any address. It is for
// clients that take a dialer, and works inside a synctest bubble as [Server.Dial] does.
func (e *Ensemble) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return e.dial(ctx, network, addr, nil)
}

func (e *Ensemble) dial(ctx context.Context, network, addr string, d *Dialer) (net.Conn, error) {
	for _, s := range e.members {
		if s.hasAddr(addr) {
			return s.dial(ctx, network, addr, d)
		}
	}
	return nil, dialError(network, addr, syscall.EHOSTUNREACH)
}

// DialTimeout is Dial in the form that go-zookeeper's WithDialer takes. The timeout is not used:
// connecting takes no time.
func (e *Ensemble) DialTimeout(network, addr string, timeout time.Duration) (net.Conn, error) {
	return e.Dial(context.Background(), network, addr)
}

// Close closes all members and waits for their goroutines. It must not be called from within Intercept. A
// second call does nothing. The error is always nil.
func (e *Ensemble) Close() error {
	e.mu.Lock()
	e.closeLocked()
	e.mu.Unlock()
	for _, s := range e.members {
		s.wg.Wait()
	}
	e.wg.Wait()
	return nil
}

func (e *Ensemble) closeLocked() {
	if e.closed {
		return
	}
	e.closed = true
	close(e.done)
	for _, s := range e.members {
		s.closeLocked()
	}
}

// newestLocked is the member whose state is the ensemble's: the leader, or else whoever would become it.
func (e *Ensemble) newestLocked() *Server {
	if e.leader != nil {
		return e.leader
	}
	newest := e.members[0]
	for _, s := range e.members {
		if s.loggedLocked() >= newest.loggedLocked() {
			newest = s
		}
	}
	return newest
}

// String names the members' addresses, for logs.
func (e *Ensemble) String() string { return "zktest ensemble " + strings.Join(e.DialAddrs(), ",") }
