package zktest

import (
	"fmt"
	"slices"
	"time"
)

// A txn is one write transaction: one zxid, and either all of its operations or none. Operations check
// what they were asked for, and change the state at once, through do. The Server's mutex is held from the
// beginning to the end.
type txn struct {
	s       *Server
	session int64      // of the client that asked; 0 for the server itself
	ids     []identity // what the client has proved to be
	super   bool       // no ACL is checked: the server's own transactions
	record  record
	undo    []func()
	events  []event
	quotas  map[string]quotaData // as they were before a multi, by prefix; nil in other transactions
}

// transactLocked runs fn as one transaction of the leader's, and undoes what it did if it gives a code other
// than 0. A transaction that fails keeps its zxid, as in the real server.
func (s *Server) transactLocked(session int64, ids []identity, super bool, fn func(t *txn) Code) (zxid int64, code Code) {
	s.zxid++
	t := &txn{s: s, session: session, ids: ids, super: super}
	t.record.zxid, t.record.time = s.zxid, time.Now().UnixMilli()
	if code = fn(t); code != 0 {
		t.rollback()
	}
	s.txn = t.record.zxid
	t.journalLocked()
	s.tellLocked(&t.record, t.events)
	s.e.publishLocked(t.record)
	return t.record.zxid, code
}

// do makes a change, which must be possible.
func (t *txn) do(ch change) {
	t.undo = append(t.undo, t.s.applyChangeLocked(&t.record, ch, &t.events))
	t.record.changes = append(t.record.changes, ch)
}

// rollback undoes all changes. The transaction is then one that does nothing.
func (t *txn) rollback() {
	for _, undo := range slices.Backward(t.undo) {
		undo()
	}
	t.undo, t.events, t.record.changes = nil, nil, nil
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
	switch {
	case !ok:
		return "", nil, ErrBadArguments
	case mode.ttl && !t.s.cfg.extendedTypes:
		return "", nil, ErrUnimplemented
	case mode.ttl && (r.ttl <= 0 || r.ttl > maxTTL), !mode.ttl && (r.ttl >= 0 || r.op == OpCreateTTL):
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
	if code := t.checkQuota(path, len(r.data), 1); code != 0 {
		return "", nil, code
	}
	t.do(change{kind: nodeMade, path: path, data: r.data, acl: acl, owner: t.ownerFor(r, mode)})
	return path, parent.children[name], 0
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
	t.do(change{kind: nodeRemoved, path: path})
	return 0
}

// deleteContainer removes a node that has no children, ephemeral ones excepted, and asks for no permission.
func (t *txn) deleteContainer(path string) Code {
	if _, _, ok := splitPath(path); !ok || isSpecialPath(path) {
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
	t.do(change{kind: nodeRemoved, path: path})
	return 0
}

func (t *txn) setData(path string, data []byte, version int32) (*node, Code) {
	if !validPath(path) {
		return nil, ErrBadArguments
	}
	n := t.s.tree.lookup(path)
	if n == nil {
		return nil, ErrNoNode
	}
	if !t.allowed(n, permWrite) {
		return nil, ErrNoAuth
	}
	if code := t.checkQuota(path, len(data)-len(n.data), 0); code != 0 {
		return nil, code
	}
	if version != -1 && version != n.version {
		return nil, ErrBadVersion
	}
	t.do(change{kind: dataSet, path: path, data: data})
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
	t.do(change{kind: aclSet, path: path, acl: acl})
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
// code, and those after it report a runtime inconsistency. The multi's own code is 0 then, too.
func (t *txn) multi(ops []request) (results []opResult, code Code) {
	if t.s.cfg.quotas {
		t.quotas = t.s.tree.quotas()
	}
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
			return nil, ErrMarshalling
		}
		if res.code != 0 {
			t.rollback()
			return failedResults(len(ops), i, res.code), 0
		}
		if n != nil {
			res.stat = n.stat()
		}
		results = append(results, res)
	}
	return results, 0
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
