package zkstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// ErrClosed is why a stream ended, or a call failed, when its client was closed; also why a stream or
// a registration ended that was closed itself.
var ErrClosed = zkconn.ErrClosed

// ErrTooLarge is inside the error of what is larger than can be carried: a reply of more than 16 MB,
// or properties of more than the 1 MB that a server takes (its jute.maxbuffer).
var ErrTooLarge = zkconn.ErrTooLarge

// A PathError says what failed on which znode. Err, which Unwrap gives, is go-zookeeper's where it has
// one, such as zk.ErrNoNode.
type PathError struct {
	Op   string // "create" or "children", for example
	Path string // as the caller named it: without the chroot
	Err  error
}

func (e *PathError) Error() string {
	return "zkstream: " + e.Op + " " + strconv.Quote(e.Path) + ": " + e.Err.Error()
}

func (e *PathError) Unwrap() error { return e.Err }

// A Client is a connection to a ZooKeeper ensemble that keeps itself alive, and the streams and
// registrations on it. All methods may be called from several goroutines.
type Client struct {
	conn       *zkconn.Conn
	supervisor *supervisor
	log        *slog.Logger
	chroot     string // "" or an absolute path
	acl        []zk.ACL

	ctx    context.Context // ends when Close begins
	cancel context.CancelFunc

	mu         sync.Mutex               // guards what follows
	closing    bool                     // after that, nothing is added to work
	work       sync.WaitGroup           // operators and registrations
	registered map[string]*Registration // by path of the node

	closeOnce sync.Once
	closed    chan struct{}
	closeErr  error
}

type options struct {
	timeout time.Duration
	log     *slog.Logger
	auth    []zkconn.Auth
	tls     *tls.Config
	dial    zkconn.DialFunc
	acl     []zk.ACL
	max     int
}

// An Option changes how Connect connects.
type Option func(*options)

// WithSessionTimeout asks for a session timeout; the default is 10 seconds. A server that has not heard
// from a client for that long removes its ephemeral nodes. Servers keep it within 2 and 20 of their
// ticks; Session tells the outcome.
func WithSessionTimeout(d time.Duration) Option { return func(o *options) { o.timeout = d } }

// WithLogger has the client's log lines written to l, go-zookeeper's included. The default discards
// them. They never hold credentials, nor the content of nodes.
func WithLogger(l *slog.Logger) Option { return func(o *options) { o.log = l } }

// WithAuth adds a credential, for example "digest" and "user:password". It is sent on every new network
// connection before anything else. It may be given more than once.
func WithAuth(scheme string, credential []byte) Option {
	auth := zkconn.Auth{Scheme: scheme, Credential: append([]byte(nil), credential...)}
	return func(o *options) { o.auth = append(o.auth, auth) }
}

// WithTLS has each network connection use TLS. An empty ServerName means the host's name in the
// connection string.
func WithTLS(config *tls.Config) Option { return func(o *options) { o.tls = config } }

// WithDialer replaces the dialer, a net.Dialer by default. addr is host:port as in the connection
// string, not resolved. The context has a time limit.
func WithDialer(dial func(ctx context.Context, network, addr string) (net.Conn, error)) Option {
	return func(o *options) { o.dial = dial }
}

// WithDefaultACL sets the access control list of the nodes that Create, and parents that Register,
// makes. The default is open: anybody may do anything.
func WithDefaultACL(acl []zk.ACL) Option {
	acl = append([]zk.ACL(nil), acl...)
	return func(o *options) { o.acl = acl }
}

// WithMaxInFlight limits how many reads the streams have under way at once, and apart from that how
// many calls; the default is 64.
func WithMaxInFlight(n int) Option { return func(o *options) { o.max = n } }

// Connect opens a client and waits for its first session. servers is "host:port,host:port/chroot": a
// host without a port gets 2181, an IPv6 address is written in brackets, "" means 127.0.0.1:2181. All
// paths are then below the chroot. Names are resolved at each dial; one that cannot be resolved, or a
// server that cannot be reached, does no harm while another can.
//
// ctx bounds the wait for the first session, and nothing else. If it ends, or if the servers refuse a
// credential, Connect leaves nothing behind and its error says why each server could not be used.
func Connect(ctx context.Context, servers string, opts ...Option) (*Client, error) {
	hosts, chroot, err := parseServers(servers)
	if err != nil {
		return nil, fmt.Errorf("zkstream: connect to %q: %w", servers, err)
	}
	o := options{timeout: 10 * time.Second, log: slog.New(slog.DiscardHandler), acl: zk.WorldACL(zk.PermAll), max: 64}
	for _, opt := range opts {
		opt(&o)
	}
	switch {
	case o.timeout < time.Millisecond:
		return nil, fmt.Errorf("zkstream: session timeout %v is too short", o.timeout)
	case o.max < 1:
		return nil, fmt.Errorf("zkstream: max in flight is %d, want at least 1", o.max)
	case o.log == nil:
		return nil, errors.New("zkstream: logger is nil")
	}
	c := &Client{log: o.log, chroot: chroot, acl: o.acl, closed: make(chan struct{}), registered: map[string]*Registration{}}
	c.supervisor = newSupervisor(c, o.max)
	c.conn, err = zkconn.Open(zkconn.Config{
		Servers: hosts, Timeout: o.timeout, Auth: o.auth, TLS: o.tls, Dial: o.dial, Logger: o.log, MaxCalls: o.max,
		Changed: c.supervisor.changed,
	})
	if err != nil {
		return nil, fmt.Errorf("zkstream: connect to %q: %w", servers, err)
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.supervisor.start(c.conn)
	select {
	case err = <-c.supervisor.first:
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

// parseServers takes a connection string apart.
func parseServers(s string) (hosts []string, chroot string, err error) {
	list, _, _ := strings.Cut(s, "/")
	if chroot = s[len(list):]; chroot == "/" {
		chroot = ""
	}
	if chroot != "" {
		if err := validatePath(chroot); err != nil {
			return nil, "", fmt.Errorf("chroot %q: %w", chroot, err)
		}
	}
	if strings.TrimSpace(list) == "" {
		return []string{"127.0.0.1:2181"}, chroot, nil
	}
	for part := range strings.SplitSeq(list, ",") {
		host, err := parseHost(strings.TrimSpace(part))
		if err != nil {
			return nil, "", err
		}
		hosts = append(hosts, host)
	}
	return hosts, chroot, nil
}

func parseHost(s string) (string, error) {
	host, port := s, "2181"
	if inner, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(inner, "]") {
		host = strings.TrimSuffix(inner, "]")
	} else if strings.Contains(s, ":") {
		var err error
		if host, port, err = net.SplitHostPort(s); err != nil {
			return "", fmt.Errorf("server %q: %w", s, err)
		}
	}
	if host == "" {
		return "", fmt.Errorf("server %q: no host", s)
	}
	if strings.ContainsFunc(host, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == '[' || r == ']' }) {
		return "", fmt.Errorf("server %q: bad host %q", s, host)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("server %q: bad port %q", s, port)
	}
	return net.JoinHostPort(host, port), nil
}

// Conn returns the low-level handle, for what this package does not have. Its paths are not below the
// chroot, its calls take no context, and what it sends while disconnected may run in another session.
// It is the same one for as long as the client lives. Watches that are set by it may miss a change when the
// connection is lost twice in a row; those of streams do not. Closing it closes the client.
func (c *Client) Conn() *zk.Conn { return c.conn.Handle() }

// Close ends all streams and registrations, and the session, with which its ephemeral nodes go. When it
// returns, nothing of the client is left: no goroutine, socket or timer. That takes under three seconds
// whatever state the servers are in. It may be called more than once and from anywhere; each call waits
// for the end. It returns an error only if something was still running then, such as a user's function
// in Map.
func (c *Client) Close() error {
	c.closeOnce.Do(func() {
		// Ends with what it waits for; the calls of Close wait for it, but not for ever.
		go func() {
			c.closeErr = c.shutdown()
			close(c.closed)
		}()
	})
	limit := time.NewTimer(2950 * time.Millisecond)
	defer limit.Stop()
	select {
	case <-c.closed:
		return c.closeErr
	case <-limit.C:
		return errors.New("zkstream: close: a function of the user's is still running")
	}
}

func (c *Client) shutdown() error {
	c.mu.Lock()
	c.closing = true
	c.mu.Unlock()
	c.cancel()
	c.supervisor.stop(ErrClosed)
	err := c.conn.Close()
	c.supervisor.wait()
	c.work.Wait()
	return err
}

// operate runs fn in a goroutine that ends when its streams or registration do, and that Close waits
// for. A stream without a client, or of a closed one, has ended already.
func (c *Client) operate(fn func()) {
	if c == nil {
		go fn()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		go fn()
		return
	}
	c.work.Go(fn)
}

func hex(session int64) string { return fmt.Sprintf("0x%x", uint64(session)) }
