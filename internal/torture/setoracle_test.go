package main

import (
	"fmt"
	"testing"

	"github.com/zkstream/zkstream/internal/history"
)

// A stream of a set that lies is seen, by the kind of its lie.
func TestSetsThatDoNotGoTogetherAreCounted(t *testing.T) {
	const at10 = "[.@10.10=.,n0@10.10=n0,n1@10.10=n1,n2@10.10=n2]"
	for _, c := range []struct {
		says []string
		want map[failure]int
	}{
		{[]string{at10, "[.@10.10=.,n0@10.10=n0,n1@12.12=n1]"}, map[failure]int{}},
		{[]string{"[.@10.10=.,n1@10.10=n1]", at10}, map[failure]int{incomplete: 1}},
		{[]string{at10, "[.@10.10=.,n0@10.10=n0,n1@12.12=n1,n2@10.10=n2]"}, map[failure]int{mixed: 1}},
		{[]string{"[.@10.10=.,n0@10.10=n0,n1@12.12=n1]", "[.@10.10=.,n0@10.10=n0,n1@10.10=n1]"}, map[failure]int{back: 2}}, // as is the list
	} {
		w := watch(t)
		w.oracle.history = new(history.History)
		w.oracle.history.Apply(10, w.now, history.Op{Path: forest, Value: "."}, history.Op{Path: forest + "/n0", Value: "n0"}, history.Op{Path: forest + "/n1", Value: "n1"}, history.Op{Path: forest + "/n2", Value: "n2"})
		w.oracle.history.Apply(11, w.now, history.Op{Kind: history.Delete, Path: forest + "/n2"})
		w.oracle.history.Apply(12, w.now, history.Op{Kind: history.Delete, Path: forest + "/n1"}, history.Op{Path: forest + "/n1", Value: "n1"})
		w.oracle.watch("t1", "tree", forest)
		for _, text := range c.says {
			w.says("tree t1 " + text)
		}
		w.oracle.streams["t1"].dead = true // what it says last is not the subject
		w.judge()
		w.wants(c.want)
		w.judge() // counted once
		w.wants(c.want)
	}
}

func TestASetThatStaysBehindIsMissed(t *testing.T) {
	for _, verb := range []string{"tree", "instances"} {
		w := watch(t)
		root := setVerbs[verb]
		w.oracle.history = new(history.History)
		w.oracle.watch("s", verb, root)
		w.oracle.history.Apply(10, w.now, history.Op{Path: root}, history.Op{Path: root + "/n1"})
		w.truth.sets = map[string][]history.Node{root: {{Name: ".", Czxid: 10}, {Name: "n1", Czxid: 10, Mzxid: 10}}}
		w.says(verb + " s [n1@10.10=,.@10.0=]")
		w.judge()
		w.wants(map[failure]int{})
		w.truth.sets[root][1].Mzxid = 11
		w.judge()
		w.wants(map[failure]int{missed: 1})
	}
}

// What servers have lost excuses what was seen of it.
func TestLostChangesExcuseSets(t *testing.T) {
	w := watch(t)
	h := new(history.History)
	h.Apply(10, w.now, history.Op{Path: forest, Value: "."}, history.Op{Path: forest + "/n1", Value: "n1"})
	h.Apply(11, w.now, history.Op{Kind: history.Set, Path: forest + "/n1", Value: "lost"})
	w.oracle.history = h
	w.oracle.watch("t1", "tree", forest)
	w.says("tree t1 [.@10.10=.,n1@10.11=lost,n2@10.10=]")
	there := map[string][]history.Node{forest: {{Name: ".", Czxid: 10, Mzxid: 10, Value: "."}, {Name: "n1", Czxid: 10, Mzxid: 10, Value: "n1"}}}
	if h.Agrees(there) {
		t.Error("the loss was not seen")
	}
	w.truth.sets = there
	w.oracle.judge(w.truth, w.mine, serversLost)
	h.Rebase(there)
	if !h.Agrees(there) {
		t.Error("what there is now is not known")
	}
	w.says("tree t1 [.@10.10=.,n1@10.10=n1]")
	w.judge()
	w.wants(map[failure]int{})
}

func TestSetsAreWrittenAsTheyAreRead(t *testing.T) {
	nodes := []history.Node{{Name: ".", Czxid: 1}, {Name: "n1", Czxid: 2, Mzxid: 3, Value: "n1=4"}, {Name: "n1/n2", Czxid: 5, Mzxid: 6}}
	// They are sorted as texts.
	nodes[1], nodes[2] = nodes[2], nodes[1]
	parsed, err := parseSet(listSet(nodes))
	if err != nil || fmt.Sprint(parsed) != fmt.Sprint(nodes) {
		t.Errorf("%v became %v, %v", nodes, parsed, err)
	}
	for _, text := range []string{"", "[]", "n1@1.1=", "[n1@1=x]", "[n1=x]", "[n1@x.1=]"} {
		if nodes, err := parseSet(text); err == nil {
			t.Errorf("%q is taken as %v", text, nodes)
		}
	}
}
