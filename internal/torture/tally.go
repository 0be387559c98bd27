package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// failure is a way in which a contender breaks a promise.
type failure string

const (
	missed      failure = "updates missed"
	dead        failure = "streams dead"
	back        failure = "went back"
	repeated    failure = "snapshots repeated"
	incomplete  failure = "sets incomplete"
	mixed       failure = "sets mixed"
	lost        failure = "registrations lost"
	doubled     failure = "registrations doubled"
	undead      failure = "withdrawn, still there"
	unwritten   failure = "updates lost"
	untrue      failure = "failed, and made"
	twice       failure = "made twice"
	poisoned    failure = "too large, not said"
	restless    failure = "restless"
	wrongState  failure = "session told wrong"
	stranded    failure = "not connected again"
	grown       failure = "resources grown"
	processDead failure = "processes dead"
)

// failures has all of them, in the order of the report.
var failures = []failure{
	missed, dead, back, repeated, incomplete, mixed, lost, doubled, undead, unwritten, untrue, twice, poisoned, restless, wrongState, stranded, grown, processDead,
}

// finding is one case of a failure.
type finding struct {
	failure failure
	what    string // which stream or node
	text    string
}

func (f finding) String() string { return fmt.Sprintf("%s: %s: %s", f.failure, f.what, f.text) }

// tally counts what a contender did and what it did wrong. All its clients share it.
type tally struct {
	mu         sync.Mutex // guards what follows
	failures   map[failure]int
	snapshots  int
	registered int // registrations that were begun
	updated    int // updates that were told to be made
	called     int // calls that were told to be made
	refused    int // calls that failed, and said so
	unknown    int // of those, updates of which nobody can know whether they were made
	early      int // of those, registrations that nobody withdrew, and updates whose time was not over
	unable     map[string]bool
	round      []string        // what went wrong in this round, with the time
	recent     map[failure]int // how often
}

func newTally() *tally {
	return &tally{failures: map[failure]int{}, unable: map[string]bool{}, recent: map[failure]int{}}
}

// add counts findings.
func (t *tally) add(now time.Time, client string, found ...finding) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range found {
		t.failures[f.failure]++
		t.recent[f.failure]++
		t.round = append(t.round, fmt.Sprintf("%s %s: %v", now.Format(clock), client, f))
	}
}

// refuse counts a call that failed and said so.
func (t *tally) refuse(now time.Time, client, text string, early bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refused++
	if early {
		t.early++
		t.round = append(t.round, fmt.Sprintf("%s %s: failed before its time: %s", now.Format(clock), client, text))
	}
}

// count changes the numbers that are no failures.
func (t *tally) count(change func(t *tally)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(t)
}

// can reports whether the contender has not said that it is unable to do that.
func (t *tally) can(command string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.unable[command]
}

// takeRound returns what went wrong in this round, and begins the next.
func (t *tally) takeRound() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.round
	t.round = nil
	clear(t.recent)
	return all
}

// excuse is why a round does not count, or not all of it.
type excuse int

const (
	none        excuse = iota
	stalled            // the machine stood still: what a wait explains is excused
	serversLost        // the servers lost acknowledged changes: whatever a client saw is excused
)

// covers reports whether it is an excuse for a failure.
func (e excuse) covers(f failure) bool {
	switch f {
	case missed, lost, undead, unwritten, poisoned, restless, wrongState, stranded:
		return e != none
	case back, repeated, incomplete, mixed, doubled, dead, untrue, twice:
		return e == serversLost
	}
	return false
}

// forgive takes back what went wrong in this round and has an excuse.
func (t *tally) forgive(e excuse) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for f, n := range t.recent {
		if e.covers(f) {
			t.failures[f] -= n
			delete(t.recent, f)
		}
	}
}

// summary lists what went wrong so far, "" if nothing did.
func (t *tally) summary() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []string
	for _, f := range failures {
		if n := t.failures[f]; n > 0 {
			all = append(all, fmt.Sprintf("%d %s", n, f))
		}
	}
	return strings.Join(all, ", ")
}

// samples are what a contender's clients used, at each calm.
type samples struct{ all [][]usage }

// add notes what a client used; its number is from 0.
func (s *samples) add(client int, u usage) {
	for len(s.all) <= client {
		s.all = append(s.all, nil)
	}
	s.all[client] = append(s.all[client], u)
}

const (
	warmUp = 3 // calms before the first sample that counts
	window = 5 // samples whose median is one measurement
)

// thirds returns a client's use at the start, in the middle and at the end; false if there are too few
// samples.
func (s *samples) thirds(client int) (start, middle, end usage, ok bool) {
	if client >= len(s.all) || len(s.all[client]) < warmUp+3*window {
		return start, middle, end, false
	}
	all := s.all[client][warmUp:]
	mid := (len(all) - window) / 2
	return median(all[:window]), median(all[mid : mid+window]), median(all[len(all)-window:]), true
}

func median(all []usage) usage {
	of := func(field func(usage) int64) int64 {
		values := make([]int64, len(all))
		for i, u := range all {
			values[i] = field(u)
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return usage{
		of(func(u usage) int64 { return u.goroutines }),
		of(func(u usage) int64 { return u.heap }),
		of(func(u usage) int64 { return u.files }),
	}
}

// growth says what of a client has grown all through the run, beyond what chance makes of it.
func (s *samples) growth(client int) (found []finding) {
	start, middle, end, ok := s.thirds(client)
	if !ok {
		return nil
	}
	check := func(what string, slack int64, steps bool, field func(usage) int64) {
		a, b, c := field(start), field(middle), field(end)
		if c-a > slack && (steps || b > a && c > b) {
			found = append(found, finding{grown, what, fmt.Sprintf("%d, %d, %d at start, middle and end", a, b, c)})
		}
	}
	check("goroutines", 10, true, func(u usage) int64 { return u.goroutines })
	check("file descriptors", 10, true, func(u usage) int64 { return u.files })
	// The heap also has steps that are no growth, up and down.
	check("heap", max(4<<20, start.heap/2), false, func(u usage) int64 { return u.heap })
	return found
}
