package watching

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// branchOf returns a branch of a node with that path and content, and of what is below it.
func branchOf(path, data string, below ...Branch) Branch {
	b := Branch{node: NewNode(path, &zkconn.Answer{Exists: true, Data: data, Stat: zk.Stat{Czxid: 1}})}
	if len(below) > 0 {
		b.below = &level{branches: below}
		for _, c := range below {
			b.below.count += c.Len()
		}
	}
	return b
}

func TestABranchIsFoundByItsPath(t *testing.T) {
	b := branchOf("/a", "", branchOf("/a/b", "", branchOf("/a/b/x", "")), branchOf("/a/c", ""), branchOf("/a/d", ""))
	if b.Len() != 5 || !slices.Equal(b.Names(), []string{"b", "c", "d"}) {
		t.Errorf("%d nodes, %v below the first", b.Len(), b.Names())
	}
	for path, want := range map[string]string{
		"": "/a", "b": "/a/b", "b/x": "/a/b/x", "d": "/a/d",
		"e": "", "a": "", "bb": "", "b/": "", "/b": "", "b/y": "", "c/x": "",
	} {
		found, ok := b.At(path)
		if got := found.Node().Path(); got != want || ok != (want != "") {
			t.Errorf("%q is %q, %t; want %q", path, got, ok, want)
		}
	}
	if _, found := (Branch{}).At(""); found {
		t.Error("there is a node where there is none")
	}
}

func TestADiffLooksAtNothingThatIsShared(t *testing.T) {
	shared := branchOf("/a/c", "", branchOf("/a/c/z", ""))
	before := branchOf("/a", "1", branchOf("/a/b", "", branchOf("/a/b/x", "")), shared, branchOf("/a/d", "1"))
	after := branchOf("/a", "2", shared, branchOf("/a/d", "2"), branchOf("/a/e", "", branchOf("/a/e/y", "")))
	for _, c := range []struct {
		name     string
		from, to Branch
		want     string
	}{
		{"changes", before, after, "/a>/a /a/b> /a/b/x> /a/d>/a/d >/a/e >/a/e/y"},
		{"a tree that has come", Branch{}, before, ">/a >/a/b >/a/b/x >/a/c >/a/c/z >/a/d"},
		{"a tree that has gone", after, Branch{}, "/a> /a/c> /a/c/z> /a/d> /a/e> /a/e/y>"},
		{"nothing", after, after, ""},
	} {
		var all []string
		note := func(before, after *Node) bool {
			all = append(all, fmt.Sprint(before.Path(), ">", after.Path()))
			return true
		}
		if !Diff(c.from, c.to, note) || strings.Join(all, " ") != c.want {
			t.Errorf("%s: %v, want %s", c.name, all, c.want)
		}
		for most := range len(all) {
			n := 0
			if Diff(c.from, c.to, func(_, _ *Node) bool { n++; return n <= most }) || n != most+1 {
				t.Errorf("%s: told to stop after %d, it went on to %d", c.name, most, n)
			}
		}
	}
}
