package zkstream

import "time"

// Drained assembles the trees of what was read. See [zkconn.Table].
func (s *supervisor) Drained() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.assembleLocked()
}

// assembleLocked runs the assemblers that have something to look at.
func (s *supervisor) assembleLocked() {
	for len(s.assembling) > 0 {
		assembling := s.assembling
		s.assembling = nil
		for _, a := range assembling {
			a.run()
		}
	}
}

// retireLocked has the watches of an assembler left that has no streams any more. That is done by the supervisor's
// goroutine, bit by bit: they may be many.
func (s *supervisor) retireLocked(a *assembler) {
	if a.ended || s.reason != nil {
		return
	}
	a.ended, a.queue = true, nil
	delete(s.assemblers, a.shape)
	s.retired = append(s.retired, a.root)
	select {
	case s.retire <- struct{}{}:
	default:
	}
}

// mostRetired is how many members leave their watches before others get the lock.
const mostRetired = 1024

// dismantle leaves the watches of retired assemblers.
func (s *supervisor) dismantle() {
	for left := true; left; {
		s.mu.Lock()
		for range mostRetired {
			last := len(s.retired) - 1
			if last < 0 {
				break
			}
			m := s.retired[last]
			s.retired[last] = nil
			s.retired = append(s.retired[:last], m.children...)
			m.leaveLocked()
		}
		if left = len(s.retired) > 0; !left {
			s.retired = nil
		}
		s.mu.Unlock()
	}
	s.conn.Pump()
}

// A denial is a watch of a treeNode that has failed for good.
type denial struct {
	member *treeNode
	kind   kind
	at     time.Time
}

// denyLocked has the node read again after the interval of rechecks. Of a change of its access control list no
// server sends an event.
func (s *supervisor) denyLocked(m *treeNode, k kind) {
	if s.interval > 0 {
		s.denied = append(s.denied, denial{m, k, time.Now()})
	}
}

// tryDenied reads nodes again that could not be read, as many in one step as are rechecked.
func (s *supervisor) tryDenied() {
	s.mu.Lock()
	tried := 0
	for tried < mostRechecks && len(s.denied) > 0 && time.Since(s.denied[0].at) >= s.interval*9/10 && s.reason == nil {
		d := s.denied[0]
		s.denied[0] = denial{}
		s.denied = s.denied[1:]
		if !d.member.gone && !d.member.assembler.ended {
			d.member.retryLocked(d.kind)
			tried++
		}
	}
	if len(s.denied) == 0 {
		s.denied = nil
	}
	s.assembleLocked()
	s.mu.Unlock()
	if tried > 0 {
		s.conn.Pump()
	}
}
