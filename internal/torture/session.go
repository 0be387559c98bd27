package main

import (
	"fmt"
	"time"
)

// slack is how much later than its time a state may be told, on a machine that is busy with all this.
const slack = 1500 * time.Millisecond

// session judges what a client tells of its session: the order of states, and their time. A client may
// skip a state that lasts no longer than its user takes to look, so any state but the first may be missing.
type session struct {
	state   string // "" before the first
	since   time.Time
	expired bool // told since the last calm
	late    bool // that this state has lasted too long has been counted
	owner   int64
}

// tell takes a state, and says what is wrong with it, or nothing.
func (s *session) tell(now time.Time, state string, timeout time.Duration) string {
	before := s.state
	wrong := s.overdue(now, timeout)
	switch {
	case state != "connecting" && state != "connected" && state != "suspended" && state != "expired" && state != "closed":
		wrong = fmt.Sprintf("%q is no state", state)
	case before == "closed":
		wrong = fmt.Sprintf("%s after closed", state)
	case state == "connecting" && before != "":
		wrong = fmt.Sprintf("connecting after %s", before)
	case before == "connecting" && (state == "suspended" || state == "expired"):
		wrong = fmt.Sprintf("%s after connecting", state)
	case state == before && state == "expired":
		wrong = "expired after expired"
	}
	s.state, s.since, s.late = state, now, false
	if state == "expired" {
		s.expired = true
	}
	return wrong
}

// overdue says, once, that the session has been suspended for longer than its timeout.
func (s *session) overdue(now time.Time, timeout time.Duration) string {
	lasted := now.Sub(s.since)
	if s.state != "suspended" || s.late || lasted <= timeout+slack {
		return ""
	}
	s.late = true
	return fmt.Sprintf("suspended for %v without expired, at a session timeout of %v", lasted.Round(time.Millisecond), timeout)
}

// cutOff says what is wrong with the state of a client that no server has been in reach of for so long.
// reset says that its connections were reset, so that it knew at once.
func (s *session) cutOff(lasted, timeout time.Duration, reset bool) string {
	if s.late || s.state == "" || s.state == "expired" || s.state == "suspended" && !reset || lasted < timeout+slack {
		return ""
	}
	s.late = true
	return fmt.Sprintf("%s, though no server was in reach for %v", s.state, lasted.Round(time.Millisecond))
}

// calm takes the session's ID, as the servers have it, and says whether a new one has come without the end
// of the old one having been told.
func (s *session) calm(owner int64) string {
	before, expired := s.owner, s.expired
	s.owner, s.expired = owner, false
	if s.state == "" || before == 0 || owner == before || expired {
		return ""
	}
	return fmt.Sprintf("session %#x has become %#x, and expired was not told", uint64(before), uint64(owner))
}
