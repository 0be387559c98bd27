package zkstream

import (
	"context"
	"iter"

	"github.com/go-zookeeper/zk"
)

// Instances streams the children of path, each with its content: the servers of a service, for example. The first
// snapshot comes when all have been read, then another after each child that comes, goes or changes. A path without
// a node is a snapshot whose Exists is false.
//
// A child that vanishes while the others are read is left out, and one that comes later is in the set as soon as it
// has been read. A child that may not be read is in the set, and [Properties.Err] of it is not nil; it is tried again at the
// interval of [WithRecheck]. The stream ends with a *[PathError] if path is not valid, or if its children may not be listed.
// Streams of one path share everything, as those of [Client.Tree] do.
func (c *Client) Instances(ctx context.Context, path string) *Stream[Instances] {
	sh := shape{path: path, depth: 1, max: 1_000_000, instances: true}
	return assemble(ctx, c.supervisor, "instances", sh, nil, func(t Tree) Instances { return Instances{t} })
}

// Instances is a snapshot of the children of a znode, with their content. It is immutable, and a value that may be
// copied. The zero value is a node that does not exist.
type Instances struct{ tree Tree }

func (i Instances) children() []branch { return i.tree.root.children() }

// Path returns the path of the node whose children these are.
func (i Instances) Path() string { return i.tree.path }

// Exists reports whether that node existed.
func (i Instances) Exists() bool { return i.tree.Exists() }

// Len returns the number of instances.
func (i Instances) Len() int { return len(i.children()) }

// Names returns the names of the instances, sorted, without the path. The slice is the caller's.
func (i Instances) Names() []string {
	names := make([]string, i.Len())
	for k, c := range i.children() {
		names[k] = c.node.name()
	}
	return names
}

// Stat returns the metadata of the node at Path, as they were when its children were listed; zero if there was none.
func (i Instances) Stat() zk.Stat {
	if !i.Exists() {
		return zk.Stat{}
	}
	return i.tree.root.node.stat
}

// Get returns the content of an instance, and whether there is one of that name.
func (i Instances) Get(name string) (Properties, bool) {
	if k, found := i.tree.root.below.find(name); found {
		return Properties{i.children()[k].node}, true
	}
	return Properties{}, false
}

// All ranges over the instances, sorted by name.
func (i Instances) All() iter.Seq2[string, Properties] {
	return func(yield func(string, Properties) bool) {
		for _, c := range i.children() {
			if !yield(c.node.name(), Properties{c.node}) {
				return
			}
		}
	}
}

// Diff returns the names of the instances that have come, changed and gone since previous, each sorted. One that was
// deleted and made again has changed.
func (i Instances) Diff(previous Instances) (added, changed, removed []string) {
	a, b := i.children(), previous.children()
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].node.name() < b[0].node.name():
			added, a = append(added, a[0].node.name()), a[1:]
		case len(a) == 0 || a[0].node.name() > b[0].node.name():
			removed, b = append(removed, b[0].node.name()), b[1:]
		default:
			if a[0].node != b[0].node {
				changed = append(changed, a[0].node.name())
			}
			a, b = a[1:], b[1:]
		}
	}
	return added, changed, removed
}
