package zkstream

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/zkconn"
)

type options struct {
	timeout time.Duration
	log     *slog.Logger
	auth    []zkconn.Auth
	tls     *tls.Config
	dial    zkconn.DialFunc
	resolve *net.Resolver
	err     error // of the first option that cannot be right
	acl     []zk.ACL
	max     int
	recheck time.Duration

	maxRequest int // bytes
	trace      Trace
}

// An Option changes how [Connect] connects. It must not be nil.
type Option func(*options)

// WithSessionTimeout asks for a session timeout of at least a millisecond; the default is 10 seconds. Servers
// that have not heard from a client for that long remove its ephemeral nodes. They keep it within 2 and 20 of
// their ticks, or what they are configured for: the Timeout of [Session] is the outcome.
//
// The limits of connecting follow from it. Of n addresses, each gets a share of 1/(n+1) of it for dialling with
// TLS and the same for the handshake, from 0.5 s to 10 s. See [Connect] for the pauses.
func WithSessionTimeout(d time.Duration) Option { return func(o *options) { o.timeout = d } }

// WithLogger sets the logger, also for go-zookeeper's own messages. The default discards them. They never hold
// credentials, nor the content of nodes. An outage is a few lines: the first failure of each kind, a summary
// after 10 s and then at growing intervals, and its end; at debug level there is a line for each attempt.
//
// A handler that blocks holds nothing up: lines are handled in their order by a goroutine of the client's, and
// while 256 of them wait, more are dropped and counted. [Client.Close] waits 0.1 s for the last.
func WithLogger(l *slog.Logger) Option { return func(o *options) { o.log = l } }

// WithAuth adds a credential, for example "digest" and "user:password". It is sent on every new network
// connection before anything else. It may be given more than once.
//
// A server that refuses it is left for the next. When all have refused it, [Connect] fails. A client that has
// been connected tries on instead, as after any failure, for somebody may mend it: its streams and registrations
// stay, the log has a line of level error, and inside the errors of calls is [zk.ErrAuthFailed]. The same goes for
// servers that enforce authentication by a scheme that was not given (enforce.auth.enabled, from ZooKeeper 3.7).
func WithAuth(scheme string, credential []byte) Option {
	auth := zkconn.Auth{Scheme: scheme, Credential: append([]byte(nil), credential...)}
	return func(o *options) { o.auth = append(o.auth, auth) }
}

// WithTLS has each network connection use TLS. An empty ServerName means the host's name in the
// connection string. Nil is an error of [Connect], for otherwise credentials would go unencrypted.
func WithTLS(config *tls.Config) Option {
	return func(o *options) {
		if o.tls = config; config == nil && o.err == nil {
			o.err = errors.New("WithTLS: the configuration is nil")
		}
	}
}

// WithDialer replaces the dialer; nil means a net.Dialer, the default. addr is host:port as in the connection
// string: the dialer resolves names itself, and a name counts as one address. With [WithResolver] addr is one of
// the name's addresses and the port. The context ends after the time that [WithSessionTimeout] says, and when the
// client closes; a dialer that does not return then makes [Client.Close] fail.
func WithDialer(dial func(ctx context.Context, network, addr string) (net.Conn, error)) Option {
	return func(o *options) { o.dial = dial }
}

// WithResolver sets the resolver of the servers' names. Nil, the default, means [net.DefaultResolver], or with
// [WithDialer] the dialer. See [Connect] for when names are resolved.
func WithResolver(r *net.Resolver) Option { return func(o *options) { o.resolve = r } }

// WithDefaultACL sets the access control list of the nodes that [Client.Create] and [Client.CreateNode] make, and of
// the parents that [Client.Register] makes. The default is open: anybody may do anything.
func WithDefaultACL(acl []zk.ACL) Option {
	acl = append([]zk.ACL(nil), acl...)
	return func(o *options) { o.acl = acl }
}

// WithMaxInFlight limits the requests under way at once: n reads for streams and, counted apart from these, n calls. The
// default is 64.
func WithMaxInFlight(n int) Option { return func(o *options) { o.max = n } }

// WithMaxRequest sets how many bytes a request may have, path included. A larger one is not sent, and the call's error has
// [ErrTooLarge] inside. Set it to the limit of the servers, their jute.maxbuffer. The default is theirs, 1 MB less one byte.
//
// A server closes the connection, without an answer, when a request is over its limit. If that is lower than this one, the
// client finds out: a request that has cost three connections is given up, with ErrTooLarge, too.
func WithMaxRequest(bytes int) Option { return func(o *options) { o.maxRequest = bytes } }

// WithRecheck sets the interval of rechecks: the time within which a change arrives although its event was lost, on a
// connection that is never lost. The default is 30 seconds; 0 turns rechecks off.
//
// ZooKeeper sends no event to a session that may not read the node at that moment, although the event uses up the watch. So
// in each interval the client asks the server which of its watches have missed something. One request is for many watches,
// and there are at most 256 watches a second; if there are more, a round takes longer than the interval.
func WithRecheck(d time.Duration) Option { return func(o *options) { o.recheck = d } }
