package zktest

import (
	"fmt"
	"time"
)

// ID is the server's number in its ensemble, from 1.
func (s *Server) ID() int { return s.id }

// DialAddr is the address under which [Ensemble.Dial] finds the server: "10.0.0.1:2181" for the first member
// of an ensemble, and so on. Nobody listens there. It may be called in a synctest bubble.
func (s *Server) DialAddr() string {
	return s.dialAddr().String()
}

func (s *Server) hasAddr(addr string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.e.members) == 1 || addr == s.DialAddr() || s.listener != nil && addr == s.addrLocked()
}

// Leads tells whether the server is the leader of its ensemble.
func (s *Server) Leads() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.e.leader == s
}

// Stop ends the server's process while on, as a killed one: connections are dropped and new ones refused (over
// TCP they are accepted and reset). What it has in its log it keeps. When it is
// started again, a standalone server carries on as after Restart, and a member of an ensemble looks for the
// leader, gets what it has missed, and serves. The server's own methods work meanwhile.
func (s *Server) Stop(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if on == s.stopped || s.closed {
		return
	}
	s.stopped = on
	if on {
		s.endProcessLocked()
	} else {
		s.restartLocked()
	}
	s.e.reviewLocked(time.Now())
}

// endProcessLocked does what the end of a process does, frozen or not.
func (s *Server) endProcessLocked() {
	if len(s.e.members) > 1 {
		s.lookLocked()
	} else {
		s.dropAllLocked()
	}
	if s.thawed != nil {
		close(s.thawed)
		s.thawed = nil
	}
}

// Isolate cuts a member of an ensemble off from the other members while on. Its clients still reach it.
//
// A follower does not notice before syncLimit has passed (see [WithSyncLimit]). Until then it answers pings and reads,
// from a state that does not change; writes, sync and connect requests wait. The leader does not hear of the
// clients of such a follower, and lets their sessions expire. Then the follower drops its clients and looks
// for a leader. If the link comes back before, everything that has waited goes through.
//
// A leader that is isolated answers pings and reads until syncLimit has passed. Then it drops its clients, and the others, who
// have dropped theirs at the same time, elect another. On a standalone server Isolate has no effect.
func (s *Server) Isolate(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.isolated = on
	s.e.reviewLocked(time.Now())
}

// Lag has a follower apply each transaction that long after it was committed. Until then its clients see the
// older state and no events, its answers to writes and sync wait, and it refuses clients that have seen more.
// It still votes, so writes through other members do not wait for it. 0 ends that, and the follower catches
// up at once. A leader does not lag; the setting counts when it follows. A member that joins again gets
// the leader's state first.
func (s *Server) Lag(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lag = d
	s.catchUpLocked(time.Now())
	s.e.wakeLocked(s.nextApplyLocked())
}

// Hold has a follower apply no transaction while on, as one with a [Server.Lag] without end.
func (s *Server) Hold(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = on
	s.catchUpLocked(time.Now())
	s.e.wakeLocked(s.nextApplyLocked())
}

// String names the server, for logs.
func (s *Server) String() string { return fmt.Sprintf("zktest server %d (%s)", s.id, s.DialAddr()) }

// touchLocked lets the leader know that a session has been heard of, now or when there is contact again. It
// is false if there is no such session, which a follower does not know.
func (s *Server) touchLocked(id int64, timeout time.Duration) bool {
	switch {
	case s == s.e.leader:
		return s.e.tracker.touch(id, timeout)
	case s.role == readOnly:
		return s.local.touch(id, timeout)
	case s.contactLocked():
		s.e.tracker.touch(id, timeout)
	default:
		s.unreported[id] = timeout
	}
	return true
}

// trackedLocked is what a leader knows of a session; nil on other servers.
func (s *Server) trackedLocked(id int64) *tracked {
	if s != s.e.leader {
		return nil
	}
	return s.e.tracker.sessions[id]
}
