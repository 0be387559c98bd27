package zktree_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/internal/ensemble"
	"github.com/zkstream/zkstream/zktest"
	. "github.com/zkstream/zkstream/zktree"
)

// next receives a snapshot. In virtual time it fails after a minute of it.
func next[T any](t *testing.T, s *zkstream.Stream[T]) T {
	t.Helper()
	v, err := s.Next(t.Context())
	if err != nil {
		t.Fatalf("the stream has ended: %v", err)
	}
	return v
}

// quiet checks that a stream delivers nothing more for now.
func quiet[T any](t *testing.T, s *zkstream.Stream[T]) {
	t.Helper()
	synctest.Wait()
	select {
	case v, ok := <-s.C():
		t.Fatalf("received %v, %v: %v", v, ok, s.Err())
	default:
	}
}

func set(t *testing.T, server *zktest.Server, path, content string) {
	t.Helper()
	if err := server.Set(path, []byte(content)); err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, server *zktest.Server, path, content string) {
	t.Helper()
	if err := server.Create(path, []byte(content)); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, server *zktest.Server, path string) {
	t.Helper()
	if err := server.Delete(path); err != nil {
		t.Fatal(err)
	}
}

const linked = `
/lb
  pool -> /one
/one
  x = 1
  /a
/two
  x = 2
  /b
`

// What each of the streams shows, as a text.
func showChildren(c zkstream.Children) string { return c.String() }
func showData(d zkstream.Data) string         { return fmt.Sprint(d.Path(), " ", d.Exists(), " ", d.String()) }
func showInstances(i zkstream.Instances) string {
	return fmt.Sprint(i.Path(), " ", i.Exists(), " ", i.Names())
}
func showProperties(p zkstream.Properties) string {
	x, _ := p.Get("x")
	return fmt.Sprint(p.Path(), " ", p.Exists(), " ", x)
}

// followed tests a kind of stream through the life of a link.
func followed[T any](t *testing.T, open func(context.Context, *zkstream.Client, string) *zkstream.Stream[T], show func(T) string, one, two, hidden string, missing func(path string) string) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		put(t, c, "/", linked)
		s := open(t.Context(), c, "/lb/pool")
		step := func(what, want string) {
			t.Helper()
			equal(t, what, show(next(t, s)), want)
			quiet(t, s)
		}
		step("at first", one)
		set(t, server, "/lb", `{"pool ->": "/two"}`)
		step("the link is changed", two)
		set(t, server, "/lb", `{"pool ->": "../two/.", "y": 1}`)
		quiet(t, s)
		set(t, server, "/lb", `{"pool ->": "/two/"}`)
		quiet(t, s)
		create(t, server, "/lb/pool", `{"x": 3}`)
		create(t, server, "/lb/pool/c", ``)
		got := show(next(t, s))
		for got != hidden { // with or without the child
			got = show(next(t, s))
		}
		remove(t, server, "/lb/pool/c")
		remove(t, server, "/lb/pool")
		for got = show(next(t, s)); got != two; got = show(next(t, s)) {
			if got == missing("/lb/pool") {
				t.Error("a target that goes while the path leads to another is shown as missing")
			}
		}
		quiet(t, s)
		set(t, server, "/lb", `{"pool ->": "/three"}`)
		step("the link leads nowhere", missing("/three"))
		set(t, server, "/lb", `{"pool ->": 3}`)
		step("the link is no path", missing("/lb/pool"))
		set(t, server, "/lb", `{"pool ->": "pool"}`)
		quiet(t, s) // a link to itself
		set(t, server, "/lb", `{"pool ->": "/one"}`)
		step("the loop is mended", one)
		set(t, server, "/lb", `{"pool ->": "/lb/a", "a ->": "/lb/b", "b ->": "a"}`)
		step("a loop", missing("/lb/a"))
		set(t, server, "/lb", `{"pool ->": "/lb/a", "a ->": "/lb/b", "b ->": "/two"}`)
		step("the loop is mended", two)
		remove(t, server, "/two/b")
		remove(t, server, "/two")
		for got = show(next(t, s)); got != missing("/two"); got = show(next(t, s)) {
		}
		quiet(t, s)
		create(t, server, "/two", `{"x":2}`)
		create(t, server, "/two/b", ``)
		for got = show(next(t, s)); got != two; got = show(next(t, s)) {
		}
		s.Close()
		if s.Err() != zkstream.ErrClosed {
			t.Errorf("after Close: %v", s.Err())
		}
	})
}

func TestStreamsFollowLinks(t *testing.T) {
	t.Run("children", func(t *testing.T) {
		followed(t, Children, showChildren, "/one [a]", "/two [b]", "/lb/pool [c]", func(path string) string { return path + " does not exist" })
	})
	t.Run("instances", func(t *testing.T) {
		followed(t, Instances, showInstances, "/one true [a]", "/two true [b]", "/lb/pool true [c]", func(path string) string { return path + " false []" })
	})
	t.Run("data", func(t *testing.T) {
		followed(t, Data, showData, `/one true {"x":1}`, `/two true {"x":2}`, `/lb/pool true {"x": 3}`, func(path string) string { return path + " false " })
	})
	t.Run("properties", func(t *testing.T) {
		followed(t, Properties, showProperties, "/one true 1", "/two true 2", "/lb/pool true 3", func(path string) string { return path + " false <nil>" })
	})
}

// moves changes the link /lb pool between the targets of linked, and returns the number of the move in each target's x.
func TestALinkThatIsMovedAThousandTimes(t *testing.T) {
	t.Run("zktest", func(t *testing.T) {
		inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
			other, err := zkstream.Connect(t.Context(), "zktest", zkstream.WithDialer(server.Dial))
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			moved(t, c, other, server.Disconnect)
		})
	})
	t.Run("zookeeper", func(t *testing.T) {
		addr := zooKeeper.Server(t).Addr()
		proxy, err := ensemble.NewProxy(addr)
		if err != nil {
			t.Fatal(err)
		}
		defer proxy.Close()
		c, err := zkstream.Connect(t.Context(), proxy.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		other, err := zkstream.Connect(t.Context(), addr)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		moved(t, c, other, proxy.Drop)
	})
}

// moved moves a link a thousand times, each time to a target of its own, and now and then hides it meanwhile. It checks what
// streams on one client deliver, whose connection is cut.
func moved(t *testing.T, c, other *zkstream.Client, cut func()) {
	const moves = 1000
	ctx := t.Context()
	root := "/moved"
	if _, err := other.CreateNode(ctx, root, nil); err != nil {
		t.Fatal(err)
	}
	defer DeleteAll(ctx, other, root)
	target := func(i int) string { return fmt.Sprintf("%s/t%04d", root, i) }
	var ops []any
	for i := range moves + 1 {
		ops = append(ops, &zk.CreateRequest{Path: target(i), Data: fmt.Appendf(nil, `{"n": %d}`, i)})
	}
	if _, err := other.Multi(ctx, ops...); err != nil {
		t.Fatal(err)
	}
	if err := Link(ctx, other, target(0), root+"/at"); err != nil {
		t.Fatal(err)
	}
	if _, err := other.CreateNode(ctx, root+"/p", []byte(`{"n =>": "../at"}`)); err != nil {
		t.Fatal(err)
	}
	number := func(path string) int { // of a target; -1 of what hides the link
		n, err := strconv.Atoi(strings.TrimPrefix(path, root+"/t"))
		if err != nil {
			return -1
		}
		return n
	}
	var wait sync.WaitGroup
	watch := func(what string, of func() (n int, ok bool)) {
		wait.Go(func() {
			newest, seen := -1, 0
			for n, ok := of(); ok; n, ok = of() {
				if seen++; n < newest && n >= 0 {
					t.Errorf("%s: target %d after %d", what, n, newest)
				}
				if newest = max(newest, n); n == moves {
					t.Logf("%s: %d snapshots", what, seen)
					return
				}
			}
			t.Errorf("%s: the stream has ended", what)
		})
	}
	children := Children(ctx, c, root+"/at")
	watch("children", func() (int, bool) { v, ok := <-children.C(); return number(v.Path()), ok })
	defer children.Close()
	data := Data(ctx, c, root+"/at")
	watch("data", func() (int, bool) { v, ok := <-data.C(); return number(v.Path()), ok })
	defer data.Close()
	follow := Follow(ctx, c, root+"/at")
	watch("resolutions", func() (int, bool) { v, ok := <-follow.C(); return number(v.Path), ok })
	defer follow.Close()
	properties := Properties(ctx, c, root+"/p")
	watch("a property link", func() (int, bool) {
		v, ok := <-properties.C()
		if n, err := zkstream.Value[int](v, "n"); err == nil {
			return n, ok
		}
		return -1, ok
	})
	defer properties.Close()
	for i := 1; i <= moves; i++ {
		hide := i%10 == 0 && i < moves
		if hide {
			if _, err := other.CreateNode(ctx, root+"/at", nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := Link(ctx, other, target(i), root+"/at"); err != nil {
			t.Fatal(err)
		}
		if hide {
			if err := other.Delete(ctx, root+"/at"); err != nil {
				t.Fatal(err)
			}
		}
		if i%97 == 0 {
			cut()
		}
	}
	wait.Wait()
	for what, last := range map[string]string{"children": latest(children).Path(), "data": latest(data).Path(), "resolution": latest(follow).Path} {
		if last != target(moves) {
			t.Errorf("the last %s: %s", what, last)
		}
	}
}

func latest[T any](s *zkstream.Stream[T]) T {
	v, _ := s.Latest()
	return v
}

// What a path is resolved by is read at different times. Here the reading of one node lags while another changes, and with
// what was last seen of both the path leads to an old target once more.
func TestAnOldTargetDoesNotComeBackWhileANodeLags(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		put(t, c, "/", "/p\n  x -> /q/l\n/q\n  l -> /one\n  m -> /else\n/one\n/two\n/else\n")
		s := Children(t.Context(), c, "/p/x")
		equal(t, "at first", next(t, s).Path(), "/one")
		begun := time.Now()
		server.Intercept(func(r zktest.Request) zktest.Fault {
			stream := r.Op != zktest.OpGetData || r.Watch
			if r.Path == "/q" && stream && time.Since(begun) < 5*time.Second {
				return zktest.Fault{Code: zktest.ErrMarshalling}
			}
			return zktest.Fault{}
		})
		set(t, server, "/p", `{"x ->": "/q/m"}`)
		equal(t, "elsewhere", next(t, s).Path(), "/else")
		set(t, server, "/q", `{"l ->": "/two", "m ->": "/else"}`)
		synctest.Wait()
		set(t, server, "/p", `{"x ->": "/q/l"}`)
		equal(t, "then", next(t, s).Path(), "/two")
		if time.Since(begun) < 4*time.Second {
			t.Errorf("the link was read after %v, so this tests nothing", time.Since(begun))
		}
	})
}

func TestFollowSaysWhereAPathLeads(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		put(t, c, "/", "/a\n  /b\n    l -> ../c\n")
		s := Follow(t.Context(), c, "/a/./b/l/")
		expect := func(path string, target error, says string) {
			t.Helper()
			r := next(t, s)
			var pe *zkstream.PathError
			if r.Path != path || !errors.Is(r.Err, target) || r.Err != nil && (!errors.As(r.Err, &pe) || pe.Path != "/a/./b/l/" || !strings.Contains(r.Err.Error(), says)) {
				t.Errorf("%s, %v, want %s, %v: %s", r.Path, r.Err, path, target, says)
			}
			quiet(t, s)
		}
		expect("/a/c", zk.ErrNoNode, "there is no /a/c")
		create(t, server, "/a/c", "")
		expect("/a/c", nil, "")
		remove(t, server, "/a/c")
		expect("/a/c", zk.ErrNoNode, "there is no /a/c")
		set(t, server, "/a", `{"c ->": "d", "d ->": "b/l"}`)
		r := next(t, s)
		var loop *LoopError
		if !errors.As(r.Err, &loop) || !slices.Equal(loop.Paths, []string{"/a/b/l", "/a/c", "/a/d", "/a/b/l"}) {
			t.Errorf("a loop: %v", r.Err)
		}
		set(t, server, "/a", `{"c ->": "/\u0001"}`)
		expect("/a/c", zk.ErrInvalidPath, "leads to")
		set(t, server, "/a", `{"c ->": "/"}`)
		expect("/", nil, "")
		set(t, server, "/a", `{"c ->": "//zookeeper/./quota/.."}`)
		expect("/zookeeper", nil, "")

		// A node on the way that may not be read is no end, and is tried again.
		server.SetACL("/a/b", zktest.ACL{Perms: zk.PermAll &^ zk.PermRead, Scheme: "world", ID: "anyone"})
		set(t, server, "/a/b", `{"l ->": "/a"}`)
		expect("/a/b/l", zk.ErrNoAuth, "")
		server.SetACL("/a/b", zktest.ACL{Perms: zk.PermAll, Scheme: "world", ID: "anyone"})
		expect("/a", nil, "")
	})
}

func TestAPathThroughManyLinks(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		chain := func(n int) string {
			var b strings.Builder
			b.WriteString("{")
			for i := range n {
				fmt.Fprintf(&b, `"l%d ->": "l%d", `, i, i+1)
			}
			fmt.Fprintf(&b, `"l%d ->": "/end"}`, n)
			return b.String()
		}
		create(t, server, "/end", "")
		create(t, server, "/c", chain(100))
		s := Children(t.Context(), c, "/c/l0")
		equal(t, "100 links", next(t, s).Path(), "/end")
		if at, err := Resolve(t.Context(), c, "/c/l0"); at != "/end" || err != nil {
			t.Errorf("Resolve: %s, %v", at, err)
		}
		s.Close()
		set(t, server, "/c", chain(1200))
		_, err := Resolve(t.Context(), c, "/c/l0")
		var loop *LoopError
		if !errors.As(err, &loop) || !strings.Contains(err.Error(), "more than 1000 links") {
			t.Errorf("1,200 links: %.200v", err)
		}
	})
}

// A target that may not be read ends a stream, as it ends a stream of the node itself.
func TestWhatMayNotBeReadEndsAStream(t *testing.T) {
	closed := zktest.ACL{Perms: zk.PermAll &^ zk.PermRead, Scheme: "world", ID: "anyone"}
	for what, path := range map[string]string{"the target": "/one", "on the way": "/lb"} {
		inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
			put(t, c, "/", linked)
			server.SetACL(path, closed)
			children, data := Children(t.Context(), c, "/lb/pool"), Data(t.Context(), c, "/lb/pool")
			properties, instances := Properties(t.Context(), c, "/lb/pool"), Instances(t.Context(), c, "/lb/pool")
			synctest.Wait()
			for _, err := range []error{children.Err(), data.Err(), properties.Err(), instances.Err()} {
				var pe *zkstream.PathError
				if !errors.Is(err, zk.ErrNoAuth) || !errors.As(err, &pe) || pe.Path != "/lb/pool" {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}

func TestStreamsOfPathsThatAreNone(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		for _, path := range []string{"", "a", "/a\x00b"} {
			s, d := Children(t.Context(), c, path), Data(t.Context(), c, path)
			synctest.Wait()
			for _, err := range []error{s.Err(), d.Err()} {
				if !errors.Is(err, zk.ErrInvalidPath) {
					t.Errorf("%q: %v", path, err)
				}
			}
			if _, err := Resolve(t.Context(), c, path); !errors.Is(err, zk.ErrInvalidPath) {
				t.Errorf("Resolve of %q: %v", path, err)
			}
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("enough")
		s := Children(ctx, c, "/none")
		next(t, s)
		cancel(why)
		synctest.Wait()
		if s.Err() != why {
			t.Errorf("the context has ended: %v", s.Err())
		}
		if s := Children(ctx, c, "/none"); s.Err() != why {
			t.Errorf("with an ended context: %v", s.Err())
		}
		s = Children(t.Context(), c, "/none")
		c.Close()
		if s.Err() != zkstream.ErrClosed {
			t.Errorf("the client is closed: %v", s.Err())
		}
		if s := Children(t.Context(), c, "/none"); s.Err() != zkstream.ErrClosed {
			t.Errorf("of a closed client: %v", s.Err())
		}
	})
}

// The session expires while a link is moved, and nobody receives meanwhile.
func TestALinkThatIsMovedWhileTheSessionExpires(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		put(t, c, "/", linked)
		s, p := Children(t.Context(), c, "/lb/pool"), Properties(t.Context(), c, "/lb/pool")
		equal(t, "at first", next(t, s).Path()+next(t, p).Path(), "/one/one")
		for range 20 {
			server.ExpireAll()
			set(t, server, "/lb", `{"pool ->": "/two"}`)
			set(t, server, "/lb", `{"pool ->": "/one"}`)
			server.Disconnect()
			set(t, server, "/lb", `{"pool ->": "/two"}`)
			time.Sleep(time.Minute) // by then only the newest is left to receive, however quick the client was
			equal(t, "moved", next(t, s).Path()+next(t, p).Path(), "/two/two")
			set(t, server, "/lb", `{"pool ->": "/one"}`)
			equal(t, "moved back", next(t, s).Path()+next(t, p).Path(), "/one/one")
		}
		quiet(t, s)
		quiet(t, p)
	})
}

const propertyLinks = `
/a
  threads => /b
  other => c n
  own = 1
  chain => /b next
  big => /b
  hidden => /b threads
  hidden = 5
  none => /nowhere x
  loop => /b loop
  text => /t string_value
  bad => 'x y z'
  /c
    n = [1, {'k': 1.0}]
/b
  threads = 3
  next => d/e
  loop => /a loop
  big = 123456789012345678901234567890
  /d
    next -> /nowhere
    /e
      next = 'here'
/t
  string_value = 'a text'
`

func TestPropertyLinks(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		put(t, c, "/", strings.Replace(propertyLinks, "bad => 'x y z'", "bad => x y", 1))
		bad, _ := c.Get(t.Context(), "/a")
		set(t, server, "/a", strings.Replace(bad.String(), `"x y"`, `"x y z"`, 1))
		s := Properties(t.Context(), c, "/a")
		p := next(t, s)
		for name, want := range map[string]string{
			"threads": "3", "other": `[1,{"k":1.0}]`, "own": "1", "chain": `"here"`, "big": "123456789012345678901234567890", "hidden": "5",
			"text": `"a text"`, "threads =>": `"/b"`,
		} {
			if got, err := zkstream.Value[json.RawMessage](p, name); string(got) != want || err != nil {
				t.Errorf("%s: %s, %v, want %s", name, got, err, want)
			}
		}
		var loop *PropertyLoopError
		if !errors.As(p.Err(), &loop) || !slices.Equal(loop.Links, []string{"/a loop", "/b loop", "/a loop"}) || !errors.Is(p.Err(), zk.ErrNoNode) {
			t.Errorf("the error: %v", p.Err())
		}
		for _, name := range []string{"none", "loop", "bad"} {
			if v, ok := p.Get(name); ok {
				t.Errorf("%s: %v", name, v)
			}
			if _, err := zkstream.Value[int](p, name); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("property link %q", name)) {
				t.Errorf("%s: %v", name, err)
			}
		}
		quiet(t, s)

		// Values change where they are.
		set(t, server, "/b", `{"threads": 4, "unused": 1}`)
		p = next(t, s)
		if n, err := zkstream.Value[int](p, "threads"); n != 4 || err != nil {
			t.Errorf("changed: %d, %v", n, err)
		}
		if _, ok := p.Get("chain"); ok {
			t.Error("the chain has lost its middle, and has a value")
		}
		set(t, server, "/b", `{"threads": 4, "unused": 2}`)
		quiet(t, s)
		// A plain property hides a link.
		set(t, server, "/a", `{"threads =>": "/b", "threads": 9}`)
		p = next(t, s)
		if n, _ := zkstream.Value[int](p, "threads"); n != 9 || p.Err() != nil {
			t.Errorf("hidden: %d, %v", n, p.Err())
		}
		set(t, server, "/a", `{"threads =>": "/b"}`)
		next(t, s)
		remove(t, server, "/b/d/e")
		remove(t, server, "/b/d")
		remove(t, server, "/b")
		p = next(t, s)
		if p.Err() == nil || !p.Exists() {
			t.Error("the linked node has gone, and there is no error")
		}
		create(t, server, "/b", `{"threads": 7}`)
		p = next(t, s)
		if n, _ := zkstream.Value[int](p, "threads"); n != 7 || p.Err() != nil {
			t.Errorf("it has come back: %d, %v", n, p.Err())
		}
		// A link on the way of a property link is moved.
		set(t, server, "/a", `{"threads =>": "l n", "l ->": "/t"}`)
		create(t, server, "/u", `{"n": 8}`)
		next(t, s)
		set(t, server, "/a", `{"threads =>": "l n", "l ->": "/u"}`)
		p = next(t, s)
		if n, _ := zkstream.Value[int](p, "threads"); n != 8 {
			t.Errorf("through a link: %d", n)
		}
	})
}

func TestDecodeOfLinkedProperties(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		put(t, c, "/", "/a\n  threads => /b\n  name = 'x'\n/b\n  threads = 3\n")
		type config struct {
			Threads int
			Name    string
		}
		s := zkstream.Decode[config](Properties(t.Context(), c, "/a"))
		if d := next(t, s); d.Value != (config{3, "x"}) || d.Err != nil {
			t.Errorf("%+v", d)
		}
		remove(t, server, "/b")
		if d := next(t, s); d.Value != (config{3, "x"}) || !errors.Is(d.Err, zk.ErrNoNode) {
			t.Errorf("a broken link: %+v", d)
		}
	})
}
