package zkstream

import (
	"cmp"
	"slices"
	"time"

	"github.com/zkstream/zkstream/internal/zkconn"
)

// Attached goes through the table on a new network connection, on which no watch is set and no answer to an
// earlier request will come. See [zkconn.Table].
//
// In the same session no server is behind what has been seen, so that watches that were armed need only be set
// again: the server says which nodes have changed since. In a new session all is read again, and its content
// decides what is new.
func (s *supervisor) Attached(resumed bool) (again zkconn.Paths) {
	trace := ResyncTrace{Resumed: resumed}
	s.mu.Lock()
	s.evicted, s.leaves = nil, nil
	if !resumed {
		s.roundNow, s.roundBefore = 0, 0
	}
	for _, w := range s.watches {
		switch {
		case resumed && w.state == armed:
			again.Add(w, w.last.exists)
			trace.Rearmed++
		case w.state == stale:
		default:
			s.staleLocked(w)
		}
	}
	trace.Read = s.stale.length
	s.resync, s.resyncBegan = trace, time.Now()
	s.mu.Unlock()
	s.trace.resync(trace)
	return again
}

// settled notes that the connection has done what Attached has asked for.
func (s *supervisor) settled() {
	s.mu.Lock()
	trace, began := s.resync, s.resyncBegan
	s.resyncBegan = time.Time{}
	s.mu.Unlock()
	if s.trace.Resynced != nil && !began.IsZero() && trace.Rearmed+trace.Read > 0 {
		trace.Took = time.Since(began)
		s.trace.Resynced(trace)
	}
}

// restingPlaces is how many pauses there are between the reads of a watch that fail: see zkconn.ReadPauses.
const restingPlaces = 8

// A restingPlace is where watches wait whose read has failed as often.
type restingPlace struct {
	watchList
	timer *time.Timer // nil while the list is empty
}

func (p *restingPlace) clear() {
	p.watchList = watchList{}
	if p.timer != nil {
		p.timer.Stop()
	}
}

func restingFor(w *watch) int { return min(max(int(w.failures), 1), restingPlaces) - 1 }

// restLocked has w read again in a while: its read has failed for a passing reason, but the connection is up, so
// that no event will say when to try.
func (s *supervisor) restLocked(w *watch, err error) {
	if w.failures == 0 {
		s.log.Debug("zkstream: a read has failed and is tried again", "path", w.path, "error", err)
	}
	w.failures = min(w.failures+1, restingPlaces)
	if len(w.subs) == 0 {
		s.moveLocked(w, gone)
		return
	}
	s.moveLocked(w, resting)
	place := &s.resting[restingFor(w)]
	if place.timer == nil {
		place.timer = time.AfterFunc(zkconn.ReadPauses.After(int(w.failures)), func() {
			s.mu.Lock()
			place.timer = nil
			for w := place.first; w != nil; w = place.first {
				s.moveLocked(w, stale)
			}
			s.mu.Unlock()
			s.conn.Pump()
		})
	}
}

// mostRechecks is how many watches are rechecked in a second.
const mostRechecks = 256

// A rechecker has the server compare, now and then, what the watches know with what it has. So a change is found
// whose event has not come: because the server hid it from a session that could not read the node at that
// moment, although the watch was used up by it, or because something on the way has swallowed it.
//
// An answer that nothing has changed does not count as proof: the event that should have come before it may be
// lost, too. So a watch is taken to be right only up to where the round before began, and the next recheck
// finds what this one has lost.
type rechecker struct {
	round time.Duration
	each  time.Duration // between two steps
	began time.Time     // of this round
	due   []dueWatch    // still to be rechecked in this round, those known for longest first
	batch int           // how many in a step
}

type dueWatch struct {
	*watch
	zxid int64
}

// rechecker returns what rechecks the watches, and how often it is to be called. A round is a little shorter than
// the interval, because a watch may come later in one round than in the one before.
func (s *supervisor) rechecker() (*rechecker, time.Duration) {
	if s.interval <= 0 {
		return &rechecker{}, time.Hour
	}
	round := s.interval * 9 / 10
	each := max(min(time.Second, round/4), time.Millisecond)
	return &rechecker{round: round, each: each, began: time.Now()}, each
}

// step rechecks some watches.
func (r *rechecker) step(s *supervisor) {
	if r.round == 0 {
		return
	}
	s.mu.Lock()
	if len(r.due) == 0 && time.Since(r.began) >= r.round-r.each/2 {
		r.began = time.Now()
		s.roundBefore, s.roundNow = s.roundNow, s.conn.Zxid()
		for _, w := range s.watches {
			if w.state == armed {
				r.due = append(r.due, dueWatch{w, w.zxid})
			}
		}
		slices.SortFunc(r.due, func(a, b dueWatch) int { return cmp.Compare(a.zxid, b.zxid) })
		steps := max(1, int(r.round/r.each))
		r.batch = min((len(r.due)+steps-1)/steps, max(1, int(mostRechecks*r.each/time.Second)))
	}
	n := min(r.batch, len(r.due))
	groups := s.dueLocked(r.due[:n])
	clear(r.due[:n])
	if r.due = r.due[n:]; len(r.due) == 0 {
		r.due = nil
	}
	s.mu.Unlock()
	for _, g := range groups {
		if !s.conn.Recheck(g.watches, g.paths, g.zxid) && s.conn.IsUp() { // a server without SetWatches
			s.Unarmed(g.watches)
			s.conn.Pump()
		}
	}
}

// recheck is one request: watches of which none has changed, as far as is known, since zxid.
type recheck struct {
	watches []zkconn.Watch
	paths   zkconn.Paths
	zxid    int64
}

// dueLocked puts into requests those of due that have been quiet since they came there. Each request names a
// zxid that is no later than what any of its watches knows, or a change would be missed, and no earlier than the
// last change of any of them, or it would be read for nothing.
func (s *supervisor) dueLocked(due []dueWatch) (groups []recheck) {
	for _, d := range due {
		w := d.watch
		if w.state != armed || w.zxid != d.zxid {
			continue
		}
		changed := w.last.stat.Mzxid
		if w.kind == kindChildren {
			changed = w.last.stat.Pzxid
		}
		if len(groups) == 0 || changed > groups[len(groups)-1].zxid {
			groups = append(groups, recheck{zxid: w.zxid})
		}
		g := &groups[len(groups)-1]
		g.watches = append(g.watches, w)
		g.paths.Add(w, w.last.exists)
	}
	return groups
}
