package zkstream_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
)

// lines returns a tree as "path=content", in the order of All.
func lines(t zkstream.Tree) string {
	var all []string
	for d := range t.All() {
		line := d.Path() + "=" + d.String()
		if d.Err() != nil {
			line += "!"
		}
		all = append(all, line)
	}
	if len(all) != t.Len() {
		all = append(all, fmt.Sprintf("but Len is %d", t.Len()))
	}
	return strings.Join(all, " ")
}

func entries(i zkstream.Instances) string {
	var all []string
	for name, p := range i.All() {
		line := name + "=" + p.String()
		if p.Err() != nil {
			line += "!"
		}
		all = append(all, line)
	}
	return strings.Join(all, " ")
}

func same[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("%s is %v, want %v", what, got, want)
	}
}

func TestATreeComesWholeAndFollowsEachChange(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		for _, path := range []string{"/a", "/a/b", "/a/b/d", "/a/c", "/other"} {
			f.create(path, "of"+path)
		}
		c := f.connect()
		s := c.Tree(t.Context(), "/a")
		first := next(t, s)
		same(t, "the first snapshot", lines(first), "/a=of/a /a/b=of/a/b /a/b/d=of/a/b/d /a/c=of/a/c")
		f.set("/a/b/d", "new")
		second := next(t, s)
		same(t, "after a set", lines(second), "/a=of/a /a/b=of/a/b /a/b/d=new /a/c=of/a/c")
		same(t, "the snapshot of before", lines(first), "/a=of/a /a/b=of/a/b /a/b/d=of/a/b/d /a/c=of/a/c")
		f.create("/a/b/e", "e")
		same(t, "after a create", lines(next(t, s)), "/a=of/a /a/b=of/a/b /a/b/d=new /a/b/e=e /a/c=of/a/c")
		f.delete("/a/b/d")
		same(t, "after a delete", lines(next(t, s)), "/a=of/a /a/b=of/a/b /a/b/e=e /a/c=of/a/c")
		f.create("/a/c/x", "")
		f.create("/a/c/x/y", "deep")
		until(t, s, func(t zkstream.Tree) bool {
			return lines(t) == "/a=of/a /a/b=of/a/b /a/b/e=e /a/c=of/a/c /a/c/x= /a/c/x/y=deep"
		})
		settled(t, c)
		empty(t, s, "without a change")
	})
}

func TestTheRootOfATreeMayComeAndGo(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		c := f.connect()
		s, all := c.Tree(t.Context(), "/a"), c.Tree(t.Context(), "/")
		if first := next(t, s); first.Exists() || first.Len() != 0 || first.Path() != "/a" {
			t.Fatalf("the tree of a missing node has %d nodes", first.Len())
		}
		same(t, "the tree of /", lines(next(t, all)), "/=")
		f.create("/a", "1")
		same(t, "after its creation", lines(next(t, s)), "/a=1")
		f.create("/a/b", "2")
		same(t, "after that of a child", lines(next(t, s)), "/a=1 /a/b=2")
		f.delete("/a/b")
		f.delete("/a")
		until(t, s, func(t zkstream.Tree) bool { return !t.Exists() })
		f.create("/a", "3")
		until(t, s, func(t zkstream.Tree) bool { return lines(t) == "/a=3" })
		until(t, all, func(t zkstream.Tree) bool { return lines(t) == "/= /a=3" })
	})
}

func TestInstancesAreTheChildrenWithTheirContent(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		f.create("/s", "")
		f.create("/s/b", `{"n": 2}`)
		f.create("/s/a", `{"n": 1}`)
		f.create("/s/a/below", "")
		c := f.connect()
		s := c.Instances(t.Context(), "/s")
		first := next(t, s)
		same(t, "the first snapshot", entries(first), `a={"n": 1} b={"n": 2}`)
		same(t, "the names", first.Names(), []string{"a", "b"})
		p, ok := first.Get("a")
		if n, err := zkstream.Value[int](p, "n"); !ok || err != nil || n != 1 {
			t.Errorf("n of a is %d, %t, %v", n, ok, err)
		}
		if _, ok := first.Get("c"); ok || first.Path() != "/s" || !first.Exists() || first.Stat().NumChildren != 2 {
			t.Errorf("c is there (%t), or the path or metadata are wrong: %+v", ok, first.Stat())
		}
		f.set("/s/a", "changed")
		f.delete("/s/b")
		f.create("/s/c", "new")
		last := until(t, s, func(i zkstream.Instances) bool { return entries(i) == "a=changed c=new" })
		added, changed, removed := last.Diff(first)
		same(t, "the difference", fmt.Sprint(added, changed, removed), "[c] [a] [b]")
		f.set("/s", "not an instance")
		f.create("/s/a/deeper", "")
		settled(t, c)
		empty(t, s, "without a change of an instance")
	})
}

func TestADepthLimitsATree(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		for _, path := range []string{"/a", "/a/b", "/a/b/c"} {
			f.create(path, "x")
		}
		c := f.connect()
		for depth, want := range []string{"/a=x", "/a=x /a/b=x", "/a=x /a/b=x /a/b/c=x"} {
			same(t, "the tree", lines(next(t, c.Tree(t.Context(), "/a", zkstream.WithDepth(depth)))), want)
		}
		if err := ended(t, c.Tree(t.Context(), "/a", zkstream.WithDepth(-1))); !errors.Is(err, zk.ErrBadArguments) {
			t.Errorf("a depth of -1: %v", err)
		}
	})
}

func TestATreeWithoutDataHasMetadata(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		f.create("/a", "content")
		f.create("/a/b", "content")
		c := f.connect()
		s := c.Tree(t.Context(), "/a", zkstream.WithoutData())
		same(t, "the tree", lines(next(t, s)), "/a= /a/b=")
		if d, ok := next(t, c.Tree(t.Context(), "/a", zkstream.WithoutData(), zkstream.WithDepth(1))).Get("/a/b"); !ok || d.Stat().DataLength != 7 {
			t.Errorf("the metadata are %+v", d.Stat())
		}
		f.set("/a/b", "other")
		f.create("/a/c", "content")
		until(t, s, func(t zkstream.Tree) bool { return lines(t) == "/a= /a/b= /a/c=" })
	})
}

func TestATreeOfTooManyNodesEnds(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		for _, path := range []string{"/a", "/a/b", "/a/c"} {
			f.create(path, "")
		}
		c := f.connect()
		s := c.Tree(t.Context(), "/a", zkstream.WithMaxNodes(3))
		same(t, "the tree", next(t, s).Len(), 3)
		f.create("/a/d", "")
		var e *zkstream.PathError
		if err := ended(t, s); !errors.Is(err, zkstream.ErrTooLarge) || !errors.As(err, &e) || e.Path != "/a" {
			t.Errorf("it ended with %v", err)
		}
		if err := ended(t, c.Tree(t.Context(), "/a", zkstream.WithMaxNodes(2))); !errors.Is(err, zkstream.ErrTooLarge) {
			t.Errorf("it ended with %v", err)
		}
		nothingFollowed(t, c)
	})
}

// nothingFollowed waits until c follows no node any more.
func nothingFollowed(t *testing.T, c *zkstream.Client) {
	t.Helper()
	eventually(t, "no node is followed", func() bool {
		s := c.Stats()
		s.Data.Parked, s.Children.Parked = 0, 0
		return s.Data == zkstream.WatchStats{} && s.Children == zkstream.WatchStats{} && len(c.Watches()) == 0
	})
}

func TestTheEndsOfTreesLeaveNothingBehind(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		f.create("/a", "")
		const nodes = 1500 // of which each has two watches
		for i := range nodes {
			f.create(fmt.Sprintf("/a/%d", i), "")
		}
		c := f.connect()
		ctx, cancel := context.WithCancelCause(t.Context())
		one, two, set := c.Tree(ctx, "/a"), c.Tree(t.Context(), "/a"), c.Instances(ctx, "/a")
		same(t, "the number of nodes", next(t, one).Len(), nodes+1)
		same(t, "the number of nodes", next(t, two).Len(), nodes+1)
		same(t, "the number of instances", next(t, set).Len(), nodes)
		settled(t, c)
		if stats := c.Stats(); stats.Data.Current != nodes+1 || stats.Children.Current != nodes+1 || stats.Children.Stale != 0 {
			t.Errorf("the watches are %+v and %+v", stats.Data, stats.Children)
		}
		cause := errors.New("enough")
		cancel(cause)
		if err := ended(t, one); err != cause {
			t.Errorf("it ended with %v", err)
		}
		if err := ended(t, set); err != cause {
			t.Errorf("it ended with %v", err)
		}
		f.set("/a/7", "x")
		if d, _ := next(t, two).Get("/a/7"); d.String() != "x" {
			t.Errorf("the other stream has %q", d)
		}
		two.Close()
		nothingFollowed(t, c)
		again := c.Tree(t.Context(), "/a")
		same(t, "the number of nodes", next(t, again).Len(), nodes+1)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if err := ended(t, again); err != zkstream.ErrClosed {
			t.Errorf("it ended with %v", err)
		}
		if err := ended(t, c.Tree(t.Context(), "/a")); err != zkstream.ErrClosed {
			t.Errorf("it ended with %v", err)
		}
	})
}

func TestManyTreesCostTheRequestsOfOne(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		for _, path := range []string{"/a", "/a/b", "/a/c"} {
			f.create(path, "")
		}
		var count counter
		c := f.connect(count.option(), zkstream.WithRecheck(0))
		one := c.Tree(t.Context(), "/a")
		next(t, one)
		settled(t, c)
		count.take()
		var many []*zkstream.Stream[zkstream.Tree]
		for range 1000 {
			many = append(many, c.Tree(t.Context(), "/a"))
		}
		for _, s := range many {
			same(t, "the number of nodes", next(t, s).Len(), 3)
		}
		data := c.Data(t.Context(), "/a/b")
		next(t, data)
		if asked := count.take(); sum(asked) > 0 {
			t.Fatalf("a thousand more trees cost requests: %v", asked)
		}
		f.set("/a/b", "x")
		for _, s := range many {
			until(t, s, func(t zkstream.Tree) bool { return lines(t) == "/a= /a/b=x /a/c=" })
		}
		same(t, "the node's stream", next(t, data).String(), "x")
		settled(t, c)
		if asked := count.take(); sum(asked) != 1 {
			t.Errorf("a change cost more than one read: %v", asked)
		}
	})
}

func TestASlowConsumerGetsABurstAsOneSnapshot(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		f.create("/a", "")
		c := f.connect()
		s := c.Tree(t.Context(), "/a")
		next(t, s)
		for i := range 50 {
			f.create(fmt.Sprintf("/a/%02d", i), "x")
		}
		f.set("/a/49", "last")
		eventually(t, "the newest snapshot has all", func() bool {
			latest, _ := s.Latest()
			d, _ := latest.Get("/a/49")
			return latest.Len() == 51 && d.String() == "last"
		})
		same(t, "the snapshot", next(t, s).Len(), 51)
		settled(t, c)
		empty(t, s, "after the newest")
	})
}

func TestANodeThatMayNotBeReadIsMarkedInItsTree(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		for _, path := range []string{"/a", "/a/b", "/a/b/below", "/a/c"} {
			f.create(path, "x")
		}
		closed := []zk.ACL{{Perms: zk.PermAdmin | zk.PermDelete, Scheme: "world", ID: "anyone"}}
		if _, err := f.admin.SetACL(f.root+"/a/b", closed, -1); err != nil {
			t.Fatal(err)
		}
		c := f.connect(zkstream.WithRecheck(200 * time.Millisecond))
		s, set := c.Tree(t.Context(), "/a"), c.Instances(t.Context(), "/a")
		first := next(t, s)
		same(t, "the tree", lines(first), "/a=x /a/b=! /a/c=x")
		if d, ok := first.Get("/a/b"); !ok || !d.Exists() || d.Err() != zk.ErrNoAuth {
			t.Errorf("the node that may not be read: %t, %v", d.Exists(), d.Err())
		}
		same(t, "the instances", entries(next(t, set)), "b=! c=x")
		f.set("/a/c", "y")
		same(t, "the tree", lines(next(t, s)), "/a=x /a/b=! /a/c=y")
		if _, err := f.admin.SetACL(f.root+"/a/b", zk.WorldACL(zk.PermAll), -1); err != nil {
			t.Fatal(err)
		}
		until(t, s, func(t zkstream.Tree) bool { return lines(t) == "/a=x /a/b=x /a/b/below=x /a/c=y" })
		until(t, set, func(i zkstream.Instances) bool { return entries(i) == "b=x c=y" })
		if _, err := f.admin.SetACL(f.root+"/a/b", closed, -1); err != nil {
			t.Fatal(err)
		}
		f.outage(c, func() { f.set("/a/c", "z") })
		until(t, s, func(t zkstream.Tree) bool { d, _ := t.Get("/a/c"); return d.String() == "z" })
	})
}

func TestATreeWhoseRootMayNotBeReadIsMarked(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		f.create("/a", "x")
		if _, err := f.admin.SetACL(f.root+"/a", []zk.ACL{{Perms: zk.PermAdmin, Scheme: "world", ID: "anyone"}}, -1); err != nil {
			t.Fatal(err)
		}
		c := f.connect(zkstream.WithRecheck(200 * time.Millisecond))
		s := c.Tree(t.Context(), "/a")
		same(t, "the tree", lines(next(t, s)), "/a=!")
		var e *zkstream.PathError
		if err := ended(t, c.Instances(t.Context(), "/a")); !errors.Is(err, zk.ErrNoAuth) || !errors.As(err, &e) || e.Op != "instances" {
			t.Errorf("instances that may not be listed end with %v", err)
		}
		if _, err := f.admin.SetACL(f.root+"/a", zk.WorldACL(zk.PermAll), -1); err != nil {
			t.Fatal(err)
		}
		same(t, "the tree", lines(next(t, s)), "/a=x")
	})
}

func TestAReconnectWithoutAChangeDeliversNoTree(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		for _, path := range []string{"/a", "/a/b", "/a/c"} {
			f.create(path, "")
		}
		c := f.connect()
		s, set := c.Tree(t.Context(), "/a"), c.Instances(t.Context(), "/a")
		next(t, s)
		next(t, set)
		settled(t, c)
		f.outage(c, func() {})
		empty(t, s, "after a reconnect")
		empty(t, set, "after a reconnect")
		expire(t, c)
		empty(t, s, "in a new session")
		empty(t, set, "in a new session")
		f.set("/a/b", "x")
		same(t, "the tree", lines(next(t, s)), "/a= /a/b=x /a/c=")
		same(t, "the instances", entries(next(t, set)), "b=x c=")
	})
}

func TestASubtreeThatIsMadeAgainWhileDisconnectedIsRead(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		for _, path := range []string{"/a", "/a/b", "/a/b/c", "/a/b/d"} {
			f.create(path, "old")
		}
		c := f.connect()
		s := c.Tree(t.Context(), "/a")
		first := next(t, s)
		again := func() {
			for _, path := range []string{"/a/b/c", "/a/b/d", "/a/b"} {
				f.delete(path)
			}
			f.create("/a/b", "old")
			f.create("/a/b/c", "old")
			f.create("/a/b/d", "old")
		}
		for _, how := range []func(){
			func() { f.outage(c, again) },
			func() { f.Cut(); down(t, c); again(); expireWhileDown(f, c) },
			again,
		} {
			how()
			last := until(t, s, func(t zkstream.Tree) bool {
				d, ok := t.Get("/a/b/d")
				return ok && d.Stat().Czxid == f.czxid("/a/b/d") && t.Len() == 4
			})
			var changed []string
			for c := range last.Diff(first) {
				changed = append(changed, c.Path)
			}
			same(t, "what has changed", changed, []string{"/a/b", "/a/b/c", "/a/b/d"})
			first = last
		}
	})
}

func expireWhileDown(f *fixture, c *zkstream.Client) {
	f.Heal()
	expire(f.t, c)
}

func (f *fixture) czxid(path string) int64 {
	f.t.Helper()
	_, stat, err := f.admin.Exists(f.root + path)
	if err != nil {
		f.t.Fatal(err)
	}
	return stat.Czxid
}

func TestTreesFollowRandomChanges(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		c := f.connect()
		r := rand.New(rand.NewPCG(1, 2))
		s, set := c.Tree(t.Context(), "/t"), c.Instances(t.Context(), "/t/1")
		shallow := c.Tree(t.Context(), "/t", zkstream.WithDepth(1), zkstream.WithoutData())
		var previous zkstream.Tree
		seen := map[string]zk.Stat{}
		model := map[string]string{}
		check := func(snapshot zkstream.Tree) {
			for ch := range snapshot.Diff(previous) {
				if !ch.New.Exists() {
					continue
				}
				if before := seen[ch.Path]; ch.New.Stat().Mzxid <= before.Mzxid {
					t.Fatalf("%s went from zxid %d back to %d", ch.Path, before.Mzxid, ch.New.Stat().Mzxid)
				}
				seen[ch.Path] = ch.New.Stat()
			}
			previous = snapshot
		}
		for round := range 12 {
			for range 60 {
				path := "/t"
				for range r.IntN(4) {
					path += fmt.Sprintf("/%d", r.IntN(4))
				}
				_, there := model[path]
				switch parent := path[:strings.LastIndexByte(path, '/')]; {
				case !there:
					if _, ok := model[parent]; ok || parent == "" {
						f.create(path, "new")
						model[path] = "new"
					}
				case r.IntN(3) == 0:
					model[path] = fmt.Sprint(r.IntN(1000))
					f.set(path, model[path])
				default:
					var gone []string
					for p := range model {
						if p == path || strings.HasPrefix(p, path+"/") {
							gone = append(gone, p)
						}
					}
					slices.Sort(gone)
					for _, p := range slices.Backward(gone) {
						f.delete(p)
						delete(model, p)
					}
				}
				select {
				case snapshot := <-s.C():
					check(snapshot)
				default:
				}
			}
			switch round % 4 {
			case 1:
				f.Drop()
			case 2:
				expire(t, c)
			}
			var all, level []string
			for p, data := range model {
				all = append(all, p+"="+data)
				if strings.Count(p, "/") <= 2 {
					level = append(level, p+"=")
				}
			}
			inOrder := func(a, b string) int {
				a, _, _ = strings.Cut(a, "=")
				b, _, _ = strings.Cut(b, "=")
				return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
			}
			slices.SortFunc(all, inOrder)
			slices.SortFunc(level, inOrder)
			var below []string
			for _, line := range all {
				if rest, ok := strings.CutPrefix(line, "/t/1/"); ok && !strings.Contains(rest, "/") {
					below = append(below, rest)
				}
			}
			eventually(t, "the tree is the server's", func() bool {
				select {
				case snapshot := <-s.C():
					check(snapshot)
				default:
				}
				latest, _ := s.Latest()
				return lines(latest) == strings.Join(all, " ")
			})
			eventually(t, "the instances are the server's", func() bool {
				latest, ok := set.Latest()
				return ok && entries(latest) == strings.Join(below, " ")
			})
			eventually(t, "the shallow tree is the server's", func() bool {
				latest, ok := shallow.Latest()
				return ok && lines(latest) == strings.Join(level, " ")
			})
		}
	})
}
