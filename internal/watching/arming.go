package watching

import "github.com/zkstream/zkstream/internal/zkconn"

// Watches that are set apart from the read, because that was a batch, or another watch's.

// unset is a watch that is arming, and that the server has not been asked to set yet.
type unset struct {
	Watch
	after int64 // how many answers come before that
}

// mostUnset is how many watches are set by one request.
const mostUnset = 512

// armingLocked has w set. That has time until all reads have been answered that are under way now: if the node has changed by
// then, the server sends the event at once. By then there are more watches to set, which one request does; and those
// are known whose streams were only to be read once. They are not set, and so need not be taken back.
func (s *Supervisor) armingLocked(w Watch) {
	s.moveLocked(w, arming)
	s.unset = append(s.unset, unset{w, s.answers + int64(s.countLocked(asked, refired))})
}

// Drained assembles the trees of what was read, and gives the watches that are to be set. See [zkconn.Table].
func (s *Supervisor) Drained() (known []zkconn.Known) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.assembleLocked()
	// Some answers never come: those of a batch that nobody could read.
	all := s.countLocked(asked, refired) == 0
	for len(s.unset) > 0 && (all || s.unset[0].after <= s.answers || len(s.unset) > mostUnset) {
		w := s.unset[0].Watch
		s.unset[0] = unset{}
		s.unset = s.unset[1:]
		switch {
		case w.state != arming: // an event has come first
			continue
		case w.subs.len() == 0:
			s.moveLocked(w, none)
			continue
		}
		if last := len(known) - 1; last < 0 || known[last].Zxid != w.zxid || len(known[last].Watches) == mostUnset {
			known = append(known, zkconn.Known{Zxid: w.zxid})
		}
		k := &known[len(known)-1]
		k.Watches = append(k.Watches, w.wire())
		k.Paths.Add(w.wire(), w.last.Exists())
	}
	if len(s.unset) == 0 {
		s.unset = nil
	}
	return known
}
