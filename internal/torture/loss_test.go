package main

import (
	"testing"

	"github.com/go-zookeeper/zk"
)

func TestServersThatLoseAcknowledgedChangesAreSeen(t *testing.T) {
	stat := func(version int32) *zk.Stat { return &zk.Stat{Version: version} }
	there := func(value string) *truth {
		return &truth{nodes: map[string]state{"/a": {exists: true, content: value}}}
	}
	gone := &truth{nodes: map[string]state{}}
	for name, c := range map[string]struct {
		do    func(l *losses)
		truth *truth
		want  bool
	}{
		"nothing was": {func(l *losses) {
			l.created("/a", "1", nil)
			l.changed("/a", "2", stat(1), nil)
			l.changed("/a", "3", stat(2), nil)
		}, there("3"), false},
		"deleted and back": {func(l *losses) {
			l.created("/a", "1", nil)
			l.deleted("/a", nil)
			l.changed("/a", "2", nil, zk.ErrNoNode)
			l.created("/a", "3", nil)
		}, there("3"), false},
		"a lost reply": {func(l *losses) {
			l.created("/a", "1", nil)
			l.changed("/a", "2", nil, zk.ErrConnectionClosed)
			l.changed("/a", "3", stat(1), nil)
			l.deleted("/a", zk.ErrConnectionClosed)
		}, gone, false},
		"in doubt at the end": {func(l *losses) {
			l.created("/a", "1", nil)
			l.changed("/a", "2", nil, zk.ErrConnectionClosed)
		}, there("2"), false},
		"a change": {func(l *losses) {
			l.created("/a", "1", nil)
			l.changed("/a", "2", stat(1), nil)
			l.changed("/a", "3", stat(1), nil)
		}, there("3"), true},
		"the last change": {func(l *losses) {
			l.created("/a", "1", nil)
			l.changed("/a", "2", stat(1), nil)
		}, there("1"), true},
		"a creation": {func(l *losses) {
			l.created("/a", "1", nil)
			l.changed("/a", "2", nil, zk.ErrNoNode)
		}, gone, true},
		"a creation, seen by the next one": {func(l *losses) {
			l.created("/a", "1", nil)
			l.created("/a", "2", nil)
		}, there("2"), true},
		"a deletion": {func(l *losses) {
			l.created("/a", "1", nil)
			l.deleted("/a", nil)
			l.created("/a", "2", zk.ErrNodeExists)
		}, there("1"), true},
		"a creation, seen by a deletion": {func(l *losses) {
			l.created("/a", "1", nil)
			l.deleted("/a", zk.ErrNoNode)
		}, gone, true},
	} {
		l := &losses{log: &record{name: "arena"}, nodes: map[string]known{}}
		c.do(l)
		if got := l.take(c.truth); got != c.want {
			t.Errorf("%s: lost is %v, want %v", name, got, c.want)
		}
		if l.take(gone) {
			t.Errorf("%s: it is told twice", name)
		}
	}
}

// What comes of it counts for nobody, and streams may begin again from an earlier state.
func TestARoundInWhichServersLostChangesDoesNotCount(t *testing.T) {
	w := watch(t)
	w.oracle.watch("d1", "data", "/a")
	w.oracle.begin("r1", "10.0.0.1:80")
	w.oracle.withdraw("r1")
	w.has("/a", 5, 6, "10")
	w.truth.owners[service] = []serviceNode{{"10.0.0.1:80", "10.0.0.1:80", 7}}
	w.says("withdrawn r1", "data d1 5 9 12", "data d1 5 6 10")
	w.oracle.judge(w.truth, w.mine, serversLost)
	w.tally.forgive(serversLost)
	w.tally.takeRound()
	if got := w.tally.summary(); got != "" {
		t.Errorf("counted: %s", got)
	}
	if got := w.oracle.leftovers(w.truth); len(got) != 1 {
		t.Errorf("nobody deletes the node that has come back: %v", got)
	}
	delete(w.truth.owners, service)
	w.has("/a", 5, 7, "11")
	w.says("data d1 5 7 11") // which is before 9
	w.judge()
	if got := w.tally.summary(); got != "" {
		t.Errorf("a round later: %s", got)
	}
	w.says("data d1 5 6 10")
	w.wants(map[failure]int{back: 1})
}

func TestAStallPutsTheVerdictOff(t *testing.T) {
	w := watch(t)
	w.oracle.watch("d1", "data", "/a")
	w.oracle.begin("r1", "10.0.0.1:80")
	w.says("data d1 5 6 10", "registered r1")
	w.has("/a", 5, 9, "12")
	w.oracle.judge(w.truth, w.mine, stalled)
	w.wants(map[failure]int{})
	w.judge()
	w.wants(map[failure]int{missed: 1, lost: 1})
}

func TestCallsThatFailBeforeTheirTimeAreToldApart(t *testing.T) {
	w := watch(t)
	w.oracle.begin("r1", "10.0.0.1:80")
	w.oracle.begin("r2", "10.0.0.2:80")
	w.oracle.withdraw("r2")
	w.oracle.update("u1", "/p", "k", "1")
	w.oracle.updates["u1"].at = w.now
	w.oracle.update("u2", "/p", "k", "1")
	w.oracle.updates["u2"].at = w.now.Add(-updateLimit)
	w.says("failed r1 no", "failed r2 no", "failed u1 no", "failed u2 no")
	if w.tally.refused != 4 || w.tally.early != 2 {
		t.Errorf("%d calls failed, %d of them early", w.tally.refused, w.tally.early)
	}
	r := &result{contenders: []*contender{{prepared: prepared{peer: peers[0]}, tally: w.tally}}}
	if got := r.broken(subject); got != "2 calls failed before their time" {
		t.Errorf("broken: %q", got)
	}
}
