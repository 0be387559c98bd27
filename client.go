package zkstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/address"
	"github.com/zkstream/zkstream/internal/calls"
	"github.com/zkstream/zkstream/internal/logqueue"
	"github.com/zkstream/zkstream/internal/registration"
	"github.com/zkstream/zkstream/internal/tasks"
	"github.com/zkstream/zkstream/internal/watching"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// A Client is a connection to a ZooKeeper ensemble that keeps itself alive, and the streams and registrations on it. [Connect]
// makes one. It is safe for concurrent use.
type Client struct {
	conn      *zkconn.Conn
	watches   *watching.Supervisor
	session   *sessionKeeper
	calls     *calls.Caller
	registrar *registration.Registrar
	log       *slog.Logger // logs by logs
	logs      logqueue.Queue
	chroot    address.Chroot
	acl       []zk.ACL

	ctx    context.Context // ends when Close begins
	cancel context.CancelFunc

	tasks tasks.Group // operators and registrations
	trace *Trace

	underWay atomic.Int64 // calls

	closeOnce sync.Once
	closed    chan struct{}
	closeErr  error
}

// Connect opens a client and waits for its first session. servers is "host:port,host:port/chroot": a
// host without a port gets 2181, an IPv6 address is written in brackets, "" means 127.0.0.1:2181. All
// paths are then below the chroot. A name that cannot be resolved, or a server that cannot be reached, does no
// harm while another can.
//
// The client tries the addresses of all servers one by one, in random order, so that many clients spread over an
// ensemble, also if it has one name. After each round it pauses, from 0.1 s growing to 5 s, half of that at
// random; while the session may be alive, for an eighth of its timeout at most. A lost connection is replaced
// without a pause. Names are resolved anew before each round, within 30 s; while the resolver fails or is slow,
// their last addresses are used.
//
// ctx bounds the wait for the first session, and nothing else. If it ends, or if the servers refuse a
// credential, Connect leaves nothing behind and its error says why each server could not be used.
func Connect(ctx context.Context, servers string, opts ...Option) (*Client, error) {
	if ctx == nil {
		return nil, errors.New("zkstream: Connect: the context is nil")
	}
	hosts, root, err := address.ParseServers(servers)
	if err != nil {
		return nil, fmt.Errorf("zkstream: connect to %q: %w", servers, err)
	}
	o := options{timeout: 10 * time.Second, log: slog.New(slog.DiscardHandler), acl: zk.WorldACL(zk.PermAll), max: 64,
		maxRequest: zkconn.DefaultMaxRequest, recheck: 30 * time.Second}
	for _, opt := range opts {
		if opt == nil {
			return nil, errors.New("zkstream: Connect: an option is nil")
		}
		opt(&o)
	}
	switch {
	case o.err != nil:
		return nil, fmt.Errorf("zkstream: %w", o.err)
	case o.timeout < time.Millisecond:
		return nil, fmt.Errorf("zkstream: session timeout %v is too short", o.timeout)
	case o.max < 1:
		return nil, fmt.Errorf("zkstream: max in flight is %d, want at least 1", o.max)
	case o.maxRequest < 1:
		return nil, fmt.Errorf("zkstream: limit of %d bytes for a request, want at least 1", o.maxRequest)
	case o.log == nil:
		return nil, errors.New("zkstream: logger is nil")
	}
	c := &Client{chroot: address.Chroot(root), acl: o.acl, trace: &o.trace, closed: make(chan struct{})}
	c.log = c.logs.Logger(o.log)
	c.watches = watching.New(watching.Config{
		Log: c.log, Chroot: c.chroot, Interval: o.recheck, OnResync: c.trace.resync(), OnResynced: c.trace.resynced(),
	})
	c.conn, err = zkconn.Open(zkconn.Config{
		Servers: hosts, Timeout: o.timeout, Auth: o.auth, TLS: o.tls, Dial: o.dial, Resolver: o.resolve, Logger: c.log,
		MaxCalls: o.max, MaxRequest: o.maxRequest,
		Watches: c.watches, MaxReads: o.max, Attempted: c.trace.attempted(), Settled: c.watches.Settled,
	})
	if err != nil {
		return nil, fmt.Errorf("zkstream: connect to %q: %w", servers, err)
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.calls = calls.New(c.conn, c.ctx, o.acl)
	c.registrar = c.newRegistrar()
	c.watches.Start(c.conn)
	c.session = newSessionKeeper(c)
	c.session.start()
	select {
	case err = <-c.session.first:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		why := c.conn.Failures()
		c.Close()
		if why != "" && why != err.Error() {
			return nil, fmt.Errorf("zkstream: connect to %q: %w (%s)", servers, err, why)
		}
		return nil, fmt.Errorf("zkstream: connect to %q: %w", servers, err)
	}
	return c, nil
}

// Conn returns the low-level handle, for what this package does not have. Its paths are not below the
// chroot, its calls take no context, and what it sends while disconnected may run in another session.
// It is the same one for as long as the client lives. Watches that are set by it may miss a change when the
// connection is lost twice in a row; those of streams do not. Closing it closes the client.
func (c *Client) Conn() *zk.Conn { return c.conn.Handle() }

// closeLimit is how long Close takes at most: what zkconn takes, what it waits for a log handler, and a little for
// the rest, which waits for nobody but functions of the user's.
const (
	closeLimit = zkconn.CloseLimit + logGrace + 50*time.Millisecond
	logGrace   = 100 * time.Millisecond
)

// Close ends all streams and registrations, and the session, with which its ephemeral nodes go; if the server in
// use does not answer, by any other. When it returns nil, nothing of the client is left: no goroutine, socket or
// timer. That takes under three seconds whatever state the servers are in. It may be called more than once; each
// call waits for the end.
//
// It returns an error if something that cannot be interrupted is still running after that time: a function passed
// to [Map], for example, a dialer of [WithDialer], or a lookup by the C library's resolver, which Go uses on some
// systems. The session has ended all the same, and a later Close returns nil when that is over. So such a
// function must not call Close itself, which would wait for the function: it can use "go client.Close()".
func (c *Client) Close() error {
	if c.conn == nil {
		return fmt.Errorf("zkstream: close: %w", zkconn.ErrNoConn)
	}
	c.closeOnce.Do(func() {
		// Ends with what it waits for; the calls of Close wait for it, but not for ever.
		go func() {
			c.closeErr = c.shutdown()
			close(c.closed)
		}()
	})
	limit := time.NewTimer(closeLimit)
	defer limit.Stop()
	select {
	case <-c.closed:
		return c.closeErr
	case <-limit.C:
		return errors.New("zkstream: close: a function passed to Map, Filter or Combine is still running")
	}
}

func (c *Client) shutdown() error {
	c.tasks.Close()
	c.cancel()
	c.watches.Stop()
	c.session.stop(ErrClosed)
	err := c.conn.Close()
	c.session.wait()
	c.tasks.Wait()
	c.logs.Flush(logGrace)
	return err
}

// orphaned closes the client when somebody has closed the low-level handle. Close waits for the goroutine that calls
// this, so it needs one of its own, which ends with it.
func (c *Client) orphaned() {
	if c.ctx.Err() == nil {
		go c.Close()
	}
}

// sessionChanged is called with each state of the session.
func (c *Client) sessionChanged(now Session) {
	c.registrar.SessionChanged(now.State == Expired)
	c.trace.session(now)
}

func hex(session int64) string { return fmt.Sprintf("0x%x", uint64(session)) }
