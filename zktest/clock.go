package zktest

import (
	"maps"
	"slices"
	"time"
)

// clock is the goroutine of everything that happens by itself: sessions that expire, containers and
// TTL nodes that are swept, followers that lag, servers that miss their leader and elect another. It
// sleeps without a timer when nothing is due, so that in a synctest bubble time passes only for a reason.
func (e *Ensemble) clock() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		var due <-chan time.Time
		e.mu.Lock()
		now := time.Now()
		e.reviewLocked(now)
		for _, s := range e.members {
			s.catchUpLocked(now)
			s.expireLocalLocked(now)
		}
		e.expireDueLocked(now)
		e.sweepLocked(now)
		e.nextWake = e.nextDueLocked(now)
		if !e.nextWake.IsZero() {
			timer.Reset(time.Until(e.nextWake))
			due = timer.C
		}
		e.mu.Unlock()
		select {
		case <-e.done:
			return
		case <-e.wake:
		case <-due:
		}
	}
}

// nextDueLocked is the next time at which there may be something to do; zero for never. What is due
// already has been done, or waits for something else than time.
func (e *Ensemble) nextDueLocked(now time.Time) time.Time {
	var next time.Time
	consider := func(t time.Time) {
		if t.After(now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, s := range e.members {
		consider(s.nextApplyLocked())
		consider(s.nextReviewLocked())
		consider(s.readOnlyAtLocked())
		if s.role == readOnly && s.ableLocked() {
			consider(s.local.next())
		}
	}
	if e.leader != nil && e.leader.ableLocked() {
		consider(e.tracker.next())
		if len(e.leader.tree.reapable) > 0 {
			consider(e.nextSweep)
		}
	}
	return next
}

// wakeLocked lets the clock know of something due at a time; zero means nothing.
func (e *Ensemble) wakeLocked(due time.Time) {
	if due.IsZero() || !e.nextWake.IsZero() && !due.Before(e.nextWake) {
		return
	}
	select {
	case e.wake <- struct{}{}:
	default: // it has been told and has not looked yet
	}
}

// reapLocked has the sweep look at a container or TTL node.
func (s *Server) reapLocked(path string) {
	first := len(s.tree.reapable) == 0
	s.tree.reapable[path] = struct{}{}
	if first && s == s.e.leader {
		s.e.scheduleSweepLocked()
	}
}

// scheduleSweepLocked sets when the leader looks at containers and TTL nodes: at multiples of the
// interval since it came into office, as in the real server.
func (e *Ensemble) scheduleSweepLocked() {
	passed := time.Since(e.leader.started)
	e.nextSweep = e.leader.started.Add(passed - passed%e.cfg.sweep + e.cfg.sweep)
	e.wakeLocked(e.nextSweep)
}

// sweepLocked removes containers that have had children and are empty, and TTL nodes without children
// that have not been changed for their time; each in its own transaction.
func (e *Ensemble) sweepLocked(now time.Time) {
	s := e.leader
	if s == nil || !s.ableLocked() || len(s.tree.reapable) == 0 || now.Before(e.nextSweep) || !e.quorumLocked() {
		return
	}
	for !now.Before(e.nextSweep) {
		e.nextSweep = e.nextSweep.Add(e.cfg.sweep)
	}
	for _, path := range slices.Sorted(maps.Keys(s.tree.reapable)) {
		n := s.tree.lookup(path)
		switch {
		case n == nil || len(n.children) > 0:
			delete(s.tree.reapable, path) // it comes back when its last child goes
		case isContainer(n.owner):
			delete(s.tree.reapable, path)
			if n.created > 0 {
				s.reapNodeLocked(path)
			}
		case isTTL(n.owner):
			if now.UnixMilli()-n.mtime > n.owner&maxTTL {
				delete(s.tree.reapable, path)
				s.reapNodeLocked(path)
			}
		default: // deleted, and another one created in its place
			delete(s.tree.reapable, path)
		}
	}
}

func (s *Server) reapNodeLocked(path string) {
	s.transactLocked(0, nil, true, func(t *txn) Code { return t.delete(path, -1) })
}
