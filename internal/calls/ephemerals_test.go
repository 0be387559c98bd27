package calls

import (
	"fmt"
	"testing"
)

// There is always a call under way, but none for ever.
func TestEphemeralsAreForgottenWithTheCallsThatCouldTakeThem(t *testing.T) {
	s := newEphemerals()
	leave := s.enter()
	for i := range 1000 {
		path := fmt.Sprint("/n", i)
		next := s.enter()
		if !s.take(path) {
			t.Fatalf("%s is taken", path)
		}
		if s.take(path) {
			t.Fatalf("%s is taken twice", path)
		}
		leave()
		if s.take(path) { // the next call is under way still, and may look for its own
			t.Fatalf("%s is forgotten too early", path)
		}
		leave = next
		if n := len(s.older.taken) + len(s.newer.taken); n > 3 {
			t.Fatalf("%d nodes are remembered after %d calls", n, i+1)
		}
	}
	leave()
	if n := len(s.older.taken) + len(s.newer.taken); n > 0 {
		t.Errorf("%d nodes are remembered without a call", n)
	}
}

// A call that takes long has all that was taken since it began kept from it.
func TestEphemeralsAreRememberedForACallThatTakesLong(t *testing.T) {
	s := newEphemerals()
	leave := s.enter()
	for i := range 100 {
		other := s.enter()
		s.take(fmt.Sprint("/n", i))
		other()
	}
	for i := range 100 {
		if s.take(fmt.Sprint("/n", i)) {
			t.Fatalf("/n%d is forgotten too early", i)
		}
	}
	leave()
}
