package zkstream_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
)

func TestCallsReadAndWriteBelowTheChroot(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		c, ctx := f.connect(), t.Context()
		d, err := c.Get(ctx, "/a")
		if err != nil || d.Exists() || d.Path() != "/a" || d.Err() != nil {
			t.Errorf("missing: %v, %v", d, err)
		}
		if l, err := c.List(ctx, "/a"); err != nil || l.Exists() || l.Path() != "/a" {
			t.Errorf("missing: %v, %v", l, err)
		}
		if path, err := c.CreateNode(ctx, "/a", []byte(`{"x": 1}`)); err != nil || path != "/a" {
			t.Fatalf("%q, %v", path, err)
		}
		if _, err := c.CreateNode(ctx, "/a", nil); !errors.Is(err, zk.ErrNodeExists) {
			t.Error(err)
		}
		if _, err := c.CreateNode(ctx, "/b/c/d", nil); !errors.Is(err, zk.ErrNoNode) {
			t.Error(err)
		}
		if _, err := c.CreateNode(ctx, "/b/c/d", nil, zkstream.Parents()); err != nil {
			t.Error(err)
		}
		if d, err = c.Get(ctx, "/a"); err != nil || d.String() != `{"x": 1}` {
			t.Fatalf("%v, %v", d, err)
		}
		if x, err := zkstream.Value[int](d.Properties(), "x"); err != nil || x != 1 {
			t.Errorf("%v, %v", x, err)
		}
		stat, err := c.Write(ctx, "/a", []byte("2"), d.Stat().Version)
		if err != nil || stat.Version != 1 || f.get("/a") != "2" {
			t.Errorf("%+v, %v", stat, err)
		}
		if _, err := c.Write(ctx, "/a", []byte("3"), 0); !errors.Is(err, zk.ErrBadVersion) {
			t.Error(err)
		}
		if _, err := c.Write(ctx, "/a", []byte("4"), zkstream.AnyVersion); err != nil || f.get("/a") != "4" {
			t.Error(err)
		}
		if l, err := c.List(ctx, "/"); err != nil || names(l) != "a b" {
			t.Errorf("%v, %v", l, err)
		}
		if err := c.DeleteNode(ctx, "/b", zkstream.AnyVersion); !errors.Is(err, zk.ErrNotEmpty) {
			t.Error(err)
		}
		if err := c.DeleteNode(ctx, "/a", 1); !errors.Is(err, zk.ErrBadVersion) {
			t.Error(err)
		}
		if err := c.DeleteNode(ctx, "/a", 2); err != nil {
			t.Error(err)
		}
		if err := c.Sync(ctx, "/never/there"); err != nil {
			t.Error(err)
		}
		var pe *zkstream.PathError
		if _, err := c.Get(ctx, "no"); !errors.As(err, &pe) || pe.Op != "get" || pe.Path != "no" || !errors.Is(err, zk.ErrInvalidPath) {
			t.Error(err)
		}
	})
}

func TestCreateNodeMakesEachKindOfNode(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		c, ctx := f.connect(), t.Context()
		path, err := c.CreateNode(ctx, "/queue/n-", []byte("1"), zkstream.Sequential(), zkstream.Parents())
		if err != nil || path != "/queue/n-0000000000" || f.get(path) != "1" {
			t.Errorf("%q, %v", path, err)
		}
		if path, err = c.CreateNode(ctx, "/queue/", nil, zkstream.Sequential(), zkstream.Ephemeral()); err != nil || path != "/queue/0000000001" {
			t.Errorf("%q, %v", path, err)
		}
		if owner := f.owner(path); owner != zkstream.SessionID(c) {
			t.Errorf("owner %x", owner)
		}
		if path, err = c.CreateNode(ctx, "/e", nil, zkstream.Ephemeral(), zkstream.NodeACL(zk.WorldACL(zk.PermRead))); err != nil || f.owner(path) == 0 {
			t.Error(err)
		}
		if acl, stat, err := c.ACL(ctx, "/e"); err != nil || !slices.Equal(acl, zk.WorldACL(zk.PermRead)) || stat.EphemeralOwner != zkstream.SessionID(c) {
			t.Errorf("%v, %+v, %v", acl, stat, err)
		}
		if path, err = c.CreateNode(ctx, "/", nil, zkstream.Sequential()); err != nil || !strings.HasPrefix(path, "/00") {
			t.Errorf("%q, %v", path, err)
		}
		if _, err := c.CreateNode(ctx, "/container", nil, zkstream.Container()); err != nil || f.get("/container") != "" {
			t.Error(err)
		}
		if _, err := c.CreateNode(ctx, "/open", nil, zkstream.Ephemeral()); err != nil {
			t.Error(err)
		}
		if _, err := c.CreateNode(ctx, "/open/child", nil); !errors.Is(err, zk.ErrNoChildrenForEphemerals) {
			t.Error(err)
		}
		for _, opts := range [][]zkstream.CreateOption{
			{zkstream.TTL(time.Second), zkstream.Ephemeral()}, {zkstream.TTL(time.Second), zkstream.Container()}, {zkstream.Container(), zkstream.Ephemeral()},
			{zkstream.Container(), zkstream.Sequential()}, {zkstream.TTL(-time.Second)}, {zkstream.TTL(time.Microsecond)}, {nil},
		} {
			if _, err := c.CreateNode(ctx, "/no", nil, opts...); err == nil {
				t.Errorf("%d options that do not go together", len(opts))
			}
		}
	})
}

func TestTTLNodes(t *testing.T) {
	server := zktest.Start(t, zktest.WithExtendedTypes())
	c := connect(t, server.Addr())
	path, err := c.CreateNode(t.Context(), "/n-", []byte("1"), zkstream.TTL(time.Hour), zkstream.Sequential())
	if err != nil || path != "/n-0000000000" {
		t.Errorf("%q, %v", path, err)
	}
	if _, err := c.CreateNode(t.Context(), "/ttl", nil, zkstream.TTL(time.Hour)); err != nil {
		t.Error(err)
	}
	c = connect(t, zktest.Start(t).Addr())
	if _, err := c.CreateNode(t.Context(), "/ttl", nil, zkstream.TTL(time.Hour)); !errors.Is(err, zkstream.ErrUnimplemented) {
		t.Errorf("a server as installed: %v", err)
	}
}

func TestACLs(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		c, ctx := f.connect(), t.Context()
		f.create("/a", "")
		if err := c.SetACL(ctx, "/a", zk.WorldACL(zk.PermRead|zk.PermAdmin), 0); err != nil {
			t.Error(err)
		}
		if err := c.SetACL(ctx, "/a", zk.WorldACL(zk.PermAll), 0); !errors.Is(err, zk.ErrBadVersion) {
			t.Error(err)
		}
		if acl, stat, err := c.ACL(ctx, "/a"); err != nil || stat.Aversion != 1 || !slices.Equal(acl, zk.WorldACL(zk.PermRead|zk.PermAdmin)) {
			t.Errorf("%v, %+v, %v", acl, stat, err)
		}
		if _, err := c.Write(ctx, "/a", nil, zkstream.AnyVersion); !errors.Is(err, zk.ErrNoAuth) {
			t.Error(err)
		}
		if err := c.SetACL(ctx, "/a", nil, zkstream.AnyVersion); !errors.Is(err, zk.ErrInvalidACL) {
			t.Error(err)
		}
		if _, _, err := c.ACL(ctx, "/no"); !errors.Is(err, zk.ErrNoNode) {
			t.Error(err)
		}
	})
}

func TestMultiIsAllOrNothing(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		c, ctx := f.connect(), t.Context()
		f.create("/a", "1")
		acl := zk.WorldACL(zk.PermAll)
		got, err := c.Multi(ctx,
			&zk.CheckVersionRequest{Path: "/a", Version: 0},
			&zk.SetDataRequest{Path: "/a", Data: []byte("2"), Version: 0},
			&zk.CreateRequest{Path: "/b", Acl: acl},
			&zk.CreateRequest{Path: "/b/", Acl: acl, Flags: zk.FlagSequence},
			&zk.DeleteRequest{Path: "/b/0000000000", Version: -1},
		)
		if err != nil || len(got) != 5 || got[1].Stat.Version != 1 || got[2].String != "/b" || got[3].String != "/b/0000000000" {
			t.Fatalf("%+v, %v", got, err)
		}
		if f.get("/a") != "2" {
			t.Error("/a is not set")
		}
		got, err = c.Multi(ctx,
			&zk.SetDataRequest{Path: "/a", Data: []byte("3"), Version: -1},
			&zk.DeleteRequest{Path: "/no", Version: -1},
			&zk.CreateRequest{Path: "/c", Acl: acl},
		)
		var pe *zkstream.PathError
		if !errors.Is(err, zk.ErrNoNode) || !errors.As(err, &pe) || pe.Path != "/no" {
			t.Errorf("refused: %v", err)
		}
		if len(got) != 3 || got[0].Error != nil || !errors.Is(got[1].Error, zk.ErrNoNode) || !errors.Is(got[2].Error, zkstream.ErrNotTried) {
			t.Errorf("refused: %+v", got)
		}
		if f.get("/a") != "2" {
			t.Error("half of it was carried out")
		}
		if got, err := c.Multi(ctx); err != nil || got != nil {
			t.Errorf("nothing: %v, %v", got, err)
		}
		for _, op := range []any{zk.DeleteRequest{Path: "/a"}, "x", nil, &zk.CreateTTLRequest{Path: "/x"}, &zk.DeleteRequest{Path: "x"}} {
			if _, err := c.Multi(ctx, op); !errors.As(err, &pe) {
				t.Errorf("%T: %v", op, err)
			}
		}
	})
}

func TestGetSeesWhatItsClientHasWritten(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		c, ctx := f.connect(), t.Context()
		f.create("/a", "")
		for i := range 50 {
			if _, err := c.Write(ctx, "/a", fmt.Append(nil, i), zkstream.AnyVersion); err != nil {
				t.Fatal(err)
			}
			if i%10 == 5 {
				f.Drop()
			}
			if i == 30 {
				expire(t, c)
			}
			if d, err := c.Get(ctx, "/a"); err != nil || d.String() != fmt.Sprint(i) {
				t.Fatalf("%v, %v, want %d", d, err, i)
			}
		}
	})
}

// The first read of a new session is after a sync.
func TestTheFirstReadOfANewSessionSyncs(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		server.Create("/a", nil)
		if _, err := c.Get(t.Context(), "/a"); err != nil {
			t.Fatal(err)
		}
		expire(t, c)
		var mu sync.Mutex
		var ops []zktest.Op
		server.Intercept(func(r zktest.Request) zktest.Fault {
			mu.Lock()
			defer mu.Unlock()
			if r.Op != zktest.OpPing {
				ops = append(ops, r.Op)
			}
			return zktest.Fault{}
		})
		for range 2 {
			if _, err := c.List(t.Context(), "/a"); err != nil {
				t.Fatal(err)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if got := fmt.Sprint(ops); got != fmt.Sprint([]zktest.Op{zktest.OpSync, zktest.OpGetChildren2, zktest.OpGetChildren2}) {
			t.Error(got)
		}
	})
}

// Each request of each call loses its reply, or its connection before it is carried out, once or thrice.
func TestEachCallMeetsALossAtEachOfItsRequests(t *testing.T) {
	type call struct {
		op         zktest.Op
		path, data string // in the journal; "" for a call that changes nothing
		do         func(ctx context.Context, c *zkstream.Client) error
	}
	drop := func(_ any, err error) error { return err }
	acl := zk.WorldACL(zk.PermRead | zk.PermAdmin)
	calls := map[string]call{
		"Get":  {do: func(ctx context.Context, c *zkstream.Client) error { return drop(c.Get(ctx, "/a")) }},
		"List": {do: func(ctx context.Context, c *zkstream.Client) error { return drop(c.List(ctx, "/a")) }},
		"Sync": {do: func(ctx context.Context, c *zkstream.Client) error { return c.Sync(ctx, "/a") }},
		"ACL": {do: func(ctx context.Context, c *zkstream.Client) error {
			_, _, err := c.ACL(ctx, "/a")
			return err
		}},
		"CreateNode": {zktest.OpCreate, "/n", "new", func(ctx context.Context, c *zkstream.Client) error {
			return drop(c.CreateNode(ctx, "/n", []byte("new")))
		}},
		"CreateNode with parents": {zktest.OpCreate, "/p/q/n", "new", func(ctx context.Context, c *zkstream.Client) error {
			return drop(c.CreateNode(ctx, "/p/q/n", []byte("new"), zkstream.Parents()))
		}},
		"CreateNode ephemeral": {zktest.OpCreate, "/n", "new", func(ctx context.Context, c *zkstream.Client) error {
			return drop(c.CreateNode(ctx, "/n", []byte("new"), zkstream.Ephemeral()))
		}},
		"CreateNode of a container": {zktest.OpCreate, "/n", "new", func(ctx context.Context, c *zkstream.Client) error {
			return drop(c.CreateNode(ctx, "/n", []byte("new"), zkstream.Container()))
		}},
		"Write": {zktest.OpSetData, "/a", "new", func(ctx context.Context, c *zkstream.Client) error {
			return drop(c.Write(ctx, "/a", []byte("new"), 0))
		}},
		"Write of any version": {zktest.OpSetData, "/a", "new", func(ctx context.Context, c *zkstream.Client) error {
			return drop(c.Write(ctx, "/a", []byte("new"), zkstream.AnyVersion))
		}},
		"Write of a missing node": {zktest.OpSetData, "/n", "new", func(ctx context.Context, c *zkstream.Client) error {
			return drop(c.Write(ctx, "/n", []byte("new"), zkstream.AnyVersion))
		}},
		"DeleteNode": {zktest.OpDelete, "/a", "", func(ctx context.Context, c *zkstream.Client) error {
			return c.DeleteNode(ctx, "/a", 0)
		}},
		"SetACL": {do: func(ctx context.Context, c *zkstream.Client) error { return c.SetACL(ctx, "/a", acl, 0) }},
		"Multi": {zktest.OpSetData, "/a", "new", func(ctx context.Context, c *zkstream.Client) error {
			return drop(c.Multi(ctx, &zk.CheckVersionRequest{Path: "/b"}, &zk.SetDataRequest{Path: "/a", Data: []byte("new")}))
		}},
	}
	for name, call := range calls {
		for _, fault := range []zktest.Fault{{LoseReply: true}, {Drop: true}, {Code: zktest.ErrThrottledOp}} {
			for first := 1; first <= 8; first++ {
				for _, times := range []int{1, 3} {
					inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
						server.Create("/a", []byte("old"))
						server.Create("/b", nil)
						if _, err := c.Get(t.Context(), "/"); err != nil {
							t.Fatal(err)
						}
						j := newJournal(server)
						var n atomic.Int64
						server.Intercept(func(r zktest.Request) zktest.Fault {
							if r.Op == zktest.OpPing || r.Op == zktest.OpConnect {
								return zktest.Fault{}
							}
							if i := int(n.Add(1)); i >= first && i < first+times {
								return fault
							}
							return zktest.Fault{}
						})
						err := call.do(t.Context(), c)
						what := fmt.Sprintf("%s, requests %d to %d meet %+v", name, first, first+times-1, fault)
						if call.path != "" {
							checkFate(t, what, err, j.count(call.op, call.path, call.data))
							return
						}
						if err != nil && !(name == "SetACL" && errors.Is(err, zkstream.ErrUnknown)) {
							t.Errorf("%s: %v", what, err)
						}
					})
				}
			}
		}
	}
}

func TestALostEphemeralNodeIsFoundAgain(t *testing.T) {
	for _, opts := range [][]zkstream.CreateOption{{zkstream.Ephemeral()}, {zkstream.Ephemeral(), zkstream.Sequential()}} {
		inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
			server.Create("/q", nil)
			server.Create("/q/n-0000009999", nil)
			faults(server, zktest.OpCreate, zktest.Fault{LoseReply: true})
			path, err := c.CreateNode(t.Context(), "/q/n-", []byte("mine"), opts...)
			if err != nil {
				t.Fatal(err)
			}
			if data, stat, err := server.Get(path); err != nil || string(data) != "mine" || stat.EphemeralOwner != zkstream.SessionID(c) {
				t.Errorf("%s: %q, %+v, %v", path, data, stat, err)
			}
			if names, _ := server.Children("/q"); len(names) != 2 {
				t.Errorf("children %q", names)
			}
		})
	}
}

// Many calls create nodes with the same content at the same time, and every second reply is lost: each has a node of its
// own, or says that it does not know.
func TestLostSequentialNodesAreNotMixedUp(t *testing.T) {
	for round := range 20 {
		inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
			server.Create("/q", nil)
			if _, err := c.Get(t.Context(), "/q"); err != nil {
				t.Fatal(err)
			}
			var n atomic.Int64
			server.Intercept(func(r zktest.Request) zktest.Fault {
				if r.Op == zktest.OpCreate {
					switch i := int(n.Add(1)); {
					case i%(round+2) == 0:
						return zktest.Fault{LoseReply: true}
					case i%7 == 3:
						return zktest.Fault{Drop: true}
					}
				}
				return zktest.Fault{}
			})
			var mu sync.Mutex
			var paths []string
			unknowns := 0
			var wg sync.WaitGroup
			for range 16 {
				wg.Go(func() {
					path, err := c.CreateNode(t.Context(), "/q/n-", []byte("same"), zkstream.Ephemeral(), zkstream.Sequential())
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil:
						paths = append(paths, strings.TrimPrefix(path, "/q/"))
					case errors.Is(err, zkstream.ErrUnknown):
						unknowns++
					default:
						t.Error(err)
					}
				})
			}
			wg.Wait()
			have, err := server.Children("/q")
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(paths)
			if len(slices.Compact(slices.Clone(paths))) != len(paths) {
				t.Errorf("two calls have one node: %q", paths)
			}
			for _, p := range paths {
				if !slices.Contains(have, p) {
					t.Errorf("%s is not there", p)
				}
			}
			if len(have) > len(paths)+unknowns {
				t.Errorf("%d nodes for %d calls, and %d that do not know", len(have), len(paths), unknowns)
			}
		})
	}
}

// A server that throttles is asked less and less.
func TestAThrottlingServerIsNotPressed(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		server.Create("/a", nil)
		var n atomic.Int64
		server.Intercept(func(r zktest.Request) zktest.Fault {
			if r.Op == zktest.OpSetData {
				n.Add(1)
				return zktest.Fault{Code: zktest.ErrThrottledOp}
			}
			return zktest.Fault{}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				_, err := c.Write(ctx, "/a", fmt.Append(nil, i), zkstream.AnyVersion)
				if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, zkstream.ErrUnknown) || !strings.Contains(err.Error(), "throttled") {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := n.Load(); n > 64*20 {
			t.Errorf("%d requests in 30 s", n)
		}
	})
}
