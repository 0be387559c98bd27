package zkgrpc

import (
	"context"
	"sync"

	"google.golang.org/grpc/resolver"
)

// A serviceResolver hands the views of a service to one ClientConn. It has a goroutine of its own, so that a ClientConn
// whose balancer is slow holds up no other.
type serviceResolver struct {
	service *service
	cc      resolver.ClientConn
	wake    chan struct{} // capacity 1: there is a new view
	cancel  context.CancelFunc
	done    sync.WaitGroup

	given view // what cc was given last; used by join, then by run alone
}

// join returns a resolver for cc. If something is known about the service, cc has it when join returns.
func (s *service) join(cc resolver.ClientConn) *serviceResolver {
	ctx, cancel := context.WithCancel(context.Background())
	r := &serviceResolver{service: s, cc: cc, wake: make(chan struct{}, 1), cancel: cancel}
	s.mu.Lock()
	s.resolvers[r] = struct{}{}
	now := s.now
	s.mu.Unlock()
	r.give(now)
	r.done.Go(func() { r.run(ctx) }) // until Close, which waits for it
	return r
}

func (r *serviceResolver) run(ctx context.Context) {
	for {
		select {
		case <-r.wake:
			r.give(r.service.view())
		case <-ctx.Done():
			return
		}
	}
}

// give passes on what is new in a view.
func (r *serviceResolver) give(v view) {
	before := r.given
	r.given = v
	// A ClientConn that was given an error learns that it is over by a state, even if that is the same as before.
	if v.state != nil && (v.state != before.state || v.err == nil && before.err != nil) {
		// The error says that the balancer wants another state. The next one comes when there is one: asking again does not
		// change what has been read.
		_ = r.cc.UpdateState(*v.state)
	}
	if v.err != nil && v.err != before.err {
		r.cc.ReportError(v.err)
	}
}

// ResolveNow implements [resolver.Resolver]. What has been read is always the newest, so it does nothing, unless the
// service cannot be read: then the next attempt comes sooner.
func (r *serviceResolver) ResolveNow(resolver.ResolveNowOptions) { r.service.hurryUp() }

// Close implements [resolver.Resolver]. It waits for the goroutine. That may be in UpdateState or ReportError, which do not
// wait for a resolver to close.
func (r *serviceResolver) Close() {
	r.service.mu.Lock()
	delete(r.service.resolvers, r)
	r.service.mu.Unlock()
	r.cancel()
	r.done.Wait()
}
