package zkstream_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
)

// got is GetTree where that is no error.
func got(t *testing.T, c *zkstream.Client, path string, opts ...zkstream.TreeOption) zkstream.Tree {
	t.Helper()
	tree, err := c.GetTree(t.Context(), path, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestATreeThatIsReadOnceIsAsAStreamShowsIt(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		for _, path := range []string{"/a", "/a/b", "/a/b/d", "/a/b/d/e", "/a/c", "/a-b", "/closed"} {
			f.create(path, "of"+path)
		}
		f.create("/closed/below", "")
		c := f.connect()
		if err := c.SetACL(t.Context(), "/closed", zk.DigestACL(zk.PermAll, "somebody", "else"), zkstream.AnyVersion); err != nil {
			t.Fatal(err)
		}
		for what, opts := range map[string][]zkstream.TreeOption{
			"all": nil, "the root alone": {zkstream.WithDepth(0)}, "one level": {zkstream.WithDepth(1)}, "metadata": {zkstream.WithoutData()},
			"metadata of one level": {zkstream.WithoutData(), zkstream.WithDepth(1)}, "just enough": {zkstream.WithMaxNodes(8)},
		} {
			for _, path := range []string{"/", "/a", "/a/b/d/e", "/closed", "/none"} {
				tree, stream := got(t, c, path, opts...), next(t, c.Tree(t.Context(), path, opts...))
				same(t, what+" of "+path, lines(tree), lines(stream))
				for change := range tree.Diff(stream) {
					if change.Old.Stat() != change.New.Stat() || !errors.Is(change.New.Err(), change.Old.Err()) {
						t.Errorf("%s of %s: %s is %+v, of the stream %+v", what, path, change.Path, change.New, change.Old)
					}
				}
			}
		}
		if tree, err := c.GetTree(t.Context(), "/", zkstream.WithMaxNodes(7)); !errors.Is(err, zkstream.ErrTooLarge) || tree.Exists() {
			t.Errorf("eight nodes where seven may be: %v, %v", lines(tree), err)
		}
		for what, call := range map[string]func() (zkstream.Tree, error){
			"a path that is none": func() (zkstream.Tree, error) { return c.GetTree(t.Context(), "a") },
			"a negative depth":    func() (zkstream.Tree, error) { return c.GetTree(t.Context(), "/", zkstream.WithDepth(-1)) },
			"a nil option":        func() (zkstream.Tree, error) { return c.GetTree(t.Context(), "/", nil) },
		} {
			var e *zkstream.PathError
			if _, err := call(); !errors.As(err, &e) || e.Op != "gettree" {
				t.Errorf("%s: %v", what, err)
			}
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("cause")
		cancel(cause)
		if _, err := c.GetTree(ctx, "/"); !errors.Is(err, cause) {
			t.Errorf("after its context: %v", err)
		}
	})
}

func TestATreeIsReadOnceInFewRequestsAndWithoutWatches(t *testing.T) {
	onEachAlone(t, func(t *testing.T, f *fixture) {
		const nodes = 2000
		ops := []any{}
		for i := range nodes {
			path := fmt.Sprintf("%s/%02d", f.root, i/100)
			if i%100 > 0 {
				path += fmt.Sprintf("/%02d", i%100)
			}
			ops = append(ops, &zk.CreateRequest{Path: path, Data: []byte("20 bytes of content."), Acl: zk.WorldACL(zk.PermAll)})
		}
		if _, err := f.admin.Multi(ops...); err != nil {
			t.Fatal(err)
		}
		var requests counter
		c := f.connect(requests.option())
		requests.take()
		for range 3 {
			if n := got(t, c, "/").Len(); n != nodes+1 {
				t.Errorf("%d nodes", n)
			}
		}
		const multiRead = 22
		counts := requests.take()
		if n := counts[multiRead]; n != sum(counts) || n > 3*nodes/20 {
			t.Errorf("requests by opcode: %v", counts)
		}
	})
}

// What changes while a tree is read goes together all the same, node by node.
func TestATreeThatChangesWhileItIsReadOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		plant(t, server, "/a", "/a/b", "/a/b/x", "/a/c", "/a/d", "/a/d/y")
		var seen []string
		server.Intercept(func(r zktest.Request) zktest.Fault {
			for _, op := range r.Multi {
				seen = append(seen, fmt.Sprint(op.Op, " ", op.Path))
				switch {
				case op.Op == zktest.OpGetData && op.Path == "/a/c":
					server.Delete("/a/c")
				case op.Op == zktest.OpGetChildren && op.Path == "/a/b": // its content has been read
					if _, _, err := server.Get("/a/b/x"); err == nil {
						remove(t, server, "/a/b/x", "/a/b")
						plant(t, server, "/a/b", "/a/b/z")
						server.Set("/a/b", []byte("made anew"))
					}
				case op.Op == zktest.OpGetChildren && op.Path == "/a/d":
					if _, _, err := server.Get("/a/d"); err == nil {
						remove(t, server, "/a/d/y", "/a/d")
					}
				}
			}
			return zktest.Fault{}
		})
		same(t, "the tree", lines(got(t, c, "/a")), "/a=/a /a/b=made anew /a/b/z=/a/b/z")
		if t.Failed() {
			t.Log(seen)
		}
	})
}

func TestATreeIsReadOnceThroughLostConnections(t *testing.T) {
	for what, fault := range map[string]zktest.Fault{
		"lost":           {Drop: true},
		"without answer": {LoseReply: true},
		"refused":        {Code: zktest.ErrSystem},
		"not known":      {Code: zktest.ErrUnimplemented},
	} {
		t.Run(what, func(t *testing.T) {
			inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
				paths := []string{"/a"}
				for i := range 600 { // more than one reader
					paths = append(paths, fmt.Sprintf("/a/%03d", i))
				}
				plant(t, server, paths...)
				n := 0
				server.Intercept(func(r zktest.Request) zktest.Fault {
					if r.Op == zktest.OpMultiRead && len(r.Multi) > 0 {
						if n++; n%4 == 2 && n < 12 {
							return fault
						}
					}
					return zktest.Fault{}
				})
				tree := got(t, c, "/a")
				i := 0
				for d := range tree.All() {
					if d.Path() != paths[i] || d.String() != paths[i] {
						t.Fatalf("node %d is %s with %q", i, d.Path(), d)
					}
					i++
				}
				if i != len(paths) || n < 2 {
					t.Errorf("%d nodes, %d requests", i, n)
				}
			})
		})
	}
}

func TestATreeIsReadOnceFromAnOldServer(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		plant(t, server, "/a", "/a/b", "/a/b/c", "/a/d")
		same(t, "the tree", lines(got(t, c, "/a")), "/a=/a /a/b=/a/b /a/b/c=/a/b/c /a/d=/a/d")
	}, zktest.WithVersion("3.5.9"))
}
