package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

// past is what has become of a forest, transaction by transaction, ten seconds apart from zxid 10 on.
func past(transactions ...[]any) (h *history, begin time.Time) {
	h, begin = newHistory(), time.Unix(1_000_000, 0)
	for i, ops := range transactions {
		h.apply(int64(10+i), begin.Add(time.Duration(i)*10*time.Second), ops)
	}
	return h, begin
}

func born(names ...string) (ops []any) {
	for _, name := range names {
		path := setNode{name: name}.path(forest)
		ops = append(ops, &zk.CreateRequest{Path: path, Data: []byte(name)})
	}
	return ops
}

func gone(names ...string) (ops []any) {
	for _, name := range names {
		ops = append(ops, &zk.DeleteRequest{Path: setNode{name: name}.path(forest)})
	}
	return ops
}

func set(name, value string) []any {
	return []any{&zk.SetDataRequest{Path: setNode{name: name}.path(forest), Data: []byte(value)}}
}

// A stream of a set that lies in one way or another is seen.
func TestSetsThatDoNotGoTogetherAreFound(t *testing.T) {
	const at10, at11, at12 = "[.@10.10=.,n1@10.10=n1,n2@10.10=n2]", "[.@10.10=.,n1@11.11=n1,n2@10.10=n2]", "[.@10.10=.,n1@11.11=n1]"
	for name, c := range map[string]struct {
		past [][]any
		says []string
		want map[failure]int
	}{
		"the truth": {
			past: [][]any{born(".", "n1", "n2"), append(gone("n1"), born("n1")...), gone("n2")},
			says: []string{at10, at11, at12},
		},
		"only the end of it": {
			past: [][]any{born(".", "n1", "n2"), append(gone("n1"), born("n1")...), gone("n2")},
			says: []string{at12},
		},
		"a first snapshot that lacks a child": {
			past: [][]any{born(".", "n1", "n2")},
			says: []string{"[.@10.10=.,n1@10.10=n1]", at10},
			want: map[failure]int{incomplete: 1},
		},
		"a first snapshot that lacks a grandchild": {
			past: [][]any{born(".", "n1", "n1/n2")},
			says: []string{"[.@10.10=.,n1@10.10=n1]"},
			want: map[failure]int{incomplete: 1},
		},
		"a first snapshot without a child that has vanished meanwhile": {
			past: [][]any{born(".", "n1", "n2"), gone("n2"), born("n2")},
			says: []string{"[.@10.10=.,n1@10.10=n1]"},
		},
		"a child that is not read yet": {
			past: [][]any{born(".", "n2"), born("n1"), set("n2", "new")},
			says: []string{"[.@10.10=.,n2@10.10=n2]", "[.@10.10=.,n2@10.12=new]"},
		},
		"a child that was there and is left out": {
			past: [][]any{born(".", "n1", "n2")},
			says: []string{at10, "[.@10.10=.,n2@10.10=n2]"},
			want: map[failure]int{mixed: 1},
		},
		"an old list with a child that was made after it": {
			past: [][]any{born(".", "n1", "n2"), gone("n2"), append(gone("n1"), born("n1")...)},
			says: []string{at10, "[.@10.10=.,n1@12.12=n1,n2@10.10=n2]"},
			want: map[failure]int{mixed: 1},
		},
		"the children of the node before": {
			past: [][]any{born(".", "n1", "n1/n2"), append(gone("n1/n2", "n1"), born("n1")...)},
			says: []string{"[.@10.10=.,n1@11.11=n1,n1/n2@10.10=n1/n2]"},
			want: map[failure]int{incomplete: 1},
		},
		"content of the node before": {
			past: [][]any{born(".", "n1"), set("n1", "new")},
			says: []string{"[.@10.10=.,n1@10.11=n1]"},
			want: map[failure]int{incomplete: 1},
		},
		"a node that goes back": {
			past: [][]any{born(".", "n1"), set("n1", "new"), set(".", "newer")},
			says: []string{"[.@10.10=.,n1@10.11=new]", "[.@10.12=newer,n1@10.10=n1]"},
			want: map[failure]int{back: 1},
		},
		"a node that has gone and comes back older": {
			past: [][]any{born(".", "n1"), gone("n1"), born("n1"), gone("n1"), set(".", "new")},
			says: []string{"[.@10.10=.,n1@12.12=n1]", "[.@10.10=.]", "[.@10.14=new,n1@10.10=n1]"},
			want: map[failure]int{back: 2}, // as is the list
		},
		"a child that has gone and comes back": {
			past: [][]any{born(".", "n1"), gone("n1"), set(".", "new")},
			says: []string{"[.@10.10=.,n1@10.10=n1]", "[.@10.10=.]", "[.@10.12=new,n1@10.10=n1]"},
			want: map[failure]int{back: 1},
		},
		"no root, although there always was one": {
			past: [][]any{born(".", "n1")},
			says: []string{"[.@10.10=.,n1@10.10=n1]", "-"},
			want: map[failure]int{mixed: 1},
		},
		"no root": {
			past: [][]any{born(".", "n1"), gone("n1", "."), born(".")},
			says: []string{"[.@10.10=.,n1@10.10=n1]", "-", "[.@12.12=.]"},
		},
		"what is not there yet": {
			past: [][]any{born("."), set(".", "1"), set(".", "2"), set(".", "3"), set(".", "4"), born("n1")},
			says: []string{"[.@10.10=.,n1@15.15=n1]"},
			want: map[failure]int{incomplete: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := watch(t)
			h, begin := past(c.past...)
			w.oracle.history = h
			w.now = begin.Add(45 * time.Second)
			w.oracle.watch("t1", "tree", forest)
			for _, text := range c.says {
				w.says("tree t1 " + text)
			}
			w.oracle.streams["t1"].dead = true // what it says last is not the subject
			w.judge()
			if c.want == nil {
				c.want = map[failure]int{}
			}
			w.wants(c.want)
			w.judge() // counted once
			w.wants(c.want)
		})
	}
}

func TestASetThatStaysBehindIsMissed(t *testing.T) {
	for _, verb := range []string{"tree", "instances"} {
		w := watch(t)
		root := setVerbs[verb]
		w.oracle.history = newHistory()
		w.oracle.watch("s", verb, root)
		w.oracle.history.apply(10, w.now, []any{&zk.CreateRequest{Path: root}, &zk.CreateRequest{Path: root + "/n1"}})
		w.truth.sets = map[string][]setNode{root: {{name: ".", czxid: 10}, {"n1", 10, 10, ""}}}
		w.says(verb + " s [n1@10.10=,.@10.0=]")
		w.judge()
		w.wants(map[failure]int{})
		w.truth.sets[root][1].mzxid = 11
		w.judge()
		w.wants(map[failure]int{missed: 1})
	}
}

// What servers have lost excuses what was seen of it.
func TestLostChangesExcuseSets(t *testing.T) {
	w := watch(t)
	h, begin := past(born(".", "n1"), set("n1", "lost"))
	w.oracle.history, w.now = h, begin.Add(time.Minute)
	w.oracle.watch("t1", "tree", forest)
	w.says("tree t1 [.@10.10=.,n1@10.11=lost,n2@10.10=]")
	there := map[string][]setNode{forest: {{".", 10, 10, "."}, {"n1", 10, 10, "n1"}}}
	if h.agrees(there) {
		t.Error("the loss was not seen")
	}
	w.truth.sets = there
	w.oracle.judge(w.truth, w.mine, serversLost)
	h.rebase(there)
	if !h.agrees(there) {
		t.Error("what there is now is not known")
	}
	w.says("tree t1 [.@10.10=.,n1@10.10=n1]")
	w.judge()
	w.wants(map[failure]int{})
}

func TestSetsAreWrittenAsTheyAreRead(t *testing.T) {
	nodes := []setNode{{name: ".", czxid: 1}, {"n1", 2, 3, "n1=4"}, {"n1/n2", 5, 6, ""}}
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
