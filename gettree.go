package zkstream

import (
	"context"

	"github.com/zkstream/zkstream/internal/watching"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// GetTree reads the node at path with all nodes below it once, in few requests, and sets no watch: a [Client.Tree] that
// nobody is going to follow. Options, and what becomes of nodes that vanish or may not be read, are as there. A missing
// node at path is no error: Exists is false then.
//
// Nodes are read level by level, so different ones may have been read at different moments. How new each is, is as with
// [Client.Get]. The error is a [*PathError], with [ErrTooLarge] inside if there are more nodes than [WithMaxNodes] allows. It
// returns when all is read or ctx ends, and meanwhile retries through lost connections.
func (c *Client) GetTree(ctx context.Context, path string, opts ...TreeOption) (Tree, error) {
	shape, err := shapeOf(path, opts)
	if err == nil {
		err = c.check(path)
	}
	t := Tree{path: path}
	err = c.call(ctx, "gettree", path, err, func() (err error) {
		t.root, err = watching.ReadTree(ctx, shape, c.readNodes)
		return err
	})
	return t, err
}

// readNodes reads what k says of each of the nodes.
func (c *Client) readNodes(ctx context.Context, k zkconn.Kind, paths []string) ([]zkconn.Answer, error) {
	absolute := paths
	if c.chroot != "" {
		absolute = make([]string, len(paths))
		for i, path := range paths {
			absolute[i] = c.chroot.Absolute(path)
		}
	}
	return c.calls.ReadNodes(ctx, k, absolute)
}
