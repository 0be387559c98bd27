// Package zkconn is one hardened ZooKeeper connection: go-zookeeper's Conn, with its pitfalls dealt
// with at the one place where they can all be reached, the network connection that it dials.
//
// What the rest of zkstream may rely on:
//
//   - Events arrive in order and none is dropped; those of a session carry its ID and timeout. A watch
//     that fires is reported before any reply that the server sent after it.
//   - The end of a session is always an Expired event before the next Up.
//   - No request is sent in a later session than its caller meant. Those of calls are zkconn's own, beside
//     go-zookeeper's on the same connection, and it is known of each whether it has begun to leave.
//   - No server can make the connection hang, loop without a pause, or stay unusable for ever.
//   - After Close no goroutine, socket or timer remains.
//
// pitfalls.md beside this file lists each pitfall and where it is met.
package zkconn

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
	"golang.org/x/sync/semaphore"
)

// DialFunc opens a network connection to a server.
type DialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// Auth is one credential, sent on every new network connection before anything else.
type Auth struct {
	Scheme     string
	Credential []byte
}

// Config says what to connect to, and how.
type Config struct {
	Servers  []string      // each as host:port
	Timeout  time.Duration // the session timeout to ask for
	Auth     []Auth
	TLS      *tls.Config   // nil: plain TCP
	Dial     DialFunc      // nil: a net.Dialer
	Resolver *net.Resolver // of the servers' names; nil: net.DefaultResolver, or with Dial, Dial itself
	Logger   *slog.Logger  // required
	MaxCalls int           // calls of Do under way at once
	MaxReply int           // bytes of a reply; 0 means DefaultMaxReply

	// MaxRequest is how many bytes a Change may have, as a server's jute.maxbuffer counts; 0 means
	// DefaultMaxRequest.
	MaxRequest int

	// Watches are the watches to keep, and MaxReads how many requests may read them at once; nil: there are
	// none.
	Watches  Table
	MaxReads int

	Attempted func(Attempt) // called after each attempt; must not block; may be nil
	Settled   func()        // called once on each connection, when what is to be set or read there has been; as Attempted

	noProbe bool // for tests: a server is not asked whether it has multiRead
}

// DefaultMaxReply is the largest reply that is read, in bytes. A server's own limit for what a node
// holds (jute.maxbuffer) is 1 MB by default; a list of children can be larger.
const DefaultMaxReply = 16 << 20

// ErrClosed is what calls return once Close has been called; package zkstream gives it to its users.
var ErrClosed = errors.New("zkstream: closed")

// ErrNoConn is what calls on a nil Conn return.
var ErrNoConn = errors.New("the Client was not made by Connect")

// ErrDown is for what is not sent because there is no session to send it in.
var ErrDown = errors.New("no session")

// EventKind is what an Event is about.
type EventKind uint8

// The kinds of Event.
const (
	Up         EventKind = iota // there is a session, and it takes requests
	Down                        // the network connection was lost; the session may live on
	Expired                     // the server said that the session is gone
	AuthFailed                  // all servers have refused a credential; once until a connection has lasted
	Ended                       // the last event: somebody closed the low-level handle
)

// Event is something that happened to the connection or its session.
type Event struct {
	Kind    EventKind
	Session Session // of Up
	Err     error   // of AuthFailed
}

// Session describes the session of an Up event.
type Session struct {
	ID      int64
	Timeout time.Duration // as negotiated
	Server  string        // host:port as in Config.Servers

	// Generation starts at 1 and grows with each new session, and when the connection has to forget
	// the last zxid that it saw. Within a generation no server shows a state older than one that has
	// been seen; between generations one may.
	Generation int64
}

// Conn is a connection that keeps itself alive until Close.
type Conn struct {
	cfg      Config
	log      *slog.Logger
	maxReply int
	zc       *zk.Conn
	hosts    hosts
	calls    *semaphore.Weighted
	running  sync.WaitGroup     // calls of Do and Run, who sends what they leave behind, and Open's helper goroutine
	ctx      context.Context    // ends when Close begins
	cancel   context.CancelFunc // ends ctx

	table Table
	own   atomic.Pointer[requests] // of the newest connection, nil before the first

	// Used by the goroutine that receives, one after the other on each connection.
	rearmZxid        int64 // from which watches are set again: see rearm.go
	syncedGeneration int64 // in which a server has caught up with the leader last

	opened       time.Time
	lastAnswered atomic.Int64 // when the last request that was answered had been sent, in nanoseconds after opened
	watching     atomic.Bool  // go-zookeeper was asked for a watch in this session

	generation atomic.Int64 // of the newest session; see Session.Generation
	isUp       atomic.Bool  // there is a session, and it takes requests; written with mu held
	zxid       atomic.Int64 // see Zxid
	wrote      atomic.Int64 // see Wrote
	pending    atomic.Int64 // calls of Do and Run under way; grows with mu held, while there is a session

	counters counters

	mu                 sync.Mutex // guards what follows
	up                 chan struct{}
	queue              []Event
	current            Session // what the newest handshake brought
	identity           identity
	wire               *wire     // the newest network connection, nil before the first
	lastGood           time.Time // when there last was a session: for rewinding
	rejectedHandshakes int       // that a server closed without an answer since lastGood
	rewinding          bool      // the last zxid has been left out since lastGood
	closing            bool
	servers            map[string]*serverAbilities // by address

	ready     chan struct{} // capacity 1: queue has something
	closeOnce sync.Once
	closed    chan struct{}
}

// identity is what a server needs to know a session again.
type identity struct {
	session  int64
	password []byte
}

// Open starts a connection. It returns at once; the first session is an Up event.
func Open(cfg Config) (*Conn, error) {
	cfg.Timeout = min(cfg.Timeout, math.MaxInt32*time.Millisecond) // what the protocol can say
	c := &Conn{
		cfg:      cfg,
		log:      cfg.Logger,
		maxReply: cfg.MaxReply,
		calls:    semaphore.NewWeighted(int64(cfg.MaxCalls)),
		up:       make(chan struct{}),
		ready:    make(chan struct{}, 1),
		closed:   make(chan struct{}),
		lastGood: time.Now(),
		opened:   time.Now(),
		table:    cfg.Watches,
		servers:  map[string]*serverAbilities{},
	}
	if c.table == nil {
		c.table = noTable{}
	}
	if c.cfg.MaxRequest == 0 {
		c.cfg.MaxRequest = DefaultMaxRequest
	}
	if c.maxReply == 0 {
		c.maxReply = DefaultMaxReply
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.hosts.init(c)
	zc, events, err := zk.Connect(cfg.Servers, cfg.Timeout,
		zk.WithDialer(c.dial),
		zk.WithHostProvider(&c.hosts),
		zk.WithLogger(zkLogger{c.log}),
		zk.WithEventCallback(c.callback),
		zk.WithMaxConnBufferSize(4+max(c.cfg.MaxRequest, 3<<19)), // for the handle: the length; go-zookeeper's own default
	)
	if err != nil {
		c.cancel()
		return nil, err
	}
	c.zc = zc // nobody but the callback, which does not use it, has c yet
	// go-zookeeper closes its channel when its loop has ended, which Close brings about and waits for.
	c.running.Go(func() {
		for range events {
		}
		c.emit(Event{Kind: Ended})
	})
	return c, nil
}

// Handle returns the low-level connection; nil, if c is.
func (c *Conn) Handle() *zk.Conn {
	if c == nil {
		return nil
	}
	return c.zc
}

// Generation returns the newest session's generation, whether it is connected or not.
func (c *Conn) Generation() int64 { return c.generation.Load() }

// IsUp reports whether there is a session that takes requests now.
func (c *Conn) IsUp() bool { return c.isUp.Load() }

// SessionID returns the ID of the newest session, whether it is connected or not.
func (c *Conn) SessionID() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current.ID
}

// Answered returns when the last request that was answered had been sent. That is the last time at which the session
// is known to have been alive.
func (c *Conn) Answered() time.Time { return c.opened.Add(time.Duration(c.lastAnswered.Load())) }

// Ready returns a channel that has an element when Take may have something.
func (c *Conn) Ready() <-chan struct{} { return c.ready }

// Take moves the events that have arrived into buf, which it overwrites, in their order.
func (c *Conn) Take(buf []Event) []Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	buf = append(buf[:0], c.queue...)
	clear(c.queue)
	c.queue = c.queue[:0]
	return buf
}

func (c *Conn) emit(ev Event) {
	c.mu.Lock()
	c.emitLocked(ev)
	c.mu.Unlock()
}

func (c *Conn) emitLocked(ev Event) {
	c.queue = append(c.queue, ev)
	select {
	case c.ready <- struct{}{}:
	default:
	}
}

// callback gets every event of go-zookeeper, from its receive loop or under its locks, so it must not
// block and not call the connection. The events of single watches that go-zookeeper invalidates on
// expiry are dropped: Expired says it all.
func (c *Conn) callback(ev zk.Event) {
	if ev.Type != zk.EventSession {
		return // wire has seen it, and before any reply that came after it
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch ev.State {
	case zk.StateHasSession:
		c.isUp.Store(true)
		c.counters.connects.Add(1)
		close(c.up)
		c.emitLocked(Event{Kind: Up, Session: c.current})
	case zk.StateDisconnected:
		if c.isUp.Load() {
			c.downLocked()
			c.emitLocked(Event{Kind: Down})
		}
	case zk.StateExpired:
		c.identity = identity{}
		c.watching.Store(false)
		c.emitLocked(Event{Kind: Expired})
	}
}

func (c *Conn) downLocked() {
	c.isUp.Store(false)
	c.up = make(chan struct{})
	c.lastGood = time.Now()
	c.rejectedHandshakes, c.rewinding = 0, false
}
