package zktree_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
	. "github.com/zkstream/zkstream/zktree"
)

const addr = "10.0.0.1:80"

// names checks which children a node has on the server.
func names(t *testing.T, server *zktest.Server, path string, want ...string) {
	t.Helper()
	synctest.Wait()
	got, err := server.Children(path)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%s has %q, %v, want %q", path, got, err, want)
	}
}

func status(t *testing.T, s *zkstream.Stream[zkstream.RegistrationStatus], want zkstream.RegistrationStatus) {
	t.Helper()
	if got := next(t, s); got != want {
		t.Errorf("the status is %v, want %v", got, want)
	}
}

func TestARegistrationFollowsALink(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		ctx := t.Context()
		put(t, c, "/", "/lb\n  pool -> /one\n/one\n/two\n")
		r, err := Register(ctx, c, "/lb/pool", addr, map[string]any{"pid": 1})
		if err != nil {
			t.Fatal(err)
		}
		states := r.Status(ctx)
		status(t, states, zkstream.Registered)
		names(t, server, "/one", addr)
		if r.Path() != "/one/"+addr || r.Addr() != addr || r.Err() != nil || r.Refusal() != nil {
			t.Errorf("%s, %s, %v, %v", r.Path(), r.Addr(), r.Err(), r.Refusal())
		}
		if err := r.Update(ctx, map[string]any{"weight": 3}); err != nil {
			t.Fatal(err)
		}

		// It is registered in the new place before it is withdrawn in the old one.
		var order []string
		server.Journal(func(ch zktest.Change) { order = append(order, fmt.Sprint(ch.Op, " ", ch.Path)) })
		set(t, server, "/lb", `{"pool ->": "/two"}`)
		names(t, server, "/two", addr)
		names(t, server, "/one")
		server.Journal(nil)
		if first := slices.IndexFunc(order, func(s string) bool { return s == fmt.Sprint(zktest.OpDelete, " /one/", addr) }); first < 0 ||
			!slices.Contains(order[:first], fmt.Sprint(zktest.OpCreate, " /two/", addr)) {
			t.Errorf("the order was %q", order)
		}
		content, stat, err := server.Get("/two/" + addr)
		if string(content) != `{"pid":1,"weight":3}` && string(content) != `{"pid": 1, "weight": 3}` || stat.EphemeralOwner == 0 {
			t.Errorf("the new node: %s, %+v, %v", content, stat, err)
		}
		quiet(t, states) // Registered, all the time

		// While the path leads nowhere the server is not registered.
		set(t, server, "/lb", `{"pool ->": "/none"}`)
		status(t, states, zkstream.Pending)
		names(t, server, "/two")
		if err := r.Refusal(); !errors.Is(err, zk.ErrNoNode) || r.Path() != "" {
			t.Errorf("%v, %q", err, r.Path())
		}
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := r.Update(short, map[string]any{"x": 1}); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, zk.ErrNoNode) {
			t.Errorf("an update that has no node: %v", err)
		}
		set(t, server, "/lb", `{"pool ->": "pool"}`)
		synctest.Wait()
		var loop *LoopError
		if err := r.Refusal(); !errors.As(err, &loop) {
			t.Errorf("a loop: %v", err)
		}
		set(t, server, "/lb", `{"pool ->": "/one"}`)
		status(t, states, zkstream.Registered)
		names(t, server, "/one", addr)

		server.Partition(true) // or the client could be back before the first of the two is received
		status(t, states, zkstream.Pending)
		server.Partition(false)
		status(t, states, zkstream.Registered)
		names(t, server, "/one", addr)
		set(t, server, "/lb", `{"pool ->": "/two"}`)
		names(t, server, "/two", addr)

		if err := r.Close(); err != nil {
			t.Error(err)
		}
		names(t, server, "/one")
		names(t, server, "/two")
		<-r.Done()
		if r.Err() != zkstream.ErrClosed {
			t.Errorf("after Close: %v", r.Err())
		}
		status(t, states, zkstream.Withdrawn)
		if _, err := states.Next(ctx); err != zkstream.ErrClosed {
			t.Errorf("the end of the status: %v", err)
		}
		if err := r.Update(ctx, nil); !errors.Is(err, zkstream.ErrClosed) {
			t.Errorf("an update after the end: %v", err)
		}
	})
}

// A target that is deleted with all that is in it is not made again by those that were registered there: so the link that it has
// hidden comes to light.
func TestARegistrationLeavesATargetThatGoes(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		ctx := t.Context()
		put(t, c, "/", "/cms\n  /databases\n    main -> /databases/cms\n    /main\n      /providers\n/databases\n  /cms\n    /providers\n")
		r, err := Register(ctx, c, "/cms/databases/main/providers", addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		names(t, server, "/cms/databases/main/providers", addr)
		if _, err := DeleteAll(ctx, c, "/cms/databases/main", Force()); err != nil {
			t.Fatal(err)
		}
		states := r.Status(ctx)
		for r.Path() != "/databases/cms/providers/"+addr {
			next(t, states)
			synctest.Wait()
		}
		names(t, server, "/databases/cms/providers", addr)
		names(t, server, "/cms/databases")
	})
}

func TestARegistrationThatCannotBe(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		put(t, c, "/", "/lb\n  gone -> /none\n  loop -> loop\n  here -> /one\n/one\n")
		for path, want := range map[string]error{"/none/providers": zk.ErrNoNode, "/lb/gone": zk.ErrNoNode, "lb": zk.ErrInvalidPath} {
			_, err := Register(t.Context(), c, path, addr, nil)
			var pe *zkstream.PathError
			if !errors.Is(err, want) || !errors.As(err, &pe) {
				t.Errorf("%s: %v, want %v", path, err, want)
			}
		}
		var loop *LoopError
		if _, err := Register(t.Context(), c, "/lb/loop", addr, nil); !errors.As(err, &loop) {
			t.Errorf("a loop: %v", err)
		}
		if _, err := Register(t.Context(), c, "/lb/here", "nobody", nil); err == nil {
			t.Error("an address that is none: no error")
		}
		if _, err := Register(t.Context(), c, "/lb/here", addr, map[string]any{"x": make(chan int)}); err == nil {
			t.Error("a property that is no JSON: no error")
		}
		names(t, server, "/", "lb", "one", "zookeeper")
		names(t, server, "/one")

		// The node of another session is in the way until the context ends.
		other, err := zkstream.Connect(t.Context(), "zktest", zkstream.WithDialer(server.Dial))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Register(t.Context(), other, "/lb/here", addr, nil); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := Register(ctx, c, "/lb/here", addr, nil); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "held by session") {
			t.Errorf("in the way: %v", err)
		}
		other.Close()
		names(t, server, "/one")
		if _, err := Register(ctx, c, "/lb/here", addr, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("an ended context: %v", err)
		}
		r, err := Register(t.Context(), c, "/lb/here", addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		<-r.Done()
		if r.Err() != zkstream.ErrClosed {
			t.Errorf("the client is closed: %v", r.Err())
		}
		if err := r.Close(); err != nil {
			t.Errorf("Close after the client's: %v", err)
		}
	})
}

// The server of the new target's node refuses it for a while: until then the server stays where it was.
func TestARegistrationStaysWhileItsNewPlaceIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		ctx := t.Context()
		put(t, c, "/", "/lb\n  pool -> /one\n/one\n/two\n")
		r, err := Register(ctx, c, "/lb/pool", addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		server.SetACL("/two", zktest.ACL{Perms: zk.PermRead, Scheme: "world", ID: "anyone"})
		set(t, server, "/lb", `{"pool ->": "/two"}`)
		names(t, server, "/two")
		names(t, server, "/one", addr)
		if err := r.Refusal(); !errors.Is(err, zk.ErrNoAuth) {
			t.Errorf("%v", err)
		}
		if err := r.Update(ctx, map[string]any{"x": 1}); err != nil {
			t.Errorf("an update where it is: %v", err)
		}
		server.SetACL("/two", zktest.ACL{Perms: zk.PermAll, Scheme: "world", ID: "anyone"})
		time.Sleep(time.Minute)
		names(t, server, "/two", addr)
		names(t, server, "/one")
		if content, _, _ := server.Get("/two/" + addr); !strings.Contains(string(content), `"x":`) {
			t.Errorf("the update has not come along: %s", content)
		}
		// To and fro, faster than anything can be done.
		for range 50 {
			set(t, server, "/lb", `{"pool ->": "/one"}`)
			set(t, server, "/lb", `{"pool ->": "/two"}`)
		}
		server.Disconnect()
		time.Sleep(time.Minute)
		names(t, server, "/two", addr)
		names(t, server, "/one")
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		names(t, server, "/two")
	})
}

// Close does not wait for ever for a server, also while the registration moves.
func TestCloseOfARegistrationWithoutAServer(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		put(t, c, "/", "/lb\n  pool -> /one\n/one\n/two\n")
		r, err := Register(t.Context(), c, "/lb/pool", addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		server.Intercept(func(r zktest.Request) zktest.Fault {
			if r.Op == zktest.OpCreate || r.Op == zktest.OpCreate2 {
				return zktest.Fault{Delay: time.Hour} // so the move does not end
			}
			return zktest.Fault{}
		})
		set(t, server, "/lb", `{"pool ->": "/two"}`)
		synctest.Wait()
		server.Partition(true)
		begun := time.Now()
		if err := r.Close(); err == nil || time.Since(begun) > time.Minute {
			t.Errorf("without a server: %v after %v", err, time.Since(begun))
		}
		server.Intercept(nil)
		server.Partition(false)
		time.Sleep(time.Minute)
		<-r.Done()
		names(t, server, "/one")
		names(t, server, "/two")
	})
}
