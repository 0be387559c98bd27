package simulation

import (
	"context"
	"errors"
	"fmt"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
)

// simCall is a call that may block.
type simCall struct {
	name   string
	client *simClient
	ctx    *simContext
	began  time.Time
	reg    *simReg // that is registered or updated, or nil
	done   atomic.Bool
}

// call makes a blocking call in a goroutine of its own. The outcome must be no error, the cause of the
// context's end, ErrClosed if the client is closed meanwhile, or one of those allowed.
func (s *simulation) call(c *simClient, name string, ctx *simContext, fn func(context.Context) error, after func(error), allowed ...error) *simCall {
	k := &simCall{name: fmt.Sprintf("%v: %s (call %d)", c, name, s.id()), client: c, ctx: ctx, began: time.Now()}
	s.calls = append(s.calls, k)
	s.note("%s, %v", k.name, ctx)
	// Ends when the call returns, which finish makes sure of.
	go func() {
		pprof.SetGoroutineLabels(c.labels)
		err := fn(ctx.ctx)
		good := err == nil || ctx.ctx.Err() != nil && errors.Is(err, context.Cause(ctx.ctx))
		for _, a := range allowed {
			good = good || errors.Is(err, a)
		}
		if errors.Is(err, zkstream.ErrClosed) {
			good = s.isClosing(c)
		}
		if errors.Is(err, zk.ErrNoNode) && s.wiped() > 0 {
			good = true
		}
		s.note("%s returns %v", k.name, err)
		if !good {
			s.breach("calls end with an answer or a reason", "%s returns %v", k.name, err)
		}
		if after != nil {
			after(err)
		}
		k.done.Store(true)
	}()
	return k
}

func (s *simulation) isClosing(c *simClient) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return c.closing
}

func (s *simulation) wiped() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.wipes)
}

// simReg is a registration, from Register on.
type simReg struct {
	id     int
	client *simClient
	path   string // absolute, of its node
	ctx    *simContext

	// Guarded by s.mu.
	r       *zkstream.Registration // nil until Register has returned it
	failed  bool                   // Register has returned an error
	updates []string               // that it has been asked for
	reasons []error                // why it may have ended, and then it has
}

// owns reports whether n is the registration's node.
func (r *simReg) owns(n seen) bool { return strings.Contains(n.text, fmt.Sprintf(`"id": %d,`, r.id)) }

func (r *simReg) String() string {
	return fmt.Sprintf("registration %d of %v at %s", r.id, r.client, r.path)
}

func (s *simulation) register(c *simClient, service, addr string) {
	r := &simReg{id: s.id(), client: c, path: service + "/" + addr, ctx: s.context()}
	if !r.ctx.ends.IsZero() {
		r.reasons = append(r.reasons, context.DeadlineExceeded)
	}
	s.regs = append(s.regs, r)
	props := map[string]any{"id": r.id}
	k := s.call(c, fmt.Sprintf("Register %d at %s", r.id, r.path), r.ctx, func(ctx context.Context) error {
		reg, err := c.client.Register(ctx, c.path(service), addr, props)
		s.mu.Lock()
		defer s.mu.Unlock()
		r.r, r.failed = reg, err != nil
		return err
	}, nil)
	k.reg = r
}

// live are the registrations that have not ended, as far as the schedule knows.
func (s *simulation) live(path string) (live []*simReg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.regs {
		if (path == "" || r.path == path) && !r.failed && len(r.reasons) == 0 && !r.client.closing {
			live = append(live, r)
		}
	}
	return live
}

// direct is a change that no client makes.
func (s *simulation) direct(what string, err error) {
	var code zktest.Code
	if err != nil && !errors.As(err, &code) {
		s.breach("zktest", "%s: %v", what, err)
	}
	s.note("directly: %s: %v", what, err)
}
