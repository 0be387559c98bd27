package zkstream

import (
	"context"
	"errors"
	"time"

	"github.com/zkstream/zkstream/internal/watching"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// nodeStream is a stream on a watch.
type nodeStream[T any] struct {
	Stream[T]
	watches *watching.Supervisor
	watch   watching.Watch
	wrap    func(*watching.Node) T
	begun   bool // it has had a snapshot; guarded by the supervisor's lock
}

// Put delivers what was read, if that is new to this stream.
func (s *nodeStream[T]) Put(r watching.Reading) {
	if r.Changed || !s.begun {
		s.begun = true
		skipped := s.publishAt(s.wrap(r.Node), r.At)
		if s.watch.Kind() != zkconn.Stat { // of a registration
			s.watches.Published(skipped)
		}
	}
}

// forget leaves the watch.
func (s *nodeStream[T]) forget() { s.watches.Leave(s.watch, s) }

// subscribe opens a stream on what k reads of path.
func subscribe[T any](ctx context.Context, c *Client, k zkconn.Kind, path string, wrap func(*watching.Node) T) *Stream[T] {
	s := &nodeStream[T]{watches: c.watches, wrap: wrap}
	return open(ctx, c, &s.Stream, s, k.String(), path, nil, func() error {
		return c.watches.Join(path, k, s, func(w watching.Watch) { s.watch = w })
	})
}

// treeStream is a stream of trees.
type treeStream[T any] struct {
	Stream[T]
	watches   *watching.Supervisor
	assembler *watching.Assembler
	wrap      func(watching.Branch) T
	begun     bool // it has had a snapshot; guarded by the supervisor's lock
}

// Put delivers a snapshot, if that is new to this stream.
func (s *treeStream[T]) Put(a watching.Assembled) {
	if s.begun && a.Changed || !s.begun && a.Complete {
		s.begun = true
		s.watches.Published(s.publishAt(s.wrap(a.Tree), a.At))
	}
}

// forget leaves the tree.
func (s *treeStream[T]) forget() { s.assembler.Leave(s) }

// assemble opens a stream of trees of a shape; err, if not nil, is what is wrong with it.
func assemble[T any](ctx context.Context, c *Client, op string, sh watching.Shape, err error, wrap func(watching.Branch) T) *Stream[T] {
	s := &treeStream[T]{watches: c.watches, wrap: wrap}
	return open(ctx, c, &s.Stream, s, op, sh.Path, err, func() error {
		return c.watches.JoinTree(sh, s, func(a *watching.Assembler) { s.assembler = a })
	})
}

// open returns the stream s, which has a source and is joined to that by join; or which has ended, because of err or of what else is
// in the way.
func open[T any](ctx context.Context, c *Client, s *Stream[T], from source, op, path string, err error, join func() error) *Stream[T] {
	s.ch, s.tasks, s.source = make(chan T, 1), &c.tasks, from
	if err == nil {
		err = c.check(path)
	}
	switch {
	case err != nil:
		err = &PathError{Op: op, Path: path, Err: err}
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	default:
		err = join()
	}
	if err != nil {
		s.end(err)
		return s
	}
	s.endWith(ctx)
	return s
}

// The rest of [watching.Subscriber], and of [watching.Consumed]. A Stream has no such methods itself, since it would have them for
// users, too.

func (s *nodeStream[T]) End(reason error) bool { return s.end(named(reason)) }
func (s *treeStream[T]) End(reason error) bool { return s.end(named(reason)) }

func (s *nodeStream[T]) Place() *int32 { return &s.index }
func (s *treeStream[T]) Place() *int32 { return &s.index }

func (s *nodeStream[T]) Behind() (snapshots int, waiting time.Duration) { return s.behind() }
func (s *treeStream[T]) Behind() (snapshots int, waiting time.Duration) { return s.behind() }

// named returns the reason for which a supervisor ends a stream as users see it.
func named(err error) error {
	var e *watching.PathError
	if errors.As(err, &e) {
		return (*PathError)(e)
	}
	return err
}
