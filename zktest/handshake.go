package zktest

import (
	"crypto/subtle"
	"time"
)

// connectRequest is the first packet of a connection.
type connectRequest struct {
	lastZxid  int64
	timeout   time.Duration
	sessionID int64
	password  []byte
	readOnly  bool // the client takes a read-only server, too
	old       bool // without the readOnly flag, as clients before 3.4 send it: 44 bytes instead of 45
}

func decodeConnect(frame []byte) (r connectRequest, ok bool) {
	d := &decoder{buf: frame}
	d.int32() // protocol version, always 0
	r.lastZxid = d.int64()
	r.timeout = time.Duration(d.int32()) * time.Millisecond
	r.sessionID = d.int64()
	r.password = d.bytes()
	r.old = len(d.buf) == 0
	r.readOnly = !r.old && d.bool()
	return r, !d.bad
}

// handshake answers a connect request: with a new session, or the client's own one if the password is
// right, or session 0 and the end of the connection if there is no such session. A client that has seen
// a later zxid than the server is cut off without an answer.
func (c *conn) handshake(frame []byte) bool {
	s := c.s
	r, ok := decodeConnect(frame)
	if !ok {
		c.close(dropNow)
		return false
	}
	fault, ok := c.consult(&request{op: OpConnect, session: r.sessionID, zxid: r.lastZxid, timeout: r.timeout})
	if !ok {
		return false
	}
	if !c.lockThawed() {
		return false
	}
	defer s.mu.Unlock()
	if c.closed {
		return false
	}
	if s.role == looking || s.e.cutOff[r.sessionID] {
		c.closeLocked(dropNow)
		return false
	}
	c.countLocked(OpConnect)
	if r.lastZxid > s.zxid {
		s.log.Info("zktest: client has seen a later zxid, refusing it", "client", r.lastZxid, "server", s.zxid)
		c.closeLocked(dropNow)
		return false
	}
	if fault.NewSession {
		r.sessionID = 0
	}
	c.timeout = min(max(r.timeout, s.cfg.minTimeout), s.cfg.maxTimeout)
	id, zxid, ok := c.establishLocked(r)
	if !ok {
		c.closeLocked(dropNow)
		return false
	}
	c.answerAtLocked(zxid, func() {
		if c.closed {
			return
		}
		if id != 0 {
			c.session = id
			s.attached[id] = c
			if c.dialer != nil {
				s.e.dialerOf[id] = c.dialer
			}
			c.stats.timeout = c.timeout
		}
		if fault.LoseReply {
			c.closeLocked(dropNow)
			return
		}
		c.send(s.connectReply(id, c.timeout, r.old))
		c.answeredLocked(&request{op: OpConnect}, time.Now())
		if id == 0 {
			c.closeLocked(flushFirst)
		}
	})
	return !c.closed
}

// establishLocked gives the client the session that it wants back, or a new one; 0 if it cannot have its
// own. zxid is the transaction after which it may be answered. ok is false if it is to be closed without an answer.
func (c *conn) establishLocked(r connectRequest) (id, zxid int64, ok bool) {
	s := c.s
	if s.role == readOnly {
		id, ok = c.attachReadOnlyLocked(r)
		return id, s.zxid, ok
	}
	if r.sessionID != 0 {
		s.replaceLocked(r.sessionID)
		if !s.e.knowsPassword(r) {
			return 0, s.zxid, true
		}
	}
	if !c.awaitQuorumLocked() {
		return 0, 0, false
	}
	if r.sessionID == 0 {
		id, zxid = s.openSessionLocked(c.timeout)
		return id, zxid, true
	}
	if !s.e.tracker.move(r.sessionID, c.timeout, s) {
		return 0, s.zxid, true
	}
	s.e.wakeLocked(s.e.tracker.next())
	return r.sessionID, s.zxid, true
}

// replaceLocked ends the connection that a session has to this server, since its client is back. As in the
// real server, nobody has looked at its password yet.
func (s *Server) replaceLocked(session int64) {
	if old := s.attached[session]; old != nil {
		old.closeLocked(dropNow)
	}
}

// knowsPassword tells whether a client that wants its session back has shown the session's password.
func (e *Ensemble) knowsPassword(r connectRequest) bool {
	return subtle.ConstantTimeCompare(e.password(r.sessionID), r.password) == 1
}

// connectReply grants a session, or none if id is 0.
func (s *Server) connectReply(id int64, timeout time.Duration, old bool) []byte {
	password := make([]byte, 16)
	if id != 0 {
		password = s.e.password(id)
	} else {
		timeout = 0
	}
	var e encoder
	e.beginFrame()
	e.int32(0) // protocol version
	e.int32(int32(timeout / time.Millisecond))
	e.int64(id)
	e.bytes(password)
	if !old {
		e.bool(s.role == readOnly)
	}
	return e.endFrame()
}
