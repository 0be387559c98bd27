package watching

import (
	"cmp"
	"slices"
	"time"

	"github.com/zkstream/zkstream/internal/zkconn"
)

// mostRechecks is how many watches are rechecked in a second.
const mostRechecks = 256

// A rechecker has the server compare, now and then, what the watches know with what it has. So a change is found
// whose event has not come: because the server hid it from a session that could not read the node at that
// moment, although the watch was used up by it, or because something on the way has swallowed it.
//
// The answer that a watch is set does not prove that nothing has changed:
//
//  1. The recheck names a zxid, and the server finds that the node has changed since. It sends the event, then its answer.
//  2. Something on the way swallows that event, too. The answer arrives.
//
// So a watch is taken to be right only up to the zxid at which the round before began, and the next recheck of it finds what
// this one has lost.
//
// Each node has its turn when the interval has passed since one of its watches was read or rechecked last, whatever happens
// to other nodes. It waits for longer only if there are more watches than can be rechecked within the interval. A turn comes
// early, by up to a quarter of the interval, and not equally early for all: so nodes that were read at the same time drift apart.
//
// A recheck counts when it has been answered. While there is no connection nobody has a turn, and on a new connection the turns
// are given out anew, so that those come first whose recheck was lost, or could not be made.
type rechecker struct {
	each  time.Duration // between two steps
	most  int           // watches in a step
	step  int           // of this round
	due   []*entry      // what was armed when the round began, in the order of the turns
	taken int           // of due, that have had their turn
	anew  bool          // there is a new connection, so the turns are to be given out before the round is over
	until []int         // how many of due have their turn up to each step of the round; empty: nothing is rechecked
}

// newRechecker returns what rechecks the watches. A round is a little shorter than the interval, since a turn comes up to a step
// late.
func newRechecker(interval time.Duration) *rechecker {
	if interval <= 0 {
		return &rechecker{each: time.Hour}
	}
	round := interval * 9 / 10
	each := max(min(time.Second, round/4), time.Millisecond)
	steps := min(max(1, int(round/each)), 1<<14)
	return &rechecker{each: each, most: max(1, int(mostRechecks*each/time.Second)), until: make([]int, steps)}
}

// RecheckStep returns how often Recheck is to be called.
func (s *Supervisor) RecheckStep() time.Duration { return s.rechecks.each }

// Recheck rechecks the watches whose turn it is, and reads nodes of trees again that could not be read. One goroutine calls it.
func (s *Supervisor) Recheck() {
	s.rechecks.recheck(s)
	s.tryDenied()
}

// recheck rechecks the watches whose turn it is.
func (r *rechecker) recheck(s *Supervisor) {
	if len(r.until) == 0 {
		return
	}
	up := s.conn.IsUp()
	s.mu.Lock()
	s.clock++
	if r.step++; r.step == len(r.until) {
		s.roundBefore, s.roundNow = s.roundNow, s.conn.Zxid()
		r.turnsLocked(s)
	} else if r.anew {
		r.turnsLocked(s)
	}
	if !up {
		s.mu.Unlock()
		return
	}
	var watches []Watch
	for r.taken < r.until[r.step] && len(watches) < max(1, r.most-1) { // a node may have two
		e := r.due[r.taken]
		r.due[r.taken] = nil
		r.taken++
		// Read in this round, it has its next turn in the next one, in time. If only the watch was that gave the node this turn, the
		// other one is due before that: it has waited for nearly as long.
		if age, _ := e.age(s.clock); int(age) <= r.step {
			continue
		}
		for w := range e.all() {
			if w.state == armed {
				watches = append(watches, w)
			}
		}
	}
	groups := grouped(watches)
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

// turnsLocked gives each node its turn, at the beginning of a round or on a new connection.
func (r *rechecker) turnsLocked(s *Supervisor) {
	var byAge [][]*entry
	count := 0
	for _, t := range [...]table{s.presence, s.nodes} {
		for _, e := range t {
			if age, known := e.age(s.clock); known {
				for len(byAge) <= int(age) {
					byAge = append(byAge, nil)
				}
				byAge[age] = append(byAge[age], e)
				count++
			}
		}
	}
	r.anew, r.step, r.taken, r.due = false, 0, 0, make([]*entry, 0, count)
	clear(r.until)
	for age := len(byAge) - 1; age >= 0; age-- {
		r.due = append(r.due, byAge[age]...)
		if step := max(0, len(r.until)-age); step < len(r.until) {
			r.until[step] = len(r.due)
		}
	}
	for step := 1; step < len(r.until); step++ {
		r.until[step] = max(r.until[step], r.until[step-1])
	}
}

// age returns how many steps ago the watch of e was checked that has waited for longest. It is not known if none is armed.
func (e *entry) age(clock uint16) (age uint16, known bool) {
	for i := range e.slots {
		if p := &e.slots[i]; p.state == armed {
			age, known = max(age, clock-p.checkedAt), true
		}
	}
	return age, known
}

// checkedLocked notes that w has just been read or rechecked.
func (s *Supervisor) checkedLocked(w Watch) {
	if s.headStart++; s.headStart > s.turns/4 {
		s.headStart = 0
	}
	w.checkedAt = s.clock - s.headStart
}

// grouped puts watches into requests. A request names one zxid. It is no later than what any of its watches is known to be as
// new as: otherwise the server would not tell of a change in between. And it is no earlier than the last change of any of them:
// otherwise the server would send an event for a change that is known, and the node would be read for nothing.
func grouped(watches []Watch) (groups []recheck) {
	slices.SortFunc(watches, func(a, b Watch) int { return cmp.Compare(a.zxid, b.zxid) })
	for _, w := range watches {
		changed := w.last.stat.Mzxid
		if w.kind == kindChildren {
			changed = w.last.stat.Pzxid
		}
		if len(groups) == 0 || changed > groups[len(groups)-1].zxid {
			groups = append(groups, recheck{zxid: w.zxid})
		}
		g := &groups[len(groups)-1]
		g.watches = append(g.watches, w.wire())
		g.paths.Add(w.wire(), w.last.Exists())
	}
	return groups
}
