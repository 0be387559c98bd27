package watching

import (
	"fmt"

	"github.com/zkstream/zkstream/internal/zkconn"
)

// Check returns an error if what the Supervisor knows does not go together, when nothing moves.
func (s *Supervisor) Check() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var there [zkconn.Kinds][watchStates]int
	for w := range s.allLocked() {
		there[w.kind][w.state]++
		followed := w.subs.len() > 0
		switch {
		case w.state == parked && (followed || w.last != nil),
			w.state == armed && (!followed || w.last == nil),
			w.state == arming && w.last == nil,
			w.state == stale && (!followed || !w.queued),
			w.state == resting && (!followed || w.failures == 0):
			return fmt.Errorf("the %v watch of %s in state %d: %+v", w.kind, w.path, w.state, *w.slot)
		}
	}
	if s.counts.watches != there {
		return fmt.Errorf("counted %v, there are %v", s.counts.watches, there)
	}
	if n := there[kindData][parked] + there[kindChildren][parked] + there[kindStat][parked]; n != len(s.parked) || n > mostParked {
		return fmt.Errorf("%d watches are parked, and %d of them known", n, len(s.parked))
	}
	return nil
}

// Busy returns an error that says what is still to be done, or nil.
func (s *Supervisor) Busy() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.unsettledLocked(); n > 0 || len(s.retired) > 0 || len(s.assembling) > 0 {
		return fmt.Errorf("%d watches are to be read, %d trees to be assembled, %d nodes to be left", n, len(s.assembling), len(s.retired))
	}
	return nil
}
