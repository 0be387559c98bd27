package watching

import (
	"time"

	"github.com/zkstream/zkstream/internal/zkconn"
)

// Resync is how the watches are taken up on a new connection: see zkstream.ResyncTrace.
type Resync struct {
	Resumed bool
	Rearmed int
	Read    int
	Took    time.Duration
}

// Attached goes through the table on a new network connection, on which no watch is set and no answer to an
// earlier request will come. See [zkconn.Table].
//
// In the same session no server is behind what has been seen. So a watch that was armed is only set again, as of the last
// zxid that was seen, and the server sends an event if its node has changed since. In a new session a server may be behind, and
// it may have other data. So everything is read again, after a sync with the leader, and its content decides what is new.
func (s *Supervisor) Attached(resumed bool) (again zkconn.Paths) {
	trace := Resync{Resumed: resumed}
	s.mu.Lock()
	s.evicted, s.unset = nil, nil
	if !resumed {
		s.roundNow, s.roundBefore = 0, 0
	}
	for w := range s.allLocked() {
		if w.wasParked() {
			w.zxid = 0
		}
		switch {
		case resumed && w.state == armed:
			again.Add(w.wire(), w.last.Exists())
			trace.Rearmed++
		case w.state == stale:
		default:
			s.staleLocked(w)
		}
	}
	s.rechecks.anew = true
	trace.Read = s.countStaleLocked()
	s.resync, s.resyncBegan = trace, time.Now()
	s.mu.Unlock()
	if s.onResync != nil && trace.Rearmed+trace.Read > 0 {
		s.onResync(trace)
	}
	return again
}

// Settled notes that the connection has done what Attached has asked for.
func (s *Supervisor) Settled() {
	s.mu.Lock()
	trace, began := s.resync, s.resyncBegan
	s.resyncBegan = time.Time{}
	s.mu.Unlock()
	if s.onResynced != nil && !began.IsZero() && trace.Rearmed+trace.Read > 0 {
		trace.Took = time.Since(began)
		s.onResynced(trace)
	}
}

// restingPlaces is how many pauses there are between the reads of a watch that fail: see zkconn.ReadPauses.
const restingPlaces = 8

// A restingPlace is where watches wait whose read has failed as often.
type restingPlace struct {
	watches []Watch     // some of them may have left since
	timer   *time.Timer // nil while there are none
}

func (p *restingPlace) clear() {
	p.watches = nil
	if p.timer != nil {
		p.timer.Stop()
	}
}

func restingFor(w Watch) int { return min(max(int(w.failures), 1), restingPlaces) - 1 }

// restLocked has w read again in a while: its read has failed for a passing reason, but the connection is up, so
// that no event will say when to try.
func (s *Supervisor) restLocked(w Watch, err error) {
	if w.failures == 0 {
		s.log.Debug("zkstream: a read has failed and is tried again", "path", w.path, "error", err)
	}
	w.failures = min(w.failures+1, restingPlaces)
	if w.subs.len() == 0 {
		s.moveLocked(w, none)
		return
	}
	s.moveLocked(w, resting)
	place := &s.resting[restingFor(w)]
	if place.timer == nil {
		place.timer = time.AfterFunc(zkconn.ReadPauses.After(int(w.failures)), func() {
			s.mu.Lock()
			for _, w := range place.watches {
				if w.state == resting && place == &s.resting[restingFor(w)] {
					s.moveLocked(w, stale)
				}
			}
			place.watches, place.timer = nil, nil
			s.mu.Unlock()
			s.conn.Pump()
		})
	}
}
