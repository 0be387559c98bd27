package zktest

import (
	"slices"
	"time"
)

// electionTime is how long a server looks for a leader before it follows one, or becomes one. The real
// server's takes at least as long, since a vote waits 200 ms for better ones.
const electionTime = 200 * time.Millisecond

// role is what a server does in its ensemble.
type role uint8

const (
	looking   role = iota // for a leader; it serves nobody
	following             // a leader; it serves clients
	leading               // and serves clients
	readOnly              // looking, and serves read-only clients meanwhile
)

// upLocked tells whether the server's process runs.
func (s *Server) upLocked() bool { return !s.closed && !s.stopped }

// ableLocked tells whether the server's process runs and does something.
func (s *Server) ableLocked() bool { return s.upLocked() && s.thawed == nil }

// servingLocked tells whether the server serves ordinary clients.
func (s *Server) servingLocked() bool { return s.role == following || s.role == leading }

// contactLocked tells whether the server follows the leader and their link works.
func (s *Server) contactLocked() bool {
	leader := s.e.leader
	return s.role == following && leader != nil && s.term == s.e.term &&
		s.ableLocked() && leader.ableLocked() && !s.isolated && !leader.isolated
}

// overdueLocked tells whether the server and its leader have not heard of each other for syncLimit, so that
// each has given the other up, or does so as soon as it is not frozen.
func (s *Server) overdueLocked(now time.Time) bool {
	return !s.lost.IsZero() && !now.Before(s.lost.Add(s.e.cfg.syncLimit))
}

// formLocked makes a leader of members that have nothing yet, and followers of all the others, at once.
func (e *Ensemble) formLocked() {
	for _, s := range slices.Backward(e.members) { // of equals, the one with the highest id wins
		switch {
		case s.closed:
		case e.leader == nil || len(e.members) == 1:
			s.leadLocked()
		default:
			s.followLocked()
			s.zxid = e.leader.zxid
		}
	}
}

// reviewLocked brings the roles in line with what has happened: who can reach whom, and for how long not.
// Every fault calls it, and the clock.
func (e *Ensemble) reviewLocked(now time.Time) {
	defer e.cond.Broadcast()
	if len(e.members) == 1 {
		return // a standalone server leads for ever
	}
	for _, s := range e.members {
		s.reviewLinkLocked(now)
	}
	e.reviewLeaderLocked(now)
	for _, s := range e.members {
		s.reviewRoleLocked(now)
	}
	e.electLocked(now)
	for _, s := range e.members {
		for _, next := range []time.Time{s.nextReviewLocked(), s.readOnlyAtLocked()} {
			if next.After(now) {
				e.wakeLocked(next)
			}
		}
	}
}

// reviewLinkLocked notes since when a follower has no contact with its leader, or delivers what has waited
// for it.
func (s *Server) reviewLinkLocked(now time.Time) {
	switch {
	case s.role != following || s.overdueLocked(now):
	case !s.contactLocked():
		if s.lost.IsZero() {
			s.lost = now
		}
	case !s.lost.IsZero():
		s.lost = time.Time{}
		s.e.expireDueLocked(now)
		for id, timeout := range s.unreported {
			s.e.tracker.touch(id, timeout)
		}
		clear(s.unreported)
		s.backlog = append(s.backlog, s.unsent...)
		s.unsent = nil
		s.catchUpLocked(now)
		s.e.wakeLocked(s.nextApplyLocked())
	}
}

// reviewLeaderLocked deposes a leader that has lost too many followers. A follower that it only does not
// hear counts until syncLimit has passed.
func (e *Ensemble) reviewLeaderLocked(now time.Time) {
	if e.leader == nil {
		return
	}
	votes := 1
	for _, s := range e.members {
		if s.role == following && s.term == e.term && !s.overdueLocked(now) {
			votes++
		}
	}
	if !e.leader.upLocked() || 2*votes <= len(e.members) {
		e.log.Info("zktest: leader lost", "server", e.leader.id)
		e.leader, e.tracker = nil, nil
	}
}

// reviewRoleLocked has a server look for a leader that has lost its own. A frozen one notices nothing.
func (s *Server) reviewRoleLocked(now time.Time) {
	if !s.ableLocked() {
		s.lookingSince = time.Time{}
		return
	}
	defer s.reviewReadOnlyLocked(now)
	switch s.role {
	case leading:
		if s != s.e.leader {
			s.lookLocked()
		}
	case following:
		gone := s.e.leader == nil || s.term != s.e.term
		cut := s.isolated || s.follows.isolated || s.follows.thawed != nil // it cannot see that its leader has gone
		if s.overdueLocked(now) || gone && !cut {
			s.lookLocked()
		}
	}
	switch {
	case s.servingLocked() || s.isolated:
		s.lookingSince = time.Time{}
	case s.lookingSince.IsZero():
		s.lookingSince = now
	}
}

// electLocked has the servers that have looked long enough follow the leader, or make one of them the
// leader if they are a majority: the one with the longest log, and of equals the one with the highest id.
func (e *Ensemble) electLocked(now time.Time) {
	var ready []*Server
	for _, s := range e.members {
		if !s.lookingSince.IsZero() && !now.Before(s.lookingSince.Add(electionTime)) {
			ready = append(ready, s)
		}
	}
	if e.leader == nil {
		if 2*len(ready) <= len(e.members) {
			return
		}
		best := ready[0]
		for _, s := range ready {
			if s.loggedLocked() >= best.loggedLocked() {
				best = s
			}
		}
		best.leadLocked()
	}
	if !e.leader.ableLocked() || e.leader.isolated {
		return
	}
	for _, s := range ready {
		if s != e.leader {
			s.followLocked()
		}
	}
}

// lookLocked ends what a server did as a follower or leader. Its clients are dropped. What is in its log is
// in its state when it looks again.
func (s *Server) lookLocked() {
	if s == s.e.leader {
		s.e.leader, s.e.tracker = nil, nil
	}
	s.role, s.follows = looking, nil
	s.lost, s.noLeaderSince, s.local = time.Time{}, time.Time{}, nil
	s.dropAllLocked()
	s.unsent = nil
	clear(s.unreported)
	clear(s.unanswered)
	s.applyLogLocked(len(s.backlog))
}

// leadLocked makes a server the leader. Every session has its whole timeout again.
func (s *Server) leadLocked() {
	e := s.e
	s.dropAllLocked() // of a read-only server
	s.applyLogLocked(len(s.backlog))
	s.role, s.local = leading, nil
	s.lookingSince, s.noLeaderSince = time.Time{}, time.Time{}
	s.started = time.Now()
	e.term++
	s.term = e.term
	if len(e.members) > 1 {
		e.epoch++
		s.zxid = e.epoch << 32
	}
	e.leader = s
	e.tracker = newTracker(s.sessions)
	if len(s.tree.reapable) > 0 {
		e.scheduleSweepLocked()
	}
	e.wakeLocked(e.tracker.next())
	e.log.Info("zktest: leader elected", "server", s.id, "epoch", e.epoch)
}

// followLocked makes a server a follower of the leader. It gets the leader's state, whatever its lag. As in
// the real server, one that has it already does not learn the leader's new zxid before the next transaction.
func (s *Server) followLocked() {
	leader := s.e.leader
	s.dropAllLocked() // of a read-only server
	s.role, s.local = following, nil
	s.lookingSince, s.noLeaderSince = time.Time{}, time.Time{}
	s.follows, s.term = leader, leader.term
	s.started = time.Now()
	if s.loggedLocked() != leader.txn {
		s.copyStateLocked(leader)
		return
	}
	s.applyLogLocked(len(s.backlog))
}

// nextReviewLocked is when time alone may change the server's role; zero for never.
func (s *Server) nextReviewLocked() time.Time {
	switch {
	case !s.lost.IsZero():
		return s.lost.Add(s.e.cfg.syncLimit)
	case !s.lookingSince.IsZero():
		return s.lookingSince.Add(electionTime)
	}
	return time.Time{}
}
