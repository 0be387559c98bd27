package zkstream

import (
	"context"
	"iter"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/watching"
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
	sh := watching.Shape{Path: path, Depth: 1, Max: 1_000_000, Instances: true}
	return assemble(ctx, c, "instances", sh, nil, func(b watching.Branch) Instances { return Instances{path, b} })
}

// Instances is a snapshot of the children of a znode, with their content. It is immutable, and a value that may be
// copied. The zero value is a node that does not exist.
type Instances struct {
	path string
	root watching.Branch
}

// Path returns the path of the node whose children these are.
func (i Instances) Path() string { return i.path }

// Exists reports whether that node existed.
func (i Instances) Exists() bool { return i.root.Node() != nil }

// Len returns the number of instances.
func (i Instances) Len() int { return len(i.root.Children()) }

// Names returns the names of the instances, sorted, without the path. The slice is the caller's.
func (i Instances) Names() []string { return i.root.Names() }

// Stat returns the metadata of the node at Path, as they were when its children were listed; zero if there was none.
func (i Instances) Stat() zk.Stat { return i.root.Node().Stat() }

// Get returns the content of an instance, and whether there is one of that name.
func (i Instances) Get(name string) (Properties, bool) {
	b, found := i.root.Child(name)
	return Properties{b.Node()}, found
}

// All ranges over the instances, sorted by name.
func (i Instances) All() iter.Seq2[string, Properties] {
	return func(yield func(string, Properties) bool) {
		for _, c := range i.root.Children() {
			if !yield(c.Name(), Properties{c.Node()}) {
				return
			}
		}
	}
}

// Diff returns the names of the instances that have come, changed and gone since previous, each sorted. One that was
// deleted and made again has changed.
func (i Instances) Diff(previous Instances) (added, changed, removed []string) {
	a, b := i.root.Children(), previous.root.Children()
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].Name() < b[0].Name():
			added, a = append(added, a[0].Name()), a[1:]
		case len(a) == 0 || a[0].Name() > b[0].Name():
			removed, b = append(removed, b[0].Name()), b[1:]
		default:
			if a[0].Node() != b[0].Node() {
				changed = append(changed, a[0].Name())
			}
			a, b = a[1:], b[1:]
		}
	}
	return added, changed, removed
}
