// Package zktree works on trees of znodes on a live server, as zc.zk 2.1 does: it exports them as text and imports them,
// after a plan that shows what would change, and follows the links between them.
//
//	tree, err := zktext.Parse(text)
//	changes, err := zktree.Plan(ctx, client, "/", tree)
//	fmt.Print(changes)
//	err = zktree.Apply(ctx, client, changes)
//
// A tree text is in the format of package zktext. A link is a property whose name ends with " ->" and whose value is the
// path of another node. It stands for a child of that name that the node does not have: see [Resolve]. [Children], [Instances],
// [Data] and [Properties] stream what a path leads to, and follow it when a link is moved; [Register] keeps a server registered
// there:
//
//	servers := zktree.Children(ctx, client, "/lb/pools/cms/providers")
//
// All paths are those of the client, below its chroot.
package zktree

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktext"
	"golang.org/x/sync/errgroup"
)

// reserved is ZooKeeper's own tree, which is neither exported nor deleted.
const reserved = "/zookeeper"

// found is a node as it was read.
type found struct {
	path     string
	data     zkstream.Data // zero if the node was not to be read
	children []*found      // sorted by name
}

func (f *found) name() string { return f.path[strings.LastIndexByte(f.path, '/')+1:] }

func (f *found) ephemeral() bool { return f.data.Stat().EphemeralOwner != 0 }

// inFlight is how many requests are sent at once.
const inFlight = 64

// A loader reads trees.
type loader struct {
	client   *zkstream.Client
	wanted   func(path string) bool // whether to read the node at path, and so what is below it
	most     int                    // nodes of a tree that is read as a whole, also those that are not wanted
	progress func(done, total int)  // may be nil; if not, the nodes are read one by one
}

// mostSurplus is how many nodes are read in vain rather than reading the others one by one.
const mostSurplus = 10_000

// load reads the nodes at paths and what is below them, but for paths that are not wanted: of those only the names are
// known, and nothing of what is below. Nodes that go meanwhile are left out. Where there is no node at a path, it returns nil.
func (l loader) load(ctx context.Context, paths ...string) ([]*found, error) {
	if l.progress != nil {
		return l.loadSingly(ctx, paths)
	}
	roots := make([]*found, len(paths))
	large := make([]bool, len(paths))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(inFlight)
	for i, path := range paths {
		g.Go(func() (err error) {
			if roots[i], err = l.loadWhole(gctx, path); errors.Is(err, zkstream.ErrTooLarge) {
				large[i], err = true, nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for i, path := range paths {
		if large[i] {
			one, err := l.loadSingly(ctx, []string{path})
			if err != nil {
				return nil, err
			}
			roots[i] = one[0]
		}
	}
	return roots, nil
}

// loadWhole reads the tree at path at once, in a fraction of the time that single requests take. The error is ErrTooLarge
// if it has more nodes than l.most.
func (l loader) loadWhole(ctx context.Context, path string) (*found, error) {
	tree, err := l.client.GetTree(ctx, path, zkstream.WithMaxNodes(l.most))
	if err != nil || !tree.Exists() {
		return nil, err
	}
	return l.pick(tree)
}

// pick returns what is wanted of a tree that exists.
func (l loader) pick(tree zkstream.Tree) (root *found, err error) {
	var above []*found // of the node, the parent last
	for d := range tree.All() {
		for len(above) > 0 && !isBelow(d.Path(), above[len(above)-1].path) {
			above = above[:len(above)-1]
		}
		f := &found{path: d.Path()}
		if len(above) == 0 {
			root = f
		} else if parent := above[len(above)-1]; parent.data.Exists() {
			parent.children = append(parent.children, f)
		} else {
			continue // nor is what is below it wanted
		}
		if above = append(above, f); !l.wanted(f.path) {
			continue
		}
		if f.data = d; d.Err() != nil {
			return nil, &zkstream.PathError{Op: "get", Path: f.path, Err: d.Err()}
		}
	}
	return root, nil
}

func isBelow(path, top string) bool {
	return strings.HasPrefix(path, top) && (top == "/" || len(path) > len(top) && path[len(top)] == '/')
}

// loadSingly reads the nodes one by one.
func (l loader) loadSingly(ctx context.Context, paths []string) ([]*found, error) {
	roots := make([]*found, len(paths))
	for i, path := range paths {
		roots[i] = &found{path: path}
	}
	var (
		mu   sync.Mutex // guards done, and is held while progress is called
		done int
	)
	known := len(roots)
	for level := roots; len(level) > 0; {
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(inFlight)
		for _, f := range level {
			g.Go(func() error {
				if err := f.read(gctx, l.client); err != nil || l.progress == nil {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				done++
				l.progress(done, known)
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return nil, err
		}
		var next []*found
		for _, f := range level {
			for _, child := range f.children {
				if l.wanted(child.path) {
					next = append(next, child)
				}
			}
		}
		level = next
		known += len(level)
	}
	for i, root := range roots {
		if root.prune(l.wanted); !root.data.Exists() {
			roots[i] = nil
		}
	}
	return roots, nil
}

// read reads the node, and the names of its children.
func (f *found) read(ctx context.Context, c *zkstream.Client) error {
	var err error
	if f.data, err = c.Get(ctx, f.path); err != nil || f.data.Stat().NumChildren == 0 {
		return err
	}
	list, err := c.List(ctx, f.path)
	if err != nil {
		return err
	}
	for _, name := range list.Names() {
		f.children = append(f.children, &found{path: join(f.path, name)})
	}
	return nil
}

// prune leaves out what was to be read and was gone.
func (f *found) prune(wanted func(path string) bool) {
	kept := f.children[:0]
	for _, child := range f.children {
		if child.data.Exists() || !wanted(child.path) {
			child.prune(wanted)
			kept = append(kept, child)
		}
	}
	f.children = kept
}

func everything(string) bool { return true }

func join(parent, name string) string {
	if parent == "/" {
		return "/" + name
	}
	return parent + "/" + name
}

// properties returns a node's properties.
func properties(d zkstream.Data) map[string]any { return zktext.Properties(d.Bytes()) }

// missing is the error for a node that is not there.
func missing(op, path string) error {
	return &zkstream.PathError{Op: op, Path: path, Err: zk.ErrNoNode}
}
