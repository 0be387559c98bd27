// Package zkconn is one hardened ZooKeeper connection: go-zookeeper's Conn, with its pitfalls dealt
// with at the one place where they can all be reached, the network connection that it dials.
//
// What the rest of zkstream may rely on:
//
//   - Events arrive in order and none is dropped; those of a session carry its ID and timeout. A watch
//     that fires is told before any reply that the server sent after it.
//   - A session that was lost is always told by an Expired event before the next Up.
//   - A request is handed to go-zookeeper only while there is a session, so it does not wait in
//     go-zookeeper's queue for a session that its caller never meant.
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

// EventKind tells what an Event is about.
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
	running  sync.WaitGroup     // abandoned and current calls, and Open's helper goroutine
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
	pending    atomic.Int64 // calls of Do and Run under way; grows with mu held, while there is a session

	changes  changes // that go-zookeeper has
	counters counters

	jobs chan job     // to workers that wait; not buffered
	idle atomic.Int64 // workers that wait, or are about to

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

// Open starts a connection. It returns at once; an Up event tells of the first session.
func Open(cfg Config) (*Conn, error) {
	cfg.Timeout = min(cfg.Timeout, math.MaxInt32*time.Millisecond) // what the protocol can say
	c := &Conn{
		cfg:      cfg,
		log:      cfg.Logger,
		maxReply: cfg.MaxReply,
		calls:    semaphore.NewWeighted(int64(cfg.MaxCalls)),
		up:       make(chan struct{}),
		jobs:     make(chan job),
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
		zk.WithMaxConnBufferSize(4+max(c.cfg.MaxRequest, 3<<19)), // the length; go-zookeeper's own default
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

// wait returns once there is a session, or with the reason why there will be none.
func (c *Conn) wait(ctx context.Context) error {
	for {
		c.mu.Lock()
		up, isUp, closing := c.up, c.isUp.Load(), c.closing
		c.mu.Unlock()
		switch {
		case closing:
			return ErrClosed
		case ctx.Err() != nil:
			return c.NoSession(context.Cause(ctx))
		case isUp:
			return nil
		}
		select {
		case <-up:
		case <-ctx.Done():
		case <-c.ctx.Done():
		}
	}
}

// Do waits for a session, calls fn and returns its error. It returns when ctx ends, although
// go-zookeeper's calls do not: then fn goes on alone, its outcome is dropped, and Close waits for it. Left
// tells that from the error: then the caller must not look at variables that fn writes. So that nothing new is
// sent for a caller who has gone, fn looks at ctx before each of its requests.
//
// If ctx ends while there is no session, the error also says why: see NoSession.
func (c *Conn) Do(ctx context.Context, fn func(*zk.Conn) error) error {
	if c == nil {
		return ErrNoConn
	}
	if err := c.calls.Acquire(ctx, 1); err != nil {
		return c.NoSession(context.Cause(ctx))
	}
	if err := c.begin(ctx); err != nil {
		c.calls.Release(1)
		return err
	}
	if ctx.Done() == nil { // nothing could make it return before fn
		defer c.calls.Release(1)
		defer c.finish()
		return c.explain(fn(c.zc))
	}
	j := job{fn, make(chan error, 1)}
	select {
	case c.jobs <- j: // to a worker that waits
	default:
		c.running.Add(1) // not from zero: begin has counted this call
		go c.work(j)     // ends when c closes, at the latest
	}
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-j.done:
		return err
	default:
		return left{c.NoSession(context.Cause(ctx))}
	}
}

// job is a function of Do's, and where its outcome goes.
type job struct {
	fn   func(*zk.Conn) error
	done chan error // of capacity 1
}

// idleWorkers is how many workers wait for the next job. A goroutine that is new at each call would have to let its stack
// grow each time, which takes longer than all else that Do does.
const idleWorkers = 16

// idleTime is how long a worker waits for the next job, so that a client that rests has none.
const idleTime = 100 * time.Millisecond

// work runs j, and then other jobs, unless enough workers wait for those, or none comes for a while. A job ends with the server's answer, the connection's
// loss or Close, which waits for it.
func (c *Conn) work(j job) {
	defer c.running.Done()
	wait := time.NewTimer(idleTime)
	defer wait.Stop()
	for {
		err := c.explain(j.fn(c.zc))
		c.finish()
		c.calls.Release(1)
		if c.idle.Add(1) > idleWorkers {
			c.idle.Add(-1)
			j.done <- err
			return
		}
		j.done <- err
		wait.Reset(idleTime)
		select {
		case j = <-c.jobs:
			c.idle.Add(-1)
		case <-wait.C:
			c.idle.Add(-1)
			return
		case <-c.ctx.Done():
			return
		}
	}
}

// left is the reason why Do returned before its function did.
type left struct{ error }

func (l left) Unwrap() error { return l.error }

// Left reports whether err is of a Do that returned because its context ended, while its function goes on.
func Left(err error) bool {
	_, ok := err.(left)
	return ok
}

// Run waits for a session and calls fn in the caller's goroutine. ctx ends only the wait: once begun,
// fn's outcome is always known to the caller, as far as the network lets anybody know. As with Do, no
// request of fn runs in a later session than the one in which fn was called: that waits until fn returns.
func (c *Conn) Run(ctx context.Context, fn func(*zk.Conn) error) error {
	if err := c.begin(ctx); err != nil {
		return err
	}
	defer c.finish()
	return c.explain(fn(c.zc))
}

// begin waits for a session and counts a call in.
func (c *Conn) begin(ctx context.Context) error {
	for {
		if err := c.wait(ctx); err != nil {
			return err
		}
		c.mu.Lock()
		if c.isUp.Load() && !c.closing {
			// Under mu, so that neither Close nor the next session can miss it.
			c.running.Add(1)
			c.pending.Add(1)
			c.mu.Unlock()
			return nil
		}
		c.mu.Unlock()
	}
}

// spawn runs fn in a goroutine that Close waits for, unless Close has begun.
func (c *Conn) spawn(fn func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		c.running.Go(fn)
	}
	return !c.closing
}

func (c *Conn) finish() {
	c.pending.Add(-1)
	c.running.Done()
}
