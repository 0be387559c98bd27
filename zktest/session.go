package zktest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"time"
)

// session is what every server knows of a session. It lives on when its connection ends, until it is
// closed or the tracker lets it expire. The Server's mutex guards it.
type session struct {
	id         int64
	timeout    time.Duration
	ephemerals map[string]struct{}
}

func (sess *session) clone() *session {
	c := *sess
	c.ephemerals = maps.Clone(sess.ephemerals)
	return &c
}

// firstSessionID is a random place to count up from, so that sessions of two servers differ. As in
// the real server, the highest byte is the server's number.
func firstSessionID(server int) int64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return int64(server)<<56 | int64(binary.BigEndian.Uint64(b[:])&0xffffffffff)<<16
}

// password is what a client has to show to get its session back. It follows from the session's id, so
// that a server knows it of sessions that it has not heard of.
func (e *Ensemble) password(id int64) []byte {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(slices.Clone(e.secret[:]), uint64(id)))
	return sum[:16]
}

// openSessionLocked makes a session of the server's, in a transaction of its own. There must be a leader.
func (s *Server) openSessionLocked(timeout time.Duration) (id, zxid int64) {
	id = s.nextSession
	s.nextSession++
	zxid, _ = s.e.leader.transactLocked(id, nil, true, func(t *txn) Code {
		t.do(change{kind: sessionOpened, session: id, timeout: timeout})
		return 0
	})
	s.e.tracker.add(id, timeout, s)
	s.e.wakeLocked(s.e.tracker.next())
	return id, zxid
}

// endSessionLocked closes a session in one transaction that deletes all its ephemeral nodes. There must
// be a leader.
func (e *Ensemble) endSessionLocked(id int64) (zxid int64) {
	leader := e.leader
	zxid, _ = leader.transactLocked(id, nil, true, func(t *txn) Code {
		sess := leader.sessions[id]
		if sess == nil {
			return ErrSessionExpired
		}
		for _, path := range slices.Sorted(maps.Keys(sess.ephemerals)) {
			if leader.tree.lookup(path) != nil {
				t.do(change{kind: nodeRemoved, path: path})
			}
		}
		t.do(change{kind: sessionClosed, session: id})
		return 0
	})
	e.tracker.remove(id)
	return zxid
}

// expireLocked ends a session whose time is up. Each server closes its connection without a word.
func (e *Ensemble) expireLocked(id int64) {
	e.log.Info("zktest: session expired", "session", id)
	e.endSessionLocked(id)
}

// ExpireSession ends a session at once, as if its timeout had passed: its ephemeral nodes are
// deleted in one transaction, and its connection is closed. An unknown id does nothing. So does 0, which is
// what a client that has not connected yet calls its session. While an ensemble has no quorum it does nothing
// either: such a transaction could not be committed, and the next leader would not know of it.
func (s *Server) ExpireSession(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.e.leader != nil && s.e.writableLocked() && s.e.leader.sessions[id] != nil {
		s.e.expireLocked(id)
	}
}

// ExpireAll ends every session, each as ExpireSession does.
func (s *Server) ExpireAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.e.leader == nil || !s.e.writableLocked() {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(s.e.leader.sessions)) {
		s.e.expireLocked(id)
	}
}

// Sessions gives the ids of all live sessions, connected or not, sorted.
func (s *Server) Sessions() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.sessions))
}
