package zkstream

import (
	"context"
	"sync"

	"github.com/zkstream/zkstream/internal/member"
)

// A scope is the streams that end with one context. They share one context.AfterFunc, because that takes as much
// memory as all else that a stream has of its own.
type scope struct {
	ctx     context.Context
	stop    func() bool // withdraws the wait for the context's end
	members []scoped
}

// scoped is a stream as its scope sees it.
type scoped interface {
	leave(reason error)
	scopePlace() *int32 // place in members
}

// scopes are the open scopes of this process, by the Done channel of their context.
var scopes struct {
	mu   sync.Mutex // guards open, and all scopes
	open map[<-chan struct{}]*scope
}

// enterScope has s end when ctx ends.
func enterScope(ctx context.Context, s scoped) *scope {
	scopes.mu.Lock()
	defer scopes.mu.Unlock()
	sc := scopes.open[ctx.Done()]
	if sc == nil {
		sc = &scope{ctx: ctx}
		if scopes.open == nil {
			scopes.open = map[<-chan struct{}]*scope{}
		}
		scopes.open[ctx.Done()] = sc
		sc.stop = context.AfterFunc(ctx, sc.end)
	}
	sc.members = member.Add(sc.members, s, scoped.scopePlace)
	return sc
}

// remove takes s out, which has ended.
func (sc *scope) remove(s scoped) {
	scopes.mu.Lock()
	defer scopes.mu.Unlock()
	var removed bool // else the context has ended
	if sc.members, removed = member.Remove(sc.members, s, scoped.scopePlace); removed && sc.members == nil {
		sc.closeLocked()
		sc.stop()
	}
}

// end ends all streams of a scope whose context has ended.
func (sc *scope) end() {
	scopes.mu.Lock()
	members := sc.members
	sc.members = nil
	sc.closeLocked()
	scopes.mu.Unlock()
	for _, s := range members {
		s.leave(context.Cause(sc.ctx))
	}
}

func (sc *scope) closeLocked() {
	if scopes.open[sc.ctx.Done()] == sc {
		delete(scopes.open, sc.ctx.Done())
	}
}
