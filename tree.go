package zkstream

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"

	"github.com/go-zookeeper/zk"
)

// A TreeOption says which nodes a Tree has, and what is read of them.
type TreeOption func(*treeOptions)

type treeOptions struct {
	shape
	err error
}

// WithDepth limits a Tree to the nodes that are at most n levels below its path: 0 is the node alone, 1 its children,
// too. The default is all.
func WithDepth(n int) TreeOption {
	return func(o *treeOptions) {
		if o.depth = n; n < 0 {
			o.err = fmt.Errorf("depth %d: %w", n, zk.ErrBadArguments)
		}
	}
}

// WithMaxNodes limits a Tree to n nodes, by default 1,000,000. A stream whose tree has more ends with an error in which
// is ErrTooLarge.
func WithMaxNodes(n int) TreeOption {
	return func(o *treeOptions) {
		if o.max = n; n < 1 {
			o.err = fmt.Errorf("at most %d nodes: %w", n, zk.ErrBadArguments)
		}
	}
}

// WithoutData has a Tree carry names and metadata only. A change of a node's content is then not followed: the metadata
// are those of the time at which the node's children were last read.
func WithoutData() TreeOption {
	return func(o *treeOptions) { o.bare = true }
}

// Tree streams the node at path with all nodes below it: the first snapshot when all have been read, then another
// after each change. A path without a node is a snapshot whose Exists is false; the stream follows the node's
// coming and going.
//
// A node that vanishes while the tree is read is left out, and one that comes later is in the tree as soon as it has been
// read. A node that may not be read is in the tree, without content and children, and [Data.Err] of it is not nil; it is
// tried again at the interval of [WithRecheck], since ZooKeeper has no event for a change of permissions. Neither ends
// the stream. It ends with a *[PathError] if path is not valid, or if there are more nodes than [WithMaxNodes] allows.
//
// Each node of a snapshot is as new as a stream of its own would show it, and never goes back; different nodes may
// have been read at different moments. Streams of one path with the same options share everything: the second one costs
// no request, and its first snapshot is the newest that the first one has had.
func (c *Client) Tree(ctx context.Context, path string, opts ...TreeOption) *Stream[Tree] {
	o := treeOptions{shape: shape{path: path, depth: math.MaxInt, max: 1_000_000}}
	for _, opt := range opts {
		if opt == nil {
			o.err = errors.New("an option is nil")
			break
		}
		opt(&o)
	}
	return assemble(ctx, c.supervisor, "tree", o.shape, o.err, func(t Tree) Tree { return t })
}

// Tree is a snapshot of a znode and those below it. It is immutable, and a value that may be copied; snapshots share
// what has not changed between them. Paths are below the chroot, as everywhere. The zero value is a node that
// does not exist.
type Tree struct {
	path string
	root *branch // nil if there is no node
}

// A branch is a node of a tree, and what is below it. It is immutable once it was published.
type branch struct {
	node     *node
	children []*branch // sorted by name
	count    int       // nodes, this one included
}

// name returns the last part of the node's path.
func (n *node) name() string { return baseName(n.path) }

// find returns the place of a child of that name, and whether there is one.
func (b *branch) find(name string) (int, bool) {
	// Most are added in the order of their names.
	if last := len(b.children) - 1; last < 0 || b.children[last].node.name() < name {
		return last + 1, false
	}
	return slices.BinarySearchFunc(b.children, name, func(c *branch, name string) int {
		return strings.Compare(c.node.name(), name)
	})
}

// walk calls yield with b and all below it, parents before children, until it returns false.
func (b *branch) walk(yield func(*branch) bool) bool {
	if !yield(b) {
		return false
	}
	for _, c := range b.children {
		if !c.walk(yield) {
			return false
		}
	}
	return true
}

// at returns the branch at path, nil if there is none.
func (t Tree) at(path string) *branch {
	b := t.root
	rest, found := strings.CutPrefix(path, t.path)
	if b == nil || !found {
		return nil
	}
	if t.path == "/" {
		rest = path
	}
	switch {
	case rest == "" || path == "/":
		return b
	case rest[0] != '/':
		return nil
	}
	for name := range strings.SplitSeq(rest[1:], "/") {
		i, found := b.find(name)
		if !found {
			return nil
		}
		b = b.children[i]
	}
	return b
}

// Path returns the path of the root of the tree.
func (t Tree) Path() string { return t.path }

// Exists reports whether there was a node at Path.
func (t Tree) Exists() bool { return t.root != nil }

// Len returns the number of nodes, the root included.
func (t Tree) Len() int {
	if t.root == nil {
		return 0
	}
	return t.root.count
}

// Get returns the node at path, and whether it is in the tree. The path begins with that of the root.
func (t Tree) Get(path string) (Data, bool) {
	b := t.at(path)
	if b == nil {
		return Data{&node{path: path}}, false
	}
	return Data{b.node}, true
}

// Children returns the names of the children that the node at path has in the tree, sorted. It is empty if the node is not
// in the tree, or may not be read, or if its children are deeper than [WithDepth] allows. The slice is the caller's.
func (t Tree) Children(path string) []string {
	b := t.at(path)
	if b == nil {
		return nil
	}
	names := make([]string, len(b.children))
	for i, c := range b.children {
		names[i] = c.node.name()
	}
	return names
}

// All ranges over the nodes: each before its children, and these sorted by name.
func (t Tree) All() iter.Seq[Data] {
	return func(yield func(Data) bool) {
		if t.root != nil {
			t.root.walk(func(b *branch) bool { return yield(Data{b.node}) })
		}
	}
}

// A Change is what has become of one node between two snapshots of a tree.
type Change struct {
	Path     string
	Old, New Data // Old does not exist for a node that was added, New for one that was removed
}

// Diff ranges over the nodes that have come, gone or changed since previous, in the order of All. A node that
// was deleted and made again has changed. What both snapshots share is not looked at.
func (t Tree) Diff(previous Tree) iter.Seq[Change] {
	return func(yield func(Change) bool) {
		if t.path == previous.path {
			diff(previous.root, t.root, yield)
			return
		}
		_ = diff(previous.root, nil, yield) && diff(nil, t.root, yield)
	}
}

// diff compares two branches of one path, of which one may be nil. It reports whether yield wants more.
func diff(from, to *branch, yield func(Change) bool) bool {
	switch {
	case from == to:
		return true
	case from == nil:
		return to.walk(func(b *branch) bool {
			return yield(Change{b.node.path, Data{&node{path: b.node.path}}, Data{b.node}})
		})
	case to == nil:
		return from.walk(func(b *branch) bool {
			return yield(Change{b.node.path, Data{b.node}, Data{&node{path: b.node.path}}})
		})
	}
	if from.node != to.node && !yield(Change{to.node.path, Data{from.node}, Data{to.node}}) {
		return false
	}
	a, b := from.children, to.children
	for len(a) > 0 || len(b) > 0 {
		var before, after *branch
		order := 0
		switch {
		case len(a) == 0:
			order = 1
		case len(b) == 0:
			order = -1
		default:
			order = strings.Compare(a[0].node.name(), b[0].node.name())
		}
		if order <= 0 {
			before, a = a[0], a[1:]
		}
		if order >= 0 {
			after, b = b[0], b[1:]
		}
		if !diff(before, after, yield) {
			return false
		}
	}
	return true
}
