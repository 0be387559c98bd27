package zkstream

import (
	"reflect"
	"slices"
	"sync"
)

// Merge returns a stream of all snapshots of its sources. A slow consumer gets the newest snapshot of
// each source: one source's never displaces another's. Sources take turns. It owns its sources, as Map
// does, and ends as soon as one of them ends, with its reason; without sources it has ended already,
// with [ErrClosed]. A source may be the result of another Merge.
//
// Its channel is buffered, and holds the newest snapshot of each source that has not been received. When Merge
// ends, what its sources had last is in there. If T is not comparable, the newest snapshot of a source may, rarely,
// be received twice.
func Merge[T any](streams ...*Stream[T]) *Stream[T] {
	streams = unique(streams)
	if len(streams) == 0 {
		out := newStream[T](nil)
		out.end(ErrClosed)
		return out
	}
	m := &merger[T]{
		sources: streams,
		first:   make([]int, len(streams)),
		wake:    make(chan struct{}, 1),
		queued:  make([]bool, len(streams)),
	}
	slots := 0
	sources := make(owner, len(streams))
	for i, s := range streams {
		sources[i] = s
		m.first[i] = slots
		slots += max(1, cap(s.ch))
	}
	m.out = &Stream[T]{ch: make(chan T, slots), tasks: streams[0].tasks, queue: &queue[T]{merger: m, places: make([]int, slots)}}
	operate(m.out.tasks, m.out, sources, m.run)
	for i, s := range streams {
		s.watch(func() { m.changed(i) })
	}
	return m.out
}

// unique returns the streams without repetitions.
func unique[T any](streams []*Stream[T]) []*Stream[T] {
	seen := make(map[*Stream[T]]bool, len(streams))
	return slices.DeleteFunc(slices.Clone(streams), func(s *Stream[T]) bool {
		defer func() { seen[s] = true }()
		return seen[s]
	})
}

// merger moves snapshots from its sources to out.
type merger[T any] struct {
	sources []*Stream[T]
	first   []int // each source's first slot in out's queue; a plain stream has one slot
	out     *Stream[T]
	wake    chan struct{} // capacity 1: ready is not empty

	collecting sync.Mutex // held from taking snapshots until they are in out, so that they stay in order

	mu     sync.Mutex // guards what follows
	ready  []int      // sources that have changed
	queued []bool     // which are in ready
}

// changed is called when a source has a new snapshot or has ended. Its lock is held, and perhaps that of what
// publishes there, so this only leaves a note for run.
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

func (m *merger[T]) run() error {
	for {
		<-m.wake
		m.mu.Lock()
		ready := m.ready
		m.ready = nil
		clear(m.queued)
		m.mu.Unlock()
		for _, i := range ready {
			if reason := m.sources[i].Err(); reason != nil {
				m.collectAll() // after the end of a source, so that its last snapshot is there
				return reason
			}
		}
		m.collect(ready)
	}
}

// collectAll moves what all sources have to out. Besides run, a Merge of this Merge calls it before it ends.
func (m *merger[T]) collectAll() {
	var all []int
	for i, s := range m.sources {
		if s.queue != nil {
			s.queue.merger.collectAll()
		}
		all = append(all, i)
	}
	m.collect(all)
}

// collect moves what some sources have to out.
func (m *merger[T]) collect(sources []int) {
	m.collecting.Lock()
	defer m.collecting.Unlock()
	var news []queued[T]
	for _, i := range sources {
		for _, v := range m.sources[i].take() {
			news = append(news, queued[T]{m.first[i] + v.slot, v.value})
		}
	}
	m.out.enqueue(news)
}

// queue is what a stream with several slots, one for each plain stream that is merged into it, has in its
// channel. It is guarded by the stream's lock.
//
// A newer snapshot must take the place of an older one of its slot. A channel has no such operation, so
// everything is taken out and put in again. Only the holder of the lock does so, but a consumer may receive
// meanwhile.
type queue[T any] struct {
	merger *merger[T]  // what fills it
	sent   []queued[T] // what was in the channel when it was filled, in order
	places []int       // by slot: one more than its index in what is put in now, or 0
}

// queued is the snapshot of a slot.
type queued[T any] struct {
	slot  int
	value T
}

// enqueue puts snapshots into the channel of a stream with a queue.
func (s *Stream[T]) enqueue(news []queued[T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || len(news) == 0 {
		return
	}
	waiting := s.dequeueLocked()
	for i, w := range waiting {
		s.queue.places[w.slot] = i + 1
	}
	for _, n := range news {
		s.latest, s.has = n.value, true
		if place := s.queue.places[n.slot]; place > 0 {
			waiting[place-1] = n
			continue
		}
		waiting = append(waiting, n)
		s.queue.places[n.slot] = len(waiting)
	}
	for _, w := range waiting {
		s.ch <- w.value // there is room: a slot has one snapshot at most, and only mu's holder sends
		s.queue.places[w.slot] = 0
	}
	s.queue.sent = waiting
	if s.notify != nil {
		s.notify()
	}
}

// take receives what is in the channel, and says of which slots that is. A stream without a queue has one slot.
func (s *Stream[T]) take() []queued[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queue != nil {
		return s.dequeueLocked()
	}
	select {
	case v, ok := <-s.ch:
		if ok {
			return []queued[T]{{0, v}}
		}
	default:
	}
	return nil
}

// dequeueLocked takes everything out of the channel.
func (s *Stream[T]) dequeueLocked() []queued[T] {
	left := s.queue.sent[len(s.queue.sent)-len(s.ch):] // the channel is first in, first out
	s.queue.sent = nil
	var values []T
	for range left {
		select {
		case v, ok := <-s.ch:
			if ok {
				values = append(values, v)
			}
		default:
		}
	}
	if len(values) < len(left) {
		left = stillThere(left, values)
	}
	return left
}

// stillThere returns those of left whose values were there when a consumer had received some of them meanwhile: which
// ones it received depends on who was faster at each. Where two values are equal it makes no difference which
// of them counts as received. Where values cannot be compared, everything counts as still there.
func stillThere[T any](left []queued[T], values []T) []queued[T] {
	var found []queued[T]
	for _, l := range left {
		if len(values) > 0 && equal(l.value, values[0]) {
			found = append(found, l)
			values = values[1:]
		}
	}
	if len(values) > 0 {
		return left
	}
	return found
}

// equal reports whether a == b; false if that cannot be asked.
func equal[T any](a, b T) bool {
	x, y := reflect.ValueOf(&a).Elem(), reflect.ValueOf(&b).Elem()
	return x.Comparable() && y.Comparable() && x.Equal(y)
}
