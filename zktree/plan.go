package zktree

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktext"
	"golang.org/x/sync/errgroup"
)

// A PlanOption changes what Plan plans.
type PlanOption func(*planOptions)

type planOptions struct {
	extra extra
	acl   []zk.ACL
}

// extra is what becomes of nodes that are not in the text.
type extra int

const (
	warn extra = iota
	keep
	trim
)

// Trim has nodes deleted that are not in the text: all below nodes that are in it, never others beside those at the
// text's top. Ephemeral nodes and what contains them stay.
func Trim() PlanOption { return func(o *planOptions) { o.extra = trim } }

// Keep has nodes kept that are not in the text, without a word. The default is to keep them and to list each as KeepExtra.
func Keep() PlanOption { return func(o *planOptions) { o.extra = keep } }

// WithACL gives all nodes of the text that access control list. The default is the client's for nodes that are created, and no
// change for others.
func WithACL(acl []zk.ACL) PlanOption { return func(o *planOptions) { o.acl = slices.Clone(acl) } }

// Plan compares a tree, as zktext.Parse returns it, with what is below the node at path, and returns what Apply has to do
// so that it is there: nodes of the text are created, or get exactly the properties of the text. path must exist.
// Plan changes nothing.
func Plan(ctx context.Context, c *zkstream.Client, path string, tree *zktext.Node, opts ...PlanOption) (*Changes, error) {
	p := &planner{client: c, changes: &Changes{}}
	for _, opt := range opts {
		opt(&p.planOptions)
	}
	if tree.Name != "" {
		tree = &zktext.Node{Children: []*zktext.Node{tree}}
	}
	p.named = map[string]*zktext.Node{}
	if err := p.index(path, tree); err != nil {
		return nil, err
	}
	delete(p.named, path)
	base, err := c.Get(ctx, path)
	if err != nil {
		return nil, err
	}
	if !base.Exists() {
		return nil, missing("plan", path)
	}
	tops := sorted(tree.Children)
	paths := make([]string, len(tops))
	for i, top := range tops {
		paths[i] = join(path, top.Name)
	}
	most := len(p.named) + mostSurplus
	if p.extra == trim {
		most = math.MaxInt
	}
	wanted := func(path string) bool { return p.extra == trim || p.named[path] != nil }
	there, err := loader{client: c, wanted: wanted, most: most}.load(ctx, paths...)
	if err != nil {
		return nil, err
	}
	for i, top := range tops {
		if err := p.compare(paths[i], top, there[i]); err != nil {
			return nil, err
		}
	}
	if err := p.compareACLs(ctx); err != nil {
		return nil, err
	}
	return p.changes, nil
}

type planner struct {
	planOptions
	client  *zkstream.Client
	named   map[string]*zktext.Node // the text's nodes by path
	old     []*found                // those that are there
	changes *Changes
}

func sorted(nodes []*zktext.Node) []*zktext.Node {
	return slices.SortedFunc(slices.Values(nodes), func(a, b *zktext.Node) int { return strings.Compare(a.Name, b.Name) })
}

// index enters the nodes below path into named.
func (p *planner) index(path string, n *zktext.Node) error {
	p.named[path] = n
	for _, child := range n.Children {
		at := join(path, child.Name)
		if child.Name == "" || strings.Contains(child.Name, "/") {
			return fmt.Errorf("zktree: %q: a node cannot have the name %q", path, child.Name)
		}
		if p.named[at] != nil {
			return fmt.Errorf("zktree: %q: second node of this name", at)
		}
		if err := p.index(at, child); err != nil {
			return err
		}
	}
	return nil
}

// compare plans for the node n of the text, at path, and what is below it; there is nil if there is none yet.
func (p *planner) compare(path string, n *zktext.Node, there *found) error {
	content, err := n.Content()
	if err != nil {
		return fmt.Errorf("zktree: %q: %w", path, err)
	}
	children := map[string]*found{}
	first := len(p.changes.steps)
	if there == nil {
		p.changes.add(AddNode, path)
		p.step(&zk.CreateRequest{Path: path, Data: content, Acl: p.acl}, path, content)
	} else {
		p.old = append(p.old, there)
		version := there.data.Stat().Version
		old := there.data.Bytes()
		if !bytes.Equal(content, old) && p.compareProperties(path, zktext.Properties(content), zktext.Properties(old)) {
			p.step(&zk.SetDataRequest{Path: path, Data: content, Version: version}, path, content)
		} else {
			p.step(&zk.CheckVersionRequest{Path: path, Version: version}, path, nil)
		}
		for _, child := range there.children {
			children[child.path] = child
			if p.named[child.path] == nil {
				p.extraNode(child)
			}
		}
	}
	for _, child := range sorted(n.Children) {
		at := join(path, child.Name)
		if err := p.compare(at, child, children[at]); err != nil {
			return err
		}
	}
	p.changes.steps[first].span = len(p.changes.steps) - first
	return nil
}

func (p *planner) step(op any, path string, content []byte) {
	size := len(path) + len(content) + 100 // the rest is an access control list, numbers and lengths
	for _, a := range p.acl {
		size += len(a.Scheme) + len(a.ID)
	}
	p.changes.steps = append(p.changes.steps, step{op: op, path: path, size: size})
}

// extraNode plans for a node that is not in the text.
func (p *planner) extraNode(f *found) {
	switch {
	case p.extra == warn:
		p.changes.add(KeepExtra, f.path)
	case p.extra == trim && !f.ephemeral():
		p.changes.deleteAll(f, false)
	}
}

// compareProperties lists how the properties change, and reports whether any does.
func (p *planner) compareProperties(path string, planned, old map[string]any) bool {
	before := len(p.changes.list)
	change := func(action Action, name string) {
		p.changes.list = append(p.changes.list, Change{action, path, name, old[name], planned[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(old)) {
		if v, ok := planned[name]; !ok {
			change(RemoveProperty, name)
		} else if !reflect.DeepEqual(v, old[name]) {
			change(ChangeProperty, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(planned)) {
		if _, ok := old[name]; !ok {
			change(AddProperty, name)
		}
	}
	return len(p.changes.list) > before
}

// compareACLs plans for the nodes that are there, if they are to have a certain access control list.
func (p *planner) compareACLs(ctx context.Context) error {
	if p.acl == nil {
		return nil
	}
	steps := make([]*aclStep, len(p.old))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(inFlight)
	for i, f := range p.old {
		g.Go(func() error {
			acl, stat, err := p.client.ACL(ctx, f.path)
			if err == nil && !slices.Equal(acl, p.acl) {
				steps[i] = &aclStep{f.path, p.acl, stat.Aversion}
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, s := range steps {
		if s != nil {
			p.changes.add(ChangeACL, s.path)
			p.changes.acls = append(p.changes.acls, *s)
		}
	}
	return nil
}
