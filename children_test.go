package zkstream_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/internal/watching"
	"github.com/zkstream/zkstream/internal/zkconn"
)

func childrenOf(names ...string) zkstream.Children {
	return zkstream.ChildrenOf(watching.NewNode("/n", &zkconn.Answer{Exists: true, Names: names}))
}

func TestChildrenAreAnImmutableSet(t *testing.T) {
	c := childrenOf("a", "b", "c")
	c.Names()[0] = "x"
	if got := slices.Collect(c.All()); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("All = %q", got)
	}
	if !c.Contains("b") || c.Contains("x") || c.Len() != 3 || c.Path() != "/n" {
		t.Errorf("%v", c)
	}
	if got := fmt.Sprint(c, zkstream.ChildrenOf(watching.MissingNode("/m"))); got != "/n [a b c] /m does not exist" {
		t.Errorf("String: %s", got)
	}
}

func TestDiff(t *testing.T) {
	for _, row := range []struct{ before, after, added, removed []string }{
		{nil, nil, nil, nil},
		{nil, []string{"a", "b"}, []string{"a", "b"}, nil},
		{[]string{"a", "b"}, nil, nil, []string{"a", "b"}},
		{[]string{"a", "c", "d"}, []string{"b", "c", "e"}, []string{"b", "e"}, []string{"a", "d"}},
		{[]string{"a"}, []string{"a"}, nil, nil},
	} {
		added, removed := childrenOf(row.after...).Diff(childrenOf(row.before...))
		if !slices.Equal(added, row.added) || !slices.Equal(removed, row.removed) {
			t.Errorf("%q to %q: added %q, removed %q", row.before, row.after, added, removed)
		}
	}
	if added, removed := childrenOf("a").Diff(zkstream.Children{}); len(added) != 1 || len(removed) != 0 {
		t.Errorf("to the zero value: %q, %q", added, removed)
	}
}
