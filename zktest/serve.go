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
		if c.s.sessions[c.session.id] != c.session {
			return true // the real server drops requests of a session that has ended
		}
		c.s.touchLocked(c.session)
	}
	answer := c.answerLocked(&req, ok, fault.Code)
	if fault.LoseReply {
		c.closeLocked(dropNow)
		return false
	}
	if answer.frame != nil {
		c.send(answer.frame)
		c.answeredLocked(&req, arrived)
	}
	if answer.last {
		c.closeLocked(flushFirst)
	}
	return !c.closed
}

// answer is a reply, nil for none, and whether the connection ends with it.
type answer struct {
	frame []byte
	last  bool
}

// answerLocked carries a request out, unless a fault's code stands in for that. ok is false if the
// request could not be decoded.
func (c *conn) answerLocked(req *request, ok bool, forced Code) answer {
	s, e := c.s, &c.enc
	e.beginFrame()
	e.replyHeader(req.xid, 0, 0) // what is 0 here is filled in by finish
	if forced != 0 {
		return answer{c.finish(s.zxid, forced), forced == ErrAuthFailed || forced == ErrSessionExpired}
	}
	switch {
	case req.op == OpAuth:
		code := c.authenticateLocked(req)
		return answer{c.finish(0, code), code != 0}
	case req.op == OpSASL:
		// A server on which SASL is not configured agrees to anything, and gives nothing for it.
		e.bytes(nil)
		return answer{c.finish(0, 0), false}
	case !s.cfg.release.serves(req.op):
		s.log.Warn("zktest: opcode is not implemented", "op", req.op)
		return answer{c.finish(-1, ErrUnimplemented), true}
	case req.op == OpPing:
		binary.BigEndian.PutUint32(e.buf[4:], uint32(0xfffffffe)) // -2, whatever the request had
		return answer{c.finish(s.zxid, 0), false}
	case isWrite(req.op):
		code := c.writeLocked(req, ok, e)
		if req.op == OpCheck && code == 0 {
			return answer{} // outside of a multi the real server fails to answer a check that succeeds
		}
		return answer{c.finish(s.zxid, code), req.op == OpCloseSession}
	case !ok:
		return answer{c.finish(s.zxid, ErrMarshalling), false}
	}
	code := c.readLocked(req, e)
	return answer{c.finish(s.zxid, code), false}
}

// finish completes the reply in the connection's buffer. One with an error is a header only.
func (c *conn) finish(zxid int64, code Code) []byte {
	const headerEnd = 4 + 16
	e := &c.enc
	if code != 0 {
		e.buf = e.buf[:headerEnd]
	}
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

// writeLocked carries out an operation that takes a zxid, and writes the body of its answer.
func (c *conn) writeLocked(req *request, ok bool, e *encoder) Code {
	if !ok && (req.op == OpReconfig || c.s.cfg.release.decodesFirst() && req.op != OpMulti) {
		return ErrMarshalling // the real server fails before it takes a zxid
	}
	if req.op == OpCloseSession {
		c.s.endSessionLocked(c.session)
		return 0
	}
	t := c.s.beginLocked(c.session.id, c.ids)
	if req.op == OpDeleteContainer && !c.s.cfg.release.reapsForClients() {
		return ErrBadArguments // the real server cannot read a client's
	}
	if !ok {
		return ErrMarshalling
	}
	var code Code
	switch req.op {
	case OpCreate, OpCreate2, OpCreateContainer, OpCreateTTL:
		var path string
		var n *node
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
		var n *node
		if n, code = t.setData(req.path, req.data, req.version); code == 0 {
			e.stat(n.stat())
		}
	case OpSetACL:
		var n *node
		if n, code = t.setACL(req.path, req.acl, req.version); code == 0 {
			e.stat(n.stat())
		}
	case OpMulti:
		var results []opResult
		var done bool
		if results, done, code = t.multi(req.multi); code == 0 {
			e.results(results)
		}
		if !done {
			return code // rolled back already
		}
	}
	if code == 0 {
		t.commit()
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
