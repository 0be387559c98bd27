package zktree

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
)

// ErrConflict is inside the error of Apply if the tree is not as it was when Plan read it.
var ErrConflict = errors.New("the tree has changed since it was read")

// An ApplyOption changes how Apply works.
type ApplyOption func(*applyOptions)

type applyOptions struct{ progress func(done, total int) }

// WithProgress has fn called after each transaction with the number of nodes that are done, and of all. Apply waits for it.
func WithProgress(fn func(done, total int)) ApplyOption {
	return func(o *applyOptions) { o.progress = fn }
}

// Apply does what Plan has planned, in transactions of up to 1,000 nodes and 256 KB. Each is carried out whole or not at all, and only if
// its nodes are as Plan has read them, unchanged ones included. Otherwise Apply stops, with an error that has ErrConflict
// and a *zkstream.PathError inside, which names the node, and a new plan has the rest.
//
// Up to four transactions are under way at once. None is sent before those that have the nodes above its own, nor a deletion
// before those of the nodes below, have been carried out. Once one has failed no more are sent. The ones that are under way then are
// waited for, and carried out or not, each for itself; the error has what became of each that was not.
//
// Versions cannot tell a node from one that was created anew in its place and changed as often. Access control lists are
// set at the end, one by one.
func Apply(ctx context.Context, c *zkstream.Client, changes *Changes, opts ...ApplyOption) error {
	var o applyOptions
	for _, opt := range opts {
		opt(&o)
	}
	var (
		mu    sync.Mutex // guards done, and is held while progress is called
		done  int
		total = len(changes.steps) + len(changes.acls)
	)
	report := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		if done += n; o.progress != nil {
			o.progress(done, total)
		}
	}
	if changes.Empty() {
		return nil
	}
	if err := carryOut(split(changes.steps), func(ops []any) error {
		_, err := c.Multi(ctx, ops...)
		if err == nil {
			report(len(ops))
		}
		return conflict(err)
	}); err != nil {
		return err
	}
	for _, s := range changes.acls {
		if err := c.SetACL(ctx, s.path, s.acl, s.version); err != nil {
			return conflict(err)
		}
		report(1)
	}
	return nil
}

// conflict adds ErrConflict to an error that means it.
func conflict(err error) error {
	for _, is := range []error{zk.ErrBadVersion, zk.ErrNodeExists, zk.ErrNoNode, zk.ErrNotEmpty} {
		if errors.Is(err, is) {
			return fmt.Errorf("zktree: %w: %w", ErrConflict, err)
		}
	}
	return err
}
