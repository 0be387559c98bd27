package watching

import (
	"slices"
	"strings"
)

// A Branch is a node of a tree, and what is below it. It is immutable once it was published, and branches share what has not
// changed between them. The zero value is no node.
type Branch struct {
	node  *Node
	below *level // nil if nothing is
}

// A level is all nodes below another one. It is immutable once it was published.
type level struct {
	branches []Branch // sorted by name
	count    int      // nodes, those further below included
}

// Node returns the node, nil if there is none.
func (b Branch) Node() *Node { return b.node }

// Len returns the number of nodes, that of b included.
func (b Branch) Len() int {
	if b.node == nil {
		return 0
	}
	return 1 + b.below.size()
}

// Children returns the branches that are directly below b, sorted by name. They are not to be changed.
func (b Branch) Children() []Branch {
	if b.below == nil {
		return nil
	}
	return b.below.branches
}

// Names returns the names of what is directly below b, sorted.
func (b Branch) Names() []string {
	names := make([]string, len(b.Children()))
	for i, c := range b.Children() {
		names[i] = c.Name()
	}
	return names
}

// Name returns the last part of the node's path.
func (b Branch) Name() string { return b.node.Name() }

// Child returns the branch of that name that is directly below b, and whether there is one.
func (b Branch) Child(name string) (Branch, bool) {
	if i, found := b.below.find(name); found {
		return b.below.branches[i], true
	}
	return Branch{}, false
}

// At returns the branch at a path that begins below b, "" for b itself, and whether there is one.
func (b Branch) At(path string) (Branch, bool) {
	if path == "" {
		return b, b.node != nil
	}
	for name := range strings.SplitSeq(path, "/") {
		child, found := b.Child(name)
		if !found {
			return Branch{}, false
		}
		b = child
	}
	return b, true
}

// Walk calls yield with the node of b and all below it, parents before children, until it returns false. It reports whether it has
// not.
func (b Branch) Walk(yield func(*Node) bool) bool {
	if b.node != nil && !yield(b.node) {
		return false
	}
	for _, c := range b.Children() {
		if !c.Walk(yield) {
			return false
		}
	}
	return true
}

// Diff calls yield with each node that has come, gone or changed between two branches of one path, parents before children, until
// it returns false. It reports whether it has not. What both share is not looked at.
func Diff(from, to Branch, yield func(before, after *Node) bool) bool {
	switch {
	case from == to:
		return true
	case from.node == nil:
		return to.Walk(func(n *Node) bool { return yield(nil, n) })
	case to.node == nil:
		return from.Walk(func(n *Node) bool { return yield(n, nil) })
	}
	if from.node != to.node && !yield(from.node, to.node) {
		return false
	}
	a, b := from.Children(), to.Children()
	for len(a) > 0 || len(b) > 0 {
		var before, after Branch
		order := 0
		switch {
		case len(a) == 0:
			order = 1
		case len(b) == 0:
			order = -1
		default:
			order = strings.Compare(a[0].Name(), b[0].Name())
		}
		if order <= 0 {
			before, a = a[0], a[1:]
		}
		if order >= 0 {
			after, b = b[0], b[1:]
		}
		if !Diff(before, after, yield) {
			return false
		}
	}
	return true
}

// size returns the number of nodes.
func (l *level) size() int {
	if l == nil {
		return 0
	}
	return l.count
}

// find returns the place of a branch of that name, and whether there is one.
func (l *level) find(name string) (int, bool) {
	if l == nil {
		return 0, false
	}
	// Most are added in the order of their names.
	if last := len(l.branches) - 1; last < 0 || l.branches[last].Name() < name {
		return last + 1, false
	}
	return slices.BinarySearchFunc(l.branches, name, func(b Branch, name string) int {
		return strings.Compare(b.Name(), name)
	})
}
