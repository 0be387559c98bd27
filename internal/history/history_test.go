package history

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"
)

const root = "/r"

// past is what has become of a forest, transaction by transaction, ten seconds apart from zxid 10 on.
func past(transactions ...[]Op) (h *History, begin time.Time) {
	h, begin = new(History), time.Unix(1_000_000, 0)
	for i, ops := range transactions {
		h.Apply(int64(10+i), begin.Add(time.Duration(i)*10*time.Second), ops...)
	}
	return h, begin
}

func born(names ...string) (ops []Op) {
	for _, name := range names {
		ops = append(ops, Op{Create, Node{Name: name}.Path(root), name})
	}
	return ops
}

func gone(names ...string) (ops []Op) {
	for _, name := range names {
		ops = append(ops, Op{Kind: Delete, Path: Node{Name: name}.Path(root)})
	}
	return ops
}

func set(name, value string) []Op {
	return []Op{{Set, Node{Name: name}.Path(root), value}}
}

// A stream of a set that lies in one way or another is seen.
func TestSetsThatDoNotGoTogetherAreFound(t *testing.T) {
	const at10, at11, at12 = "[.@10.10=.,n1@10.10=n1,n2@10.10=n2]", "[.@10.10=.,n1@11.11=n1,n2@10.10=n2]", "[.@10.10=.,n1@11.11=n1]"
	for name, c := range map[string]struct {
		past   [][]Op
		says   []string
		depth  int
		opened int64 // 0: in the end
		want   map[Fault]int
	}{
		"the truth": {
			past: [][]Op{born(".", "n1", "n2"), append(gone("n1"), born("n1")...), gone("n2")},
			says: []string{at10, at11, at12},
		},
		"only the end of it": {
			past: [][]Op{born(".", "n1", "n2"), append(gone("n1"), born("n1")...), gone("n2")},
			says: []string{at12},
		},
		"a first snapshot that lacks a child": {
			past: [][]Op{born(".", "n1", "n2")},
			says: []string{"[.@10.10=.,n1@10.10=n1]", at10},
			want: map[Fault]int{Incomplete: 1},
		},
		"a first snapshot that lacks a grandchild": {
			past: [][]Op{born(".", "n1", "n1/n2")},
			says: []string{"[.@10.10=.,n1@10.10=n1]"},
			want: map[Fault]int{Incomplete: 1},
		},
		"a first snapshot without a child that came while it was read": {
			past:   [][]Op{born(".", "n1"), born("n2"), set("n1", "new")},
			says:   []string{"[.@10.10=.,n1@10.12=new]"},
			opened: 10,
		},
		"a grandchild that is too deep": {
			past:  [][]Op{born(".", "n1", "n1/n2")},
			says:  []string{"[.@10.10=.,n1@10.10=n1]"},
			depth: 1,
		},
		"a node that may not be read, and its children": {
			past: [][]Op{born(".", "n1", "n1/n2")},
			says: []string{"[.@10.10=.,n1@0.0=]"},
		},
		"a node that may not be read for a while, and its children": {
			past: [][]Op{born(".", "n1", "n1/n2")},
			says: []string{"[.@10.10=.,n1@10.10=n1,n1/n2@10.10=n1/n2]", "[.@10.10=.,n1@0.0=]", "[.@10.10=.,n1@10.10=n1]", "[.@10.10=.,n1@10.10=n1,n1/n2@10.10=n1/n2]"},
		},
		"content that is not told": {
			past: [][]Op{born(".", "n1"), set("n1", "new")},
			says: []string{"[.@10.0=,n1@10.0=]"},
		},
		"a first snapshot without a child that has vanished meanwhile": {
			past: [][]Op{born(".", "n1", "n2"), gone("n2"), born("n2")},
			says: []string{"[.@10.10=.,n1@10.10=n1]"},
		},
		"a child that is not read yet": {
			past: [][]Op{born(".", "n2"), born("n1"), set("n2", "new")},
			says: []string{"[.@10.10=.,n2@10.10=n2]", "[.@10.10=.,n2@10.12=new]"},
		},
		"a child that was there and is left out": {
			past: [][]Op{born(".", "n1", "n2")},
			says: []string{at10, "[.@10.10=.,n2@10.10=n2]"},
			want: map[Fault]int{Mixed: 1},
		},
		"an old list with a child that was made after it": {
			past: [][]Op{born(".", "n1", "n2"), gone("n2"), append(gone("n1"), born("n1")...)},
			says: []string{at10, "[.@10.10=.,n1@12.12=n1,n2@10.10=n2]"},
			want: map[Fault]int{Mixed: 1},
		},
		"the children of the node before": {
			past: [][]Op{born(".", "n1", "n1/n2"), append(gone("n1/n2", "n1"), born("n1")...)},
			says: []string{"[.@10.10=.,n1@11.11=n1,n1/n2@10.10=n1/n2]"},
			want: map[Fault]int{Incomplete: 1},
		},
		"a child of the node before, which has one of the same name": {
			past: [][]Op{born(".", "n1", "n1/n2"), append(gone("n1/n2", "n1"), born("n1", "n1/n2")...)},
			says: []string{"[.@10.10=.,n1@11.11=n1,n1/n2@10.10=n1/n2]"},
			want: map[Fault]int{Incomplete: 1},
		},
		"content of the node before": {
			past: [][]Op{born(".", "n1"), set("n1", "new")},
			says: []string{"[.@10.10=.,n1@10.11=n1]"},
			want: map[Fault]int{Incomplete: 1},
		},
		"a node that goes back": {
			past: [][]Op{born(".", "n1"), set("n1", "new"), set(".", "newer")},
			says: []string{"[.@10.10=.,n1@10.11=new]", "[.@10.12=newer,n1@10.10=n1]"},
			want: map[Fault]int{Back: 1},
		},
		"a node that has gone and comes back older": {
			past: [][]Op{born(".", "n1"), gone("n1"), born("n1"), gone("n1"), set(".", "new")},
			says: []string{"[.@10.10=.,n1@12.12=n1]", "[.@10.10=.]", "[.@10.14=new,n1@10.10=n1]"},
			want: map[Fault]int{Back: 2}, // as is the list
		},
		"a child that has gone and comes back": {
			past: [][]Op{born(".", "n1"), gone("n1"), set(".", "new")},
			says: []string{"[.@10.10=.,n1@10.10=n1]", "[.@10.10=.]", "[.@10.12=new,n1@10.10=n1]"},
			want: map[Fault]int{Back: 1},
		},
		"no root, although there always was one": {
			past: [][]Op{born(".", "n1")},
			says: []string{"[.@10.10=.,n1@10.10=n1]", "-"},
			want: map[Fault]int{Mixed: 1},
		},
		"no root": {
			past: [][]Op{born(".", "n1"), gone("n1", "."), born(".")},
			says: []string{"[.@10.10=.,n1@10.10=n1]", "-", "[.@12.12=.]"},
		},
		"what is not there yet": {
			past: [][]Op{born("."), set(".", "1"), set(".", "2"), set(".", "3"), set(".", "4"), born("n1")},
			says: []string{"[.@10.10=.,n1@15.15=n1]"},
			want: map[Fault]int{Incomplete: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, begin := past(c.past...)
			s := &Stream{History: h, Root: root, Depth: c.depth, Opened: c.opened}
			if c.opened == 0 {
				s.Opened = h.Zxid()
			}
			got := map[Fault]int{}
			for i, text := range c.says {
				for _, w := range s.Take(Snapshot{begin.Add(time.Duration(45+i) * time.Second), parse(t, text)}) {
					t.Logf("%+v", w)
					got[w.Fault]++
				}
			}
			if c.want == nil {
				c.want = map[Fault]int{}
			}
			if !maps.Equal(got, c.want) {
				t.Errorf("found %v, want %v", got, c.want)
			}
		})
	}
}

// parse takes a set apart that is written as Node.String does.
func parse(t *testing.T, text string) (nodes []Node) {
	if text == "-" {
		return nil
	}
	for one := range strings.SplitSeq(strings.Trim(text, "[]"), ",") {
		head, value, _ := strings.Cut(one, "=")
		n := Node{Value: value}
		if _, err := fmt.Sscanf(strings.NewReplacer("@", " ", ".", " ").Replace(strings.Replace(head, ".@", "root@", 1)), "%s %d %d", &n.Name, &n.Czxid, &n.Mzxid); err != nil {
			t.Fatalf("%q: %v", one, err)
		}
		if n.Name == "root" {
			n.Name = Root
		}
		nodes = append(nodes, n)
	}
	return nodes
}

func TestASetThatHasMovedIsKnownThoughItLooksTheSame(t *testing.T) {
	h, begin := past(born(".", "n1"), set("n1", "x"), born("n2"), gone("n2"))
	s := Stream{History: h, Root: root, Opened: 10}
	show := func(text string, seconds int) {
		t.Helper()
		if wrong := s.Take(Snapshot{At: begin.Add(time.Duration(seconds) * time.Second), Nodes: parse(t, text)}); len(wrong) > 0 {
			t.Fatal(wrong)
		}
	}
	show("[.@10.10=.,n1@10.11=x]", 15)
	if !s.Moved() {
		t.Error("a child has come and gone, and that is not known")
	}
	h, begin = past(born(".", "n1"), set("n1", "x"))
	s = Stream{History: h, Root: root, Opened: 10}
	show("[.@10.10=.,n1@10.11=x]", 15)
	if s.Moved() {
		t.Error("no child has come or gone since")
	}
}
