package zkstream

import (
	"errors"
	"slices"
	"time"

	"github.com/zkstream/zkstream/internal/tasks"
)

// An operator is one goroutine that reads its sources and feeds its result. It ends when a source ends, and
// closing the result closes the sources. Client.Close waits for it.

// owner is the source of an operator's result: the streams that it owns.
type owner []interface{ Close() }

func (o owner) forget() {
	for _, s := range o {
		s.Close()
	}
}

// errExit is why a result ends when a function of the user's has ended the operator's goroutine.
var errExit = errors.New("zkstream: the operator's function called runtime.Goexit, or a test's FailNow")

// operate runs an operator with the result out, which owns its sources. It ends when run returns, or with
// the goroutine if a function of the user's ends that.
func operate[T any](t *tasks.Group, out *Stream[T], sources owner, run func() (reason error)) *Stream[T] {
	out.source = sources
	if slices.ContainsFunc(sources, isZero) {
		out.leave(ErrClosed)
		return out
	}
	t.Spawn(func() {
		reason := errExit
		defer func() { out.leave(reason) }()
		reason = run()
	})
	return out
}

func isZero(s interface{ Close() }) bool {
	z, ok := s.(interface{ zero() bool })
	return ok && z.zero()
}

// transform runs an operator that calls fn with each snapshot of s.
func transform[T, U any](s *Stream[T], out *Stream[U], fn func(T)) *Stream[U] {
	return operate(s.tasks, out, owner{s}, func() error {
		for v := range s.ch {
			fn(v)
		}
		return s.Err()
	})
}

// Map returns a stream of fn of each snapshot of s. It owns s: closing the result closes s, and the end
// of s, with its reason, is the result's. fn runs in a goroutine of its own; it may be slow, and then
// it skips to the newest snapshot. As in any goroutine, a panic in fn ends the process. fn must not call
// [Client.Close], which waits for it.
func Map[T, U any](s *Stream[T], fn func(T) U) *Stream[U] {
	out := newStream[U](s.tasks)
	return transform(s, out, func(v T) { out.publish(fn(v)) })
}

// Filter returns a stream of those snapshots of s for which keep is true. It owns s and calls keep as [Map] does.
func Filter[T any](s *Stream[T], keep func(T) bool) *Stream[T] {
	out := newStream[T](s.tasks)
	return transform(s, out, func(v T) {
		if keep(v) {
			out.publish(v)
		}
	})
}

// Distinct returns a stream of those snapshots of s that are not the same as the one that it delivered last:
// for which same(last, snapshot) is false. It delivers the first one. It owns s and calls same as [Map] does.
//
// Streams of nodes never deliver the same state twice. Distinct is for what Map makes of them, which is
// often the same for different states.
func Distinct[T any](s *Stream[T], same func(a, b T) bool) *Stream[T] {
	out := newStream[T](s.tasks)
	var last T
	first := true
	return transform(s, out, func(v T) {
		if first || !same(last, v) {
			first, last = false, v
			out.publish(v)
		}
	})
}

// Settle returns a stream of the newest snapshot of s, delivered when no other has come for the duration
// quiet, but at the latest when most has passed since the first that has not been delivered. It is for what is
// costly to repeat, as the reload of a load balancer. With quiet or most of 0 or less, each snapshot is
// delivered at once. When s ends, what waits is delivered first. It owns s, as [Map] does.
func Settle[T any](s *Stream[T], quiet, most time.Duration) *Stream[T] {
	out := newStream[T](s.tasks)
	return operate(s.tasks, out, owner{s}, func() error {
		var newest T
		var due time.Time         // of what waits
		var fire <-chan time.Time // nil, and so never ready, while nothing waits
		timer := time.NewTimer(0)
		defer timer.Stop()
		for {
			select {
			case v, ok := <-s.ch:
				if !ok {
					if fire != nil {
						out.publish(newest)
					}
					return s.Err()
				}
				if newest = v; fire == nil {
					due, fire = time.Now().Add(most), timer.C
				}
				timer.Reset(min(quiet, time.Until(due)))
			case <-fire:
				fire = nil
				out.publish(newest)
			}
		}
	})
}

// Combine returns a stream of fn of the newest snapshots of a and b: the first as soon as both have
// one, then one for each change of either. It owns its sources and calls fn as [Map] does. It ends as soon as
// one of them ends, with its reason, after a last snapshot of what both had last. a and b may be the same stream.
func Combine[A, B, C any](a *Stream[A], b *Stream[B], fn func(A, B) C) *Stream[C] {
	if any(a) == any(b) { // then A is B; and two receivers would get a part of the snapshots each
		return Map(a, func(v A) C { return fn(v, *any(&v).(*B)) })
	}
	out := newStream[C](a.tasks)
	return operate(a.tasks, out, owner{a, b}, func() error {
		var va latest[A]
		var vb latest[B]
		combine := func() {
			if va.has && vb.has {
				out.publish(fn(va.value, vb.value))
			}
		}
		for {
			select {
			case v, ok := <-a.ch:
				if !ok {
					if vb.poll(b.ch) {
						combine()
					}
					return a.Err()
				}
				va.set(v)
			case v, ok := <-b.ch:
				if !ok {
					if va.poll(a.ch) {
						combine()
					}
					return b.Err()
				}
				vb.set(v)
			}
			combine()
		}
	})
}

// latest is the newest snapshot received from a source.
type latest[T any] struct {
	value T
	has   bool
}

func (l *latest[T]) set(v T) { l.value, l.has = v, true }

// poll receives what is in ch, and reports whether anything was.
func (l *latest[T]) poll(ch <-chan T) bool {
	select {
	case v, ok := <-ch:
		if ok {
			l.set(v)
		}
		return ok
	default:
		return false
	}
}
