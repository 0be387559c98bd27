package zktest

import (
	"encoding/binary"
	"slices"
	"time"
)

// served are the opcodes that some version serves, besides auth and sasl.
var served = map[Op]bool{
	OpCreate: true, OpDelete: true, OpExists: true, OpGetData: true, OpSetData: true, OpGetACL: true,
	OpSetACL: true, OpGetChildren: true, OpSync: true, OpPing: true, OpGetChildren2: true, OpCheck: true,
	OpMulti: true, OpCreate2: true, OpReconfig: true, OpCheckWatches: true, OpRemoveWatches: true,
	OpCreateContainer: true, OpDeleteContainer: true, OpCreateTTL: true, OpMultiRead: true,
	OpSetWatches: true, OpSetWatches2: true, OpGetEphemerals: true, OpGetAllChildrenNumber: true,
	OpAddWatch: true, OpWhoAmI: true, OpCloseSession: true,
}

func isWrite(op Op) bool {
	switch op {
	case OpCreate, OpCreate2, OpCreateContainer, OpCreateTTL, OpDelete, OpDeleteContainer, OpSetData,
		OpSetACL, OpCheck, OpMulti, OpReconfig, OpCloseSession:
		return true
	}
	return false
}

// serveFrame answers one request. It is false when the connection has been closed.
func (c *conn) serveFrame(frame []byte) bool {
	d := &decoder{buf: frame}
	xid, op := d.int32(), Op(d.int32())
	if d.bad {
		c.close(dropNow)
		return false
	}
	arrived := time.Now()
	req, ok := decodeRequest(op, d)
	ok = ok && req.normalise(c.s.cfg.release)
	req.xid = xid
	fault, up := c.consult(&req)
	if !up || !c.lockThawed() {
		return false
	}
	defer c.s.mu.Unlock()
	if c.closed {
		return false
	}
	c.countLocked(op)
	// The packets of authentication do not touch the session, and are answered when it has ended too. One
	// that makes no sense ends the connection.
	if op == OpAuth || op == OpSASL {
		if !ok {
			c.closeLocked(dropNow)
			return false
		}
	} else {
		if !c.authenticated() {
			return c.refuseLocked(xid)
		}
		if !c.s.touchLocked(c.session, c.timeout) {
			return true // the real server drops requests of a session that has ended
		}
		if c.s == c.s.e.leader && c.s.e.tracker.check(c.session, c.s) == ErrSessionMoved {
			c.closeLocked(flushFirst) // a follower does not know, and goes on reading
			return false
		}
	}
	answer := c.answerLocked(&req, ok, fault.Code)
	c.answerAtLocked(answer.zxid, func() {
		if c.closed {
			return
		}
		if fault.LoseReply {
			c.closeLocked(dropNow)
			return
		}
		if answer.frame != nil {
			c.send(answer.frame)
			c.answeredLocked(&req, arrived)
		}
		if answer.last {
			c.closeLocked(flushFirst)
		}
	})
	return !c.closed
}

// answer is a reply, nil for none, and whether the connection ends with it.
type answer struct {
	frame []byte
	last  bool
	zxid  int64 // of the transaction that the server has to apply before it answers; 0 for none
}

// answerLocked carries a request out, unless a fault's code stands in for that. ok is false if the
// request could not be decoded.
func (c *conn) answerLocked(req *request, ok bool, forced Code) answer {
	s, e := c.s, &c.enc
	e.beginFrame()
	e.replyHeader(req.xid, 0, 0) // what is 0 here is filled in by finish
	if forced != 0 {
		return answer{frame: c.finish(s.zxid, forced), last: forced == ErrAuthFailed || forced == ErrAuthRequired || forced == ErrSessionExpired}
	}
	if a, done := c.answerReadOnlyLocked(req); done {
		return a
	}
	switch {
	case req.op == OpAuth:
		code := c.authenticateLocked(req)
		return answer{frame: c.finish(0, code), last: code != 0}
	case req.op == OpSASL:
		// A server on which SASL is not configured agrees to anything, and gives nothing for it.
		e.bytes(nil)
		return answer{frame: c.finish(0, 0)}
	case !s.cfg.release.serves(req.op):
		s.log.Warn("zktest: opcode is not implemented", "op", req.op)
		return answer{frame: c.finish(-1, ErrUnimplemented), last: true}
	case req.op == OpPing:
		binary.BigEndian.PutUint32(e.buf[4:], uint32(0xfffffffe)) // -2, whatever the request had
		return answer{frame: c.finish(s.zxid, 0)}
	case !ok && s.cfg.release.failsFirst(req.op):
		return answer{frame: c.finish(s.zxid, ErrMarshalling)}
	case isWrite(req.op):
		zxid, code := c.writeLocked(req, ok, e)
		switch {
		case code == ErrSessionMoved:
			return answer{last: true}
		case req.op == OpCheck && code == 0:
			return answer{zxid: zxid} // outside of a multi the real server fails to answer a check that succeeds
		}
		return answer{c.finish(zxid, code), req.op == OpCloseSession, zxid}
	case req.op == OpSync:
		zxid, code := c.syncLocked(req, e)
		if code == ErrSessionMoved {
			return answer{last: true}
		}
		return answer{c.finish(max(zxid, s.zxid), code), false, zxid}
	}
	if req.op == OpMultiRead && len(req.multi) > 0 && !isRead(req.multi[0].op) {
		e.multiHeader(-1, true, -1) // the real server fails when it has begun its answer, and sends that, too
		return answer{frame: c.complete(s.zxid, ErrMarshalling)}
	}
	code := c.readLocked(req, e)
	return answer{frame: c.finish(s.zxid, code)}
}

// finish completes the reply in the connection's buffer. One with an error is a header only.
func (c *conn) finish(zxid int64, code Code) []byte {
	const headerEnd = 4 + 16
	e := &c.enc
	if code != 0 {
		e.buf = e.buf[:headerEnd]
	}
	return c.complete(zxid, code)
}

// complete fills the header of the reply in.
func (c *conn) complete(zxid int64, code Code) []byte {
	e := &c.enc
	binary.BigEndian.PutUint64(e.buf[8:], uint64(zxid))
	binary.BigEndian.PutUint32(e.buf[16:], uint32(code))
	frame := e.endFrame()
	if cap(e.buf) > keepBuffer {
		e.buf = nil
	}
	return frame
}

// authenticateLocked proves an identity. The address needs no proof.
func (c *conn) authenticateLocked(req *request) Code {
	switch {
	case req.scheme == "ip":
	case req.scheme == "digest" && req.data != nil:
		id := identity{"digest", digestID(string(req.data))}
		if !slices.Contains(c.ids, id) {
			c.ids = append(c.ids, id)
		}
	default:
		c.s.log.Warn("zktest: authentication failed", "scheme", req.scheme)
		return ErrAuthFailed
	}
	return 0
}

// authenticated is false for a client that has to prove an identity first, see WithRequiredAuth.
func (c *conn) authenticated() bool {
	schemes := c.s.cfg.requiredAuth
	return len(schemes) == 0 || slices.ContainsFunc(c.ids, func(id identity) bool { return slices.Contains(schemes, id.scheme) })
}

// refuseLocked ends the connection of a client that is not authenticated. Its session lives on, and has not
// been heard of.
func (c *conn) refuseLocked(xid int32) bool {
	c.s.log.Warn("zktest: the client has not authenticated itself, as it must", "schemes", c.s.cfg.requiredAuth)
	c.enc.beginFrame()
	c.enc.replyHeader(xid, 0, ErrAuthRequired)
	c.send(c.enc.endFrame())
	c.closeLocked(flushFirst)
	return false
}

// syncLocked gives the leader's last transaction, which the server has to have applied before it answers.
func (c *conn) syncLocked(req *request, e *encoder) (zxid int64, code Code) {
	if !c.awaitQuorumLocked() {
		return 0, ErrConnectionLoss // nobody will hear it
	}
	if req.noPath {
		e.bytes(nil)
	} else {
		e.string(req.path)
	}
	return c.s.e.leader.txn, c.s.e.tracker.check(c.session, c.s)
}

// writeLocked has the leader carry out an operation that takes a zxid, and writes the body of its answer.
func (c *conn) writeLocked(req *request, ok bool, e *encoder) (zxid int64, code Code) {
	if !c.awaitQuorumLocked() {
		return 0, ErrConnectionLoss // nobody will hear it
	}
	en := c.s.e
	code = en.tracker.check(c.session, c.s)
	if code == ErrSessionMoved {
		return 0, code
	}
	if code == 0 && req.op == OpCloseSession {
		c.leaving = true
		return en.endSessionLocked(c.session), 0
	}
	return en.leader.transactLocked(c.session, c.ids, false, func(t *txn) Code {
		switch {
		case code != 0:
			return code
		case req.op == OpDeleteContainer && !c.s.cfg.release.reapsForClients():
			return ErrBadArguments // the real server cannot read a client's
		case !ok:
			return ErrMarshalling
		}
		return t.carryOut(req, e)
	})
}

// carryOut does what a client asks for, and writes the body of the answer.
func (t *txn) carryOut(req *request, e *encoder) (code Code) {
	var n *node
	switch req.op {
	case OpCreate, OpCreate2, OpCreateContainer, OpCreateTTL:
		var path string
		if path, n, code = t.create(req); code == 0 {
			e.string(path)
			if req.op != OpCreate {
				e.stat(n.stat())
			}
		}
	case OpDelete:
		code = t.delete(req.path, req.version)
	case OpCheck:
		code = t.check(req.path, req.version)
	case OpDeleteContainer:
		code = t.deleteContainer(req.path)
	case OpReconfig:
		code = ErrReconfigDisabled
	case OpSetData:
		if n, code = t.setData(req.path, req.data, req.version); code == 0 {
			e.stat(n.stat())
		}
	case OpSetACL:
		if n, code = t.setACL(req.path, req.acl, req.version); code == 0 {
			e.stat(n.stat())
		}
	case OpMulti:
		var results []opResult
		if results, code = t.multi(req.multi); code == 0 {
			e.results(results)
		}
	}
	return code
}

// results writes the answer to a multi: each operation's result behind a header, and a last header.
func (e *encoder) results(results []opResult) {
	for _, r := range results {
		if r.op == OpCreateContainer || r.op == OpCreateTTL {
			r.op = OpCreate2 // the opcode of all results that have a path and a stat
		}
		e.multiHeader(r.op, false, r.code)
		switch r.op {
		case OpCreate:
			e.string(r.path)
		case OpCreate2:
			e.string(r.path)
			e.stat(r.stat)
		case OpSetData:
			e.stat(r.stat)
		case opError:
			e.int32(int32(r.code))
		}
	}
	e.multiHeader(-1, true, -1)
}

func (e *encoder) multiHeader(op Op, done bool, code Code) {
	e.int32(int32(op))
	e.bool(done)
	e.int32(int32(code))
}
