package zkstream

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"strings"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/watching"
)

// A TreeOption says which nodes a Tree has, and what is read of them.
type TreeOption func(*treeOptions)

type treeOptions struct {
	watching.Shape
	err error
}

// WithDepth limits a Tree to the nodes that are at most n levels below its path: 0 is the node alone, 1 its children,
// too. The default is all.
func WithDepth(n int) TreeOption {
	return func(o *treeOptions) {
		if o.Depth = n; n < 0 {
			o.err = fmt.Errorf("depth %d: %w", n, zk.ErrBadArguments)
		}
	}
}

// WithMaxNodes limits a Tree to n nodes, by default 1,000,000. A stream whose tree has more ends with an error in which
// is ErrTooLarge.
func WithMaxNodes(n int) TreeOption {
	return func(o *treeOptions) {
		if o.Max = n; n < 1 {
			o.err = fmt.Errorf("at most %d nodes: %w", n, zk.ErrBadArguments)
		}
	}
}

// WithoutData has a Tree carry names and metadata only. A change of a node's content is then not followed: the metadata
// are those of the time at which the node's children were last read.
func WithoutData() TreeOption {
	return func(o *treeOptions) { o.Bare = true }
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
// have been read at different moments. If a node comes and goes before a slow consumer has received the snapshot with it, the next
// one may look like the last that it has received. Streams of one path with the same options share everything: the second one costs
// no request, and its first snapshot is the newest that the first one has had.
func (c *Client) Tree(ctx context.Context, path string, opts ...TreeOption) *Stream[Tree] {
	shape, err := shapeOf(path, opts)
	return assemble(ctx, c, "tree", shape, err, func(b watching.Branch) Tree { return Tree{path, b} })
}

// shapeOf returns the shape that options give to a tree at path, and what is wrong with them.
func shapeOf(path string, opts []TreeOption) (watching.Shape, error) {
	o := treeOptions{Shape: watching.Shape{Path: path, Depth: math.MaxInt, Max: 1_000_000}}
	for _, opt := range opts {
		if opt == nil {
			return o.Shape, errors.New("an option is nil")
		}
		opt(&o)
	}
	return o.Shape, o.err
}

// Tree is a snapshot of a znode and those below it. It is immutable, and a value that may be copied; snapshots share
// what has not changed between them. Paths are below the chroot, as everywhere. The zero value is a node that
// does not exist.
type Tree struct {
	path string
	root watching.Branch
}

// at returns the branch at path, and whether there is one.
func (t Tree) at(path string) (b watching.Branch, found bool) {
	if path == t.path {
		return t.root.At("")
	}
	rest, found := strings.CutPrefix(path, strings.TrimSuffix(t.path, "/")+"/")
	if !found || rest == "" {
		return b, false
	}
	return t.root.At(rest)
}

// Path returns the path of the root of the tree.
func (t Tree) Path() string { return t.path }

// Exists reports whether there was a node at Path.
func (t Tree) Exists() bool { return t.root.Node() != nil }

// Len returns the number of nodes, the root included.
func (t Tree) Len() int { return t.root.Len() }

// Get returns the node at path, and whether it is in the tree. The path begins with that of the root.
func (t Tree) Get(path string) (Data, bool) {
	b, found := t.at(path)
	if !found {
		return Data{watching.MissingNode(path)}, false
	}
	return Data{b.Node()}, true
}

// Children returns the names of the children that the node at path has in the tree, sorted. It is empty if the node is not
// in the tree, or may not be read, or if its children are deeper than [WithDepth] allows. The slice is the caller's.
func (t Tree) Children(path string) []string {
	b, found := t.at(path)
	if !found {
		return nil
	}
	return b.Names()
}

// All ranges over the nodes: each before its children, and these sorted by name.
func (t Tree) All() iter.Seq[Data] {
	return func(yield func(Data) bool) {
		t.root.Walk(func(n *watching.Node) bool { return yield(Data{n}) })
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
		change := func(before, after *watching.Node) bool {
			switch {
			case before == nil:
				before = watching.MissingNode(after.Path())
			case after == nil:
				after = watching.MissingNode(before.Path())
			}
			return yield(Change{after.Path(), Data{before}, Data{after}})
		}
		if t.path == previous.path {
			watching.Diff(previous.root, t.root, change)
			return
		}
		_ = watching.Diff(previous.root, watching.Branch{}, change) && watching.Diff(watching.Branch{}, t.root, change)
	}
}
