package zktest

import "time"

// record is one transaction as a server notes it: what has changed, without the reasons and the checks.
// Applied to equal states it gives equal states.
type record struct {
	zxid    int64
	time    int64 // milliseconds since 1970
	changes []change
}

// change is one step of a transaction. Fields that a kind does not have are zero.
type change struct {
	kind    changeKind
	path    string
	data    []byte // never written to again
	acl     aclList
	owner   int64 // of a node, as in node.owner
	session int64
	timeout time.Duration
}

type changeKind uint8

const (
	nodeMade changeKind = iota
	nodeRemoved
	dataSet
	aclSet
	sessionOpened
	sessionClosed
)

// applyChangeLocked makes a change that is known to be possible, appends the events that it causes, and gives
// a function that undoes it.
func (s *Server) applyChangeLocked(r *record, ch change, events *[]event) (undo func()) {
	bytes, count := s.tree.sizeOf(ch)
	undoChange := s.changeLocked(r, ch, events)
	undoQuota := s.tree.countQuota(ch.path, bytes, count)
	return func() {
		undoQuota()
		undoChange()
	}
}

func (s *Server) changeLocked(r *record, ch change, events *[]event) (undo func()) {
	switch ch.kind {
	case nodeMade:
		return s.insertLocked(r, ch, events)
	case nodeRemoved:
		return s.removeLocked(r, ch, events)
	case dataSet:
		n := s.tree.lookup(ch.path)
		old := *n
		n.data, n.mzxid, n.mtime = ch.data, r.zxid, r.time
		n.version++
		s.tree.bytes += len(ch.data) - len(old.data)
		*events = append(*events, event{typ: nodeDataChanged, path: ch.path, acl: n.acl})
		return func() {
			s.tree.bytes -= len(ch.data) - len(old.data)
			n.data, n.mzxid, n.mtime, n.version = old.data, old.mzxid, old.mtime, old.version
		}
	case aclSet:
		n := s.tree.lookup(ch.path)
		old := n.acl
		n.acl = s.tree.intern(ch.acl)
		n.aversion++
		return func() {
			n.acl = old
			n.aversion--
		}
	case sessionOpened:
		s.sessions[ch.session] = &session{id: ch.session, timeout: ch.timeout}
		return func() { delete(s.sessions, ch.session) }
	default: // sessionClosed; its ephemeral nodes have been removed
		sess := s.sessions[ch.session]
		delete(s.sessions, ch.session)
		return func() { s.sessions[ch.session] = sess }
	}
}

// tellLocked lets the clients know of a transaction that the server has applied: it sends the events, and ends
// the connection of a session that has ended, unless that has asked for it and waits for the answer. The end
// comes first: the real server queues the events for the dead session's client, too, and closes the
// socket before they are written.
func (s *Server) tellLocked(r *record, events []event) {
	for _, ch := range r.changes {
		if ch.kind != sessionClosed {
			continue
		}
		if c := s.attached[ch.session]; c != nil && !c.leaving {
			c.closeLocked(flushFirst)
		}
	}
	s.fireLocked(r.zxid, events)
}

func (s *Server) insertLocked(r *record, ch change, events *[]event) (undo func()) {
	parentPath, name, _ := splitPath(ch.path)
	parent := s.tree.lookup(parentPath)
	oldPzxid := parent.pzxid
	n := &node{
		data: ch.data, acl: s.tree.intern(ch.acl), owner: ch.owner,
		czxid: r.zxid, mzxid: r.zxid, pzxid: r.zxid, ctime: r.time, mtime: r.time,
	}
	parent.created++
	parent.pzxid = r.zxid
	s.tree.link(parent, parentPath, name, n)
	s.ownLocked(ch.path, n, true)
	*events = append(*events, event{typ: nodeCreated, path: ch.path, acl: n.acl}, event{typ: nodeChildrenChanged, path: watchPath(parentPath), acl: parent.acl})
	return func() {
		s.ownLocked(ch.path, n, false)
		s.tree.unlink(parent, parentPath, name)
		parent.pzxid = oldPzxid
		parent.created--
	}
}

func (s *Server) removeLocked(r *record, ch change, events *[]event) (undo func()) {
	parentPath, name, _ := splitPath(ch.path)
	parent := s.tree.lookup(parentPath)
	n, oldPzxid := parent.children[name], parent.pzxid
	parent.pzxid = r.zxid
	s.tree.unlink(parent, parentPath, name)
	s.ownLocked(ch.path, n, false)
	if len(parent.children) == 0 && (isContainer(parent.owner) || isTTL(parent.owner)) {
		s.reapLocked(parentPath)
	}
	*events = append(*events, event{typ: nodeDeleted, path: ch.path, acl: n.acl}, event{typ: nodeChildrenChanged, path: watchPath(parentPath), acl: parent.acl})
	return func() {
		s.tree.link(parent, parentPath, name, n)
		s.ownLocked(ch.path, n, true)
		parent.pzxid = oldPzxid
	}
}

// ownLocked notes or forgets who will remove a node without being asked: its session, or the sweep.
func (s *Server) ownLocked(path string, n *node, on bool) {
	if isTTL(n.owner) && on {
		s.reapLocked(path)
		return
	}
	if !isEphemeral(n.owner) {
		return
	}
	sess := s.sessions[n.owner]
	if sess == nil {
		return
	}
	if on {
		if sess.ephemerals == nil {
			sess.ephemerals = map[string]struct{}{}
		}
		sess.ephemerals[path] = struct{}{}
	} else {
		delete(sess.ephemerals, path)
	}
}
