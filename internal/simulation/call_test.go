package simulation

import (
	"context"
	"errors"
	"fmt"
	"runtime/pprof"
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
// context's end, ErrClosed if the client is closed meanwhile, ErrUnknown, one of those allowed, or any if the
// server has refused a request of the client's meanwhile.
func (s *simulation) call(c *simClient, name string, ctx *simContext, fn func(context.Context) error, after func(error), allowed ...error) *simCall {
	k := &simCall{name: fmt.Sprintf("%v: %s (call %d)", c, name, s.id()), client: c, ctx: ctx, began: time.Now()}
	s.calls = append(s.calls, k)
	s.note("%s, %v", k.name, ctx)
	// Ends when the call returns, which finish makes sure of.
	go func() {
		pprof.SetGoroutineLabels(c.labels)
		refused := c.refused.Load()
		err := fn(ctx.ctx)
		good := err == nil || ctx.ctx.Err() != nil && errors.Is(err, context.Cause(ctx.ctx)) || c.refused.Load() != refused
		for _, a := range allowed {
			good = good || a == errAny || errors.Is(err, a)
		}
		good = good || isUnknown(err)
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

// errAny stands for each error there is: one that the library has no name for.
var errAny = errors.New("any error")

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

// direct is a change that no client makes.
func (s *simulation) direct(what string, err error) {
	var code zktest.Code
	if err != nil && !errors.As(err, &code) && !errors.Is(err, zktest.ErrNoQuorum) {
		s.breach("zktest", "%s: %v", what, err)
	}
	s.note("directly: %s: %v", what, err)
}
