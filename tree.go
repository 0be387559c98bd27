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
	root branch
}

// A branch is a node of a tree, and what is below it. The zero value is no node.
type branch struct {
	node  *node
	below *level // nil if nothing is
}

// A level is all nodes below another one. It is immutable once it was published.
type level struct {
	branches []branch // sorted by name
	count    int      // nodes, those further below included
}

// size returns the number of nodes.
func (l *level) size() int {
	if l == nil {
		return 0
	}
	return l.count
}

// children returns the branches that are directly below b.
func (b branch) children() []branch {
	if b.below == nil {
		return nil
	}
	return b.below.branches
}

// name returns the last part of the node's path.
func (n *node) name() string { return baseName(n.path) }

// find returns the place of a branch of that name, and whether there is one.
func (l *level) find(name string) (int, bool) {
	if l == nil {
		return 0, false
	}
	// Most are added in the order of their names.
	if last := len(l.branches) - 1; last < 0 || l.branches[last].node.name() < name {
		return last + 1, false
	}
	return slices.BinarySearchFunc(l.branches, name, func(b branch, name string) int {
		return strings.Compare(b.node.name(), name)
	})
}

// walk calls yield with b and all below it, parents before children, until it returns false.
func (b branch) walk(yield func(*node) bool) bool {
	if !yield(b.node) {
		return false
	}
	for _, c := range b.children() {
		if !c.walk(yield) {
			return false
		}
	}
	return true
}

// at returns the branch at path.
func (t Tree) at(path string) (b branch, found bool) {
	rest, found := strings.CutPrefix(path, t.path)
	if !t.Exists() || !found {
		return branch{}, false
	}
	if t.path == "/" {
		rest = path
	}
	b = t.root
	switch {
	case rest == "" || path == "/":
		return b, true
	case rest[0] != '/':
		return branch{}, false
	}
	for name := range strings.SplitSeq(rest[1:], "/") {
		i, found := b.below.find(name)
		if !found {
			return branch{}, false
		}
		b = b.below.branches[i]
	}
	return b, true
}

// Path returns the path of the root of the tree.
func (t Tree) Path() string { return t.path }

// Exists reports whether there was a node at Path.
func (t Tree) Exists() bool { return t.root.node != nil }

// Len returns the number of nodes, the root included.
func (t Tree) Len() int {
	if !t.Exists() {
		return 0
	}
	return 1 + t.root.below.size()
}

// Get returns the node at path, and whether it is in the tree. The path begins with that of the root.
func (t Tree) Get(path string) (Data, bool) {
	b, found := t.at(path)
	if !found {
		return Data{missingNode(path)}, false
	}
	return Data{b.node}, true
}

// Children returns the names of the children that the node at path has in the tree, sorted. It is empty if the node is not
// in the tree, or may not be read, or if its children are deeper than [WithDepth] allows. The slice is the caller's.
func (t Tree) Children(path string) []string {
	b, found := t.at(path)
	if !found {
		return nil
	}
	names := make([]string, len(b.children()))
	for i, c := range b.children() {
		names[i] = c.node.name()
	}
	return names
}

// All ranges over the nodes: each before its children, and these sorted by name.
func (t Tree) All() iter.Seq[Data] {
	return func(yield func(Data) bool) {
		if t.Exists() {
			t.root.walk(func(n *node) bool { return yield(Data{n}) })
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
		_ = diff(previous.root, branch{}, yield) && diff(branch{}, t.root, yield)
	}
}

// diff compares two branches of one path. It reports whether yield wants more.
func diff(from, to branch, yield func(Change) bool) bool {
	switch {
	case from == to:
		return true
	case from.node == nil:
		return to.walk(func(n *node) bool { return yield(Change{n.path, Data{missingNode(n.path)}, Data{n}}) })
	case to.node == nil:
		return from.walk(func(n *node) bool { return yield(Change{n.path, Data{n}, Data{missingNode(n.path)}}) })
	}
	if from.node != to.node && !yield(Change{to.node.path, Data{from.node}, Data{to.node}}) {
		return false
	}
	a, b := from.children(), to.children()
	for len(a) > 0 || len(b) > 0 {
		var before, after branch
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
