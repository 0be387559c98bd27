package zktest

import (
	"container/heap"
	"crypto/rand"
	"encoding/binary"
	"maps"
	"slices"
	"time"
)

// session lives on when its connection ends, until it expires or is closed. The Server's mutex
// guards it.
type session struct {
	id         int64
	password   [16]byte
	timeout    time.Duration
	deadline   time.Time // expires then, unless it is heard of before
	queued     time.Time // the deadline under which it stands in the expiry queue
	index      int       // in the expiry queue
	conn       *conn     // nil while disconnected
	ephemerals map[string]struct{}
}

// expiryQueue is a heap of sessions by queued deadline. A request only moves session.deadline; the
// queue learns of it when the older deadline has come.
type expiryQueue []*session

func (q expiryQueue) Len() int           { return len(q) }
func (q expiryQueue) Less(i, j int) bool { return q[i].queued.Before(q[j].queued) }
func (q expiryQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

func (q *expiryQueue) Push(x any) {
	sess := x.(*session)
	sess.index = len(*q)
	*q = append(*q, sess)
}

func (q *expiryQueue) Pop() any {
	old := *q
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return last
}

// firstSessionID is a random place to count up from, so that sessions of two servers differ. As in
// the real server, the highest byte is the server's number, 1.
func firstSessionID() int64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return 1<<56 | int64(binary.BigEndian.Uint64(b[:])&0xffffffffff)<<16
}

// openSessionLocked makes a session, in a transaction of its own.
func (s *Server) openSessionLocked(timeout time.Duration) *session {
	s.beginLocked(0, nil)
	sess := &session{id: s.nextSession, timeout: timeout}
	s.nextSession++
	rand.Read(sess.password[:]) // never fails
	s.sessions[sess.id] = sess
	s.touchLocked(sess)
	sess.queued = sess.deadline
	heap.Push(&s.expiry, sess)
	s.wakeLocked(sess.queued)
	return sess
}

// touchLocked starts the session's timeout anew.
func (s *Server) touchLocked(sess *session) { sess.deadline = time.Now().Add(sess.timeout) }

// endSessionLocked closes a session in one transaction that deletes all its ephemeral nodes.
func (s *Server) endSessionLocked(sess *session) {
	t := s.beginLocked(sess.id, nil)
	for _, path := range slices.Sorted(maps.Keys(sess.ephemerals)) {
		parentPath, name, _ := splitPath(path)
		if parent := s.tree.lookup(parentPath); parent != nil && parent.children[name] != nil {
			t.remove(parent, parentPath, name, path, parent.children[name])
		}
	}
	delete(s.sessions, sess.id)
	heap.Remove(&s.expiry, sess.index)
	t.commit()
}

// expireLocked ends a session whose time is up, and its connection without a word.
func (s *Server) expireLocked(sess *session) {
	s.log.Info("zktest: session expired", "session", sess.id)
	s.endSessionLocked(sess)
	if sess.conn != nil {
		sess.conn.closeLocked(flushFirst)
	}
}

// expireDueLocked ends the sessions whose deadline has come.
func (s *Server) expireDueLocked(now time.Time) {
	for len(s.expiry) > 0 && !s.expiry[0].queued.After(now) {
		sess := s.expiry[0]
		if sess.deadline.After(now) {
			sess.queued = sess.deadline
			heap.Fix(&s.expiry, 0)
			continue
		}
		s.expireLocked(sess)
	}
}

// ExpireSession ends a session at once, as if its timeout had passed: its ephemeral nodes are
// deleted in one transaction, and its connection is closed. An id of 0 means all sessions; an
// unknown one does nothing.
func (s *Server) ExpireSession(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sid := range slices.Sorted(maps.Keys(s.sessions)) {
		if id == 0 || id == sid {
			s.expireLocked(s.sessions[sid])
		}
	}
}

// Sessions gives the ids of all live sessions, connected or not, sorted.
func (s *Server) Sessions() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.sessions))
}

// requeueLocked moves a session in the expiry queue whose deadline has come nearer.
func (s *Server) requeueLocked(sess *session) {
	sess.queued = sess.deadline
	heap.Fix(&s.expiry, sess.index)
	s.wakeLocked(sess.queued)
}
