package zkstream

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/watching"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// Children is a snapshot of the names of a znode's children. It is immutable, and a value that may be
// copied and compared with others only by its methods. The zero value is a node that does not exist.
type Children struct{ n *watching.Node }

// Children streams the names of the children of path: the present ones at once, then again after each
// child that comes or goes. A path without a node is a snapshot whose Exists is false. The stream ends
// with a [*PathError] if path is not valid or may not be read.
func (c *Client) Children(ctx context.Context, path string) *Stream[Children] {
	return subscribe(ctx, c, zkconn.Children, path, func(n *watching.Node) Children { return Children{n} })
}

// Path returns the path of the node.
func (c Children) Path() string { return c.n.Path() }

// Exists reports whether the node existed.
func (c Children) Exists() bool { return c.n.Exists() }

// Len returns the number of children.
func (c Children) Len() int { return len(c.n.Names()) }

// Names returns the names of the children, sorted, without the path. The slice is the caller's.
func (c Children) Names() []string { return slices.Clone(c.n.Names()) }

// All ranges over the names, sorted.
func (c Children) All() iter.Seq[string] { return slices.Values(c.n.Names()) }

// Contains reports whether there is a child of that name.
func (c Children) Contains(name string) bool {
	_, found := slices.BinarySearch(c.n.Names(), name)
	return found
}

// Stat returns the node's metadata as it was when the names were read; zero if there was no node.
func (c Children) Stat() zk.Stat { return c.n.Stat() }

// String lists the names, for logs.
func (c Children) String() string {
	if !c.Exists() {
		return c.Path() + " does not exist"
	}
	return c.Path() + " [" + strings.Join(c.n.Names(), " ") + "]"
}

// Diff returns what has come and what has gone since previous, both sorted. A child that was deleted
// and created again in between is in neither.
func (c Children) Diff(previous Children) (added, removed []string) {
	a, b := c.n.Names(), previous.n.Names()
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] == b[0]:
			a, b = a[1:], b[1:]
		case a[0] < b[0]:
			added, a = append(added, a[0]), a[1:]
		default:
			removed, b = append(removed, b[0]), b[1:]
		}
	}
	return append(added, a...), append(removed, b...)
}
