package watching

import (
	"fmt"
	"slices"
	"strings"

	"github.com/zkstream/zkstream/internal/zkconn"
)

// Shape says which nodes a tree has, and what is read of them.
type Shape struct {
	Path      string // below the chroot
	Depth     int    // levels below Path
	Max       int    // nodes
	Bare      bool   // without content
	Instances bool   // of Path itself only the children are read
}

// An Assembler keeps the newest snapshot of a tree, for all streams of one shape. It subscribes to two watches of
// each node, those of its content and of its children, which it shares with the streams of single nodes.
//
// These are one-shot watches, set again by SetWatches, and not one persistent recursive watch (addWatch, from ZooKeeper 3.6). With
// ZooKeeper 3.9.5 and a tree of 100,000 nodes, the recursive watch is far cheaper to set: 40 bytes and no time that could be
// measured, against 6.7 MB, 180 ms of the server's processor time and 57 MB of its memory (20,000 nodes: 1.3 MB, 40 ms, 11 MB). A change
// costs the same either way: one event and one read, 46 bytes sent and 173 received, and some 0.15 ms of the server's processor
// beyond the write. But nothing catches up with a recursive watch after a reconnect: SetWatches2 sends no event for what has
// changed below its path meanwhile. So all would have to be read again, which takes twice as long as setting all watches again, and more
// the larger the nodes are. It reports every level below, whatever the depth of the tree, and each creation and deletion for itself. An
// event that the server hides could not be found by a recheck. Older servers and ClickHouse Keeper do not have it, so the one-shot
// watches would stay as a second way. What they cost is the server's memory: 285 bytes a watch.
//
// Its fields are guarded by Supervisor.mu, which all its methods but Leave need held. An answer to one of its watches puts the
// node into queue and does no more. When all that was received has been handled (Supervisor.Drained), run works through queue:
// it joins the watches of new children, leaves those of children that have gone, and publishes one snapshot. So one snapshot
// has all that has come together, a transaction for example.
type Assembler struct {
	supervisor  *Supervisor
	shape       Shape
	subs        subscribers[Assembled]
	root        *treeNode
	queue       []*treeNode // to be looked at
	nodes       int         // in the tree, or about to be
	pending     int         // nodes that the first snapshot of a new stream waits for
	coveredZxid int64       // of the client's newest write that pending takes into account
	round       uint64      // counts snapshots; a level that was made in this round is not published yet, and may be changed
	changed     bool        // since the last snapshot
	came, went  bool        // since the last snapshot: a node, or the reason why one cannot be read
	begun       bool        // there has been a snapshot
	ended       bool
	last        Branch
}

// add has a new node of the tree read. path is the server's. first says that first snapshots wait for it.
func (a *Assembler) add(m *treeNode, path string, first bool) {
	a.nodes++
	if m.first = first; first {
		a.pending++
	}
	if m.readsContent() {
		m.joinLocked(path, kindData)
	} else {
		m.joinLocked(path, kindChildren)
	}
}

// drop takes m and all below it from the tree. The caller takes it from its parent.
func (a *Assembler) drop(m *treeNode) {
	for _, c := range m.children() {
		a.drop(c)
	}
	a.settled(m)
	m.leaveLocked()
	a.nodes--
}

// settled notes that first snapshots do not wait for m any more.
func (a *Assembler) settled(m *treeNode) {
	if m.first {
		m.first = false
		a.pending--
	}
}

// Assembled is what a subscriber of an Assembler gets.
type Assembled struct {
	Tree     Branch
	Changed  bool // since the one before
	Complete bool // a first snapshot need not wait for more
	At       Seconds
}

// run settles the nodes in queue, and publishes a snapshot if that has changed the tree, or if first snapshots have waited for it.
func (a *Assembler) run() {
	waited := a.pending > 0
	for len(a.queue) > 0 {
		queue := a.queue
		a.queue = nil
		for _, m := range queue {
			m.queued = false
			if a.ended {
				return
			}
			if !m.gone {
				a.settle(m)
			}
		}
	}
	next := Branch{a.root.shown, a.root.below()}
	changed := !a.begun || a.changed && !(a.came && a.went && a.undone(next))
	a.changed, a.came, a.went = changed, a.came && changed, a.went && changed
	if a.ended || !a.begun && a.pending > 0 || !changed && !(waited && a.pending == 0) {
		return
	}
	a.begun, a.changed, a.came, a.went = true, false, false, false
	a.round++
	a.last = next
	a.subs.put(Assembled{a.last, changed, a.pending == 0, Now()})
}

// catchUp is called before a stream joins. A node that was read before the client's last write may be about to be read again,
// and then the stream's first snapshot waits for that: it never lacks what its own client has written.
func (a *Assembler) catchUp() {
	s := a.supervisor
	wrote := s.conn.Wrote()
	if wrote <= a.coveredZxid {
		return
	}
	a.coveredZxid = wrote
	if s.unsettledLocked() == 0 && len(s.denied) == 0 {
		return
	}
	var visit func(m *treeNode)
	visit = func(m *treeNode) {
		if m.awaitLocked(wrote) && !m.first {
			m.first = true
			a.pending++
		}
		for _, c := range m.children() {
			visit(c)
		}
	}
	visit(a.root)
}

// settle has the tree show what was read of m, unless its parts are not of one state yet. Then an answer that is on its way
// will complete them, and the tree keeps what it shows. There are three such cases:
//
//   - A node is deleted and made again. The answers of its two watches come one after the other. The list of the
//     new node beside the content of the old one is a state that never was.
//   - A child is deleted and made again, and its content is read before its parent's list. A list that is older than the
//     child does not belong beside it: another child that this list names may have gone by then.
//   - A child is missing. It has vanished since its parent's list was read. The event of that list is on its way; the next
//     list leaves the child out, with all that went with it.
func (a *Assembler) settle(m *treeNode) {
	m.early = false
	if n := m.contentNode(); m.listsChildren() && n != nil && !n.missing() && m.list == unasked {
		m.joinListLocked(n)
	}
	content, list := m.contentNode(), m.listNode()
	if m.readsContent() && content == nil || m.readsList() && list == nil && !content.missing() {
		return
	}
	n := content
	if n == nil {
		n = list
	}
	if content.missing() || list.missing() {
		if m.content == read && m.list == read && content.Exists() != list.Exists() {
			return
		}
		if m.parent == nil {
			a.dropChildren(m)
			if m.shown != nil {
				a.changed, a.went = true, true
			}
			m.shown, m.more.below = nil, nil
		}
		a.settled(m)
		return
	}
	if a.shape.Instances && m.parent == nil && n.Err() != nil {
		a.fail(&PathError{Op: "instances", Path: m.path(), Err: n.Err()})
		return
	}
	if m.content == read && m.list == failed {
		n = n.unreadable(list.Err())
	} else if m.content == read && m.list == read && !sameNode(content, list) {
		return
	}
	if m.parent != nil && n.stat.Czxid > m.parent.more.listedZxid {
		m.early = true
		return
	}
	if m.shown != nil && anotherNode(m.shown, n) {
		a.dropChildren(m)
	}
	if a.shape.Bare && n.data != "" { // another stream reads it: see joinLeafLocked
		n = &Node{path: n.path, stat: n.stat}
	}
	a.show(m, n)
	var names []string
	var listedZxid int64 // of the list before
	if m.listsChildren() && m.list == read {
		if names = list.Names(); len(names) > 0 || m.more != nil {
			x := m.inner()
			listedZxid, x.listedZxid = x.listedZxid, max(list.stat.Pzxid, m.entry.watch(kindChildren).zxid)
		}
	}
	// The first snapshot waits for the children that the first list names. If what is known of m was read
	// before the tree was opened, the list may be an old one, of a lost connection. Then the first snapshot also waits for the
	// children that the next list names.
	late := m.cached && !m.first
	if changed := a.list(m, names, listedZxid, m.first || late && !a.begun); a.ended {
		return
	} else if changed && late {
		m.cached = false
	}
	a.settled(m)
	for _, c := range m.children() {
		if c.early {
			c.look()
		}
	}
}

// missing reports whether n says that there is no node.
func (n *Node) missing() bool { return n != nil && !n.Exists() }

// sameNode reports whether two nodes of one path are one, and not one that was made after the other was deleted.
func sameNode(a, b *Node) bool {
	return a.stat.Czxid == b.stat.Czxid && a.stat.Ctime == b.stat.Ctime
}

// anotherNode reports whether two nodes of one path are certainly not one. Of a node that could not be read there may be no metadata: it is
// closed and opened again with the children that it had.
func anotherNode(a, b *Node) bool {
	return a.stat.Czxid != 0 && b.stat.Czxid != 0 && !sameNode(a, b)
}

// list has the tree know the children of m by these names, and reports whether they are others than before. The names before were those
// at listedZxid.
func (a *Assembler) list(m *treeNode, names []string, listedZxid int64, first bool) (changed bool) {
	if slices.EqualFunc(m.children(), names, func(c *treeNode, name string) bool { return c.name() == name }) {
		return false
	}
	prefix := childPrefix(m.entry.path)
	x := m.inner()
	before, left := x.children, 0
	x.children = make([]*treeNode, 0, len(names))
	removed := func(c *treeNode) {
		if c.shown != nil {
			left += 1 + c.below().size()
		}
		a.drop(c)
	}
	for _, name := range names {
		for len(before) > 0 && before[0].name() < name {
			removed(before[0])
			before = before[1:]
		}
		if len(before) > 0 && before[0].name() == name {
			x.children = append(x.children, before[0])
			before = before[1:]
			continue
		}
		c := &treeNode{parent: m}
		x.children = append(x.children, c)
		path := prefix + name
		if listedZxid > 0 { // there was a list before
			a.supervisor.outdatedLocked(path, listedZxid)
		}
		a.add(c, path, first)
		if a.nodes > a.shape.Max {
			for _, c := range before {
				a.drop(c)
			}
			a.fail(&PathError{Op: "tree", Path: a.shape.Path, Err: fmt.Errorf("more than %d nodes: %w", a.shape.Max, zkconn.ErrTooLarge)})
			return true
		}
	}
	for _, c := range before {
		removed(c)
	}
	a.shareNames(m)
	if left == 0 {
		return true
	}
	a.went = true
	l := a.open(m)
	l.branches = l.branches[:0]
	for _, c := range x.children {
		if c.shown != nil {
			l.branches = append(l.branches, Branch{c.shown, c.below()})
		}
	}
	a.count(m, -left)
	return true
}

// shareNames has the list of the children of m use the ends of their paths, so that they are in memory once.
func (a *Assembler) shareNames(m *treeNode) {
	children := m.children()
	p := &m.entry.slots[1]
	if m.list != read || len(children) == 0 || len(p.last.Names()) != len(children) {
		return
	}
	names := make([]string, len(children))
	for i, c := range children {
		names[i] = c.name()
	}
	before := p.last
	p.last = &Node{path: before.path, stat: before.stat}
	p.last.more.Store(&details{names: names})
	if m.shown == before {
		m.shown = p.last
		a.place(m)
	}
}

func (a *Assembler) dropChildren(m *treeNode) {
	if len(m.children()) > 0 {
		a.list(m, nil, 0, false)
	}
}

// childPrefix returns what the paths of the children of a node begin with.
func childPrefix(path string) string { return strings.TrimSuffix(path, "/") + "/" }

// baseName returns the last part of a path.
func baseName(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// fail ends all streams.
func (a *Assembler) fail(reason error) {
	a.supervisor.counts.streams -= a.subs.end(reason)
	a.subs = nil
	a.supervisor.retireLocked(a)
}
