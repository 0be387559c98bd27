package main

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zkstream/zkstream/internal/ensemble"
)

var (
	seedFlag    = flag.Uint64("seed", 0, "of the schedule of TestTorture; 0 means a new one")
	withoutFlag = flag.String("without", "", "faults that TestTorture leaves out")
	lengthFlag  = flag.Duration("for", 0, "how long TestTorture goes on; 0: it is skipped")
)

// A short torture, with those peers that are installed; the command of this package does it for hours.
func TestTorture(t *testing.T) {
	alone(t)
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64N(1_000_000_000) + 1
	}
	logs := filepath.Join(os.TempDir(), "zkstream-torture-logs")
	result, err := torture(t.Context(), options{
		length: *lengthFlag, seed: seed, clients: 2, logs: logs, out: t.Output(), without: kinds(*withoutFlag),
		contenders: slices.DeleteFunc(everybody(), func(name string) bool { return name == liarName }),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rounds, %d faults, %d changes, %d snapshots\n%s", result.rounds, result.injected(), result.made, result.contenders[0].tally.snapshots, result.table())
	for _, c := range result.contenders {
		if c.tally.snapshots == 0 {
			t.Errorf("%s told nothing", c.name)
		}
	}
	if result.rounds == 0 || result.injected() == 0 || result.made == 0 || result.contenders[0].tally.snapshots == 0 {
		t.Error("nothing happened")
	}
	if broken := result.broken(subject); broken != "" {
		t.Errorf("zkstream broke promises: %s; run again with -args -seed %d; logs are in %s", broken, seed, logs)
	}
}

// alone is called first by a test that needs the machine for itself: clients and servers that do not get
// their turn within the session timeout look as if they were broken. It skips the test where nobody has said
// that nothing else runs, or where there is no ZooKeeper, unless one is required.
func alone(t *testing.T) {
	t.Helper()
	if *lengthFlag == 0 {
		t.Skip("it needs the machine for itself: 'make torture-quick' runs it")
	}
	ensemble.Need(t)
}

// A contender that dies is counted, and the others go on.
func TestAContenderThatDiesIsCounted(t *testing.T) {
	c := &client{name: "raw0", owner: &contender{tally: newTally()}}
	c.oracle = newOracle(c.name, "/s", sessionTimeout, c.owner.tally, newChanges())
	// The contender is this program, told to be one that does not exist.
	cmd, _, err := self("nobody", "")("")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Args = append(cmd.Args, "127.0.0.1:1", "bad")
	if c.process, err = startProcess(cmd, &record{name: c.name}, c.oracle.hear); err != nil {
		t.Fatal(err)
	}
	<-c.process.ended
	r := &run{}
	r.bury(c)
	r.bury(c)
	c.process.end()
	if got := c.owner.tally.failures[processDead]; got != 1 {
		t.Errorf("counted %d times, want once", got)
	}
	if !strings.Contains(c.owner.tally.round[0], "invalid syntax") {
		t.Errorf("its last words are not kept: %s", c.owner.tally.round[0])
	}
}

// A contender that hangs, and whatever it has started, is killed.
func TestAContenderThatHangsIsKilled(t *testing.T) {
	cmd, _, err := self(sleeper, "")("")
	if err != nil {
		t.Fatal(err)
	}
	p, err := startProcess(cmd, &record{}, func(time.Time, line) {})
	if err != nil {
		t.Fatal(err)
	}
	<-p.ready
	p.end() // which it ignores, until it is killed
	if p.alive() {
		t.Error("it is alive")
	}
}
