package main

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestAMachineThatRunsHasNoStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := watchStalls()
		defer s.end()
		time.Sleep(time.Minute)
		if worst := s.take(); worst != 0 {
			t.Errorf("it stood still for %v", worst)
		}
	})
}

func TestAStallExcusesWhatTakesTimeOnly(t *testing.T) {
	tally := newTally()
	tally.add(time.Now(), "c", finding{missed, "d1", "before"})
	tally.takeRound()
	tally.add(time.Now(), "c", finding{missed, "d1", "late"}, finding{wrongState, "session", "late"}, finding{back, "d1", "older"})
	tally.forgive(stalled)
	if got, want := tally.summary(), "1 updates missed, 1 went back"; got != want {
		t.Errorf("left is %q, want %q", got, want)
	}
	tally.takeRound()
	tally.add(time.Now(), "c", finding{lost, "r1", "no node"})
	if got, want := tally.summary(), "1 updates missed, 1 went back, 1 registrations lost"; got != want {
		t.Errorf("a round later it is %q, want %q", got, want)
	}
}
