package zkstream

import (
	"context"

	"github.com/zkstream/zkstream/internal/address"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// treeStream is a stream of what an assembler publishes.
type treeStream[T any] struct {
	Stream[T]
	assembler *assembler
	wrap      func(Tree) T
	begun     bool // it has had a snapshot; guarded by supervisor.mu
}

// put delivers a snapshot, if that is new to this stream. supervisor.mu is held.
func (s *treeStream[T]) put(t assembled) {
	if s.begun && t.changed || !s.begun && s.assembler.pending == 0 {
		s.begun = true
		s.assembler.supervisor.counts.snapshot(s.publish(s.wrap(t.tree)))
	}
}

// end ends the stream for its supervisor's reasons, whose mu is held.
func (s *treeStream[T]) end(reason error) bool {
	if !s.Stream.end(reason) {
		return false
	}
	s.assembler.supervisor.counts.streams--
	return true
}

// forget leaves the assembler.
func (s *treeStream[T]) forget() {
	a := s.assembler
	a.supervisor.mu.Lock()
	defer a.supervisor.mu.Unlock()
	a.supervisor.counts.streams--
	a.subs.remove(s)
	if len(a.subs) == 0 {
		a.supervisor.retireLocked(a)
	}
}

// assemble opens a stream of trees of a shape; err, if not nil, is what is wrong with it.
func assemble[T any](ctx context.Context, sup *supervisor, op string, sh shape, err error, wrap func(Tree) T) *Stream[T] {
	if sup == nil {
		return endedStream[T](&PathError{Op: op, Path: sh.path, Err: zkconn.ErrNoConn})
	}
	if err == nil {
		err = address.ValidatePath(sh.path)
	}
	s := &treeStream[T]{wrap: wrap}
	s.ch, s.tasks, s.source = make(chan T, 1), sup.tasks, s
	switch {
	case err != nil:
		err = &PathError{Op: op, Path: sh.path, Err: err}
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	default:
		err = sup.assemble(sh, s, func(a *assembler) {
			s.assembler = a
			sup.counts.streams++
		})
	}
	if err != nil {
		s.Stream.end(err)
		return &s.Stream
	}
	s.endWith(ctx)
	return &s.Stream
}

// assemble makes sub a subscriber of trees of a shape. If one has been assembled already that is as new as what the client has
// written, sub has it when assemble returns. It reports why it cannot.
func (s *supervisor) assemble(sh shape, sub subscriber[assembled], on func(*assembler)) error {
	s.mu.Lock()
	if s.reason != nil {
		s.mu.Unlock()
		return s.reason
	}
	a := s.assemblers[sh]
	if a != nil {
		s.assembleLocked() // what has been answered, and is still to be put together
	}
	if a = s.assemblers[sh]; a != nil {
		a.catchUp()
		on(a)
		a.subs.add(sub)
		if a.begun {
			sub.put(assembled{a.last, false})
		}
		s.mu.Unlock()
		s.conn.Pump()
		return nil
	}
	a = &assembler{supervisor: s, shape: sh, round: 1, covered: s.conn.Wrote()}
	s.assemblers[sh] = a
	on(a)
	a.subs.add(sub)
	a.root = &treeNode{more: &inner{assembler: a}}
	a.add(a.root, s.chroot.Absolute(sh.path), true)
	s.assembleLocked()
	s.mu.Unlock()
	s.conn.Pump()
	return nil
}
