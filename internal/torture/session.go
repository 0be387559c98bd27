package main

import (
	"fmt"
	"time"
)

// slack is how much later than its time a state may be told, on a machine that is busy with all this.
const slack = time.Second

// session judges what a client tells of its session: the order of states, and their time. A client may
// skip a state that lasts no longer than its user takes to look, so any state but the first may be missing.
type session struct {
	state   string // "" before the first
	expired bool   // told since the last calm
	late    bool   // that this state was told too long after the last answer has been counted
	owner   int64
}

// tell takes a state, and says what is wrong with it, or nothing.
func (s *session) tell(state string) (wrong string) {
	before := s.state
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
	s.state, s.late = state, false
	if state == "expired" {
		s.expired = true
	}
	return wrong
}

// overdue says, once, that a session that was not told to be expired has had no answer for longer than its timeout.
// The servers count from the last request that they got, which they got before they answered it: so they, too, may
// have ended the session by now.
func (s *session) overdue(silent, timeout time.Duration) string {
	if s.state != "connected" && s.state != "suspended" || s.late || silent <= timeout+slack {
		return ""
	}
	s.late = true
	return fmt.Sprintf("%s %v after the last answer, at a session timeout of %v", s.state, silent.Round(time.Millisecond), timeout)
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
