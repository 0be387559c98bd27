package zkstream

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/go-zookeeper/zk"
)

// Children is a snapshot of the names of a znode's children. It is immutable, and a value that may be
// copied and compared with others only by its methods. The zero value is a node that does not exist.
type Children struct{ n *node }

var missing = missingNode("")

func orMissing(n *node) *node {
	if n == nil {
		return missing
	}
	return n
}

// Children streams the names of the children of path: the present ones at once, then again after each
// child that comes or goes. A path without a node is a snapshot whose Exists is false. The stream ends
// with a [*PathError] if path is not valid or may not be read.
func (c *Client) Children(ctx context.Context, path string) *Stream[Children] {
	return subscribe(ctx, c.supervisor, kindChildren, path, func(n *node) Children { return Children{n} })
}

// Path returns the path of the node.
func (c Children) Path() string { return orMissing(c.n).path }

// Exists reports whether the node existed.
func (c Children) Exists() bool { return orMissing(c.n).exists() }

// Len returns the number of children.
func (c Children) Len() int { return len(orMissing(c.n).names()) }

// Names returns the names of the children, sorted, without the path. The slice is the caller's.
func (c Children) Names() []string { return slices.Clone(orMissing(c.n).names()) }

// All ranges over the names, sorted.
func (c Children) All() iter.Seq[string] { return slices.Values(orMissing(c.n).names()) }

// Contains reports whether there is a child of that name.
func (c Children) Contains(name string) bool {
	_, found := slices.BinarySearch(orMissing(c.n).names(), name)
	return found
}

// Stat returns the node's metadata as it was when the names were read; zero if there was no node.
func (c Children) Stat() zk.Stat { return orMissing(c.n).stat }

// String lists the names, for logs.
func (c Children) String() string {
	if !c.Exists() {
		return c.Path() + " does not exist"
	}
	return c.Path() + " [" + strings.Join(orMissing(c.n).names(), " ") + "]"
}

// Diff returns what has come and what has gone since previous, both sorted. A child that was deleted
// and created again in between is in neither.
func (c Children) Diff(previous Children) (added, removed []string) {
	a, b := orMissing(c.n).names(), orMissing(previous.n).names()
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
