package main

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

func TestASeedHasOneSchedule(t *testing.T) {
	differ := false
	for n := 1; n <= 200; n++ {
		a, b := makeRound(42, n, sessionTimeout), makeRound(42, n, sessionTimeout)
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("round %d: %v and %v", n, a, b)
		}
		differ = differ || !reflect.DeepEqual(a, makeRound(43, n, sessionTimeout))
	}
	if !differ {
		t.Error("another seed has the same schedule")
	}
}

func TestEachFaultComesInEachCycle(t *testing.T) {
	all := allFaults()
	for cycle := range 5 {
		seen := map[kind]bool{}
		for n := range all {
			for _, f := range makeRound(7, cycle*len(all)+n+1, sessionTimeout).faults {
				seen[f.kind] = true
			}
		}
		if len(seen) != len(all) {
			t.Errorf("cycle %d has %d of %d faults", cycle, len(seen), len(all))
		}
	}
}

func TestFaultsAreShorterAndLongerThanASession(t *testing.T) {
	shorter, longer := map[kind]bool{}, map[kind]bool{}
	overlap := false
	for n := 1; n <= 1000; n++ {
		round := makeRound(3, n, sessionTimeout)
		for i, f := range round.faults {
			if f.last < sessionTimeout {
				shorter[f.kind] = true
			} else {
				longer[f.kind] = true
			}
			for _, g := range round.faults[:i] {
				overlap = overlap || f.at < g.at+g.last && g.at < f.at+f.last
			}
		}
	}
	for _, k := range []kind{stopFollower, stopLeader, killLeader, noQuorum, cut, halfOpen, hang} {
		if !shorter[k] || !longer[k] {
			t.Errorf("%s: shorter %v, longer %v", k, shorter[k], longer[k])
		}
	}
	if !overlap {
		t.Error("no two faults are there at the same time")
	}
	if shorter[expiry] {
		t.Error("a session may outlive an expiry")
	}
}

func TestFaultsOfOneLaneDoNotOverlap(t *testing.T) {
	for n := 1; n <= 1000; n++ {
		var end time.Duration
		for _, f := range makeRound(5, n, sessionTimeout).faults {
			if !slices.Contains(networkFaults, f.kind) {
				continue // another lane
			}
			if f.at < end {
				t.Fatalf("round %d: %v begins at %v, before %v", n, f, f.at, end)
			}
			end = f.at + f.last
		}
	}
}

func TestFaultsCanBeLeftOut(t *testing.T) {
	without := append([]kind{cut, tooLarge}, wholeFaults...)
	seen := map[kind]bool{}
	for n := 1; n <= 500; n++ {
		for _, f := range makeRound(9, n, sessionTimeout, without...).faults {
			seen[f.kind] = true
		}
	}
	for _, k := range allFaults() {
		if seen[k] == slices.Contains(without, k) {
			t.Errorf("%s: seen %v", k, seen[k])
		}
	}
}
