package main

import (
	"fmt"
	"strings"
	"testing"
)

// told has the client told to make a call, and say how it went; "" is nothing.
func (w *watched) told(id, kind, path, says string) {
	w.t.Helper()
	w.oracle.call(id, kind, path)
	w.oracle.calls[id].at = w.now.Add(-updateLimit)
	if says != "" {
		verb, rest, _ := strings.Cut(says, " ")
		w.says(strings.TrimSpace(verb + " " + id + " " + rest))
	}
}

// A client that lies about its calls is seen.
func TestCallsAreJudged(t *testing.T) {
	const dir = "/k"
	for _, c := range []struct {
		kind, says string
		names      []string
		want       failure // "" is none
	}{
		{createCall, "made 0", []string{"k1"}, ""},
		{createCall, "made 0", nil, unwritten},
		{createCall, "failed refused", nil, ""},
		{createCall, "failed refused", []string{"k1"}, untrue},
		{createCall, "unknown lost", nil, ""},
		{createCall, "unknown lost", []string{"k1"}, ""},
		{createCall, "", nil, unwritten},
		{createCall, "made 0", []string{"k1", "k12", "k1a"}, ""},
		{sequentialCall, "made 0", []string{"k10000000004"}, ""},
		{sequentialCall, "made 0", []string{"k10000000004", "k10000000005"}, twice},
		{sequentialCall, "unknown lost", []string{"k10000000004", "k10000000005"}, twice},
		{sequentialCall, "failed refused", []string{"k10000000004"}, untrue},
		{ephemeralCall, "made 0", nil, ""}, // gone with its session
		{ephemeralCall, "failed refused", []string{"k10000000004"}, untrue},
		{multiCall, "made 0", []string{"k1a", "k1b"}, ""},
		{multiCall, "made 0", []string{"k1a"}, untrue},
		{multiCall, "made 0", nil, unwritten},
		{multiCall, "failed refused", nil, ""},
		{multiCall, "failed refused", []string{"k1a", "k1b"}, untrue},
		{multiCall, "unknown lost", []string{"k1a", "k1b"}, ""},
		{multiCall, "unknown lost", []string{"k1b"}, untrue},
		{getCall, "made 0", nil, ""},
	} {
		w := watch(t)
		w.truth.ledgers = map[string]ledger{dir: {names: c.names}}
		w.told("k1", c.kind, dir, c.says)
		w.judge()
		want := map[failure]int{}
		if c.want != "" {
			want[c.want] = 1
		}
		w.wants(want)
		w.judge() // the calls of a round are forgotten after it
		w.wants(want)
		if t.Failed() {
			t.Fatalf("%+v", c)
		}
	}
}

func TestDeletionsAreJudged(t *testing.T) {
	const dir = "/k"
	for _, c := range []struct {
		says  string
		there bool
		want  failure
	}{
		{"made 0", false, ""},
		{"made 0", true, unwritten},
		{"failed no such node", true, ""},
		{"failed no such node", false, untrue},
		{"unknown lost", true, ""},
		{"unknown lost", false, ""},
	} {
		w := watch(t)
		w.told("k1", createCall, dir, "made 0")
		path := w.oracle.deletable()
		if path != dir+"/k1" {
			t.Fatalf("to be deleted: %q", path)
		}
		w.told("k2", deleteCall, path, c.says)
		if path := w.oracle.deletable(); path != "" {
			t.Errorf("to be deleted again: %q", path)
		}
		var l ledger
		if c.there {
			l.names = []string{"k1"}
		}
		w.truth.ledgers = map[string]ledger{dir: l}
		w.judge()
		want := map[failure]int{}
		if c.want != "" {
			want[c.want] = 1
		}
		w.wants(want)
	}
}

func TestWritesToALedgerAreCounted(t *testing.T) {
	const dir = "/k"
	for _, c := range []struct {
		says []string // of k1, k2, ...
		ledger
		want failure
	}{
		{[]string{"made 1", "made 2"}, ledger{2, "k2", nil}, ""},
		{[]string{"made 1", "made 2"}, ledger{2, "k1", nil}, unwritten}, // a later try of the first
		{[]string{"made 1", "made 2"}, ledger{3, "k1", nil}, twice},
		{[]string{"made 1", "made 2"}, ledger{1, "k1", nil}, unwritten},
		{[]string{"made 1", "made 1"}, ledger{1, "k1", nil}, untrue},
		{[]string{"made 1", "unknown lost"}, ledger{1, "k1", nil}, ""},
		{[]string{"made 1", "unknown lost"}, ledger{2, "k2", nil}, ""},
		{[]string{"made 2", "unknown lost"}, ledger{2, "k1", nil}, ""},
		{[]string{"made 2"}, ledger{1, "k1", nil}, untrue},
		{[]string{"made 1", "failed refused"}, ledger{2, "k2", nil}, twice},
	} {
		w := watch(t)
		for i, says := range c.says {
			w.told(fmt.Sprintf("k%d", i+1), writeCall, dir, says)
		}
		w.truth.ledgers = map[string]ledger{dir: c.ledger, "/other": {version: 9}}
		contender := &contender{tally: w.tally, clients: []*client{{oracle: w.oracle}}}
		contender.countCalls(w.truth, none)
		want := map[failure]int{}
		if c.want != "" {
			want[c.want] = 1
		}
		w.wants(want)
		if t.Failed() {
			t.Fatalf("%+v", c)
		}
	}
}

func TestAReadMustSeeWhatItsClientHasWritten(t *testing.T) {
	w := watch(t)
	w.told("k1", writeCall, "/k", "made 3")
	w.told("k2", getCall, "/k", "made 3")
	w.wants(map[failure]int{})
	w.told("k3", getCall, "/k", "made 2")
	w.wants(map[failure]int{back: 1})
}
