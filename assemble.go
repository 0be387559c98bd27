package zkstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/zkstream/zkstream/internal/zkconn"
)

// shape says which nodes a tree has, and what is read of them.
type shape struct {
	path      string
	depth     int  // levels below path
	max       int  // nodes
	bare      bool // without content
	instances bool // of path itself only the children are read
}

// An assembler keeps the newest snapshot of a tree, for all streams of one shape. It subscribes to two watches of
// each node, those of its content and of its children, which it shares with the streams of single nodes.
//
// Its fields are guarded by supervisor.mu. An answer that comes to one of its watches is only noted. When all that
// was received has been handled (supervisor.Drained), run works the notes off: it opens watches for new
// children, leaves those of children that have gone, and publishes one snapshot.
type assembler struct {
	supervisor *supervisor
	shape      shape
	subs       subscribers[Tree]
	root       *treeNode
	queue      []*treeNode // to be looked at
	nodes      int         // members
	pending    int         // members that the first snapshot waits for
	round      uint64      // of publishing; a branch that was made in this round is not published yet
	changed    bool        // since the last snapshot
	begun      bool        // there has been a snapshot
	ended      bool
	last       Tree
}

// A treeNode is a node that belongs to a tree, or is about to: its parent's list names it.
type treeNode struct {
	assembler *assembler
	parent    *treeNode // nil of the root
	path      string    // as the user names it
	shown     *branch   // what the newest snapshot has of it; nil if it is not there
	children  []*treeNode
	content   tap
	list      tap
	listed    int64  // children is as new as this zxid
	round     uint64 // in which shown was made
	depth     int
	queued    bool // in assembler.queue
	first     bool // counted in assembler.pending
	early     bool // it has been read, but is younger than its parent's list
	gone      bool // from the tree
}

// A tap is a subscription to one watch of a treeNode.
type tap struct {
	watch  *watch // nil if it is not needed, or has failed
	failed *node  // why it could not be read; nil if it could
	read   bool   // it has had an answer
	index  int    // in watch.subs
}

// node returns what was read, marked if that has failed; nil before the first answer.
func (t *tap) node() *node {
	switch {
	case t.failed != nil:
		return t.failed
	case t.read && t.watch != nil:
		return t.watch.last
	}
	return nil
}

func (t *tap) put(m *treeNode) {
	t.read, t.failed = true, nil
	m.look()
}

// end notes that the node cannot be read. It is tried again after a while: nothing will say when that has changed.
func (t *tap) end(m *treeNode, reason error) bool {
	s := m.assembler.supervisor
	t.watch = nil
	if s.reason != nil || m.gone { // the supervisor ends the streams, too
		return false
	}
	var e *PathError
	if errors.As(reason, &e) {
		reason = e.Err
	}
	if t.failed == nil || t.failed.err != reason {
		t.failed = &node{path: m.path, exists: true, err: reason}
	}
	s.denyLocked(m)
	m.look()
	return true
}

// contentTap and listTap are a treeNode as its two watches see it.
type (
	contentTap treeNode
	listTap    treeNode
)

func (t *contentTap) put(reading)           { t.content.put((*treeNode)(t)) }
func (t *contentTap) end(reason error) bool { return t.content.end((*treeNode)(t), reason) }
func (t *contentTap) place() *int           { return &t.content.index }
func (t *listTap) put(reading)              { t.list.put((*treeNode)(t)) }
func (t *listTap) end(reason error) bool    { return t.list.end((*treeNode)(t), reason) }
func (t *listTap) place() *int              { return &t.list.index }

// readsContent reports whether the content of m is read.
func (m *treeNode) readsContent() bool {
	return !m.assembler.shape.bare && (m.parent != nil || !m.assembler.shape.instances)
}

// readsList reports whether the names of the children of m are read, which brings the metadata of m, too.
func (m *treeNode) readsList() bool { return m.listsChildren() || !m.readsContent() }

// listsChildren reports whether the children of m belong to the tree.
func (m *treeNode) listsChildren() bool { return m.depth < m.assembler.shape.depth }

// look has run look at m.
func (m *treeNode) look() {
	a := m.assembler
	if m.queued || a.ended {
		return
	}
	if len(a.queue) == 0 {
		a.supervisor.assembling = append(a.supervisor.assembling, a)
	}
	m.queued = true
	a.queue = append(a.queue, m)
}

// joinLocked has what k says of m read.
func (m *treeNode) joinLocked(k kind) {
	s := m.assembler.supervisor
	if k == kindData {
		s.joinLocked(m.path, k, (*contentTap)(m), func(w *watch) { m.content.watch = w })
	} else {
		s.joinLocked(m.path, k, (*listTap)(m), func(w *watch) { m.list.watch = w })
	}
}

// joinListLocked has the children of m listed, whose content has come. Most nodes have no children: they are not asked for.
func (m *treeNode) joinListLocked(content *node) {
	if content.err == nil && content.stat.NumChildren == 0 && m.content.watch != nil &&
		m.assembler.supervisor.joinLeafLocked(m.content.watch, (*listTap)(m), func(w *watch) { m.list.watch = w }) {
		m.list.read = true
		return
	}
	m.joinLocked(kindChildren)
}

// retryLocked has all read again that could not be read of m, and reports whether that is anything. Meanwhile the tree
// keeps what it shows.
func (m *treeNode) retryLocked() bool {
	content, list := m.content.failed != nil, m.list.failed != nil
	if content {
		m.content = tap{}
		m.joinLocked(kindData)
	}
	if list {
		m.list = tap{}
		m.joinLocked(kindChildren)
	}
	return content || list
}

// leaveLocked leaves the watches of m.
func (m *treeNode) leaveLocked() {
	s := m.assembler.supervisor
	m.gone = true
	if w := m.content.watch; w != nil {
		s.leaveLocked(w, (*contentTap)(m))
	}
	if w := m.list.watch; w != nil {
		s.leaveLocked(w, (*listTap)(m))
	}
	m.content, m.list = tap{}, tap{}
}

// add makes a treeNode of path, and has it read.
func (a *assembler) add(parent *treeNode, path string, first bool) *treeNode {
	m := &treeNode{assembler: a, parent: parent, path: path, first: first}
	if parent != nil {
		m.depth = parent.depth + 1
	}
	a.nodes++
	if first {
		a.pending++
	}
	if m.readsContent() {
		m.joinLocked(kindData)
	}
	if m.readsList() && !m.readsContent() {
		m.joinLocked(kindChildren)
	}
	return m
}

// drop takes m and all below it from the tree. The caller takes it from its parent.
func (a *assembler) drop(m *treeNode) {
	for _, c := range m.children {
		a.drop(c)
	}
	a.settled(m)
	m.leaveLocked()
	a.nodes--
}

// settled notes that the first snapshot need not wait for m any more.
func (a *assembler) settled(m *treeNode) {
	if m.first {
		m.first = false
		a.pending--
	}
}

// run looks at all that was read, and publishes what is new.
func (a *assembler) run() {
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
	if a.ended || a.pending > 0 || a.begun && !a.changed {
		return
	}
	a.begun, a.changed = true, false
	a.round++
	a.last = Tree{a.shape.path, a.root.shown}
	for _, sub := range a.subs {
		sub.put(a.last)
	}
}

// settle has the tree show what was read of m, unless that does not go together yet: then more is on its way, and
// the tree keeps what it shows.
//
//   - The two answers of a node that is deleted and made again come one after the other. The list of the new one
//     under the content of the old one is a state that never was.
//   - A child that is deleted and made again may be read before its parent's list is. Its content does not go
//     together with a list that is older than the child: a child that the list names beside it may have gone by then.
//   - A child that is missing has vanished after its parent's list was read. So the list is read again, and takes
//     it out with all that went with it.
func (a *assembler) settle(m *treeNode) {
	m.early = false
	if n := m.content.node(); m.listsChildren() && n != nil && !n.missing() && m.list == (tap{}) {
		m.joinListLocked(n)
	}
	content, list := m.content.node(), m.list.node()
	if m.readsContent() && content == nil || m.readsList() && list == nil && !content.missing() {
		return
	}
	n := content
	if n == nil {
		n = list
	}
	if content.missing() || list.missing() {
		if content != nil && list != nil && content.err == nil && list.err == nil && content.exists != list.exists {
			return
		}
		if m.parent == nil {
			a.dropChildren(m)
			a.changed = a.changed || m.shown != nil
			m.shown = nil
		}
		a.settled(m)
		return
	}
	if a.shape.instances && m.parent == nil && n.err != nil {
		a.fail(&PathError{Op: "instances", Path: m.path, Err: n.err})
		return
	}
	if content != nil && list != nil && content.err == nil && list.err != nil {
		n = &node{path: n.path, exists: true, stat: n.stat, data: n.data, err: list.err}
	} else if content != nil && list != nil && content.err == nil && !sameNode(content, list) {
		return
	}
	if m.parent != nil && n.stat.Czxid > m.parent.listed {
		m.early = true
		return
	}
	if m.shown != nil && !sameNode(m.shown.node, n) {
		a.dropChildren(m)
	}
	a.show(m, n)
	var names []string
	if m.listsChildren() && list.err == nil {
		names = list.names
		m.listed = max(list.stat.Pzxid, m.list.watch.zxid)
	}
	if a.list(m, names, m.first); a.ended {
		return
	}
	a.settled(m)
	for _, c := range m.children {
		if c.early {
			c.look()
		}
	}
}

// missing reports whether n says that there is no node.
func (n *node) missing() bool { return n != nil && n.err == nil && !n.exists }

// sameNode reports whether two nodes of one path are one, and not one that was made after the other was deleted.
func sameNode(a, b *node) bool {
	return a.stat.Czxid == b.stat.Czxid && a.stat.Ctime == b.stat.Ctime
}

// show has the tree show n for m.
func (a *assembler) show(m *treeNode, n *node) {
	switch {
	case m.shown == nil:
		m.shown, m.round = &branch{node: n, count: 1}, a.round
		a.changed = true
		if p := m.parent; p != nil {
			b := p.open()
			i, _ := b.find(n.name())
			b.children = slices.Insert(b.children, i, m.shown)
			p.count(1)
		}
	case m.shown.node == n, n.err != nil && m.shown.node.err == n.err && m.shown.node.equal(n, kindData):
	default:
		// That a child has come to the set of instances is shown when the child has been read, and not before by the
		// metadata alone.
		changed := a.changed || !a.shape.instances || m.parent != nil || !sameNode(m.shown.node, n)
		m.open().node = n
		a.changed = changed
	}
}

// open returns the branch of m, which the tree shows, so that it can be changed. A branch that was published is
// immutable: then it is copied, and so are those above it, but not what is beside them.
func (m *treeNode) open() *branch {
	a := m.assembler
	a.changed = true
	if m.round == a.round {
		return m.shown
	}
	b := *m.shown
	b.children = slices.Clone(b.children)
	m.round = a.round
	if m.parent != nil {
		above := m.parent.open()
		i, _ := above.find(b.node.name())
		above.children[i] = &b
	}
	m.shown = &b
	return &b
}

// count counts n nodes more in m and above.
func (m *treeNode) count(n int) {
	for ; m != nil; m = m.parent {
		m.open().count += n
	}
}

// list has the tree know the children of m by these names.
func (a *assembler) list(m *treeNode, names []string, first bool) {
	if slices.EqualFunc(m.children, names, func(c *treeNode, name string) bool { return baseName(c.path) == name }) {
		return
	}
	prefix := m.path + "/"
	if m.path == "/" {
		prefix = "/"
	}
	before, left := m.children, 0
	m.children = make([]*treeNode, 0, len(names))
	removed := func(c *treeNode) {
		if c.shown != nil {
			left += c.shown.count
		}
		a.drop(c)
	}
	for _, name := range names {
		for len(before) > 0 && baseName(before[0].path) < name {
			removed(before[0])
			before = before[1:]
		}
		if len(before) > 0 && baseName(before[0].path) == name {
			m.children = append(m.children, before[0])
			before = before[1:]
			continue
		}
		m.children = append(m.children, a.add(m, prefix+name, first))
		if a.nodes > a.shape.max {
			for _, c := range before {
				a.drop(c)
			}
			a.fail(&PathError{Op: "tree", Path: a.shape.path, Err: fmt.Errorf("more than %d nodes: %w", a.shape.max, ErrTooLarge)})
			return
		}
	}
	for _, c := range before {
		removed(c)
	}
	if left == 0 {
		return
	}
	b := m.open()
	b.children = b.children[:0]
	for _, c := range m.children {
		if c.shown != nil {
			b.children = append(b.children, c.shown)
		}
	}
	m.count(-left)
}

func (a *assembler) dropChildren(m *treeNode) {
	if len(m.children) > 0 {
		a.list(m, nil, false)
	}
}

// baseName returns the last part of a path.
func baseName(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// fail ends all streams.
func (a *assembler) fail(reason error) {
	for _, sub := range a.subs {
		sub.end(reason)
	}
	a.subs = nil
	a.supervisor.retireLocked(a)
}

// treeStream is a stream of what an assembler publishes.
type treeStream[T any] struct {
	Stream[T]
	assembler *assembler
	wrap      func(Tree) T
}

// put delivers a snapshot. supervisor.mu is held.
func (s *treeStream[T]) put(t Tree) { s.assembler.supervisor.counts.snapshot(s.publish(s.wrap(t))) }

// end ends the stream for its supervisor's reasons, whose mu is held.
func (s *treeStream[T]) end(reason error) bool {
	if !s.Stream.end(reason) {
		return false
	}
	s.assembler.supervisor.counts.streams--
	return true
}

// forget leaves the assembler.
func (s *treeStream[T]) forget() {
	a := s.assembler
	a.supervisor.mu.Lock()
	defer a.supervisor.mu.Unlock()
	a.supervisor.counts.streams--
	a.subs.remove(s)
	if len(a.subs) == 0 {
		a.supervisor.retireLocked(a)
	}
}

// assemble opens a stream of trees of a shape; err, if not nil, is what is wrong with it.
func assemble[T any](ctx context.Context, sup *supervisor, op string, sh shape, err error, wrap func(Tree) T) *Stream[T] {
	if sup == nil {
		return endedStream[T](&PathError{Op: op, Path: sh.path, Err: zkconn.ErrNoConn})
	}
	if err == nil {
		err = validatePath(sh.path)
	}
	s := &treeStream[T]{wrap: wrap}
	s.ch, s.tasks, s.source = make(chan T, 1), sup.tasks, s
	switch {
	case err != nil:
		err = &PathError{Op: op, Path: sh.path, Err: err}
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	default:
		err = sup.assemble(sh, s, func(a *assembler) {
			s.assembler = a
			sup.counts.streams++
		})
	}
	if err != nil {
		s.Stream.end(err)
		return &s.Stream
	}
	s.endWith(ctx)
	return &s.Stream
}

// assemble makes sub a subscriber of trees of a shape. If one has been assembled already, sub has it when assemble
// returns. It reports why it cannot.
func (s *supervisor) assemble(sh shape, sub subscriber[Tree], on func(*assembler)) error {
	s.mu.Lock()
	if s.reason != nil {
		s.mu.Unlock()
		return s.reason
	}
	a := s.assemblers[sh]
	if a != nil {
		on(a)
		a.subs.add(sub)
		if a.begun {
			sub.put(a.last)
		}
		s.mu.Unlock()
		return nil
	}
	a = &assembler{supervisor: s, shape: sh, round: 1}
	s.assemblers[sh] = a
	on(a)
	a.subs.add(sub)
	a.root = a.add(nil, sh.path, true)
	s.assembleLocked()
	s.mu.Unlock()
	s.conn.Pump()
	return nil
}
