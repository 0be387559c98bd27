package zktree

import (
	"context"
	"errors"

	"github.com/zkstream/zkstream"
)

// ErrSkipBelow is what a function that Walk calls returns to leave out what is below the node.
var ErrSkipBelow = errors.New("zktree: skip what is below this node")

// Walk calls fn with the node at path and each below it, parents first and children sorted by name. It reads a node just before
// it calls fn, and the names of its children after that, so that it sees what fn and others change on the way. Nodes that
// go meanwhile are left out, that at path as well. It returns the error of fn, unless that is ErrSkipBelow, which ends nothing.
func Walk(ctx context.Context, c *zkstream.Client, path string, fn func(zkstream.Data) error) error {
	d, err := c.Get(ctx, path)
	if err != nil || !d.Exists() {
		return err
	}
	switch err := fn(d); {
	case errors.Is(err, ErrSkipBelow):
		return nil
	case err != nil:
		return err
	}
	children, err := c.List(ctx, path)
	if err != nil {
		return err
	}
	for _, name := range children.Names() {
		if err := Walk(ctx, c, join(path, name), fn); err != nil {
			return err
		}
	}
	return nil
}
