package zkgrpc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/zkstream/zkstream"
	"google.golang.org/grpc/resolver"
)

// A DialingBuilder makes the resolvers of targets that name the servers of ZooKeeper, "zk://zk1:2181,zk2:2181/search":
// for programs that have nothing but a target to be configured with. There is one client for all targets with the
// same servers; it connects with the first of them, and stays until the DialingBuilder is closed.
//
// An IPv6 address can be named alone, zk://[::1]:2181/search, but not in a list, which is no URL then.
type DialingBuilder struct {
	connect func(ctx context.Context, servers string) (*zkstream.Client, error)
	opts    []Option
	ctx     context.Context
	cancel  context.CancelFunc

	mu      sync.Mutex // guards what follows
	dialed  map[string]*dialed
	dialing sync.WaitGroup // a goroutine for each
}

// dialed is the client for one list of servers, or what will be one.
type dialed struct {
	ready   chan struct{} // closed when builder is set
	builder *Builder
	failed  chan struct{} // closed when failure is set for the first time

	mu      sync.Mutex // guards what follows
	failure error      // of the last attempt
}

// NewDialingBuilder returns a DialingBuilder. connect makes its clients: it is the place for the options of
// [zkstream.Connect], for credentials and TLS. Its ctx ends when the DialingBuilder is closed. When it fails it is called again,
// after pauses of up to half a minute.
func NewDialingBuilder(connect func(ctx context.Context, servers string) (*zkstream.Client, error), opts ...Option) *DialingBuilder {
	ctx, cancel := context.WithCancel(context.Background())
	return &DialingBuilder{connect: connect, opts: opts, ctx: ctx, cancel: cancel, dialed: map[string]*dialed{}}
}

// Scheme implements [resolver.Builder].
func (b *DialingBuilder) Scheme() string { return Scheme }

// Build implements [resolver.Builder]. It waits for nothing. The error says what is wrong with the target.
func (b *DialingBuilder) Build(target resolver.Target, cc resolver.ClientConn, opts resolver.BuildOptions) (resolver.Resolver, error) {
	servers := target.URL.Host
	target.URL.Host = ""
	if servers == "" {
		return nil, fmt.Errorf("zkgrpc: target %q: it names no servers of ZooKeeper: write zk://host:2181/path", target.URL.String())
	}
	if _, err := pathOf(target); err != nil {
		return nil, err
	}
	d, err := b.dial(servers)
	if err != nil {
		return nil, err
	}
	select {
	case <-d.ready:
		return d.builder.Build(target, cc, opts)
	default:
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &pendingResolver{cancel: cancel}
	r.done.Go(func() { // until there is a resolver, or Close, which waits for it
		if err := d.wait(ctx, servers, cc); err != nil {
			return
		}
		built, err := d.builder.Build(target, cc, opts)
		if err != nil { // the DialingBuilder has been closed
			cc.ReportError(err)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.resolver = built
	})
	return r, nil
}

// dial returns the client of these servers, which connects from now on.
func (b *DialingBuilder) dial(servers string) (*dialed, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ctx.Err() != nil {
		return nil, errClosed
	}
	d := b.dialed[servers]
	if d == nil {
		d = &dialed{ready: make(chan struct{}), failed: make(chan struct{})}
		b.dialed[servers] = d
		b.dialing.Go(func() { b.run(d, servers) }) // until Close, which waits for it
	}
	return d, nil
}

// run connects, keeps the client until Close, and closes it.
func (b *DialingBuilder) run(d *dialed, servers string) {
	for failures := 0; ; failures++ {
		client, err := b.connect(b.ctx, servers)
		if err == nil {
			defer client.Close()
			d.builder = NewBuilder(client, b.opts...)
			defer d.builder.Close()
			close(d.ready)
			<-b.ctx.Done()
			return
		}
		d.fail(err)
		select {
		case <-time.After(pauseAfter(failures)):
		case <-b.ctx.Done():
			return
		}
	}
}

func (d *dialed) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failure == nil {
		close(d.failed)
	}
	d.failure = err
}

// wait returns when there is a client, or with an error when ctx has ended. If that takes long, or fails, cc is given an error.
func (d *dialed) wait(ctx context.Context, servers string, cc resolver.ClientConn) error {
	impatience := time.NewTimer(graceOffline)
	defer impatience.Stop()
	select {
	case <-d.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-d.failed:
	case <-impatience.C:
	}
	d.mu.Lock()
	err := d.failure
	d.mu.Unlock()
	if err == nil {
		err = errors.New("there is no connection yet")
	}
	cc.ReportError(fmt.Errorf("zkgrpc: connect to %s: %w", servers, err))
	select {
	case <-d.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close closes the clients, and waits for them. ClientConns that are still open keep the servers that they have, but cannot
// come back from idle mode.
func (b *DialingBuilder) Close() {
	b.mu.Lock()
	b.cancel()
	b.mu.Unlock()
	b.dialing.Wait()
}

// A pendingResolver is one whose client may have no session yet.
type pendingResolver struct {
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu       sync.Mutex // guards what follows
	resolver resolver.Resolver
}

// ResolveNow implements [resolver.Resolver].
func (r *pendingResolver) ResolveNow(o resolver.ResolveNowOptions) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.resolver != nil {
		r.resolver.ResolveNow(o)
	}
}

// Close implements [resolver.Resolver].
func (r *pendingResolver) Close() {
	r.cancel()
	r.done.Wait()
	if r.resolver != nil {
		r.resolver.Close()
	}
}
