package zkgrpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/discovery"
	"google.golang.org/grpc/resolver"
)

// Scheme is that of the targets: "zk:///search/providers".
const Scheme = "zk"

// A Builder makes the resolvers of targets "zk:///path", where path is that of a service below the client's chroot. It
// is passed to grpc.NewClient by grpc.WithResolvers, and serves any number of grpc.ClientConns.
//
// A service's nodes are read once, whatever the number of ClientConns. They stay watched until the Builder is closed, also
// while no ClientConn needs them: one that comes back from idle mode has its servers without waiting for ZooKeeper.
type Builder struct {
	client *zkstream.Client
	opts   options
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu       sync.Mutex // guards what follows
	services map[string]*service
	watching sync.WaitGroup // a goroutine for each service
}

var errClosed = errors.New("zkgrpc: the Builder is closed")

type options struct {
	format     discovery.Format
	allowEmpty bool
	log        *slog.Logger
}

// An Option changes what a [Builder]'s resolvers do.
type Option func(*options)

// WithFormat sets the format of the services' nodes. The default is [discovery.ZC], that of [zkstream.Client.Register].
func WithFormat(f discovery.Format) Option { return func(o *options) { o.format = f } }

// AllowEmpty has a service without servers end the connections to those that it had. Without it they are kept, since
// an empty list is a mistake more often than a wish: see the package's documentation.
func AllowEmpty() Option { return func(o *options) { o.allowEmpty = true } }

// WithLogger sets the logger. The default discards all lines. There is one for each node that is left out of the list of
// servers, when it is first seen so, and one when a service cannot be read.
func WithLogger(l *slog.Logger) Option { return func(o *options) { o.log = l } }

// NewBuilder returns a Builder whose resolvers read by the client, which stays the caller's. Close the ClientConns first,
// then the Builder, then the client. In another order nothing is left behind either, but until they are closed the
// ClientConns stay with the servers that they have.
func NewBuilder(client *zkstream.Client, opts ...Option) *Builder {
	o := options{format: discovery.ZC{}, log: slog.New(slog.DiscardHandler)}
	for _, opt := range opts {
		opt(&o)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	return &Builder{client: client, opts: o, ctx: ctx, cancel: cancel, services: map[string]*service{}}
}

// Scheme implements [resolver.Builder].
func (b *Builder) Scheme() string { return Scheme }

// Build implements [resolver.Builder]. It sends nothing and waits for nothing. The error says what is wrong with the
// target.
func (b *Builder) Build(target resolver.Target, cc resolver.ClientConn, _ resolver.BuildOptions) (resolver.Resolver, error) {
	if b.client == nil {
		return nil, errors.New("zkgrpc: the client is nil")
	}
	if target.URL.Host != "" {
		return nil, fmt.Errorf("zkgrpc: target %q: it names servers of ZooKeeper, but they are the client's: write zk:///path, or use a DialingBuilder", target.URL.String())
	}
	path, err := pathOf(target)
	if err != nil {
		return nil, err
	}
	s, err := b.service(path)
	if err != nil {
		return nil, err
	}
	return s.join(cc), nil
}

// pathOf returns the path that a target names.
func pathOf(target resolver.Target) (string, error) {
	if u := target.URL; u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf(`zkgrpc: target %q: "?" and "#" have no meaning in it: write %%3F and %%23 if they belong to the path`, u.String())
	}
	if u := target.URL; u.User != nil {
		return "", fmt.Errorf("zkgrpc: target %q: a credential belongs to the client", u.Redacted())
	}
	return "/" + strings.TrimSuffix(target.Endpoint(), "/"), nil
}

// service returns the one at path, which is watched from now on.
func (b *Builder) service(path string) (*service, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ctx.Err() != nil {
		return nil, errClosed
	}
	s := b.services[path]
	if s == nil {
		s = newService(b.client, path, b.opts)
		b.services[path] = s
		b.watching.Go(func() { s.watch(b.ctx) }) // until Close, which waits for it, or until the client is closed
	}
	return s, nil
}

// Close ends the watching, and waits for its goroutines. ClientConns that are still open keep the servers that they have,
// but cannot come back from idle mode.
func (b *Builder) Close() {
	b.mu.Lock()
	b.cancel(errClosed)
	b.mu.Unlock()
	b.watching.Wait()
}
