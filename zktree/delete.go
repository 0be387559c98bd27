package zktree

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/zkstream/zkstream"
)

// A DeleteOption changes what DeleteAll does.
type DeleteOption func(*deleteOptions)

type deleteOptions struct {
	dryRun, force bool
	apply         []ApplyOption
}

// DryRun has nothing deleted: DeleteAll returns what it would do.
func DryRun() DeleteOption { return func(o *deleteOptions) { o.dryRun = true } }

// Force has ephemeral nodes deleted, too.
func Force() DeleteOption { return func(o *deleteOptions) { o.force = true } }

// DeleteProgress has fn called after each transaction, as [WithProgress] says.
func DeleteProgress(fn func(done, total int)) DeleteOption {
	return func(o *deleteOptions) { o.apply = append(o.apply, WithProgress(fn)) }
}

// deleteTries is how often DeleteAll begins again because the tree has changed meanwhile.
const deleteTries = 10

// DeleteAll deletes the node at path and all below it. Ephemeral nodes, and the nodes above them, stay, unless Force is
// given. It returns what it has done, and what it has kept, in order. If nodes are created or changed
// meanwhile it looks again, up to ten times; then the error has ErrConflict inside. It is zk.ErrNoNode if there is
// no node at path. The root and /zookeeper are refused.
func DeleteAll(ctx context.Context, c *zkstream.Client, path string, opts ...DeleteOption) (*Changes, error) {
	var o deleteOptions
	for _, opt := range opts {
		opt(&o)
	}
	if path == "/" || path == reserved {
		return nil, fmt.Errorf("zktree: %q is not to be deleted", path)
	}
	var deleted []Change // what earlier tries have done
	for try := 1; ; try++ {
		roots, err := loader{client: c, wanted: everything, most: math.MaxInt}.load(ctx, path)
		if err != nil {
			return nil, err
		}
		changes := &Changes{}
		if roots[0] != nil {
			changes.deleteAll(roots[0], o.force)
		} else if try == 1 {
			return nil, missing("delete", path)
		}
		if !o.dryRun {
			err = Apply(ctx, c, changes, o.apply...)
		}
		if err == nil {
			changes.list = append(deleted, changes.list...)
			return changes, nil
		}
		if !errors.Is(err, ErrConflict) || try == deleteTries {
			return nil, err
		}
		deleted = slices.Concat(deleted, gone(ctx, c, path, changes))
	}
}

// gone returns those deletions below path that have been carried out.
func gone(ctx context.Context, c *zkstream.Client, path string, changes *Changes) (list []Change) {
	left, err := c.GetTree(ctx, path)
	if err != nil {
		return nil
	}
	for change := range changes.All() {
		if _, there := left.Get(change.Path); change.Action == DeleteNode && !there {
			list = append(list, change)
		}
	}
	return list
}
