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

func TestRegisterWithAName(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		c := f.connect()
		r, err := c.Register(t.Context(), "/svc", addr, map[string]any{"pid": 1}, zkstream.WithName("instance-1"))
		if err != nil {
			t.Fatal(err)
		}
		if r.Path() != "/svc/instance-1" || r.Addr() != addr || f.get("/svc/instance-1") != `{"pid": 1}` {
			t.Errorf("%s, %s: %s", r.Path(), r.Addr(), f.get("/svc/instance-1"))
		}
		if _, err := c.Register(t.Context(), "/svc", "", nil, zkstream.WithName("no address")); err != nil {
			t.Error(err)
		}
		for _, name := range []string{"", ".", "..", "a/b", "/", "a\x00"} {
			if _, err := c.Register(t.Context(), "/svc", addr, nil, zkstream.WithName(name)); !errors.Is(err, zk.ErrInvalidPath) {
				t.Errorf("name %q: %v", name, err)
			}
		}
		if _, err := c.Register(t.Context(), "/svc", ":80", nil, zkstream.WithName("n")); err == nil {
			t.Error("an address that nobody can dial is taken")
		}
	})
}

func TestRegisterWithContent(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		c := f.connect()
		content := []byte("\xff\x00 not JSON")
		r, err := c.Register(t.Context(), "/svc", addr, nil, zkstream.WithContent(content))
		if err != nil {
			t.Fatal(err)
		}
		want := string(content)
		content[0] = 'x'
		if got := f.get(addrPath); got != want {
			t.Errorf("content %q", got)
		}
		if err := r.Update(t.Context(), map[string]any{"a": 1}); err == nil || !strings.Contains(err.Error(), "is not a JSON object") || f.get(addrPath) != want {
			t.Errorf("update: %v, content %q", err, f.get(addrPath))
		}
		expire(t, c)
		eventually(t, "it is back", func() bool { return f.owner(addrPath) == zkstream.SessionID(c) })
		if got := f.get(addrPath); got != want {
			t.Errorf("content %q in a new session", got)
		}
		object, err := c.Register(t.Context(), "/svc", "h:1", nil, zkstream.WithContent([]byte(`{"address":"h","port":1}`)))
		if err != nil {
			t.Fatal(err)
		}
		if err := object.Update(t.Context(), map[string]any{"port": 2}); err != nil || f.get("/svc/h:1") != `{"address":"h","port":2}` {
			t.Errorf("update: %v, content %s", err, f.get("/svc/h:1"))
		}
		if _, err := c.Register(t.Context(), "/svc", "h:2", nil, zkstream.WithContent(nil)); err != nil || f.get("/svc/h:2") != "" {
			t.Errorf("no content: %v, %q", err, f.get("/svc/h:2"))
		}
		if _, err := c.Register(t.Context(), "/svc", "h:3", map[string]any{"a": 1}, zkstream.WithContent(nil)); err == nil {
			t.Error("properties and content are taken")
		}
		if _, err := c.Register(t.Context(), "/svc", "h:3", nil, zkstream.WithContent(make([]byte, 1<<20))); !errors.Is(err, zkstream.ErrTooLarge) {
			t.Errorf("too large: %v", err)
		}
		if _, err := c.Register(t.Context(), "/svc", "h:3", nil, nil); err == nil {
			t.Error("a nil option is taken")
		}
	})
}

func TestRegisterWithASequence(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		c := f.connect()
		f.create("/svc", "")
		f.create("/svc/other", "") // takes number 0
		r, err := c.Register(t.Context(), "/svc", "", map[string]any{"pid": 1}, zkstream.WithName("n-"), zkstream.WithSequence())
		if err != nil {
			t.Fatal(err)
		}
		if r.Path() != "/svc/n-0000000001" || f.owner(r.Path()) != zkstream.SessionID(c) {
			t.Errorf("path %s", r.Path())
		}
		// An Update keeps the name.
		if err := r.Update(t.Context(), map[string]any{"x": 1}); err != nil || f.get("/svc/n-0000000001") != `{"pid": 1, "x": 1}` {
			t.Errorf("update: %v", err)
		}
		path := r.Path()
		again := func(what string) {
			t.Helper()
			eventually(t, "the node is back after "+what, func() bool {
				return r.Path() != path && f.owner(r.Path()) == zkstream.SessionID(c)
			})
			if got := f.get(r.Path()); got != `{"pid": 1, "x": 1}` || r.Path() < path {
				t.Errorf("after %s: %s at %s", what, got, r.Path())
			}
			path = r.Path()
			eventually(t, "it says so", func() bool { return status(r) == zkstream.Registered })
			names, _, _ := f.admin.Children(f.root + "/svc")
			if len(names) != 2 {
				t.Errorf("after %s: children %q", what, names)
			}
		}
		f.delete(path)
		again("a foreign delete")
		expire(t, c)
		again("an expiry")
		f.outage(c, func() { f.delete(path) })
		again("a foreign delete while disconnected")
		if err := r.Close(); err != nil || f.owner(path) != 0 {
			t.Errorf("after Close: %v", err)
		}
		if names, _, _ := f.admin.Children(f.root + "/svc"); !slices.Equal(names, []string{"other"}) {
			t.Errorf("left behind: %q", names)
		}
	})
}

// A creation whose answer is lost never leaves two nodes, whether it was carried out or not; also while others
// make nodes of the same name.
func TestALostReplyLeavesNoSecondSequenceNode(t *testing.T) {
	for i := range lossy {
		for _, op := range []zktest.Op{zktest.OpCreate, zktest.OpExists, zktest.OpGetData, zktest.OpGetChildren2, zktest.OpSync, zktest.OpMulti, zktest.OpDelete} {
			inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
				other := dialled(t, server)
				defer other.Close()
				server.Create("/svc", nil)
				var regs []*zkstream.Registration
				var mu sync.Mutex
				var wg sync.WaitGroup
				make := func(c *zkstream.Client) {
					wg.Go(func() {
						r, err := c.Register(t.Context(), "/svc", "", map[string]any{"pid": 1}, zkstream.WithName("n"), zkstream.WithSequence())
						if err != nil {
							t.Error(err)
							return
						}
						mu.Lock()
						defer mu.Unlock()
						regs = append(regs, r)
					})
				}
				check := func(when string) {
					t.Helper()
					time.Sleep(3 * time.Minute)
					names, _ := server.Children("/svc")
					var paths []string
					for _, r := range regs {
						paths = append(paths, strings.TrimPrefix(r.Path(), "/svc/"))
						if status(r) != zkstream.Registered {
							t.Errorf("%v, fault %d, %s: %v", op, i, when, status(r))
						}
					}
					if slices.Sort(paths); !slices.Equal(names, paths) {
						t.Errorf("%v, fault %d, %s: the nodes are %q, the registrations %q", op, i, when, names, paths)
					}
				}
				faults(server, op, lossy[i:]...)
				for range 3 {
					make(c)
					make(other)
				}
				wg.Wait()
				check("at first")
				faults(server, op, lossy[i:]...)
				for _, r := range regs[:3] {
					server.Delete(r.Path())
				}
				check("after a delete")
				faults(server, op, lossy[i:]...)
				server.ExpireSession(zkstream.SessionID(c))
				check("in a new session")
				faults(server, op, lossy[i:]...)
				for _, r := range regs[:3] {
					if err := r.Update(t.Context(), map[string]any{"x": 1}); err != nil {
						t.Error(err)
					}
				}
				check("after an update")
				faults(server, op, lossy[i:]...)
				for len(regs) > 0 {
					if err := regs[0].Close(); err != nil {
						t.Error(err)
					}
					regs = regs[1:]
				}
				check("after Close")
			})
		}
	}
}

// A registration that ends while the outcome of its creation is not known deletes its node, whatever its number is.
func TestAWithdrawalFindsItsSequenceNode(t *testing.T) {
	for _, fault := range lossy {
		inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
			fault.Delay = 500 * time.Millisecond
			faults(server, zktest.OpCreate, fault, fault, fault)
			ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
			defer cancel()
			if _, err := c.Register(ctx, "/svc", addr, nil, zkstream.WithSequence()); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("register: %v", err)
			}
			time.Sleep(time.Minute)
			if names, _ := server.Children("/svc"); len(names) != 0 {
				t.Errorf("%+v left %q", fault, names)
			}
		})
	}
}

// A registration that cannot tell whether its node is there, because it may not list the children, makes no second.
func TestASequenceThatMayNotBeListed(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		server.Create("/svc", nil)
		server.SetACL("/svc", zktest.ACL{Perms: zk.PermCreate | zk.PermDelete, Scheme: "world", ID: "anyone"})
		var lost atomic.Bool
		server.Intercept(func(r zktest.Request) zktest.Fault {
			return zktest.Fault{LoseReply: r.Op == zktest.OpCreate && lost.CompareAndSwap(false, true)}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := c.Register(ctx, "/svc", addr, nil, zkstream.WithSequence()); !errors.Is(err, zk.ErrNoAuth) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("register: %v", err)
		}
		if names, _ := server.Children("/svc"); len(names) > 1 {
			t.Errorf("children %q", names)
		}
		server.SetACL("/svc", zktest.ACL{Perms: zk.PermAll, Scheme: "world", ID: "anyone"})
		time.Sleep(time.Minute)
		if names, _ := server.Children("/svc"); len(names) != 0 {
			t.Errorf("left behind: %q", names)
		}
	})
}

// Nodes of the same name that others have made, in this session or another, are not taken for the registration's.
func TestASequenceLeavesOthersNodesAlone(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		server.Create("/svc", nil)
		handle := c.Conn()
		content := []byte(`{"pid": 1}`)
		for range 3 {
			handle.Create("/svc/n", content, zk.FlagEphemeral|zk.FlagSequence, zk.WorldACL(zk.PermAll))
		}
		var lost atomic.Bool
		server.Intercept(func(r zktest.Request) zktest.Fault {
			return zktest.Fault{Drop: r.Op == zktest.OpCreate && lost.CompareAndSwap(false, true)}
		})
		r, err := c.Register(t.Context(), "/svc", "", map[string]any{"pid": 1}, zkstream.WithName("n"), zkstream.WithSequence())
		if err != nil || r.Path() != "/svc/n0000000003" {
			t.Fatal(r.Path(), err)
		}
		longer, err := c.Register(t.Context(), "/svc", "", nil, zkstream.WithName("n0"), zkstream.WithSequence())
		if err != nil || longer.Path() != "/svc/n00000000004" {
			t.Fatal(longer.Path(), err)
		}
		for _, r := range []*zkstream.Registration{r, longer} {
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
		if names, _ := server.Children("/svc"); fmt.Sprint(names) != "[n0000000000 n0000000001 n0000000002]" {
			t.Errorf("children %q", names)
		}
	})
}

// The node above is deleted and created again while a sequence node is being created, so its numbers begin anew.
func TestASequenceBelowAParentThatIsMadeAgain(t *testing.T) {
	for _, again := range []bool{true, false} { // by somebody else, or by the registration
		inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
			for _, path := range []string{"/svc/a", "/svc/b"} {
				server.Create(path, nil)
				server.Delete(path)
			}
			var creates atomic.Int64
			server.Intercept(func(r zktest.Request) zktest.Fault {
				if r.Op != zktest.OpCreate || !strings.HasPrefix(r.Path, "/svc/") {
					return zktest.Fault{}
				}
				if creates.Add(1) == 1 {
					server.Delete("/svc")
					if again {
						server.Create("/svc", nil)
					}
				}
				_, _, err := server.Get("/svc")
				return zktest.Fault{LoseReply: err == nil && creates.Load() < 3}
			})
			r, err := c.Register(t.Context(), "/svc", addr, nil, zkstream.WithSequence())
			if err != nil {
				t.Fatal(err)
			}
			if names, _ := server.Children("/svc"); len(names) != 1 || r.Path() != "/svc/"+names[0] {
				t.Errorf("the nodes are %q, the registration %s", names, r.Path())
			}
		})
	}
}
