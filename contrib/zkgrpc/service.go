package zkgrpc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/discovery"
)

const (
	// graceOffline is how long calls wait for the first list of servers while there is no connection to ZooKeeper, and
	// graceOnline while there is one. Then those fail that do not wait for a ready server.
	graceOffline = time.Second
	graceOnline  = 10 * time.Second

	// A service that cannot be read, for lack of permission say, is tried again after pauses from minPause to maxPause.
	minPause = time.Second
	maxPause = 30 * time.Second
)

// A service is what is known of one path, for all ClientConns. Its goroutine, watch, alone writes the view.
type service struct {
	client *zkstream.Client
	path   string
	opts   options
	hurry  chan struct{} // capacity 1: the next attempt is wanted soon

	endpoints []discovery.Endpoint // of the newest state; used by watch alone
	leftOut   map[string]string    // why, by the node's name, as it has been logged; used by watch alone

	mu        sync.Mutex // guards what follows
	now       view
	resolvers map[*serviceResolver]struct{}
}

func newService(client *zkstream.Client, path string, opts options) *service {
	return &service{
		client: client, path: path, opts: opts,
		hurry: make(chan struct{}, 1), resolvers: map[*serviceResolver]struct{}{},
	}
}

// view returns what is known now.
func (s *service) view() view {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// show makes v what is known, and wakes the resolvers.
func (s *service) show(v view) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = v
	for r := range s.resolvers {
		select {
		case r.wake <- struct{}{}:
		default: // it has not looked since the last one, and will find this one
		}
	}
}

// fail makes an error known beside the state that there is, with which ClientConns go on.
func (s *service) fail(err error) {
	v := s.view()
	if v.err != nil && v.err.Error() == err.Error() {
		return
	}
	s.opts.log.Warn("zkgrpc: no list of servers", "path", s.path, "error", err, "kept", len(s.endpoints))
	s.show(view{v.state, err})
}

// hurryUp has a service that waits for its next attempt make it now.
func (s *service) hurryUp() {
	select {
	case s.hurry <- struct{}{}:
	default:
	}
}

// watch follows the service until ctx ends, or the client is closed.
func (s *service) watch(ctx context.Context) {
	for failures := 0; ; failures++ {
		stream := discovery.Watch(ctx, s.client, s.path, s.opts.format)
		if s.follow(stream) {
			failures = 0
		}
		err := stream.Err()
		s.fail(fmt.Errorf("zkgrpc: the servers of %s: %w", s.path, err))
		if ctx.Err() != nil || errors.Is(err, zkstream.ErrClosed) || !s.pause(ctx, failures) {
			return
		}
	}
}

// follow shows what the stream delivers until it ends. It reports whether that was anything.
func (s *service) follow(stream *zkstream.Stream[discovery.Endpoints]) (delivered bool) {
	begun := time.Now()
	impatience := time.NewTicker(graceOffline)
	defer impatience.Stop()
	for {
		select {
		case e, open := <-stream.C():
			if !open {
				return delivered
			}
			delivered = true
			impatience.Stop()
			s.update(e)
		case <-impatience.C:
			if state := s.client.Stats().State; state != zkstream.Connected || time.Since(begun) >= graceOnline {
				s.fail(fmt.Errorf("zkgrpc: the servers of %s have not been read yet: the session is %s", s.path, state))
			}
		}
	}
}

// pause waits before the next attempt, and reports whether there is to be one. A resolver can shorten it to minPause.
func (s *service) pause(ctx context.Context, failures int) bool {
	least := time.NewTimer(minPause)
	defer least.Stop()
	select {
	case <-least.C:
	case <-ctx.Done():
		return false
	}
	rest := time.NewTimer(pauseAfter(failures) - minPause)
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-s.hurry:
	case <-ctx.Done():
		return false
	}
	return true
}

// pauseAfter returns the pause after so many failures in a row, counted from 0. It is random, so that many processes do not
// ask at once.
func pauseAfter(failures int) time.Duration {
	return minPause + rand.N(min(minPause<<min(failures, 10), maxPause-minPause))
}

// update makes a snapshot known.
func (s *service) update(e discovery.Endpoints) {
	s.logErrors(e)
	endpoints := usable(e)
	v := s.view()
	switch {
	case len(endpoints) == 0 && !s.opts.allowEmpty:
		s.fail(whyNone(e))
	case v.state != nil && sameEndpoints(endpoints, s.endpoints):
		if v.err != nil {
			s.show(view{v.state, nil})
		}
	default:
		s.endpoints = endpoints
		s.show(view{stateOf(endpoints), nil})
	}
}

// logErrors logs each node that cannot be decoded, unless it was so in the last snapshot.
func (s *service) logErrors(e discovery.Endpoints) {
	leftOut := map[string]string{}
	for name, err := range e.Errors() {
		leftOut[name] = err.Error()
		if s.leftOut[name] != leftOut[name] {
			s.opts.log.Warn("zkgrpc: a node is left out", "path", s.path, "name", name, "error", err)
		}
	}
	s.leftOut = leftOut
}
