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
	if !s.servingLocked() || s.e.cutOff[r.sessionID] {
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
		c.send(s.e.connectReply(id, c.timeout, r.old))
		c.answeredLocked(&request{op: OpConnect}, time.Now())
		if id == 0 {
			c.closeLocked(flushFirst)
		}
	})
	return !c.closed
}

// establishLocked gives the client the session that it wants back, or a new one; 0 if it cannot have its
// own. zxid is the transaction after which it may be answered. ok is false if the connection was closed while
// the server waited for the leader.
func (c *conn) establishLocked(r connectRequest) (id, zxid int64, ok bool) {
	s := c.s
	if r.sessionID != 0 {
		// The session's old connection to this server ends even if the password is wrong, as in the real server.
		if old := s.attached[r.sessionID]; old != nil {
			old.closeLocked(dropNow)
		}
		if subtle.ConstantTimeCompare(s.e.password(r.sessionID), r.password) != 1 {
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

// connectReply grants a session, or none if id is 0.
func (e *Ensemble) connectReply(id int64, timeout time.Duration, old bool) []byte {
	password := make([]byte, 16)
	if id != 0 {
		password = e.password(id)
	} else {
		timeout = 0
	}
	var enc encoder
	enc.beginFrame()
	enc.int32(0) // protocol version
	enc.int32(int32(timeout / time.Millisecond))
	enc.int64(id)
	enc.bytes(password)
	if !old {
		enc.bool(false) // not a read-only server
	}
	return enc.endFrame()
}
