package zktest

import (
	"fmt"
	"time"
)

// A txn is one write transaction: one zxid, and either all of its operations or none. Operations
// change the tree at once and note how to undo it, and which events to send. The Server's mutex is
// held from begin to commit or rollback.
type txn struct {
	s       *Server
	zxid    int64
	now     int64 // milliseconds since 1970
	session int64
	ids     []identity
	super   bool // no ACL is checked: the Server's own methods
	undo    []func()
	events  []event
}

// beginLocked takes the next zxid. A transaction that fails keeps it, as in the real server.
func (s *Server) beginLocked(session int64, ids []identity) *txn {
	s.zxid++
	return &txn{s: s, zxid: s.zxid, now: time.Now().UnixMilli(), session: session, ids: ids}
}

func (t *txn) commit() {
	t.journalLocked()
	t.s.fireLocked(t.zxid, t.events)
}

func (t *txn) rollback() {
	for i := len(t.undo) - 1; i >= 0; i-- {
		t.undo[i]()
	}
}

func (t *txn) allowed(n *node, perm int32) bool { return t.super || n.acl.allows(perm, t.ids) }

// createMode is what the flags of a create request mean.
type createMode struct{ ephemeral, sequence, container, ttl bool }

var createModes = map[int32]createMode{
	0: {},
	1: {ephemeral: true},
	2: {sequence: true},
	3: {ephemeral: true, sequence: true},
	4: {container: true},
	5: {ttl: true},
	6: {ttl: true, sequence: true},
}

// create adds a node and gives its path, which for a sequence node is not the one asked for. The
// checks stand in the order of PrepRequestProcessor.pRequest2TxnCreate.
func (t *txn) create(r *request) (path string, n *node, code Code) {
	mode, ok := createModes[r.flags]
	if !ok || mode.ttl && (r.ttl <= 0 || r.ttl > maxTTL) || !mode.ttl && (r.ttl >= 0 || r.op == OpCreateTTL) {
		return "", nil, ErrBadArguments
	}
	parentPath, name, ok := splitPath(r.path)
	if !ok {
		return "", nil, ErrBadArguments
	}
	acl, code := fixACL(r.acl, t.ids, t.s.cfg.release)
	if code != 0 {
		return "", nil, code
	}
	tree := t.s.tree
	parent := tree.lookup(parentPath)
	if parent == nil {
		return "", nil, ErrNoNode
	}
	if !t.allowed(parent, permCreate) {
		return "", nil, ErrNoAuth
	}
	path = r.path
	if mode.sequence {
		number := fmt.Sprintf("%010d", parent.created)
		path, name = path+number, name+number
	}
	switch {
	case !validPath(path):
		return "", nil, ErrBadArguments
	case tree.lookup(path) != nil:
		return "", nil, ErrNodeExists
	case isEphemeral(parent.owner):
		return "", nil, ErrNoChildrenEphemerals
	}
	n = &node{
		data: r.data, acl: tree.intern(acl), owner: t.ownerFor(r, mode),
		czxid: t.zxid, mzxid: t.zxid, pzxid: t.zxid, ctime: t.now, mtime: t.now,
	}
	t.insert(parent, parentPath, name, path, n)
	return path, n, 0
}

// ownerFor decides by the opcode whether a node is a container or has a time to live, and by the
// flags whether it is ephemeral, as the real server does.
func (t *txn) ownerFor(r *request, mode createMode) int64 {
	switch {
	case r.op == OpCreateContainer:
		return containerOwner
	case r.op == OpCreateTTL:
		return ttlOwner | r.ttl
	case mode.ephemeral:
		return t.session
	}
	return 0
}

func (t *txn) insert(parent *node, parentPath, name, path string, n *node) {
	s, oldPzxid := t.s, parent.pzxid
	parent.created++
	parent.pzxid = t.zxid
	s.tree.link(parent, parentPath, name, n)
	s.ownLocked(path, n, true)
	t.undo = append(t.undo, func() {
		s.ownLocked(path, n, false)
		s.tree.unlink(parent, parentPath, name)
		parent.pzxid = oldPzxid
		parent.created--
	})
	t.events = append(t.events, event{typ: nodeCreated, path: path, acl: n.acl}, event{typ: nodeChildrenChanged, path: watchPath(parentPath), acl: parent.acl})
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

func (t *txn) delete(path string, version int32) Code {
	parentPath, name, ok := splitPath(path)
	if !ok || isSpecialPath(path) {
		return ErrBadArguments
	}
	parent := t.s.tree.lookup(parentPath)
	if parent == nil {
		return ErrNoNode
	}
	if !t.allowed(parent, permDelete) {
		return ErrNoAuth
	}
	n := parent.children[name]
	switch {
	case n == nil:
		return ErrNoNode
	case version != -1 && version != n.version:
		return ErrBadVersion
	case len(n.children) > 0:
		return ErrNotEmpty
	}
	t.remove(parent, parentPath, name, path, n)
	return 0
}

// deleteContainer removes a node that has no children, ephemeral ones excepted, and asks for no permission.
func (t *txn) deleteContainer(path string) Code {
	parentPath, name, ok := splitPath(path)
	if !ok || isSpecialPath(path) {
		return ErrBadArguments
	}
	n := t.s.tree.lookup(path)
	switch {
	case n == nil:
		return ErrNoNode
	case len(n.children) > 0:
		return ErrNotEmpty
	case isEphemeral(n.owner):
		return ErrBadVersion
	}
	t.remove(t.s.tree.lookup(parentPath), parentPath, name, path, n)
	return 0
}

func (t *txn) remove(parent *node, parentPath, name, path string, n *node) {
	s, oldPzxid := t.s, parent.pzxid
	parent.pzxid = t.zxid
	s.tree.unlink(parent, parentPath, name)
	s.ownLocked(path, n, false)
	if len(parent.children) == 0 && (isContainer(parent.owner) || isTTL(parent.owner)) {
		s.reapLocked(parentPath)
	}
	t.undo = append(t.undo, func() {
		s.tree.link(parent, parentPath, name, n)
		s.ownLocked(path, n, true)
		parent.pzxid = oldPzxid
	})
	t.events = append(t.events, event{typ: nodeDeleted, path: path, acl: n.acl}, event{typ: nodeChildrenChanged, path: watchPath(parentPath), acl: parent.acl})
}

func (t *txn) setData(path string, data []byte, version int32) (*node, Code) {
	if !validPath(path) {
		return nil, ErrBadArguments
	}
	tree := t.s.tree
	n := tree.lookup(path)
	if n == nil {
		return nil, ErrNoNode
	}
	if !t.allowed(n, permWrite) {
		return nil, ErrNoAuth
	}
	if version != -1 && version != n.version {
		return nil, ErrBadVersion
	}
	old := *n
	n.data, n.mzxid, n.mtime = data, t.zxid, t.now
	n.version++
	tree.bytes += len(data) - len(old.data)
	t.undo = append(t.undo, func() {
		tree.bytes -= len(data) - len(old.data)
		n.data, n.mzxid, n.mtime, n.version = old.data, old.mzxid, old.mtime, old.version
	})
	t.events = append(t.events, event{typ: nodeDataChanged, path: path, acl: n.acl})
	return n, 0
}

func (t *txn) setACL(path string, list []aclEntry, version int32) (*node, Code) {
	if !validPath(path) {
		return nil, ErrBadArguments
	}
	acl, code := fixACL(list, t.ids, t.s.cfg.release)
	if code != 0 {
		return nil, code
	}
	n := t.s.tree.lookup(path)
	if n == nil {
		return nil, ErrNoNode
	}
	if !t.allowed(n, permAdmin) {
		return nil, ErrNoAuth
	}
	if version != -1 && version != n.aversion {
		return nil, ErrBadVersion
	}
	n.acl = t.s.tree.intern(acl)
	n.aversion++
	return n, 0
}

func (t *txn) check(path string, version int32) Code {
	if !validPath(path) {
		return ErrBadArguments
	}
	n := t.s.tree.lookup(path)
	switch {
	case n == nil:
		return ErrNoNode
	case !t.allowed(n, permRead):
		return ErrNoAuth
	case version != -1 && version != n.version:
		return ErrBadVersion
	}
	return 0
}

// opResult is what one operation of a multi answers.
type opResult struct {
	op   Op
	path string
	stat Stat
	code Code
}

// multi carries out all operations, or none: on a failure those before it report 0, it reports its
// code, and those after it report a runtime inconsistency. all is false if it failed.
func (t *txn) multi(ops []request) (results []opResult, ok bool, code Code) {
	for i := range ops {
		r := &ops[i]
		res := opResult{op: r.op}
		var n *node
		switch r.op {
		case OpCreate, OpCreate2, OpCreateContainer, OpCreateTTL:
			res.path, n, res.code = t.create(r)
		case OpDelete:
			res.code = t.delete(r.path, r.version)
		case OpSetData:
			n, res.code = t.setData(r.path, r.data, r.version)
		case OpCheck:
			res.code = t.check(r.path, r.version)
		default:
			res.code = ErrMarshalling // the real server fails the whole request
		}
		if res.code == ErrMarshalling {
			t.rollback()
			return nil, false, ErrMarshalling
		}
		if res.code != 0 {
			t.rollback()
			return failedResults(len(ops), i, res.code), false, 0
		}
		if n != nil {
			res.stat = n.stat()
		}
		results = append(results, res)
	}
	return results, true, 0
}

func failedResults(count, failed int, code Code) []opResult {
	results := make([]opResult, count)
	for i := range results {
		results[i].op = opError
		switch {
		case i == failed:
			results[i].code = code
		case i > failed:
			results[i].code = ErrRuntimeInconsistency
		}
	}
	return results
}
