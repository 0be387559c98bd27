package zkgrpc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// whileServing runs fn whenever the service's status is SERVING, and ends its context when it is not. It returns when ctx
// has ended, or with fn's error.
func whileServing(ctx context.Context, server *health.Server, service string, fn func(context.Context) error) error {
	watch := &healthWatch{serving: make(chan bool, 1)}
	var stop context.CancelFunc
	watch.ctx, stop = context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() { // until stop
		defer close(watched)
		server.Watch(&grpc_health_v1.HealthCheckRequest{Service: service}, watch)
	}()
	defer func() {
		stop()
		<-watched
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case serving := <-watch.serving:
			if !serving {
				continue
			}
		}
		if err := runWhile(ctx, watch.serving, fn); err != nil {
			return err
		}
	}
}

// runWhile runs fn until a false comes, and returns when fn does.
func runWhile(ctx context.Context, serving <-chan bool, fn func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- fn(ctx) }()
	for {
		select {
		case err := <-done:
			return err
		case still := <-serving:
			if !still {
				cancel()
				return <-done
			}
		}
	}
}

// A healthWatch is a call of the health service's Watch that comes from this process, not from the network.
type healthWatch struct {
	grpc.ServerStream // nil: of its methods the health service uses Context alone
	ctx               context.Context
	serving           chan bool // capacity 1: the newest
}

func (w *healthWatch) Context() context.Context { return w.ctx }

// Send is called by one goroutine.
func (w *healthWatch) Send(r *grpc_health_v1.HealthCheckResponse) error {
	select {
	case <-w.serving:
	default:
	}
	w.serving <- r.Status == grpc_health_v1.HealthCheckResponse_SERVING
	return nil
}
