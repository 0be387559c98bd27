package zktest

import (
	"slices"
	"time"
)

// How a write becomes history: a client's server waits until it has contact with a leader that has a
// quorum. The leader carries the write out on its own state, and publishes the record. Every follower that it has
// contact with notes the record in its log at once, which is what makes a quorum, and applies it to its own
// state when its lag allows that. The client's server answers when it has applied it.

// logged is a record in a follower's log that it has not applied yet.
type logged struct {
	record
	at time.Time // when it was committed
}

// publishLocked passes a committed record on to the followers.
func (e *Ensemble) publishLocked(r record) {
	now := time.Now()
	for _, s := range e.members {
		switch {
		case s.role != following || s.term != e.term || s.overdueLocked(now):
		case s.lost.IsZero():
			s.backlog = append(s.backlog, logged{r, now})
			s.catchUpLocked(now)
			e.wakeLocked(s.nextApplyLocked())
		default: // it comes when the link does
			s.unsent = append(s.unsent, logged{r, now})
		}
	}
}

// catchUpLocked applies what is in a follower's log as far as its lag allows.
func (s *Server) catchUpLocked(now time.Time) {
	if len(s.backlog) == 0 || s.held || !s.ableLocked() {
		return
	}
	n := 0
	for n < len(s.backlog) && !s.backlog[n].at.Add(s.lag).After(now) {
		n++
	}
	s.applyLogLocked(n)
}

// applyLogLocked applies the first n records of the log.
func (s *Server) applyLogLocked(n int) {
	if n == 0 {
		return
	}
	for _, l := range s.backlog[:n] {
		s.zxid = l.zxid
		s.txn = l.zxid
		var events []event
		for _, ch := range l.changes {
			s.applyChangeLocked(&l.record, ch, &events)
		}
		s.tellLocked(&l.record, events)
		for _, answer := range s.unanswered[l.zxid] {
			answer()
		}
		delete(s.unanswered, l.zxid)
	}
	s.backlog = slices.Delete(s.backlog, 0, n)
	s.e.cond.Broadcast()
}

// nextApplyLocked is when the next record in the log may be applied; zero for never.
func (s *Server) nextApplyLocked() time.Time {
	if len(s.backlog) == 0 || s.held || !s.ableLocked() {
		return time.Time{}
	}
	return s.backlog[0].at.Add(s.lag)
}

// loggedLocked is the last transaction in the server's log, applied or not.
func (s *Server) loggedLocked() int64 {
	if n := len(s.backlog); n > 0 {
		return s.backlog[n-1].zxid
	}
	return s.txn
}

// copyStateLocked makes the server's state that of another.
func (s *Server) copyStateLocked(from *Server) {
	s.backlog = nil
	s.zxid, s.txn = from.zxid, from.txn
	s.tree = from.tree.clone()
	s.sessions = map[int64]*session{}
	for id, sess := range from.sessions {
		s.sessions[id] = sess.clone()
	}
}

// quorumLocked tells whether a write can be committed: there is a leader, and it has contact with enough
// followers.
func (e *Ensemble) quorumLocked() bool {
	if e.leader == nil || !e.leader.ableLocked() {
		return false
	}
	votes := 0
	for _, s := range e.members {
		if s == e.leader || s.contactLocked() {
			votes++
		}
	}
	return 2*votes > len(e.members)
}

// writableLocked tells whether the methods that write without a client can. Those of a standalone server
// always can, frozen or stopped.
func (e *Ensemble) writableLocked() bool { return len(e.members) == 1 || e.quorumLocked() }

// awaitQuorumLocked waits until the server can have a write committed. It is false if the connection
// has been closed meanwhile. It gives up the mutex while it waits.
func (c *conn) awaitQuorumLocked() bool {
	for !c.closed {
		s := c.s
		if s.ableLocked() && s.e.quorumLocked() && (s == s.e.leader || s.contactLocked()) {
			return true
		}
		s.e.cond.Wait()
	}
	return false
}

// answerAtLocked runs answer, which sends a reply, when the server has applied the transaction zxid: now,
// or between that transaction and the next. It waits for that, and gives up the mutex meanwhile.
func (c *conn) answerAtLocked(zxid int64, answer func()) {
	s := c.s
	if zxid <= s.zxid {
		answer()
		return
	}
	answered := false
	s.unanswered[zxid] = append(s.unanswered[zxid], func() {
		answered = true
		answer()
	})
	for !answered && !c.closed {
		s.e.cond.Wait()
	}
}
