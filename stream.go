package zkstream

import (
	"context"
	"iter"
	"math"
	"sync"
	"time"

	"github.com/zkstream/zkstream/internal/tasks"
	"github.com/zkstream/zkstream/internal/watching"
)

// A Stream delivers snapshots of one thing, a znode for example, each time that it changes.
//
// Its channel holds one snapshot, the newest: a consumer that is slow, or that never reads, blocks
// nobody and skips to the newest state. Nothing is lost by that but intermediate states.
//
// A stream ends when its context is cancelled, by Close, when its client closes, or on an error that
// retrying cannot mend. Then its channel is closed and Err gives the reason. A lost connection or an
// expired session does not end it.
//
// A Stream is safe for concurrent use. If several goroutines receive from it, each snapshot goes to one of them.
type Stream[T any] struct {
	ch     chan T
	tasks  *tasks.Group // of the client, whose Close waits for operators on this stream
	source source       // where it comes from

	mu     sync.Mutex // guards what follows, and sending into ch and closing it
	latest T
	has    bool
	unread uint16           // how many were put into ch since the last one of them was received; see behind
	since  watching.Seconds // when the first of these was
	err    error
	scope  *scope     // in which it is; nil if it has no context that ends
	notify func()     // called after each send and at the end, with mu held; may be nil
	merger *merger[T] // what fills ch, if that holds more than one; else nil
	index  int32      // place in the source's list; guarded by the source's lock
	member int32      // place in the scope's list; guarded by the lock of scopes
}

// source is where a stream's snapshots come from. It forgets the stream when its user ends it.
type source interface{ forget() }

// endedStream returns a stream that has ended.
func endedStream[T any](reason error) *Stream[T] {
	s := newStream[T](nil)
	s.end(reason)
	return s
}

func newStream[T any](t *tasks.Group) *Stream[T] {
	return &Stream[T]{ch: make(chan T, 1), tasks: t}
}

// C returns the stream's channel, always the same one. It is buffered, holds the newest snapshot that
// has not been received, and is closed when the stream ends.
func (s *Stream[T]) C() <-chan T { return s.ch }

// All ranges over the snapshots until the stream ends. Breaking out of the loop leaves the stream open.
func (s *Stream[T]) All() iter.Seq[T] {
	return func(yield func(T) bool) {
		for v := range s.ch {
			if !yield(v) {
				return
			}
		}
	}
}

// ForEach calls fn with each snapshot until the stream ends, and returns Err. If fn returns an error,
// ForEach closes the stream and returns that error.
func (s *Stream[T]) ForEach(fn func(T) error) error {
	for v := range s.ch {
		if err := fn(v); err != nil {
			s.Close()
			return err
		}
	}
	return s.Err()
}

// Next receives one snapshot: the newest that has not been received, or the next one to come. When ctx ends it
// returns context.Cause(ctx), and leaves the stream open; when the stream has ended it returns Err.
func (s *Stream[T]) Next(ctx context.Context) (T, error) {
	var none T
	if ctx.Err() != nil {
		return none, context.Cause(ctx)
	}
	select {
	case v, ok := <-s.ch:
		if !ok {
			return none, s.Err()
		}
		return v, nil
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}

// Latest returns the newest snapshot, whether received or not, and leaves it in the channel. It is
// false before the first one. The last snapshot of a stream that has ended stays available.
func (s *Stream[T]) Latest() (T, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.latest, s.has
}

// Err returns nil while the stream is open, then why it ended: the cause of its context's end
// ([context.Cause]), [ErrClosed] after Close of the stream or of its client, or a [*PathError].
func (s *Stream[T]) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close ends the stream. It does not block, and may be called more than once and from anywhere.
func (s *Stream[T]) Close() { s.leave(ErrClosed) }

// leave ends the stream for a reason of its user's, and takes it out of its source.
func (s *Stream[T]) leave(reason error) {
	if s.end(reason) && s.source != nil {
		s.source.forget()
	}
}

// end ends the stream, and reports whether it was open.
func (s *Stream[T]) end(reason error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return false
	}
	s.err = reason
	if s.ch != nil { // else this is the zero Stream
		close(s.ch)
	}
	if s.scope != nil {
		s.scope.remove(s)
	}
	if s.notify != nil {
		s.notify()
	}
	return true
}

// publish replaces the snapshot in the channel, and reports whether there was one.
func (s *Stream[T]) publish(v T) (skipped bool) { return s.publishAt(v, watching.Now()) }

// publishAt is publish, at a time that is known.
func (s *Stream[T]) publishAt(v T, now watching.Seconds) (skipped bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return false
	}
	s.latest, s.has = v, true
	select {
	case <-s.ch:
		skipped = true
	default:
	}
	s.ch <- v // there is room: only mu's holder sends
	if !skipped {
		s.unread, s.since = 0, now
	}
	if s.unread < math.MaxUint16 {
		s.unread++
	}
	if s.notify != nil {
		s.notify()
	}
	return skipped
}

// behind returns how many snapshots have come since the stream's consumer received one, and for how long the first of them
// has waited. Both are 0 if it has received the newest.
func (s *Stream[T]) behind() (snapshots int, waiting time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || len(s.ch) == 0 {
		return 0, 0
	}
	return int(s.unread), watching.Since(s.since)
}

// retract takes back the snapshot in the channel.
func (s *Stream[T]) retract() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	select {
	case <-s.ch:
	default:
	}
}

// watch has fn called after each snapshot and at the end, and once before. It is called with mu held.
func (s *Stream[T]) watch(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if before := s.notify; before != nil {
		s.notify = func() { before(); fn() }
	} else {
		s.notify = fn
	}
	fn()
}

// zero reports whether s is the zero Stream, which never delivers.
func (s *Stream[T]) zero() bool { return s.ch == nil }

// endWith ends the stream when ctx ends.
func (s *Stream[T]) endWith(ctx context.Context) {
	if ctx.Done() == nil {
		return
	}
	sc := enterScope(ctx, s)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scope = sc
	if s.err != nil { // it has ended meanwhile, and did not know the scope
		sc.remove(s)
	}
}

func (s *Stream[T]) scopePlace() *int32 { return &s.member }
