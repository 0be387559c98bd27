package zkstream

import "sync"

// An operator is one goroutine that reads its sources and feeds its result; Merge has one more for each
// source that is a Merge itself. It ends with its sources: closing the result closes them, and Client.Close
// waits for it.

// closers are the sources of an operator.
type closers []interface{ Close() }

func (c closers) forget() {
	for _, s := range c {
		s.Close()
	}
}

// Map returns a stream of fn of each snapshot of s. It owns s: closing the result closes s, and the end
// of s, with its reason, is the result's. fn runs in a goroutine of its own; it may be slow, and then
// it skips to the newest snapshot.
func Map[T, U any](s *Stream[T], fn func(T) U) *Stream[U] {
	out := newStream[U](s.tasks)
	out.source = closers{s}
	s.tasks.spawn(func() {
		for v := range s.ch {
			out.publish(fn(v))
		}
		out.end(s.Err())
	})
	return out
}

// Filter returns a stream of those snapshots of s for which keep is true. It owns s, as Map does.
func Filter[T any](s *Stream[T], keep func(T) bool) *Stream[T] {
	out := newStream[T](s.tasks)
	out.source = closers{s}
	s.tasks.spawn(func() {
		for v := range s.ch {
			if keep(v) {
				out.publish(v)
			}
		}
		out.end(s.Err())
	})
	return out
}

// Combine returns a stream of fn of the newest snapshots of a and b: the first as soon as both have
// one, then one for each change of either. It owns its sources, as Map does, and ends as soon as one
// of them ends, with its reason.
func Combine[A, B, C any](a *Stream[A], b *Stream[B], fn func(A, B) C) *Stream[C] {
	out := newStream[C](a.tasks)
	out.source = closers{a, b}
	a.tasks.spawn(func() {
		var va A
		var vb B
		var hasA, hasB bool
		for {
			var ok bool
			select {
			case va, ok = <-a.ch:
				if !ok {
					out.leave(a.Err())
					return
				}
				hasA = true
			case vb, ok = <-b.ch:
				if !ok {
					out.leave(b.Err())
					return
				}
				hasB = true
			}
			if hasA && hasB {
				out.publish(fn(va, vb))
			}
		}
	})
	return out
}

// Merge returns a stream of all snapshots of its sources. A slow consumer gets the newest snapshot of
// each source: one source's never displaces another's. Sources take turns. It owns its sources, as Map
// does, and ends as soon as one of them ends, with its reason; without sources it has ended already,
// with ErrClosed. Its channel is not buffered. A source may be the result of another Merge.
func Merge[T any](streams ...*Stream[T]) *Stream[T] {
	if len(streams) == 0 {
		out := newStream[T](nil)
		out.end(ErrClosed)
		return out
	}
	m := &merger[T]{
		sources: streams,
		out:     &Stream[T]{ch: make(chan T), tasks: streams[0].tasks},
		wake:    make(chan struct{}, 1),
		relayed: make(chan relayed[T]),
		quit:    make(chan struct{}),
		queued:  make([]bool, len(streams)),
		newest:  make([]T, len(streams)),
		waiting: make([]bool, len(streams)),
		taken:   make([]chan struct{}, len(streams)),
	}
	owned := make(closers, len(streams))
	for i, s := range streams {
		owned[i] = s
		if cap(s.ch) == 0 {
			m.taken[i] = make(chan struct{}, 1)
		}
	}
	m.out.source = owned
	m.out.tasks.spawn(m.run)
	for i, s := range streams {
		if m.taken[i] != nil {
			m.out.tasks.spawn(func() { m.relay(i) })
		}
		s.mu.Lock()
		s.notify = func() { m.changed(i) }
		s.mu.Unlock()
		m.changed(i) // for what came before notify was set
	}
	return m.out
}

type merger[T any] struct {
	sources []*Stream[T]
	out     *Stream[T]
	wake    chan struct{} // capacity 1: ready is not empty
	relayed chan relayed[T]
	quit    chan struct{} // closed when run ends

	mu     sync.Mutex // guards what follows
	ready  []int      // sources that have news
	queued []bool     // which are in ready

	// Used by run only.
	newest  []T
	waiting []bool // which of newest have not been received
	turns   []int  // the waiting ones, in order

	taken []chan struct{} // of each source that is relayed: its snapshot has been received; capacity 1
}

// relayed is a snapshot of a source that is the result of another Merge.
type relayed[T any] struct {
	source   int
	snapshot T
}

// relay hands on the snapshots of such a source, whose channel holds none: one at a time, each when the one
// before has been received, so that the newest of each of its own sources waits there.
func (m *merger[T]) relay(i int) {
	for v := range m.sources[i].ch {
		select {
		case m.relayed <- relayed[T]{i, v}:
		case <-m.quit:
			return
		}
		select {
		case <-m.taken[i]:
		case <-m.quit:
			return
		}
	}
}

func (m *merger[T]) changed(i int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.queued[i] {
		return
	}
	m.queued[i] = true
	m.ready = append(m.ready, i)
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *merger[T]) run() {
	defer close(m.out.ch)
	defer close(m.quit)
	for {
		var send chan T // nil, and so never ready, while there is nothing to send
		var v T
		if len(m.turns) > 0 {
			send, v = m.out.ch, m.newest[m.turns[0]]
		}
		select {
		case send <- v:
			i := m.turns[0]
			m.waiting[i] = false
			m.turns = m.turns[1:]
			if m.taken[i] != nil {
				m.taken[i] <- struct{}{}
			}
		case r := <-m.relayed:
			m.take(r.source, r.snapshot)
		case <-m.wake:
			if reason := m.collect(); reason != nil {
				m.out.leave(reason)
				return
			}
		}
	}
}

// collect takes what the sources have, and returns the reason of the first that has ended.
func (m *merger[T]) collect() error {
	m.mu.Lock()
	ready := m.ready
	m.ready = nil
	clear(m.queued)
	m.mu.Unlock()
	for _, i := range ready {
		if m.taken[i] != nil { // relay receives; what there is to know here is the end
			if reason := m.sources[i].Err(); reason != nil {
				return reason
			}
			continue
		}
		for more := true; more; {
			select {
			case v, ok := <-m.sources[i].ch:
				if !ok {
					return m.sources[i].Err()
				}
				m.take(i, v)
			default:
				more = false
			}
		}
	}
	return nil
}

// take makes v the newest of a source.
func (m *merger[T]) take(i int, v T) {
	m.newest[i] = v
	m.out.remember(v)
	if !m.waiting[i] {
		m.waiting[i] = true
		m.turns = append(m.turns, i)
	}
}

// remember makes v what Latest returns.
func (s *Stream[T]) remember(v T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latest, s.has = v, true
}
