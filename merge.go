package zkstream

import (
	"slices"
	"sync"

	"github.com/zkstream/zkstream/internal/slots"
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
	n := 0
	sources := make(owner, len(streams))
	for i, s := range streams {
		sources[i] = s
		m.first[i] = n
		n += max(1, cap(s.ch))
	}
	m.out = &Stream[T]{ch: make(chan T, n), tasks: streams[0].tasks, merger: m}
	m.queue = slots.NewQueue(m.out.ch)
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
	first   []int // each source's first slot in queue; a plain stream has one slot
	out     *Stream[T]
	queue   *slots.Queue[T] // what is in the channel of out; guarded by the lock of out
	wake    chan struct{}   // capacity 1: ready is not empty

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
		if s.merger != nil {
			s.merger.collectAll()
		}
		all = append(all, i)
	}
	m.collect(all)
}

// collect moves what some sources have to out.
func (m *merger[T]) collect(sources []int) {
	m.collecting.Lock()
	defer m.collecting.Unlock()
	var news []slots.Item[T]
	for _, i := range sources {
		for _, v := range m.sources[i].take() {
			news = append(news, slots.Item[T]{Slot: m.first[i] + v.Slot, Value: v.Value})
		}
	}
	m.out.enqueue(news)
}

// enqueue puts snapshots into the channel of a Merge's result.
func (s *Stream[T]) enqueue(news []slots.Item[T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || len(news) == 0 {
		return
	}
	s.latest, s.has = news[len(news)-1].Value, true
	s.merger.queue.Put(news)
	if s.notify != nil {
		s.notify()
	}
}

// take receives what is in the channel, and says of which slots that is. A stream that is no Merge's result has one slot.
func (s *Stream[T]) take() []slots.Item[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.merger != nil {
		return s.merger.queue.Take()
	}
	select {
	case v, ok := <-s.ch:
		if ok {
			return []slots.Item[T]{{Slot: 0, Value: v}}
		}
	default:
	}
	return nil
}
