package watching

import "slices"

// How the next snapshot of a tree is made. It shares with the one before all that has not changed.

// show has the tree show n for m.
func (a *Assembler) show(m *treeNode, n *Node) {
	before := m.shown
	switch {
	case before == nil:
		m.shown = n
		a.changed, a.came = true, true
		a.place(m)
		a.count(m.parent, 1)
	case before == n, before.Err() == n.Err() && before.equal(n, m.shows()):
		// Another tree may have put the same state into memory anew: see shareNames.
	default:
		m.shown = n
		if before.Err() != n.Err() {
			a.came, a.went = true, true
		}
		a.changed = a.changed || before.Err() != n.Err() || !a.showsSame(before, n, m.parent == nil)
		a.place(m)
	}
}

// showsSame reports whether a snapshot with the one node is a snapshot with the other. That a child has come to the set of instances is
// shown when the child has been read, and not before by the metadata of the root alone.
func (a *Assembler) showsSame(one, other *Node, isRoot bool) bool {
	switch {
	case a.shape.Instances && isRoot:
		return sameNode(one, other)
	case a.shape.Bare:
		return one.equal(other, kindChildren)
	}
	return one.equal(other, kindData)
}

// place puts m, as it is shown, into the level to which it belongs.
func (a *Assembler) place(m *treeNode) {
	if m.parent == nil {
		return
	}
	b := Branch{m.shown, m.below()}
	l := a.open(m.parent)
	if i, found := l.find(m.name()); found {
		l.branches[i] = b
	} else {
		l.branches = slices.Insert(l.branches, i, b)
	}
}

// open returns the level below m, so that it can be changed. One that was published is immutable: then it is copied, and so are
// those above it, but not what is beside them.
func (a *Assembler) open(m *treeNode) *level {
	a.changed = true
	x := m.inner()
	if x.below != nil && x.round == a.round {
		return x.below
	}
	l := &level{}
	if x.below != nil {
		l.count, l.branches = x.below.count, slices.Clone(x.below.branches)
	} else {
		l.branches = make([]Branch, 0, len(x.children))
	}
	x.below, x.round = l, a.round
	a.place(m)
	return l
}

// count counts n nodes more below m and what is above it.
func (a *Assembler) count(m *treeNode, n int) {
	for ; m != nil; m = m.parent {
		a.open(m).count += n
	}
}

// undone reports whether what has changed since the last snapshot has been taken back: a node has come and gone, for example, and the
// answers that say so have come together.
func (a *Assembler) undone(next Branch) bool {
	return Diff(a.last, next, func(before, after *Node) bool {
		if before == nil || after == nil {
			return false
		}
		return before.Err() == after.Err() && a.showsSame(before, after, before == a.last.node)
	})
}
