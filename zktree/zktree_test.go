package zktree_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/internal/ensemble"
	"github.com/zkstream/zkstream/zktest"
	"github.com/zkstream/zkstream/zktext"
	. "github.com/zkstream/zkstream/zktree"
	"go.uber.org/goleak"
)

var zooKeeper ensemble.Shared

func TestMain(m *testing.M) {
	code := m.Run()
	if err := errors.Join(zooKeeper.Close(), goleak.Find()); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, "something is left:", err)
		code = 1
	}
	os.Exit(code)
}

// inBubble runs a test with a server and a client in virtual time.
func inBubble(t *testing.T, test func(t *testing.T, server *zktest.Server, c *zkstream.Client), opts ...zkstream.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server := zktest.Start(t)
		c, err := zkstream.Connect(t.Context(), "zktest", append(opts, zkstream.WithDialer(server.Dial))...)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}()
		test(t, server, c)
	})
}

func parse(t *testing.T, text string) *zktext.Node {
	t.Helper()
	tree, err := zktext.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func plan(t *testing.T, c *zkstream.Client, path, text string, opts ...PlanOption) *Changes {
	t.Helper()
	changes, err := Plan(t.Context(), c, path, parse(t, text), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

// put imports a text, and returns what the plan says.
func put(t *testing.T, c *zkstream.Client, path, text string, opts ...PlanOption) string {
	t.Helper()
	changes := plan(t, c, path, text, opts...)
	if err := Apply(t.Context(), c, changes); err != nil {
		t.Fatal(err)
	}
	return changes.String()
}

func export(t *testing.T, c *zkstream.Client, path string, opts ...ExportOption) string {
	t.Helper()
	tree, err := Export(t.Context(), c, path, opts...)
	if err != nil {
		t.Fatal(err)
	}
	text, err := zktext.Format(tree)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func equal(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n%s\nwant:\n%s", what, got, want)
	}
}

const system = `/cms : z4m cms
  threads = 3
  /databases
    /main
      /providers
  /providers
/fooservice
  secret = u'1234'
  threads = 3
  /providers
/lb : ipvs
  /pools
    /cms
      address = u'1.2.3.4:80'
      providers -> /cms/providers
    /retail
      address = u'1.2.3.5:80'
      providers -> /cms/providers
/retail : z4m retail
  threads = 1
  /databases
    main -> /cms/databases/main
    /ugc
      /providers
  /providers
`

func TestResolveSaysWhereItStopped(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		put(t, c, "/", "/a\n  gone -> /nowhere/x\n  one -> two\n  two -> three\n  three -> /a/one\n  self -> self/x\n  number = 1\n/b\n  up -> ../a/gone\n  slash -> /\n")
		for path, want := range map[string]string{
			"/a/gone":    "/nowhere",
			"/a/gone/y":  "/nowhere",
			"/b/up":      "/nowhere",
			"/a/none":    "/a/none",
			"/c/d":       "/c",
			"/a/number":  "/a/number",
			"/b/slash/q": "/q",
		} {
			_, err := Resolve(t.Context(), c, path)
			var pe *zkstream.PathError
			if !errors.Is(err, zk.ErrNoNode) || !errors.As(err, &pe) || pe.Path != path || !strings.Contains(err.Error(), "no "+want+":") {
				t.Errorf("%s: %v, want that there is no %s", path, err, want)
			}
		}
		for path, want := range map[string][]string{
			"/a/one":   {"/a/one", "/a/two", "/a/three", "/a/one"},
			"/a/one/x": {"/a/one/x", "/a/one", "/a/two", "/a/three", "/a/one"},
			"/a/self":  {"/a/self", "/a/self/x", "/a/self"},
		} {
			_, err := Resolve(t.Context(), c, path)
			var loop *LoopError
			if !errors.As(err, &loop) || !slices.Equal(loop.Paths, want) {
				t.Errorf("%s: %v, want a loop through %v", path, err, want)
			}
		}
		if got, err := Resolve(t.Context(), c, "/b/slash/a"); got != "/a" || err != nil {
			t.Errorf("%s, %v", got, err)
		}
	})
}

func TestLink(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		ctx := t.Context()
		put(t, c, "/", "/a\n  x = 1\n/b\n  /c\n")
		for _, l := range [][2]string{{"/b/c", "/a/c"}, {"/b/", "/a/d"}, {"../b", "/a/up"}, {"/a", "/top"}} {
			if err := Link(ctx, c, l[0], l[1]); err != nil {
				t.Errorf("%v: %v", l, err)
			}
		}
		equal(t, "the links", export(t, c, "/a"), "/a\n  x = 1\n  c -> /b/c\n  d -> /b/d\n  up -> ../b\n")
		if got, err := Resolve(ctx, c, "/top/c"); got != "/b/c" || err != nil {
			t.Errorf("through the root's link: %s, %v", got, err)
		}
		for l, want := range map[[2]string]error{
			{"/b", "/none/x"}: zk.ErrNoNode, {"/b", "/a/"}: zk.ErrInvalidPath, {"", "/a/x"}: zk.ErrInvalidPath,
			{"/b c", "/a/x"}: zk.ErrInvalidPath, {"/b", "/a/x y"}: zk.ErrInvalidPath, {"/b", "x"}: zk.ErrInvalidPath,
		} {
			if err := Link(ctx, c, l[0], l[1]); !errors.Is(err, want) {
				t.Errorf("%v: %v, want %v", l, err, want)
			}
		}
	})
}

func TestAPlanSaysEachChange(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		put(t, c, "/", "/a : t\n  gone = [1, 'x']\n  same = 1.0\n  threads = 3\n  back -> /x\n  l -> /y\n  p => /q r\n  /extra\n    /deep\n")
		changes := plan(t, c, "/", "/a : u\n  same = 1.0\n  threads = '3'\n  more = {'k': None}\n  l -> /z\n  p => /q s\n  new -> /n\n  /b\n    x = 1\n    /c\n", Trim())
		equal(t, "the plan", changes.String(), `/a remove link back -> /x
/a remove property gone = [1, u'x']
/a l link change from /y to /z
/a p => change from /q r to /q s
/a threads change from 3 to 3
/a type change from t to u
/a add property more = {u'k': None}
/a add link new -> /n
delete /a/extra/deep
delete /a/extra
add /a/b
add /a/b/c
`)
		if changes.Len() != 12 || changes.Empty() {
			t.Errorf("%d changes, empty: %v", changes.Len(), changes.Empty())
		}
		for change := range changes.All() {
			if change.Name == "threads" && (change.Action != ChangeProperty || change.Old != int64(3) || change.New != "3" || change.Path != "/a") {
				t.Errorf("%#v", change)
			}
		}
		if err := Apply(t.Context(), c, changes); err != nil {
			t.Fatal(err)
		}
		want := "/a : u\n  more = {u'k': None}\n  p => /q s\n  same = 1.0\n  threads = u'3'\n  l -> /z\n  new -> /n\n  /b\n    x = 1\n    /c\n"
		equal(t, "the tree", export(t, c, "/a"), want)
		again := plan(t, c, "/", want, Trim())
		if again.Len() != 0 || !again.Empty() {
			t.Errorf("what is imported differs from what is there:\n%s", again)
		}
	})
}

// Values of all kinds come back from a server as they were, and an import of an export changes nothing.
func TestAnImportOfAnExportChangesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		for path, content := range map[string]string{
			"/a": ``, "/b": `{}`, "/c": `text`, "/d": "\xff\xfe", "/e": ` {"n": 9223372036854775808, "m": 1e2, "o": [1.0, {"é": "\u00e9😀"}]} `,
			"/f": `{"i": Infinity}`, "/g": `{"string_value": "x"}`, "/h": "{x}", "/i": `{"type": 1}`, "/j": `{"a ->": "/b", "c =>": "/d e", "type": "f g"}`,
		} {
			server.Create(path, []byte(content))
		}
		text := export(t, c, "/")
		if changes := plan(t, c, "/", text, Trim()); changes.Len() != 0 {
			t.Errorf("the export is\n%sand its import would change\n%s", text, changes)
		}
		for i, path := range []string{"/k", "/l"} {
			server.Create(path, []byte([]string{`{"x y": 1}`, `{"x": NaN}`}[i]))
			tree, err := Export(t.Context(), c, path)
			if err != nil {
				t.Fatal(err)
			}
			if text, err := zktext.Format(tree); err == nil {
				t.Errorf("%s: no error, but\n%s", path, text)
			}
		}
	})
}

// A node that goes between the list of its parent's children and its own reading is no error, and not there.
func TestANodeThatGoesWhileATreeIsRead(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		put(t, c, "/", "/a\n  /b\n  /c\n    /d\n")
		server.Intercept(func(r zktest.Request) zktest.Fault {
			for _, path := range []string{"/a/b", "/a/c/d"} {
				if slices.ContainsFunc(r.Multi, func(op zktest.Request) bool { return op.Op == zktest.OpGetData && op.Path == path }) {
					server.Delete(path)
				}
			}
			return zktest.Fault{}
		})
		equal(t, "the export", export(t, c, "/a"), "/a\n  /c\n")
	})
}

func TestExportOfTheRoot(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		ctx := t.Context()
		server.Set("/", []byte(`{"x": 1}`))
		put(t, c, "/", "/a\n/b\n")
		if _, err := c.Register(ctx, "/a", "10.0.0.1:80", nil); err != nil {
			t.Fatal(err)
		}
		equal(t, "the root", export(t, c, "/"), "/a\n/b\n")
		equal(t, "with a name", export(t, c, "/", WithName("copy")), "/copy\n  /a\n  /b\n")
		equal(t, "an ephemeral one", export(t, c, "/a/10.0.0.1:80"), "")
		if _, err := Export(ctx, c, "/none"); !errors.Is(err, zk.ErrNoNode) {
			t.Errorf("of nothing: %v", err)
		}
	})
}

// An import is carried out only while the tree is as it was read, node by node.
func TestAConflictStopsAnImport(t *testing.T) {
	const before = "/a\n  x = 1\n  /b\n    /extra\n  /same\n/c\n"
	const after = "/a\n  x = 2\n  /b\n  /new\n  /same\n/c\n"
	for what, c := range map[string]struct {
		meddle func(s *zktest.Server)
		path   string
		err    error
	}{
		"changed":          {func(s *zktest.Server) { s.Set("/a", []byte("{}")) }, "/a", zk.ErrBadVersion},
		"unchanged":        {func(s *zktest.Server) { s.Set("/a/same", []byte("{}")) }, "/a/same", zk.ErrBadVersion},
		"created":          {func(s *zktest.Server) { s.Create("/a/new", nil) }, "/a/new", zk.ErrNodeExists},
		"deleted":          {func(s *zktest.Server) { s.Delete("/c") }, "/c", zk.ErrNoNode},
		"extra has a node": {func(s *zktest.Server) { s.Create("/a/b/extra/x", nil) }, "/a/b/extra", zk.ErrNotEmpty},
		"extra changed":    {func(s *zktest.Server) { s.Set("/a/b/extra", []byte("x")) }, "/a/b/extra", zk.ErrBadVersion},
	} {
		inBubble(t, func(t *testing.T, server *zktest.Server, client *zkstream.Client) {
			put(t, client, "/", before)
			changes := plan(t, client, "/", after, Trim())
			c.meddle(server)
			meddled := export(t, client, "/")
			err := Apply(t.Context(), client, changes)
			var pe *zkstream.PathError
			if !errors.Is(err, ErrConflict) || !errors.Is(err, c.err) || !errors.As(err, &pe) || pe.Path != c.path {
				t.Errorf("%s: %v, want a conflict at %s: %v", what, err, c.path, c.err)
			}
			equal(t, what, export(t, client, "/"), meddled) // all in one transaction, and nothing of it done
			if what != "extra has a node" && what != "deleted" {
				put(t, client, "/", after, Trim())
				equal(t, what, export(t, client, "/"), after)
			}
		})
	}
}

func TestEphemeralsAreNeverTrimmed(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		ctx := t.Context()
		put(t, c, "/", "/a\n  /keep\n    /providers\n    /go\n  /providers\n")
		for _, path := range []string{"/a/keep/providers", "/a/providers"} {
			if _, err := c.Register(ctx, path, "10.0.0.1:80", map[string]any{"pid": 1}); err != nil {
				t.Fatal(err)
			}
		}
		got := put(t, c, "/", "/a\n  /providers\n", Trim())
		equal(t, "the plan", got, `delete /a/keep/go
not deleting /a/keep/providers/10.0.0.1:80 because it's ephemeral
/a/keep/providers not deleted due to ephemeral descendent
/a/keep not deleted due to ephemeral descendent
`)
		server1 := "/a\n  /keep\n    /providers\n      /10.0.0.1:80\n        pid = 1\n  /providers\n    /10.0.0.1:80\n      pid = 1\n"
		equal(t, "the tree", export(t, c, "/a", WithEphemerals()), server1)
		dry, err := DeleteAll(ctx, c, "/a", Force(), DryRun())
		if err != nil || dry.Len() != 6 {
			t.Errorf("%v, %v", dry, err)
		}
		equal(t, "after a dry run", export(t, c, "/a", WithEphemerals()), server1)
	})
}

func TestDeleteAll(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		ctx := t.Context()
		for _, path := range []string{"/", "/zookeeper", "/none"} {
			if _, err := DeleteAll(ctx, c, path); err == nil {
				t.Errorf("%s: no error", path)
			}
		}
		// Nodes are created while it is at work.
		put(t, c, "/", "/a\n  /b\n    /c\n  /d\n")
		created := 0
		server.Intercept(func(r zktest.Request) zktest.Fault {
			if r.Op == zktest.OpMulti && created < 3 {
				created++
				path := fmt.Sprint("/a/b/late", created)
				server.Create(path, nil)
			}
			return zktest.Fault{}
		})
		changes, err := DeleteAll(ctx, c, "/a")
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "the deletion", changes.String(), "delete /a/b/c\ndelete /a/b/late1\ndelete /a/b/late2\ndelete /a/b/late3\ndelete /a/b\ndelete /a/d\ndelete /a\n")
		equal(t, "what is left", export(t, c, "/"), "")
		server.Intercept(nil)
		if _, err := DeleteAll(ctx, c, "/a"); !errors.Is(err, zk.ErrNoNode) {
			t.Errorf("once more: %v", err)
		}
	})
}

// A lost reply leaves it open whether a transaction was carried out. That is said, and a new plan has the rest.
func TestALostReplyOfAnImport(t *testing.T) {
	for _, fault := range []zktest.Fault{{LoseReply: true}, {Drop: true}} {
		inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
			changes := plan(t, c, "/", system)
			lost := false
			server.Intercept(func(r zktest.Request) zktest.Fault {
				if r.Op == zktest.OpMulti && !lost {
					lost = true
					return fault
				}
				return zktest.Fault{}
			})
			if err := Apply(t.Context(), c, changes); err != nil && !errors.Is(err, zkstream.ErrUnknown) {
				t.Errorf("%+v: %v", fault, err)
			}
			put(t, c, "/", system)
			equal(t, "the tree", export(t, c, "/"), system)
		})
	}
}

// All paths are below the client's chroot.
func TestBelowAChroot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := zktest.Start(t)
		server.Create("/app", nil)
		server.Create("/other", nil)
		c, err := zkstream.Connect(t.Context(), "zktest/app", zkstream.WithDialer(server.Dial))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		put(t, c, "/", system)
		equal(t, "the tree", export(t, c, "/"), system)
		if names, _ := server.Children("/app"); len(names) != 4 {
			t.Errorf("below the chroot: %q", names)
		}
		if path, err := Resolve(t.Context(), c, "/lb/pools/cms/providers"); path != "/cms/providers" || err != nil {
			t.Errorf("%s, %v", path, err)
		}
		if _, err := DeleteAll(t.Context(), c, "/cms"); err != nil {
			t.Error(err)
		}
		if names, _ := server.Children("/app"); len(names) != 3 {
			t.Errorf("below the chroot: %q", names)
		}
	})
}

func TestWalkSeesWhatChangesOnTheWay(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		ctx := t.Context()
		put(t, c, "/", "/a\n  /b\n    /c\n  /d\n    /e\n  /f\n  /g\n")
		var seen []string
		stop := errors.New("stop")
		err := Walk(ctx, c, "/a", func(d zkstream.Data) error {
			seen = append(seen, d.Path())
			switch d.Path() {
			case "/a/b":
				server.Create("/a/b/new", nil)
				server.Delete("/a/f")
			case "/a/d":
				return ErrSkipBelow
			case "/a/g":
				return stop
			}
			return nil
		})
		if want := []string{"/a", "/a/b", "/a/b/c", "/a/b/new", "/a/d", "/a/g"}; err != stop || !slices.Equal(seen, want) {
			t.Errorf("%v, %v, want %v", seen, err, want)
		}
		if err := Walk(ctx, c, "/none", func(zkstream.Data) error { t.Error("called"); return nil }); err != nil {
			t.Error(err)
		}
	})
}

func TestALargeImportIsInSeveralTransactions(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		ctx := t.Context()
		root := &zktext.Node{}
		for i := range 300 {
			n := &zktext.Node{Name: fmt.Sprintf("n%03d", i), Properties: map[string]any{"i": i}}
			if i%100 == 0 {
				n.Properties["large"] = strings.Repeat("x", 200<<10)
			}
			root.Children = append(root.Children, n)
		}
		largest := 0
		server.Intercept(func(r zktest.Request) zktest.Fault {
			if r.Op == zktest.OpMulti {
				largest++
			}
			return zktest.Fault{}
		})
		changes, err := Plan(ctx, c, "/", root)
		if err != nil {
			t.Fatal(err)
		}
		var progress []int
		if err := Apply(ctx, c, changes, WithProgress(func(done, total int) {
			if total != 300 {
				t.Errorf("total %d", total)
			}
			progress = append(progress, done)
		})); err != nil {
			t.Fatal(err)
		}
		if largest != len(progress) || largest < 3 || progress[len(progress)-1] != 300 || !slices.IsSorted(progress) {
			t.Errorf("%d transactions, progress %v", largest, progress)
		}
		if names, _ := server.Children("/"); len(names) != 301 {
			t.Errorf("%d nodes", len(names))
		}
	})
}

func TestProgressOfExportAndDeletion(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		for i := range 1500 {
			if err := server.Create(fmt.Sprintf("/top/%d/n%d", i%3, i), nil); err != nil {
				t.Fatal(err)
			}
		}
		const nodes = 1504
		var done, totals []int
		progress := func(d, total int) { done, totals = append(done, d), append(totals, total) }
		if _, err := Export(t.Context(), c, "/top", ExportProgress(progress)); err != nil {
			t.Fatal(err)
		}
		if len(done) != nodes || done[nodes-1] != nodes || !slices.IsSorted(done) || !slices.IsSorted(totals) || totals[0] != 1 || totals[nodes-1] != nodes {
			t.Errorf("export: %d calls, up to %d of %d", len(done), done[len(done)-1], totals[len(totals)-1])
		}
		done, totals = nil, nil
		if _, err := DeleteAll(t.Context(), c, "/top", DeleteProgress(progress)); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(done, []int{1000, nodes}) || !slices.Equal(totals, []int{nodes, nodes}) {
			t.Errorf("deletion: %v of %v", done, totals)
		}
	})
}

func TestACLs(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		ctx := t.Context()
		acl := func(path string) int32 {
			t.Helper()
			list, _, err := c.ACL(ctx, path)
			if err != nil || len(list) != 1 {
				t.Fatalf("%s: %v, %v", path, list, err)
			}
			return list[0].Perms
		}
		const some = zk.PermAll &^ zk.PermDelete
		put(t, c, "/", "/a\n")
		if acl("/a") != some { // the client's default
			t.Errorf("created with %d", acl("/a"))
		}
		open := zk.WorldACL(zk.PermAll)
		text := "/a\n  /b\n"
		equal(t, "the plan", put(t, c, "/", text, WithACL(open)), "add /a/b\n/a change access control list\n")
		if acl("/a") != zk.PermAll || acl("/a/b") != zk.PermAll {
			t.Errorf("%d and %d", acl("/a"), acl("/a/b"))
		}
		if changes := plan(t, c, "/", text, WithACL(open)); changes.Len() != 0 {
			t.Error(changes)
		}
		changes := plan(t, c, "/", text, WithACL(zk.WorldACL(some)))
		server.SetACL("/a", zktest.ACL{Perms: zk.PermAll, Scheme: "world", ID: "anyone"})
		if err := Apply(ctx, c, changes); !errors.Is(err, ErrConflict) {
			t.Errorf("changed meanwhile: %v", err)
		}
	}, zkstream.WithDefaultACL(zk.WorldACL(zk.PermAll&^zk.PermDelete)))
}

func TestAPlanRefusesWhatCannotBe(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		for what, tree := range map[string]*zktext.Node{
			"slash":     {Children: []*zktext.Node{{Name: "a/b"}}},
			"no name":   {Children: []*zktext.Node{{Name: "a", Children: []*zktext.Node{{}}}}},
			"two":       {Children: []*zktext.Node{{Name: "a"}, {Name: "a"}}},
			"bad value": {Children: []*zktext.Node{{Name: "a", Properties: map[string]any{"x": "\xff"}}}},
		} {
			if changes, err := Plan(t.Context(), c, "/", tree); err == nil {
				t.Errorf("%s: %v", what, changes)
			}
		}
		if _, err := Plan(t.Context(), c, "/none", parse(t, "/a\n")); !errors.Is(err, zk.ErrNoNode) {
			t.Errorf("no node to import into: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := Plan(ctx, c, "/", parse(t, "/a\n")); !errors.Is(err, context.Canceled) {
			t.Errorf("ended context: %v", err)
		}
		// A node with a name is its own tree.
		put(t, c, "/", "/a\n")
		changes, err := Plan(t.Context(), c, "/a", &zktext.Node{Name: "b"})
		if err != nil || changes.String() != "add /a/b\n" {
			t.Errorf("%s, %v", changes, err)
		}
	})
}
