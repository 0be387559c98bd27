package zkstream

import (
	"context"
	"sync"

	"github.com/zkstream/zkstream/internal/member"
	"github.com/zkstream/zkstream/internal/tasks"
)

// hub hands the newest of its values to its streams.
type hub[T any] struct {
	tasks *tasks.Group

	mu   sync.Mutex // guards what follows
	subs []*Stream[T]
	last T
	has  bool
	err  error
}

// set makes v the newest value.
func (h *hub[T]) set(v T) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.setLocked(v)
}

func (h *hub[T]) setLocked(v T) {
	if h.err != nil {
		return
	}
	h.last, h.has = v, true
	for _, s := range h.subs {
		s.publish(v)
	}
}

// get returns the newest value.
func (h *hub[T]) get() T {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// finish makes last the last value, and ends all streams, with nobody's value in between. A stream opened
// later gets the last value and ends.
func (h *hub[T]) finish(last T, reason error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.setLocked(last)
	h.closeLocked(reason)
}

func (h *hub[T]) closeLocked(reason error) {
	if h.err != nil {
		return
	}
	h.err = reason
	for _, s := range h.subs {
		s.end(reason)
	}
	h.subs = nil
}

func (h *hub[T]) stream(ctx context.Context) *Stream[T] {
	s := newStream[T](h.tasks)
	if ctx.Err() != nil {
		s.end(context.Cause(ctx))
		return s
	}
	s.source = hubSource[T]{h, s}
	h.mu.Lock()
	if h.has {
		s.publish(h.last)
	}
	if h.err != nil {
		s.end(h.err)
	} else {
		h.subs = member.Add(h.subs, s, (*Stream[T]).place)
	}
	h.mu.Unlock()
	s.endWith(ctx)
	return s
}

type hubSource[T any] struct {
	hub    *hub[T]
	stream *Stream[T]
}

func (h hubSource[T]) forget() {
	h.hub.mu.Lock()
	defer h.hub.mu.Unlock()
	h.hub.subs, _ = member.Remove(h.hub.subs, h.stream, (*Stream[T]).place)
}

func (s *Stream[T]) place() *int32 { return &s.index }
