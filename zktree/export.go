package zktree

import (
	"context"
	"math"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktext"
)

// An ExportOption changes what Export returns.
type ExportOption func(*exportOptions)

type exportOptions struct {
	ephemerals bool
	name       string
	progress   func(done, total int)
}

// WithEphemerals has ephemeral nodes in the export.
func WithEphemerals() ExportOption { return func(o *exportOptions) { o.ephemerals = true } }

// WithName gives the exported node another name. The root, which has none, is then exported as a node, too.
func WithName(name string) ExportOption { return func(o *exportOptions) { o.name = name } }

// ExportProgress has fn called as nodes are read, with their number and that of all that are known so far. Calls do
// not overlap, and Export waits for them. The nodes are then read one by one, which takes longer.
func ExportProgress(fn func(done, total int)) ExportOption {
	return func(o *exportOptions) { o.progress = fn }
}

// Export reads the node at path and all below it, and returns them as zktext.Parse would from their text: as the child
// of a node without a name. Of the root only what is below it is returned, and without /zookeeper. Ephemeral nodes are
// left out. zktext.Format makes a text of it.
//
// Each node has its state of the moment at which it was read; the whole need never have been so at one
// time. Nodes that go meanwhile are left out. The error is zk.ErrNoNode if there is no node at path.
func Export(ctx context.Context, c *zkstream.Client, path string, opts ...ExportOption) (*zktext.Node, error) {
	var o exportOptions
	for _, opt := range opts {
		opt(&o)
	}
	roots, err := loader{client: c, wanted: func(path string) bool { return path != reserved }, most: math.MaxInt, progress: o.progress}.load(ctx, path)
	if err != nil {
		return nil, err
	}
	root := roots[0]
	if root == nil {
		return nil, missing("export", path)
	}
	tree := &zktext.Node{Properties: map[string]any{}}
	if path == "/" {
		root.data = zkstream.Data{} // as zc.zk, which has no place for the root's properties
		top := o.export(root)
		if o.name == "" {
			tree.Children = top.Children
			return tree, nil
		}
		top.Name = o.name
		tree.Children = []*zktext.Node{top}
		return tree, nil
	}
	if root.ephemeral() && !o.ephemerals {
		return tree, nil
	}
	top := o.export(root)
	if o.name != "" {
		top.Name = o.name
	}
	tree.Children = []*zktext.Node{top}
	return tree, nil
}

func (o *exportOptions) export(f *found) *zktext.Node {
	n := &zktext.Node{Name: f.name(), Properties: properties(f.data)}
	for _, child := range f.children {
		if child.path != reserved && (o.ephemerals || !child.ephemeral()) {
			n.Children = append(n.Children, o.export(child))
		}
	}
	return n
}
