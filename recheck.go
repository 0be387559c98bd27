package zkstream

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
// An answer that nothing has changed does not count as proof: the event that should have come before it may be
// lost, too. So a watch is taken to be right only up to where the round before began, and the next recheck
// finds what this one has lost.
type rechecker struct {
	round time.Duration
	each  time.Duration // between two steps
	began time.Time     // of this round
	due   []*entry      // still to be rechecked in this round, those known for longest first
	batch int           // how many watches in a step
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
		watches := 0
		for _, t := range [...]table{s.presence, s.nodes} {
			for _, e := range t {
				if _, n := e.known(); n > 0 {
					r.due = append(r.due, e)
					watches += n
				}
			}
		}
		slices.SortFunc(r.due, func(a, b *entry) int {
			x, _ := a.known()
			y, _ := b.known()
			return cmp.Compare(x, y)
		})
		steps := max(1, int(r.round/r.each))
		r.batch = min((watches+steps-1)/steps, max(1, int(mostRechecks*r.each/time.Second)))
	}
	n := 0
	for watches := 0; n < len(r.due) && watches < r.batch; n++ {
		_, armed := r.due[n].known()
		watches += armed
	}
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

// known returns how many watches of e are armed, and the zxid that all of them are as new as.
func (e *entry) known() (zxid int64, watches int) {
	for i := range e.slots {
		p := &e.slots[i]
		if p.state != armed {
			continue
		}
		if watches == 0 || p.zxid < zxid {
			zxid = p.zxid
		}
		watches++
	}
	return zxid, watches
}

// dueLocked puts into requests those watches of due that have not been read since this round began. Each request names a
// zxid that is no later than what any of its watches knows, or a change would be missed, and no earlier than the
// last change of any of them, or it would be read for nothing.
func (s *supervisor) dueLocked(due []*entry) (groups []recheck) {
	var watches []watch
	for _, e := range due {
		for w := range e.all() {
			if w.state == armed && w.zxid <= s.roundNow {
				watches = append(watches, w)
			}
		}
	}
	slices.SortFunc(watches, func(a, b watch) int { return cmp.Compare(a.zxid, b.zxid) })
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
		g.paths.Add(w.wire(), w.last.exists())
	}
	return groups
}
