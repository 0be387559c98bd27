package main

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"
)

// watched is an oracle with made-up lines and a made-up truth.
type watched struct {
	t      *testing.T
	oracle *oracle
	tally  *tally
	truth  *truth
	now    time.Time
	mine   []int64 // the client's sessions
}

const service = "/torture/s"

func watch(t *testing.T) *watched {
	w := &watched{t: t, tally: newTally(), now: time.Unix(1_000_000, 0), mine: []int64{7}}
	w.oracle = newOracle("client0", service, sessionTimeout, w.tally, newChanges())
	w.truth = &truth{
		nodes: map[string]state{}, names: map[string]state{}, props: map[string]map[string]any{},
		owners: map[string][]serviceNode{}, since: map[string]time.Time{},
	}
	return w
}

// says has the client say lines, a second apart.
func (w *watched) says(lines ...string) {
	w.t.Helper()
	for _, text := range lines {
		l, err := parseLine(text)
		if err != nil {
			w.t.Fatal(err)
		}
		w.now = w.now.Add(time.Second)
		w.oracle.hear(w.now, l)
	}
}

// has sets a node's data.
func (w *watched) has(path string, czxid, mzxid int64, value string) {
	w.truth.nodes[path] = state{exists: true, czxid: czxid, zxid: mzxid, content: value}
}

// hasNames sets a node's children.
func (w *watched) hasNames(path string, czxid, pzxid int64, names string) {
	w.truth.names[path] = state{exists: true, czxid: czxid, zxid: pzxid, content: names}
}

// judge has the oracle judge, after a calm that was long enough.
func (w *watched) judge() (reopen []*stream) {
	w.now = w.now.Add(time.Minute)
	w.truth.at = w.now
	return w.oracle.judge(w.truth, w.mine, none)
}

// wants checks what has been counted so far, and that it has a text.
func (w *watched) wants(want map[failure]int) {
	w.t.Helper()
	if !maps.Equal(w.tally.failures, want) {
		w.t.Errorf("counted %v, want %v\n%s", w.tally.failures, want, strings.Join(w.tally.round, "\n"))
	}
}

func TestAStreamThatHasTheTruthIsFine(t *testing.T) {
	w := watch(t)
	w.oracle.watch("d1", "data", "/a")
	w.oracle.watch("c1", "children", "/a")
	w.has("/a", 5, 9, "12")
	w.hasNames("/a", 5, 8, "[x,y]")
	w.says("data d1 5 6 10", "data d1 5 9 12", "children c1 5 7 [x]", "children c1 5 8 [x,y]", "session connecting", "session connected")
	if found := w.oracle.pending(w.truth, w.mine); len(found) > 0 {
		t.Error(found)
	}
	w.judge()
	// Gone, and a new one of the same name.
	w.says("data d1 0 0 -", "data d1 20 20 13")
	w.has("/a", 20, 20, "13")
	w.judge()
	w.wants(map[failure]int{})
}

func TestAMissedUpdateIsFoundAndCountedOnce(t *testing.T) {
	for name, last := range map[string]string{
		"an old value":               "data d1 5 6 10",
		"an old node, equal":         "data d1 4 8 12",
		"no node, though there is":   "data d1 0 0 -",
		"old, and zxids are unknown": "data d1 0 0 11",
	} {
		t.Run(name, func(t *testing.T) {
			w := watch(t)
			w.oracle.watch("d1", "data", "/a")
			w.says(last)
			w.has("/a", 5, 9, "12")
			if found := w.oracle.pending(w.truth, w.mine); len(found) != 1 || found[0].failure != missed {
				t.Error(found)
			}
			w.judge()
			w.judge() // the node has not changed since
			w.wants(map[failure]int{missed: 1})
		})
	}
}

func TestAStreamThatSaysNothingAtAllMisses(t *testing.T) {
	w := watch(t)
	w.oracle.watch("c1", "children", "/a")
	w.judge()
	w.wants(map[failure]int{missed: 1})
}

func TestNamesThatAreMissedAreFound(t *testing.T) {
	w := watch(t)
	w.oracle.watch("c1", "children", "/a")
	w.hasNames("/a", 5, 8, "[x,y]")
	w.says("children c1 0 0 [x]")
	w.judge()
	w.wants(map[failure]int{missed: 1})
}

func TestAddressesMayBeToldForNames(t *testing.T) {
	w := watch(t)
	w.oracle.watch("c1", "children", "/a")
	w.truth.names["/a"] = state{exists: true, content: "[n1,n2]", addrs: "[x:1,y:1]"}
	w.says("children c1 0 0 [x:1,y:1]")
	w.judge()
	w.wants(map[failure]int{})
}

func TestNothingIsExpectedOfALibraryThatIsUnable(t *testing.T) {
	w := watch(t)
	w.oracle.watch("d1", "data", "/a")
	w.oracle.update("u1", "/p", "k", "1")
	w.oracle.begin("r1", "10.0.0.1:80")
	w.says("unable data", "unable update", "unable register")
	w.has("/a", 5, 9, "12")
	w.judge()
	w.wants(map[failure]int{})
	if w.tally.can("data") || !w.tally.can("children") {
		t.Error("what it can is not known")
	}
}

func TestWhatChangesRightNowIsNotJudged(t *testing.T) {
	w := watch(t)
	w.oracle.watch("c1", "children", "/a")
	w.says("children c1 0 0 [x]")
	w.hasNames("/a", 5, 8, "[x,y]")
	w.truth.at = w.now
	w.truth.since["children/a"] = w.now.Add(-unsettled / 2)
	w.oracle.judge(w.truth, w.mine, none)
	w.wants(map[failure]int{})
}

func TestASilentStreamIsDeadAfterTwoRounds(t *testing.T) {
	w := watch(t)
	w.oracle.watch("d1", "data", "/a")
	w.says("data d1 5 6 10")
	w.has("/a", 5, 9, "12")
	w.judge()
	w.has("/a", 5, 11, "13")
	reopen := w.judge()
	w.wants(map[failure]int{missed: 1, dead: 1})
	if len(reopen) != 1 || reopen[0].path != "/a" || reopen[0].verb != "data" {
		t.Errorf("to open anew: %v", reopen)
	}
	w.judge() // it is counted once
	w.wants(map[failure]int{missed: 1, dead: 1})
}

func TestAStreamThatIsLateTwiceIsNotDead(t *testing.T) {
	w := watch(t)
	w.oracle.watch("d1", "data", "/a")
	w.says("data d1 5 6 10")
	w.has("/a", 5, 9, "12")
	w.judge()
	w.says("data d1 5 9 12")
	w.has("/a", 5, 11, "13")
	w.judge()
	w.wants(map[failure]int{missed: 2})
}

func TestAStreamThatEndsIsDead(t *testing.T) {
	w := watch(t)
	w.oracle.watch("d1", "data", "/a")
	w.says("data d1 5 6 10", "end d1 given up", "data d1 5 6 10")
	if reopen := w.judge(); len(reopen) != 0 {
		t.Errorf("to open anew, though there is no node: %v", reopen)
	}
	w.has("/a", 5, 9, "12")
	if reopen := w.judge(); len(reopen) != 1 {
		t.Errorf("to open anew: %v", reopen)
	}
	w.wants(map[failure]int{dead: 1})
}

func TestGoingBackIsFound(t *testing.T) {
	for _, lines := range [][]string{
		{"data s 5 9 12", "data s 5 8 11"},
		{"data s 5 9 12", "data s 0 0 -", "data s 4 4 11"}, // the node before
		{"data s 0 0 12", "data s 0 0 11"},                 // by the counter
		{"children s 5 9 [x]", "children s 5 8 [y]"},
	} {
		t.Run(lines[0], func(t *testing.T) {
			w := watch(t)
			w.oracle.watch("s", strings.Fields(lines[0])[0], "/a")
			w.says(lines...)
			w.wants(map[failure]int{back: 1})
		})
	}
}

func TestRepetitionIsFound(t *testing.T) {
	for _, line := range []string{"data s 5 9 12", "children s 5 9 [x]"} {
		w := watch(t)
		w.oracle.watch("s", strings.Fields(line)[0], "/a")
		w.says(line, line)
		w.wants(map[failure]int{repeated: 1})
	}
}

func TestEqualSnapshotsWithoutZxidsAreRepeatedOnlyIfNothingWasWritten(t *testing.T) {
	for _, line := range []string{"data s 0 0 -", "children s 0 0 [x]"} {
		w := watch(t)
		w.oracle.watch("s", strings.Fields(line)[0], "/a")
		w.says(line, line)
		w.wants(map[failure]int{}) // nobody knows what was written
		w.oracle.changes.last["/a"] = w.now
		w.says(line)
		w.wants(map[failure]int{})
		w.now = w.now.Add(inFlight)
		w.says(line) // it may have come and gone since the one before
		w.wants(map[failure]int{})
		w.says(line)
		w.wants(map[failure]int{repeated: 1})
	}
}

func TestRegistrationsAreJudged(t *testing.T) {
	const addr = "10.0.0.1:80"
	for _, c := range []struct {
		name     string
		withdraw bool
		says     []string
		nodes    []serviceNode
		want     map[failure]int
	}{
		{name: "kept", says: []string{"registered r1"}, nodes: []serviceNode{{addr, addr, 7}}},
		{name: "lost", says: []string{"registered r1"}, want: map[failure]int{lost: 1}},
		{name: "of somebody else's session", says: []string{"registered r1"}, nodes: []serviceNode{{addr, addr, 8}}, want: map[failure]int{lost: 1}},
		{name: "of no session", says: []string{"registered r1"}, nodes: []serviceNode{{addr, addr, 0}}, want: map[failure]int{lost: 1}},
		{name: "not told", nodes: []serviceNode{{addr, addr, 7}}, want: map[failure]int{lost: 1}},
		{name: "doubled", says: []string{"registered r1"}, nodes: []serviceNode{{addr, addr, 7}, {"n-2", addr, 7}}, want: map[failure]int{doubled: 1}},
		{name: "joined by a stranger", says: []string{"registered r1"}, nodes: []serviceNode{{addr, addr, 7}, {"x", "10.9.9.9:80", 7}}, want: map[failure]int{doubled: 1}},
		{name: "kept under another name", says: []string{"registered r1"}, nodes: []serviceNode{{"_c_1-0001", addr, 7}}},
		{name: "withdrawn", withdraw: true, says: []string{"registered r1", "withdrawn r1"}},
		{name: "withdrawn and there", withdraw: true, says: []string{"registered r1", "withdrawn r1"}, nodes: []serviceNode{{addr, addr, 7}}, want: map[failure]int{undead: 1}},
		{name: "withdrawn, not told", withdraw: true, says: []string{"registered r1"}, want: map[failure]int{undead: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := watch(t)
			w.oracle.begin("r1", addr)
			if c.withdraw {
				w.oracle.withdraw("r1")
			}
			w.says(c.says...)
			w.truth.owners[service] = c.nodes
			found := w.oracle.pending(w.truth, w.mine)
			if len(found) != len(c.want) {
				t.Errorf("pending %v, want %v", found, c.want)
			}
			if c.want == nil {
				c.want = map[failure]int{}
			}
			w.judge()
			w.wants(c.want)
		})
	}
}

func TestAWrongRegistrationIsCountedOnceAndMended(t *testing.T) {
	w := watch(t)
	w.oracle.begin("r1", "10.0.0.1:80")
	w.says("registered r1")
	w.judge()
	if ids := w.oracle.voided(); len(ids) != 1 {
		t.Fatalf("to withdraw: %v", ids)
	}
	w.oracle.withdraw("r1")
	w.judge()
	w.wants(map[failure]int{lost: 1})
	if ids, used := w.oracle.live(); len(ids) != 0 || len(used) != 0 {
		t.Errorf("left: %v, %v", ids, used)
	}
}

func TestAnAddressThatIsTakenAnewIsNotStillThere(t *testing.T) {
	w := watch(t)
	w.oracle.begin("r1", "10.0.0.1:80")
	w.oracle.withdraw("r1")
	w.oracle.begin("r2", "10.0.0.1:80")
	w.says("registered r1", "withdrawn r1", "registered r2")
	w.truth.owners[service] = []serviceNode{{"10.0.0.1:80", "10.0.0.1:80", 7}}
	w.judge()
	w.wants(map[failure]int{})
}

func TestARefusedCallIsToBeMadeAgain(t *testing.T) {
	w := watch(t)
	w.oracle.begin("r1", "10.0.0.1:80")
	w.oracle.begin("r2", "10.0.0.2:80")
	w.oracle.withdraw("r2")
	w.says("failed r1 no connection", "failed r2 no connection")
	register, withdraw := w.oracle.refusals()
	if fmt.Sprint(register, withdraw) != "[r1] [r2]" {
		t.Errorf("to be made again: register %v, withdraw %v", register, withdraw)
	}
	w.truth.owners[service] = []serviceNode{{"10.0.0.2:80", "10.0.0.2:80", 7}}
	if found := w.oracle.pending(w.truth, w.mine); len(found) != 2 {
		t.Errorf("pending %v, want both", found)
	}
	if addr := w.oracle.replace("r1"); addr != "10.0.0.1:80" {
		t.Errorf("address %s", addr)
	}
	// Refused again: it is not waited for, but it counts.
	w.oracle.withdraw("r2")
	w.says("failed r2 no connection")
	if found := w.oracle.pending(w.truth, w.mine); len(found) != 0 {
		t.Errorf("pending %v", found)
	}
	if _, withdraw := w.oracle.refusals(); len(withdraw) != 0 {
		t.Errorf("to be made again: %v", withdraw)
	}
	w.judge()
	w.wants(map[failure]int{undead: 1})
}

func TestUpdatesThatAreLostAreFound(t *testing.T) {
	w := watch(t)
	w.truth.props["/p"] = map[string]any{"k1": "1", "k4": "another"}
	for i := 1; i <= 5; i++ {
		w.oracle.update(fmt.Sprintf("u%d", i), "/p", fmt.Sprintf("k%d", i), fmt.Sprint(i))
	}
	// The second is lost, the third has failed, the fourth has another's value, the fifth never returned.
	w.says("updated u1", "updated u2", "failed u3 timeout", "updated u4")
	w.judge()
	w.wants(map[failure]int{unwritten: 3})
}

func TestAnUpdateThatFailedMustNotBeThere(t *testing.T) {
	for _, c := range []struct {
		says  string
		exact bool
		there bool
		want  map[failure]int
	}{
		{"failed u1 no such node", true, false, map[failure]int{}},
		{"failed u1 no such node", true, true, map[failure]int{untrue: 1}},
		{"failed u1 connection closed", false, true, map[failure]int{}}, // it does not tell the two apart
		{"unknown u1 connection closed", true, true, map[failure]int{}},
		{"unknown u1 connection closed", true, false, map[failure]int{}},
		{"updated u1", true, false, map[failure]int{unwritten: 1}},
	} {
		w := watch(t)
		w.oracle.exact = c.exact
		w.truth.props["/p"] = map[string]any{}
		if c.there {
			w.truth.props["/p"]["k"] = "1"
		}
		w.oracle.update("u1", "/p", "k", "1")
		w.says(c.says)
		w.judge()
		w.wants(c.want)
	}
}

func TestOnlyAnUpdateThatIsUnknownMayFailBeforeItsTime(t *testing.T) {
	w := watch(t)
	w.oracle.update("u1", "/p", "k", "1")
	w.oracle.updates["u1"].at = w.now
	w.says("unknown u1 connection closed")
	if w.tally.early != 0 || w.tally.unknown != 1 {
		t.Errorf("early %d, unknown %d", w.tally.early, w.tally.unknown)
	}
	w.oracle.updates["u1"] = &update{path: "/p", key: "k", value: "1", at: w.now}
	w.says("failed u1 connection closed")
	if w.tally.early != 1 {
		t.Errorf("early %d, want 1", w.tally.early)
	}
}

func TestWritesAreCounted(t *testing.T) {
	for _, c := range []struct {
		says   []string
		writes int32
		want   map[failure]int
	}{
		{[]string{"updated u1", "updated u2"}, 2, map[failure]int{}},
		{[]string{"updated u1", "updated u2"}, 3, map[failure]int{twice: 1}},
		{[]string{"updated u1", "unknown u2 lost"}, 1, map[failure]int{}},
		{[]string{"updated u1", "unknown u2 lost"}, 2, map[failure]int{}},
		{[]string{"updated u1", "failed u2 refused"}, 2, map[failure]int{twice: 1}},
		{nil, 2, map[failure]int{}}, // they may still be made
	} {
		w := watch(t)
		w.oracle.exact = true
		w.oracle.update("u1", "/p", "k1", "1")
		w.oracle.update("u2", "/p", "k2", "2")
		w.says(c.says...)
		w.truth.writes = map[string]int32{"/p": c.writes, "/other": 9}
		contender := &contender{tally: w.tally, clients: []*client{{oracle: w.oracle}}}
		contender.countWrites(w.truth, none)
		w.wants(c.want)
	}
}

func TestAWriteThatIsTooLargeMustBeToldAsThat(t *testing.T) {
	for _, c := range []struct {
		says  string
		alone bool
		want  int
	}{
		{"toolarge l1", true, 0},
		{"failed l1 connection closed", false, 1},
		{"unknown l1 connection closed", true, 1},
		{"unknown l1 connection closed", false, 0}, // other connections are lost, too
		{"failed l1 context deadline exceeded (no session: no answer)", true, 1},
		{"failed l1 context deadline exceeded (no session: no answer)", false, 0}, // it was never sent, so nobody could find out
		{"updated l1", false, 1},
		{"", false, 1},
	} {
		w := watch(t)
		w.oracle.large("l1", c.alone)
		if c.says != "" {
			w.says(c.says)
		}
		if w.oracle.answered("l1") != (c.says != "") {
			t.Errorf("%+v: answered %v", c, w.oracle.answered("l1"))
		}
		w.judge()
		if got := w.tally.failures[poisoned]; got != c.want {
			t.Errorf("%+v: counted %d", c, got)
		}
	}
}

func TestAHiddenNodeMayEndAStreamThatSaysSo(t *testing.T) {
	for line, want := range map[string]int{"end s zk: not authenticated": 0, "end s given up": 1} {
		w := watch(t)
		w.oracle.watch("s", "data", closables[0])
		w.has(closables[0], 5, 9, "12")
		w.says(line)
		if reopen := w.judge(); len(reopen) != 1 {
			t.Errorf("%q: to open anew: %v", line, reopen)
		}
		if got := w.tally.failures[dead]; got != want {
			t.Errorf("%q: counted %d, want %d", line, got, want)
		}
	}
}

func TestSessionStatesOutOfOrderAreFound(t *testing.T) {
	for states, want := range map[string]int{
		"connecting connected suspended connected suspended expired connected closed": 0,
		"connected suspended connecting":                                              1,
		"connecting suspended":                                                        1,
		"connecting connected expired expired":                                        1,
		"connecting connected closed connected":                                       1,
		"connecting connected wobbly":                                                 1,
	} {
		w := watch(t)
		for state := range strings.FieldsSeq(states) {
			w.says("session " + state)
		}
		if got := w.tally.failures[wrongState]; got != want {
			t.Errorf("%s: %d wrong, want %d", states, got, want)
		}
	}
}

func TestAClientThatDoesNotComeBackIsFound(t *testing.T) {
	w := watch(t)
	w.says("session connecting", "session connected", "session suspended", "session expired")
	w.judge()
	w.wants(map[failure]int{stranded: 1})
}

func TestANewSessionWithoutExpiredIsFound(t *testing.T) {
	w := watch(t)
	w.says("session connecting", "session connected")
	w.judge()
	w.mine = []int64{8}
	w.says("session suspended", "session expired", "session connected")
	w.judge()
	w.wants(map[failure]int{})
	w.mine = []int64{9}
	w.says("session suspended", "session connected")
	w.judge()
	w.wants(map[failure]int{wrongState: 1})
}

func TestAClientWithoutAnswersMustSaySo(t *testing.T) {
	for _, c := range []struct {
		state  string
		silent time.Duration
		want   int
	}{
		{"connected", sessionTimeout + slack, 0}, // not long enough to know
		{"connected", 2 * sessionTimeout, 1},
		{"suspended", 2 * sessionTimeout, 1},
		{"expired", 2 * sessionTimeout, 0},
	} {
		w := watch(t)
		w.says("session connecting", "session connected", "session "+c.state)
		w.oracle.silence(w.now, c.silent)
		w.oracle.silence(w.now, c.silent) // counted once
		if got := w.tally.failures[wrongState]; got != c.want {
			t.Errorf("%+v: %d wrong, want %d", c, got, c.want)
		}
	}
}

func TestGrowthIsFound(t *testing.T) {
	var steady, leaky, noisy samples
	for i := range int64(60) {
		steady.add(0, usage{40, 3 << 20, 12})
		leaky.add(0, usage{40 + i, 3<<20 + i<<17, 12 + i})
		noisy.add(0, usage{40 + i%7, 3<<20 + i%5<<20, 12 + i%3})
	}
	if found := append(steady.growth(0), noisy.growth(0)...); len(found) > 0 {
		t.Error(found)
	}
	if found := leaky.growth(0); len(found) != 3 {
		t.Errorf("found %v, want goroutines, file descriptors and heap", found)
	}
}

func TestLinesThatAreNoneAreRefused(t *testing.T) {
	for _, text := range []string{"", "hello", "data d1 5", "data d1 x 5 v", "children c 1 y [a]", "stats 1 2"} {
		if l, err := parseLine(text); err == nil {
			t.Errorf("%q is taken as %+v", text, l)
		}
	}
}
