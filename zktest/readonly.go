package zktest

import "time"

// A server that has looked for a leader for a while serves clients that say in their connect request that a
// read-only server is good enough, if WithReadOnly allows it. It shows them the state that it has. Their sessions
// are its own: no other server knows of them, and they end when it finds a leader. What the real server does
// stands in ReadOnlyZooKeeperServer and ReadOnlyRequestProcessor.

// readOnlyGrace is how long a server looks for a leader before it serves read-only clients, at the least.
const readOnlyGrace = 2 * time.Second

// reviewReadOnlyLocked notes that a server has begun to look for a leader, and makes it a read-only one when it
// has looked long enough.
func (s *Server) reviewReadOnlyLocked(now time.Time) {
	if s.role == looking && s.noLeaderSince.IsZero() {
		s.noLeaderSince = now
	}
	if at := s.readOnlyAtLocked(); !at.IsZero() && !now.Before(at) {
		s.role = readOnly
		s.local = newTracker(nil)
		s.log.Info("zktest: read-only server started")
	}
}

// readOnlyAtLocked is when the server becomes a read-only one, unless it finds a leader before; zero for never.
func (s *Server) readOnlyAtLocked() time.Time {
	if s.role != looking || s.noLeaderSince.IsZero() || !s.cfg.readOnly {
		return time.Time{}
	}
	return s.noLeaderSince.Add(max(readOnlyGrace, s.cfg.tick))
}

// attachReadOnlyLocked gives a client of a read-only server a session of the server's, or the one that it had.
// ok is false for a client that is to be closed without an answer: one that has not asked for a read-only server,
// or wants a session back that all servers know.
func (c *conn) attachReadOnlyLocked(r connectRequest) (id int64, ok bool) {
	s := c.s
	if !r.readOnly || s.sessions[r.sessionID] != nil {
		return 0, false
	}
	if r.sessionID != 0 {
		s.replaceLocked(r.sessionID)
		if !s.e.knowsPassword(r) || !s.local.touch(r.sessionID, c.timeout) {
			return 0, true
		}
		return r.sessionID, true
	}
	id = s.nextSession
	s.nextSession++
	s.local.add(id, c.timeout, s)
	s.e.wakeLocked(s.local.next())
	return id, true
}

// expireLocalLocked ends the sessions of a read-only server whose deadline has come.
func (s *Server) expireLocalLocked(now time.Time) {
	if s.role != readOnly || !s.ableLocked() {
		return
	}
	s.local.expireDue(now)
	for len(s.local.closing) > 0 {
		id := s.local.closing[0].id
		s.local.remove(id)
		if c := s.attached[id]; c != nil {
			c.closeLocked(flushFirst)
		}
	}
}

// answerReadOnlyLocked answers a request that a read-only server does not carry out. done is false for all others.
func (c *conn) answerReadOnlyLocked(req *request) (a answer, done bool) {
	s := c.s
	switch {
	case s.role != readOnly:
		return answer{}, false
	case req.op == OpCloseSession:
		s.local.remove(c.session)
		return answer{frame: c.finish(s.zxid, 0), last: true}, true
	case isWrite(req.op) || req.op == OpSync:
		return answer{frame: c.finish(s.zxid, ErrNotReadOnly)}, true
	}
	return answer{}, false
}
