package zkgrpc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/discovery"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
)

const (
	defaultDrain = time.Second
	defaultGrace = 10 * time.Second
)

// A Registrar runs a gRPC server and keeps it registered for as long as it serves. Client and Path must be set; the zero
// value of each other field has a meaning of its own. It may be copied, and used for several servers.
type Registrar struct {
	Client *zkstream.Client
	Path   string // of the service, below the client's chroot

	// Format is that of the node. Nil means [discovery.ZC].
	Format discovery.Format

	// Endpoint is what is registered. An empty Addr means the listener's address, or those that [zkstream.Advertise] gives
	// for a listener on all addresses, each with a node of its own.
	Endpoint discovery.Endpoint

	// Options are those of each registration.
	Options []zkstream.RegisterOption

	// Health, if it is not nil, has the server registered only while the status of HealthService in it is SERVING. An
	// empty HealthService stands for the whole server, which is SERVING from the start.
	Health        *health.Server
	HealthService string

	// Drain is how long the server goes on after its node is gone, so that clients learn of it and begin no calls here
	// when the listener closes. 0 means a second; less than 0 means not at all.
	Drain time.Duration

	// Grace is how long calls that are under way after Drain may take until they are cut off; and how long the withdrawal
	// may take before, which needs a server of ZooKeeper in reach. 0 means 10 seconds.
	Grace time.Duration
}

// Serve serves on lis until ctx ends, and closes it. The server is registered as soon as it accepts connections. When ctx
// ends, it is withdrawn first, so that clients leave for the other servers; after Drain it is stopped as by
// [grpc.Server.GracefulStop], whose rest is cut off after Grace. Health, if there is one, is shut down with the withdrawal.
// A node that cannot be deleted within Grace is deleted when the client has a connection again, or goes with its session.
//
// Serve returns nil when ctx has ended and the server has stopped. It returns an error, and the server has stopped, if it
// cannot serve, if the registration is refused for good, which [zkstream.Client.Register] explains, or if the client is
// closed. A server that cannot be registered for now, because ZooKeeper is not in reach or another's node is in the way,
// serves those who know it otherwise, and is registered when that can be done.
func (r Registrar) Serve(ctx context.Context, server *grpc.Server, lis net.Listener) error {
	fail := func(err error) error { return fmt.Errorf("zkgrpc: serve: %w", err) }
	addrs, err := r.addrs(lis)
	if err != nil {
		lis.Close()
		return fail(err)
	}
	accepting := &acceptListener{Listener: lis, begun: make(chan struct{})}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(accepting) }() // until stop

	// The registration outlives ctx by the moment in which its end is waited for.
	registered, withdraw := context.WithCancel(context.WithoutCancel(ctx))
	defer withdraw()
	withdrawn := make(chan error, 1)
	go func() { withdrawn <- r.keep(registered, accepting.begun, addrs) }() // until withdraw, and the node is gone

	select {
	case <-ctx.Done():
		withdraw()
		if r.Health != nil {
			r.Health.Shutdown()
		}
		select {
		case <-withdrawn:
			time.Sleep(max(cmp.Or(r.Drain, defaultDrain), 0))
		case <-time.After(r.grace()):
		}
	case err = <-withdrawn: // refused
	case err = <-ended: // nil if somebody has stopped the server
		withdraw()
		select {
		case <-withdrawn:
		case <-time.After(r.grace()):
		}
		if err != nil {
			return fail(err)
		}
		return nil
	}
	r.stop(server)
	<-ended
	if err != nil {
		return fail(err)
	}
	return nil
}

func (r Registrar) grace() time.Duration { return cmp.Or(r.Grace, defaultGrace) }

// addrs returns what to register.
func (r Registrar) addrs(lis net.Listener) ([]string, error) {
	switch {
	case r.Client == nil:
		return nil, errors.New("the Registrar has no Client")
	case r.Endpoint.Addr != "":
		return []string{r.Endpoint.Addr}, nil
	}
	addrs, err := zkstream.Advertise(lis.Addr().String())
	if err == nil && len(addrs) > 1 && r.Endpoint.Name != "" {
		err = fmt.Errorf("%d addresses cannot have the node %q: set Endpoint.Addr", len(addrs), r.Endpoint.Name)
	}
	return addrs, err
}

// stop ends the server when its calls have ended, or when Grace has passed.
func (r Registrar) stop(server *grpc.Server) {
	impatience := time.AfterFunc(r.grace(), server.Stop)
	defer impatience.Stop()
	server.GracefulStop()
}

// keep keeps the server registered from begun on until ctx ends, but not while it is unhealthy. It returns when it is
// withdrawn; before ctx ends only with an error.
func (r Registrar) keep(ctx context.Context, begun <-chan struct{}, addrs []string) error {
	select {
	case <-begun:
	case <-ctx.Done():
		return nil
	}
	if r.Health == nil {
		return r.hold(ctx, addrs)
	}
	return whileServing(ctx, r.Health, r.HealthService, func(ctx context.Context) error { return r.hold(ctx, addrs) })
}

// hold registers each address, and withdraws them when ctx ends, or when one of them is refused.
func (r Registrar) hold(ctx context.Context, addrs []string) error {
	format := r.Format
	if format == nil {
		format = discovery.ZC{}
	}
	group, all := errgroup.WithContext(ctx)
	for _, addr := range addrs {
		group.Go(func() error {
			e := r.Endpoint
			e.Addr = addr
			registration, err := discovery.Register(all, r.Client, r.Path, format, e, r.Options...)
			if err == nil {
				<-registration.Done() // the node is deleted, or the client is closed
				err = registration.Err()
			}
			if all.Err() != nil {
				return nil
			}
			return err
		})
	}
	return group.Wait()
}

// An acceptListener says when its server has begun to accept connections.
type acceptListener struct {
	net.Listener
	once  sync.Once
	begun chan struct{}
}

func (l *acceptListener) Accept() (net.Conn, error) {
	l.once.Do(func() { close(l.begun) })
	return l.Listener.Accept()
}
