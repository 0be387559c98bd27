package zktest

import (
	"maps"
	"slices"
	"time"
)

// clock is the goroutine of everything that happens by itself: sessions that expire, containers and
// TTL nodes that are swept. It sleeps without a timer when nothing is due, so that in a synctest
// bubble time passes only for a reason.
func (s *Server) clock() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		var due <-chan time.Time
		s.mu.Lock()
		if s.thawed == nil { // a frozen server does nothing; Freeze wakes the clock when that ends
			now := time.Now()
			s.expireDueLocked(now)
			s.sweepLocked(now)
			s.nextWake = s.nextDueLocked()
			if !s.nextWake.IsZero() {
				timer.Reset(time.Until(s.nextWake))
				due = timer.C
			}
		}
		s.mu.Unlock()
		select {
		case <-s.done:
			return
		case <-s.wake:
		case <-due:
		}
	}
}

// nextDueLocked is the next time at which there may be something to do; zero for never.
func (s *Server) nextDueLocked() time.Time {
	var next time.Time
	if len(s.expiry) > 0 {
		next = s.expiry[0].queued
	}
	if len(s.tree.reapable) > 0 && (next.IsZero() || s.nextSweep.Before(next)) {
		next = s.nextSweep
	}
	return next
}

// wakeLocked lets the clock know of something due at a time.
func (s *Server) wakeLocked(due time.Time) {
	if !s.nextWake.IsZero() && !due.Before(s.nextWake) {
		return
	}
	select {
	case s.wake <- struct{}{}:
	default: // it has been told and has not looked yet
	}
}

// reapLocked has the sweep look at a container or TTL node. Sweeps come at multiples of the interval
// since the server started, as in the real server.
func (s *Server) reapLocked(path string) {
	if len(s.tree.reapable) == 0 {
		passed := time.Since(s.started)
		s.nextSweep = s.started.Add(passed - passed%s.sweepInterval + s.sweepInterval)
	}
	s.tree.reapable[path] = struct{}{}
	s.wakeLocked(s.nextSweep)
}

// sweepLocked removes containers that have had children and are empty, and TTL nodes without children
// that have not been changed for their time; each in its own transaction.
func (s *Server) sweepLocked(now time.Time) {
	if len(s.tree.reapable) == 0 || now.Before(s.nextSweep) {
		return
	}
	for !now.Before(s.nextSweep) {
		s.nextSweep = s.nextSweep.Add(s.sweepInterval)
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
	t := s.beginLocked(0, nil)
	t.super = true
	t.delete(path, -1)
	t.commit()
}
