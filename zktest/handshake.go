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
	fault, ok := c.consult(&request{op: OpConnect, session: r.sessionID})
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
	c.countLocked(OpConnect)
	if r.lastZxid > s.zxid {
		s.log.Info("zktest: client has seen a later zxid, refusing it", "client", r.lastZxid, "server", s.zxid)
		c.closeLocked(dropNow)
		return false
	}
	if fault.NewSession {
		r.sessionID = 0
	}
	c.timeout = min(max(r.timeout, 2*s.cfg.tick), 20*s.cfg.tick)
	var sess *session
	if r.sessionID == 0 {
		sess = s.openSessionLocked(c.timeout)
	} else {
		sess = s.reattachLocked(r, c.timeout)
	}
	if sess != nil {
		sess.conn = c
		c.session = sess
		c.stats.timeout = c.timeout
	}
	if fault.LoseReply {
		c.closeLocked(dropNow)
		return false
	}
	c.send(connectReply(sess, r.old))
	c.answeredLocked(&request{op: OpConnect}, time.Now())
	if sess == nil {
		c.closeLocked(flushFirst)
		return false
	}
	return true
}

// reattachLocked finds the session of a client that comes back. The session's old connection ends
// even if the password is wrong, as in the real server.
func (s *Server) reattachLocked(r connectRequest, timeout time.Duration) *session {
	sess := s.sessions[r.sessionID]
	if sess == nil {
		return nil
	}
	if sess.conn != nil {
		sess.conn.closeLocked(dropNow)
	}
	if subtle.ConstantTimeCompare(sess.password[:], r.password) != 1 {
		return nil
	}
	sess.timeout = timeout
	s.touchLocked(sess)
	if sess.deadline.Before(sess.queued) {
		s.requeueLocked(sess)
	}
	return sess
}

func connectReply(sess *session, old bool) []byte {
	var none session
	if sess == nil {
		sess = &none
	}
	var e encoder
	e.beginFrame()
	e.int32(0) // protocol version
	e.int32(int32(sess.timeout / time.Millisecond))
	e.int64(sess.id)
	e.bytes(sess.password[:])
	if !old {
		e.bool(false) // not a read-only server
	}
	return e.endFrame()
}
