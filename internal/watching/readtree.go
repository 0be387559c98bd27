package watching

import (
	"context"
	"fmt"

	"github.com/zkstream/zkstream/internal/zkconn"
)

// ReadTree reads a tree once, without watches. read returns what k says of each of the nodes. Nodes that vanish meanwhile are
// left out; nodes that cannot be read are in the tree, and Err says why. The error is that of read, or ErrTooLarge if
// there are more nodes than shape.Max.
func ReadTree(ctx context.Context, shape Shape, read func(ctx context.Context, k zkconn.Kind, paths []string) ([]zkconn.Answer, error)) (Branch, error) {
	r := &treeReader{shape, read}
	return r.read(ctx)
}

// treeReader reads a tree once.
type treeReader struct {
	shape Shape
	ask   func(ctx context.Context, k zkconn.Kind, paths []string) ([]zkconn.Answer, error)
}

// A sapling is a node while its tree is read.
type sapling struct {
	path     string
	node     *Node // nil if there is none
	names    []string
	children []*sapling
}

// read returns the whole tree.
func (r *treeReader) read(ctx context.Context) (Branch, error) {
	root := &sapling{path: r.shape.Path}
	nodes := 1
	for depth, level := 0, []*sapling{root}; len(level) > 0; depth++ {
		if err := r.readLevel(ctx, level, depth < r.shape.Depth); err != nil {
			return Branch{}, err
		}
		var next []*sapling
		for _, s := range level {
			prefix := childPrefix(s.path)
			s.children = make([]*sapling, len(s.names))
			for i, name := range s.names {
				s.children[i] = &sapling{path: prefix + name}
			}
			next = append(next, s.children...)
		}
		level = next
		if nodes += len(level); nodes > r.shape.Max {
			return Branch{}, fmt.Errorf("more than %d nodes: %w", r.shape.Max, zkconn.ErrTooLarge)
		}
	}
	return root.branch(), nil
}

// readLevel reads nodes, and if deeper the names of their children.
func (r *treeReader) readLevel(ctx context.Context, level []*sapling, deeper bool) error {
	k := zkconn.Data
	if r.shape.Bare {
		k = zkconn.Children
	}
	nodes, err := r.readAll(ctx, k, level)
	if err != nil {
		return err
	}
	var parents []*sapling
	for i, s := range level {
		switch n := nodes[i]; {
		case n.missing(): // it has gone since its parent was read
		case r.shape.Bare && deeper:
			s.node, s.names = n, n.Names()
		default:
			if s.node = n; deeper && n.stat.NumChildren > 0 {
				parents = append(parents, s)
			}
		}
	}
	lists, err := r.readAll(ctx, zkconn.Children, parents)
	if err != nil {
		return err
	}
	var again []*sapling
	for i, s := range parents {
		switch list := lists[i]; {
		case list.missing():
			s.node = nil
		case list.Err() != nil:
			s.node = s.node.unreadable(list.Err())
		case !sameNode(s.node, list): // it was deleted and made anew in between
			s.node = nil
			again = append(again, s)
		default:
			s.names = list.Names()
		}
	}
	if len(again) == 0 {
		return nil
	}
	return r.readLevel(ctx, again, deeper)
}

// readAll reads what k says of nodes.
func (r *treeReader) readAll(ctx context.Context, k zkconn.Kind, all []*sapling) ([]*Node, error) {
	if len(all) == 0 {
		return nil, nil
	}
	paths := make([]string, len(all))
	for i, s := range all {
		paths[i] = s.path
	}
	answers, err := r.ask(ctx, k, paths)
	if err != nil {
		return nil, err
	}
	nodes := make([]*Node, len(all))
	for i, s := range all {
		if err := answers[i].Err; err != nil {
			nodes[i] = (&Node{path: s.path}).unreadable(err)
		} else {
			nodes[i] = NewNode(s.path, &answers[i])
		}
	}
	return nodes, nil
}

// branch returns the node with all below it that is there.
func (s *sapling) branch() Branch {
	var l level
	for _, c := range s.children {
		if c.node != nil {
			b := c.branch()
			l.branches = append(l.branches, b)
			l.count += 1 + b.below.size()
		}
	}
	if len(l.branches) == 0 {
		return Branch{s.node, nil}
	}
	return Branch{s.node, &l}
}
