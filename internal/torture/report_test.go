package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTheReportHasWhatWasCounted(t *testing.T) {
	good := &contender{prepared: prepared{peer: peers[0]}, tally: newTally(), clients: []*client{{oracle: &oracle{}}}}
	bad := &contender{prepared: prepared{peer: peers[1]}, tally: newTally(), clients: []*client{{oracle: &oracle{}}}}
	bad.tally.add(time.Now(), "raw0", finding{missed, "d1", "it has another"}, finding{missed, "d2", "it has another"})
	bad.tally.unable["update"] = true
	r := &result{
		options: options{length: time.Hour, seed: 17, clients: 1}, length: time.Hour + 5*time.Second,
		rounds: 300, faults: map[kind]int{killLeader: 20, slow: 3}, made: 1234,
		contenders: []*contender{good, bad}, skipped: []string{"kazoo: not installed"},
	}
	if got := r.broken("zkstream") + r.broken("raw"); got != "2 updates missed" {
		t.Errorf("broken: %q", got)
	}
	path := filepath.Join(t.TempDir(), "report.md")
	if err := r.write(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"go run ./internal/torture -for 1h0m0s -seed 17 -clients 1 -contenders zkstream,raw",
		"| rounds judged | 300 | 300 |", "| faults injected | 23 | 23 |", "| changes made | 1234 | 1234 |",
		"| **updates missed** | 0 | 2 |", "| **updates lost** | 0 | - |",
		"20 kill leader", "Skipped: kazoo: not installed", "1h0m",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is not in the report:\n%s", want, text)
		}
	}
}
