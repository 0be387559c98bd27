package zkstream

import (
	"context"
	"iter"
	"sync"
)

// subscriber is a stream as its source sees it; the source has values of type V.
type subscriber[V any] interface {
	put(V)
	end(reason error) bool
	place() *int32
}

func (s *Stream[T]) put(v T)       { s.publish(v) }
func (s *Stream[T]) place() *int32 { return &s.index }

// subscribers is a set of streams, guarded by its owner's lock.
type subscribers[V any] []subscriber[V]

func (l *subscribers[V]) add(s subscriber[V]) {
	*s.place() = int32(len(*l))
	*l = append(*l, s)
}

// remove takes s out, if it is in.
func (l *subscribers[V]) remove(s subscriber[V]) {
	*l, _ = removeMember(*l, s, subscriber[V].place)
}

// removeMember takes m out of list and reports whether it was in. The last member moves to its place. place returns where a
// member keeps its place, so nothing is searched. An empty list is nil.
func removeMember[M comparable](list []M, m M, place func(M) *int32) ([]M, bool) {
	i, last := int(*place(m)), len(list)-1
	if i > last || list[i] != m {
		return list, false
	}
	list[i] = list[last]
	*place(list[i]) = int32(i)
	clear(list[last:])
	if last == 0 {
		return nil, true
	}
	return list[:last], true
}

// followers is a set of streams, or of nodes of trees. Most have one, for which two words do.
type followers struct {
	one subscriber[reading] // which may be a crowd
}

// A crowd is more than one subscriber, or what is left of them.
type crowd struct {
	subscriber[reading] // none: it stands for many
	subs                subscribers[reading]
}

func (f *followers) add(s subscriber[reading]) {
	switch one := f.one.(type) {
	case nil:
		f.one = s
	case *crowd:
		one.subs.add(s)
	default:
		c := &crowd{}
		c.subs.add(one)
		c.subs.add(s)
		f.one = c
	}
}

// remove takes s out, if it is in.
func (f *followers) remove(s subscriber[reading]) {
	c, many := f.one.(*crowd)
	switch {
	case !many && f.one == s:
		f.one = nil
	case !many:
	default:
		if c.subs.remove(s); len(c.subs) == 1 {
			f.one = c.subs[0]
		}
	}
}

func (f *followers) len() int {
	switch one := f.one.(type) {
	case nil:
		return 0
	case *crowd:
		return len(one.subs)
	}
	return 1
}

// all ranges over the subscribers.
func (f *followers) all() iter.Seq[subscriber[reading]] {
	return func(yield func(subscriber[reading]) bool) {
		switch one := f.one.(type) {
		case nil:
		case *crowd:
			for _, s := range one.subs {
				if !yield(s) {
					return
				}
			}
		default:
			yield(one)
		}
	}
}

func (f *followers) put(r reading) {
	for s := range f.all() {
		s.put(r)
	}
}

func (f *followers) end(reason error) {
	for s := range f.all() {
		s.end(reason)
	}
}

// hub hands the newest of its values to its streams.
type hub[T any] struct {
	tasks *tasks

	mu   sync.Mutex // guards what follows
	subs subscribers[T]
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
		s.put(v)
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
		s.put(h.last)
	}
	if h.err != nil {
		s.end(h.err)
	} else {
		h.subs.add(s)
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
	h.hub.subs.remove(h.stream)
}
