package zkstream

import (
	"context"

	"github.com/zkstream/zkstream/internal/address"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// nodeStream is a stream on a watch.
type nodeStream[T any] struct {
	Stream[T]
	supervisor *supervisor
	watch      watch
	wrap       func(*node) T
	begun      bool // it has had a snapshot; guarded by supervisor.mu
}

// put delivers what was read, if that is new to this stream. supervisor.mu is held.
func (s *nodeStream[T]) put(r reading) {
	if r.changed || !s.begun {
		s.begun = true
		skipped := s.publish(s.wrap(r.node))
		if s.watch.kind != kindStat { // of a registration
			s.supervisor.counts.snapshot(skipped)
		}
	}
}

// end ends the stream for its supervisor's reasons, whose mu is held.
func (s *nodeStream[T]) end(reason error) bool {
	if !s.Stream.end(reason) {
		return false
	}
	s.supervisor.counts.stream(s.watch.kind, -1)
	return true
}

// forget leaves the watch.
func (s *nodeStream[T]) forget() { s.supervisor.leave(s.watch, s) }

// leave takes sub from w, which is parked if that was the last.
func (s *supervisor) leave(w watch, sub subscriber[reading]) {
	s.mu.Lock()
	s.counts.stream(w.kind, -1)
	s.leaveLocked(w, sub)
	evicted := len(s.evicted) > 0
	s.mu.Unlock()
	if evicted {
		s.conn.Pump()
	}
}

// leaveLocked is leave, but for the watches that are to be taken back from the server.
func (s *supervisor) leaveLocked(w watch, sub subscriber[reading]) {
	w.subs.remove(sub)
	if w.subs.len() > 0 {
		return
	}
	switch w.state {
	case stale, resting:
		s.moveLocked(w, none)
	case armed:
		s.armedLocked(w)
	}
}

// join makes sub a subscriber of what k reads of path, below the chroot. It reports why it cannot.
//
// If what was read is up to date, sub has it when join returns, and nothing is sent. Otherwise sub gets the next
// answer. That is never older than what the client itself has written: replies arrive in order, so a read whose
// answer is still to come was carried out after a write that has been answered. What a batch has read, before its watch is set, may be
// older:
//
//  1. The batch is asked for, and behind it a write of the client's own goes to the same node.
//  2. The batch is answered, with the old content, and the watch is asked for.
//  3. The write is answered, and its caller opens a stream. No event has come, since no watch was set.
//
// So sub then waits until the watch is set, before which the event comes.
func (s *supervisor) join(path string, k kind, sub subscriber[reading], on func(watch)) error {
	s.mu.Lock()
	if s.reason != nil {
		s.mu.Unlock()
		return s.reason
	}
	known := s.joinLocked(s.chroot.Absolute(path), k, sub, on)
	s.mu.Unlock()
	if !known {
		s.conn.Pump()
	}
	return nil
}

// joinLocked is join with the path that the server has, but for having read what is to be read. It reports whether sub has had
// what was read.
func (s *supervisor) joinLocked(path string, k kind, sub subscriber[reading], on func(watch)) (known bool) {
	w := s.makeLocked(path, k)
	if w.state == none || w.state == parked {
		s.moveLocked(w, stale)
	}
	on(w)
	w.subs.add(sub)
	switch {
	case w.state == armed, w.state == arming && w.zxid >= s.conn.Wrote():
		sub.put(reading{node: w.last})
		return true
	case w.state == arming:
		w.awaited = true
	}
	return false
}

// subscribe opens a stream on what k reads of path.
func subscribe[T any](ctx context.Context, sup *supervisor, k kind, path string, wrap func(*node) T) *Stream[T] {
	if sup == nil {
		return endedStream[T](&PathError{Op: k.String(), Path: path, Err: zkconn.ErrNoConn})
	}
	s := &nodeStream[T]{supervisor: sup, wrap: wrap}
	s.ch, s.tasks, s.source = make(chan T, 1), sup.tasks, s
	err := address.ValidatePath(path)
	switch {
	case err != nil:
		err = &PathError{Op: k.String(), Path: path, Err: err}
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	default:
		err = sup.join(path, k, s, func(w watch) {
			s.watch = w
			sup.counts.stream(k, 1)
		})
	}
	if err != nil {
		s.Stream.end(err)
		return &s.Stream
	}
	s.endWith(ctx)
	return &s.Stream
}
