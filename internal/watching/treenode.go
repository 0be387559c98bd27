package watching

import "errors"

// A treeNode is a node that belongs to a tree, or is about to: its parent's list names it. It follows two watches of one
// entry, that of its content and that of its children. There may be a million, so what most do not have is apart.
type treeNode struct {
	parent        *treeNode // nil of the root
	entry         *entry
	shown         *Node  // what the newest snapshot has of it; nil if it is not there
	more          *inner // nil of most
	places        [2]int32
	content, list tap
	queued        bool // in assembler.queue
	first         bool // counted in assembler.pending: first snapshots wait for it
	cached        bool // what it knows was read before the tree was opened, and may be of a lost connection
	early         bool // it has been read, but is younger than its parent's list
	gone          bool // from the tree
}

// inner is what a treeNode has besides if it is the root, has children, or could not be read.
type inner struct {
	assembler  *Assembler
	depth      int // below the root
	children   []*treeNode
	listedZxid int64    // children is as new as this
	below      *level   // what the newest snapshot has below it; nil if that is nothing
	round      uint64   // in which below was made
	failed     [2]*Node // why a tap has failed
}

// A tap is how far a treeNode is with one of its watches.
type tap uint8

const (
	unasked tap = iota // it does not follow the watch
	unread             // it follows the watch, which has not had an answer since
	read               // it follows the watch, and slot.last is what was read
	failed             // it cannot be read: see inner.failed
)

func (m *treeNode) assembler() *Assembler {
	if m.more == nil {
		m = m.parent
	}
	return m.more.assembler
}

func (m *treeNode) depth() int {
	if m.more == nil {
		return m.parent.more.depth + 1
	}
	return m.more.depth
}

// inner returns what m has besides, from now on.
func (m *treeNode) inner() *inner {
	if m.more == nil {
		m.more = &inner{assembler: m.assembler(), depth: m.depth()}
	}
	return m.more
}

func (m *treeNode) children() []*treeNode {
	if m.more == nil {
		return nil
	}
	return m.more.children
}

// below returns what the newest snapshot has below m.
func (m *treeNode) below() *level {
	if m.more == nil {
		return nil
	}
	return m.more.below
}

// path returns the path as the user names it.
func (m *treeNode) path() string { return m.assembler().supervisor.chroot.Relative(m.entry.path) }

func (m *treeNode) name() string { return baseName(m.entry.path) }

// readsContent reports whether the content of m is read.
func (m *treeNode) readsContent() bool {
	shape := &m.assembler().shape
	return !shape.Bare && (m.parent != nil || !shape.Instances)
}

// readsList reports whether the names of the children of m are read, which brings the metadata of m, too.
func (m *treeNode) readsList() bool { return m.listsChildren() || !m.readsContent() }

// shows returns the kind of the watch whose node is shown for m.
func (m *treeNode) shows() kind {
	if m.readsContent() {
		return kindData
	}
	return kindChildren
}

// listsChildren reports whether the children of m belong to the tree.
func (m *treeNode) listsChildren() bool { return m.depth() < m.assembler().shape.Depth }

// contentNode and listNode return what was read, marked if that has failed; nil before the first answer.
func (m *treeNode) contentNode() *Node { return m.node(m.content, 0) }
func (m *treeNode) listNode() *Node    { return m.node(m.list, 1) }

func (m *treeNode) node(t tap, slot int) *Node {
	switch t {
	case read:
		return m.entry.slots[slot].last
	case failed:
		return m.more.failed[slot]
	}
	return nil
}

// contentTap and listTap are a treeNode as its two watches see it.
type (
	contentTap treeNode
	listTap    treeNode
)

func (t *contentTap) Put(Reading) { t.content = read; (*treeNode)(t).look() }
func (t *listTap) Put(Reading)    { t.list = read; (*treeNode)(t).look() }

func (t *contentTap) End(reason error) bool { (*treeNode)(t).end(&t.content, 0, reason); return false }
func (t *listTap) End(reason error) bool    { (*treeNode)(t).end(&t.list, 1, reason); return false }

func (t *contentTap) Place() *int32 { return &t.places[0] }
func (t *listTap) Place() *int32    { return &t.places[1] }

// end notes that the node cannot be read. It is tried again after a while: nothing will say when that has changed.
func (m *treeNode) end(t *tap, slot int, reason error) {
	s := m.assembler().supervisor
	*t = unasked
	if s.stopped || m.gone { // the supervisor ends the streams, too
		return
	}
	var e *PathError
	if errors.As(reason, &e) {
		reason = e.Err
	}
	*t = failed
	before := &m.inner().failed[slot]
	if *before == nil || (*before).Err() != reason {
		*before = (&Node{path: m.path()}).unreadable(reason)
	}
	s.denyLocked(m)
	m.look()
}

// look has the assembler look at m.
func (m *treeNode) look() {
	a := m.assembler()
	if m.queued || a.ended {
		return
	}
	if len(a.queue) == 0 {
		a.supervisor.assembling = append(a.supervisor.assembling, a)
	}
	m.queued = true
	a.queue = append(a.queue, m)
}

// joinLocked has what k says of m read. path is the server's.
func (m *treeNode) joinLocked(path string, k kind) {
	s := m.assembler().supervisor
	on := func(w Watch) { m.entry = w.entry }
	var known bool
	answer := &m.content
	if k == kindData {
		m.content = unread
		known = s.joinLocked(path, k, (*contentTap)(m), on)
	} else {
		answer = &m.list
		m.list = unread
		known = s.joinLocked(path, k, (*listTap)(m), on)
	}
	if w := m.entry.watch(k); known && m.precedesParent(w.last) {
		*answer = unread
		s.staleLocked(w)
		known = false
	}
	m.cached = m.cached || known && !m.assembler().begun
}

// precedesParent reports whether n, which was read of m, is older than the node above it, and so was a child of the one before. Both have
// been deleted and made again, and the event of m is still to come:
//
//  1. Another stream has read m in a batch. Its watch is being set.
//  2. Both are deleted and made again.
//  3. A tree is opened. It reads the node above, and its list, which has the new m. Of m it would show the old one.
func (m *treeNode) precedesParent(n *Node) bool {
	return m.parent != nil && n.Exists() && n.stat.Czxid < m.parent.shown.Stat().Czxid
}

// outdatedLocked has a node read again that is known as it was before it was deleted. Its parent's list says that it has come since
// zxid, so what was created until then is another node. Usually its own event says so. It may be hidden, though:
//
//  1. A stream follows the content of a child. The child is closed to the client, then deleted.
//  2. The server hides the event of the child from the client, but not that of its parent: the tree is delivered without it.
//  3. The child is created again. The next list has it, and its watch still holds the content of the old one.
func (s *Supervisor) outdatedLocked(path string, zxid int64) {
	e := s.nodes[path]
	if e == nil {
		return
	}
	for w := range e.all() {
		if (w.state == armed || w.state == arming) && w.last.Exists() && w.last.stat.Czxid <= zxid {
			s.staleLocked(w)
		}
	}
}

// joinListLocked has the children of m listed, whose content has come. Most nodes have no children: they are not asked for.
func (m *treeNode) joinListLocked(content *Node) {
	if m.content == read && content.stat.NumChildren == 0 &&
		m.assembler().supervisor.joinLeafLocked(m.entry, (*listTap)(m)) {
		m.list = read
		return
	}
	m.joinLocked(m.entry.path, kindChildren)
}

// retryLocked has all read again that could not be read of m, and reports whether that is anything. Meanwhile the tree
// keeps what it shows.
func (m *treeNode) retryLocked() bool {
	content, list := m.content == failed, m.list == failed
	if content {
		m.joinLocked(m.entry.path, kindData)
	}
	if list {
		m.joinLocked(m.entry.path, kindChildren)
	}
	return content || list
}

// awaitLocked has m wait for the next answer of each of its watches whose last one may be older than what the client has
// written, and reports whether there is any. Meanwhile the tree keeps what it shows.
func (m *treeNode) awaitLocked(wrote int64) (waits bool) {
	for i, t := range [...]*tap{&m.content, &m.list} {
		w := &m.entry.slots[i]
		switch {
		case *t != read:
		case w.state == armed, w.zxid >= wrote:
		case w.state == arming:
			w.awaited = true
			*t = unread
		default:
			*t = unread
		}
		waits = waits || *t == unread
	}
	return m.retryLocked() || waits
}

// leaveLocked leaves the watches of m.
func (m *treeNode) leaveLocked() {
	s := m.assembler().supervisor
	m.gone = true
	if m.content == read || m.content == unread {
		s.leaveLocked(m.entry.watch(kindData), (*contentTap)(m))
	}
	if m.list == read || m.list == unread {
		s.leaveLocked(m.entry.watch(kindChildren), (*listTap)(m))
	}
	m.content, m.list = unasked, unasked
}
