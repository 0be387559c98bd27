package zktest

import (
	"maps"
	"slices"
	"strings"
)

// readLocked carries out an operation that changes nothing but watches, and writes the body of its
// answer. A watch is set only if the operation succeeds, except by exists.
func (c *conn) readLocked(req *request, e *encoder) Code {
	s := c.s
	switch req.op {
	case OpExists:
		return c.existsLocked(req, e)
	case OpGetData:
		return c.getDataLocked(req, e)
	case OpGetChildren, OpGetChildren2:
		return c.getChildrenLocked(req, e)
	case OpGetACL:
		return c.getACLLocked(req, e)
	case OpGetAllChildrenNumber:
		n, code := s.readableLocked(req.path, permRead, c.ids)
		if code != 0 {
			return code
		}
		count := n.descendants()
		if req.path == "" {
			count++ // to the real server "/" is below ""
		}
		e.int32(int32(count))
	case OpGetEphemerals:
		c.getEphemeralsLocked(req.path, e)
	case OpMultiRead:
		return c.multiReadLocked(req, e)
	case OpSetWatches, OpSetWatches2:
		c.setWatchesLocked(req.watches)
	case OpAddWatch:
		modes := map[int32]watchMode{0: watchPersist, 1: watchRecursive}
		mode, ok := modes[req.mode]
		if !ok {
			return ErrMarshalling
		}
		c.addWatchLocked(req.path, mode)
		e.int32(0)
	case OpCheckWatches, OpRemoveWatches:
		return c.watchesLocked(req)
	case OpWhoAmI:
		e.int32(int32(len(c.ids)))
		for _, id := range c.ids {
			user := id.id
			if id.scheme == "digest" {
				user, _, _ = strings.Cut(user, ":")
			}
			e.string(id.scheme)
			e.string(user)
		}
	}
	return 0
}

// readableLocked finds a node that one of the identities may read.
func (s *Server) readableLocked(path string, perm int32, ids []identity) (*node, Code) {
	n := s.tree.lookup(path)
	switch {
	case n == nil:
		return nil, ErrNoNode
	case !n.acl.allows(perm, ids):
		return nil, ErrNoAuth
	}
	return n, 0
}

// existsLocked sets a watch on a missing node, too.
func (c *conn) existsLocked(req *request, e *encoder) Code {
	if strings.IndexByte(req.path, 0) >= 0 {
		return ErrBadArguments
	}
	n := c.s.tree.lookup(req.path)
	if n != nil && c.s.cfg.release.guardsExists() && !n.acl.allows(permRead, c.ids) {
		return ErrNoAuth
	}
	if req.watch {
		c.s.dataWatches.add(req.path, c, watchOnce)
	}
	if n == nil {
		return ErrNoNode
	}
	e.stat(n.stat())
	return 0
}

func (c *conn) getDataLocked(req *request, e *encoder) Code {
	n, code := c.s.readableLocked(req.path, permRead, c.ids)
	if code != 0 {
		return code
	}
	if req.watch {
		c.s.dataWatches.add(req.path, c, watchOnce)
	}
	e.bytes(n.data)
	e.stat(n.stat())
	return 0
}

func (c *conn) getChildrenLocked(req *request, e *encoder) Code {
	n, code := c.s.readableLocked(req.path, permRead, c.ids)
	if code != 0 {
		return code
	}
	if req.watch {
		c.s.childWatches.add(req.path, c, watchOnce)
	}
	e.strings(n.names())
	if req.op == OpGetChildren2 {
		e.stat(n.stat())
	}
	return 0
}

func (c *conn) getACLLocked(req *request, e *encoder) Code {
	n, code := c.s.readableLocked(req.path, permRead|permAdmin, c.ids)
	if code != 0 {
		return code
	}
	acl := n.acl
	if !acl.allows(permAdmin, c.ids) {
		acl = acl.masked()
	}
	e.acls(acl)
	e.stat(n.stat())
	return 0
}

// getEphemeralsLocked lists the session's own ephemeral nodes that begin with a prefix; blank, in the
// sense of Java's trim, means all.
func (c *conn) getEphemeralsLocked(prefix string, e *encoder) {
	if trimmed := strings.TrimFunc(prefix, func(r rune) bool { return r <= ' ' }); trimmed == "" || trimmed == "/" {
		prefix = ""
	}
	var paths []string
	var mine map[string]struct{}
	if sess := c.s.sessions[c.session]; sess != nil {
		mine = sess.ephemerals
	}
	for _, path := range slices.Sorted(maps.Keys(mine)) {
		if strings.HasPrefix(path, prefix) {
			paths = append(paths, path)
		}
	}
	e.strings(paths)
}

// multiReadLocked answers each read for itself: a failed one does not fail the others. There are no
// watches within it.
func (c *conn) multiReadLocked(req *request, e *encoder) Code {
	for _, sub := range req.multi {
		sub.watch = false
		if len(e.buf) > maxQueued { // an answer that could never be sent
			return ErrMarshalling
		}
		start := len(e.buf)
		e.multiHeader(sub.op, false, 0)
		if code := c.readLocked(&sub, e); code != 0 {
			e.buf = e.buf[:start]
			e.multiHeader(opError, false, code)
			e.int32(int32(code))
		}
	}
	e.multiHeader(-1, true, -1)
	return 0
}

// setWatchesLocked sets a client's watches again after a reconnect. Where something has happened since
// the client's last zxid the event is sent at once instead.
func (c *conn) setWatchesLocked(w *watchLists) {
	s := c.s
	for _, path := range w.data {
		switch n := s.tree.lookup(path); {
		case n == nil:
			c.sendEvent(event{typ: nodeDeleted, path: path})
		case n.mzxid > w.relativeZxid:
			c.sendEvent(event{typ: nodeDataChanged, path: path})
		default:
			s.dataWatches.add(path, c, watchOnce)
		}
	}
	for _, path := range w.exist {
		if s.tree.lookup(path) != nil {
			c.sendEvent(event{typ: nodeCreated, path: path})
		} else {
			s.dataWatches.add(path, c, watchOnce)
		}
	}
	for _, path := range w.child {
		switch n := s.tree.lookup(path); {
		case n == nil:
			c.sendEvent(event{typ: nodeDeleted, path: path})
		case n.pzxid > w.relativeZxid:
			c.sendEvent(event{typ: nodeChildrenChanged, path: path})
		default:
			s.childWatches.add(path, c, watchOnce)
		}
	}
	for _, path := range w.persistent {
		c.addWatchLocked(path, watchPersist)
	}
	for _, path := range w.recursive {
		c.addWatchLocked(path, watchRecursive)
	}
}

// addWatchLocked sets a persistent watch, which looks at nothing: the node may be missing or closed.
func (c *conn) addWatchLocked(path string, mode watchMode) {
	c.s.dataWatches.add(path, c, mode)
	if mode != watchRecursive || !c.s.cfg.release.combinesWatches() {
		c.s.childWatches.add(path, c, mode)
	}
}

// watcherType is a type of checkWatches and removeWatches: which watches it means in each table.
type watcherType struct{ child, data watchMode }

func (r release) watcherType(number int32) (w watcherType, ok bool) {
	only := watchAny
	if r.combinesWatches() {
		only = watchOnce
	}
	switch number {
	case 1: // children
		return watcherType{child: only}, true
	case 2: // data
		return watcherType{data: only}, true
	case 3: // any
		return watcherType{watchAny, watchAny}, true
	case 4: // persistent
		return watcherType{watchPersist, watchPersist}, r.combinesWatches()
	case 5: // persistent, recursive
		return watcherType{data: watchRecursive}, r.combinesWatches()
	}
	return watcherType{}, false
}

// watchesLocked answers checkWatches and removeWatches.
func (c *conn) watchesLocked(req *request) Code {
	r := c.s.cfg.release
	typ, ok := r.watcherType(req.mode)
	if !ok {
		return ErrMarshalling
	}
	act := (*watchTable).unwatch
	if req.op == OpCheckWatches {
		act = (*watchTable).contains
		if !r.combinesWatches() && req.path != "" && !strings.Contains(req.path, "/") {
			return ErrMarshalling // the real server wants to look at the parents too
		}
	}
	inChild := act(c.s.childWatches, req.path, c, typ.child)
	inData := act(c.s.dataWatches, req.path, c, typ.data)
	if !inChild && !inData {
		return ErrNoWatcher
	}
	return 0
}
