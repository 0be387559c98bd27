package zktree

import (
	"context"
	"errors"
	"fmt"

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

// Limits of a transaction: well below what servers accept, and so large that its cost is that of its operations.
const (
	maxOperations = 1000
	maxBytes      = 256 << 10
)

// Apply does what Plan has planned, in transactions of up to 1,000 nodes and 256 KB. Each is carried out whole or not at all, and only if
// its nodes are as Plan has read them, unchanged ones included. Otherwise Apply stops, with an error that has ErrConflict
// and a *zkstream.PathError inside, which names the node; the transactions before are done, and a new plan has the rest.
// Versions cannot tell a node from one that was created anew in its place and changed as often. Access control lists are
// set at the end, one by one.
func Apply(ctx context.Context, c *zkstream.Client, changes *Changes, opts ...ApplyOption) error {
	var o applyOptions
	for _, opt := range opts {
		opt(&o)
	}
	done, total := 0, len(changes.steps)+len(changes.acls)
	report := func(n int) {
		if done += n; o.progress != nil {
			o.progress(done, total)
		}
	}
	if changes.Empty() {
		return nil
	}
	for steps := changes.steps; len(steps) > 0; {
		var ops []any
		for size := 0; len(ops) < min(len(steps), maxOperations); {
			s := steps[len(ops)]
			if size += s.size; len(ops) > 0 && size > maxBytes {
				break
			}
			ops = append(ops, s.op)
		}
		if _, err := c.Multi(ctx, ops...); err != nil {
			return conflict(err)
		}
		steps = steps[len(ops):]
		report(len(ops))
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
