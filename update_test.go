package zkstream_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
)

// An operator takes a server out of service by a property of its node.
func TestAnUpdateKeepsWhatOthersHaveWritten(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		c, operator := f.connect(), f.connect()
		r, _ := register(t, c, map[string]any{"pid": 7}, zkstream.WithACL(zk.WorldACL(zk.PermAll)))
		if err := operator.UpdateProperties(t.Context(), addrPath, map[string]any{"weight": 0}); err != nil {
			t.Fatal(err)
		}
		if err := r.Update(t.Context(), map[string]any{"load": 2}); err != nil {
			t.Fatal(err)
		}
		if got := f.get(addrPath); got != `{"pid": 7, "weight": 0, "load": 2}` {
			t.Errorf("content %s", got)
		}
		if err := r.Update(t.Context(), map[string]any{"load": 3}); err != nil {
			t.Fatal(err)
		}
		if got := f.get(addrPath); got != `{"pid": 7, "weight": 0, "load": 3}` {
			t.Errorf("content %s", got)
		}
		// What is not the registration's goes with the node.
		expire(t, c)
		eventually(t, "it is back", func() bool { return f.owner(addrPath) == zkstream.SessionID(c) })
		if got := f.get(addrPath); got != `{"pid": 7, "load": 3}` {
			t.Errorf("content %s", got)
		}
	})
}

// Somebody changes the node between the read of an Update and its transaction.
func TestAnUpdateLosesNoChangeOfTheSameInstant(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		r, err := c.Register(t.Context(), "/svc", addr, map[string]any{"pid": 7}, zkstream.WithACL(zk.WorldACL(zk.PermAll)))
		if err != nil {
			t.Fatal(err)
		}
		var changed atomic.Bool
		server.Intercept(func(r zktest.Request) zktest.Fault {
			if r.Op == zktest.OpMulti && changed.CompareAndSwap(false, true) {
				server.Set(addrPath, []byte(`{"pid": 7, "weight": 0}`))
			}
			return zktest.Fault{}
		})
		if err := r.Update(t.Context(), map[string]any{"load": 2}); err != nil {
			t.Fatal(err)
		}
		if got, _, _ := server.Get(addrPath); string(got) != `{"pid": 7, "weight": 0, "load": 2}` {
			t.Errorf("content %s", got)
		}
	})
}

// The answer of an Update is lost, and before the next try somebody changes what it has set.
func TestAnUpdateIsNotCarriedOutTwice(t *testing.T) {
	for _, key := range []string{"load", "weight"} {
		inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
			r, err := c.Register(t.Context(), "/svc", addr, map[string]any{"pid": 7}, zkstream.WithACL(zk.WorldACL(zk.PermAll)))
			if err != nil {
				t.Fatal(err)
			}
			var multis atomic.Int64
			changed := fmt.Sprintf(`{"pid": 7, %q: 0}`, key)
			server.Intercept(func(r zktest.Request) zktest.Fault {
				switch {
				case r.Op == zktest.OpMulti:
					multis.Add(1)
					return zktest.Fault{LoseReply: true}
				case r.Op == zktest.OpConnect && multis.Load() == 1:
					server.Set(addrPath, []byte(changed))
				}
				return zktest.Fault{}
			})
			if err := r.Update(t.Context(), map[string]any{"load": 2}); err != nil {
				t.Fatal(err)
			}
			if got, _, _ := server.Get(addrPath); string(got) != changed || multis.Load() != 1 {
				t.Errorf("content %s after %d transactions", got, multis.Load())
			}
		})
	}
}

// The read of an Update is answered by a server that is behind.
func TestAnUpdateGoesOnAfterAReadThatIsBehind(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		r, err := c.Register(t.Context(), "/svc", addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		faults(server, zktest.OpGetData, zktest.Fault{Code: zktest.ErrNoNode})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Update(ctx, map[string]any{"x": 1}); err != nil {
			t.Error(err)
		}
		if got, _, _ := server.Get(addrPath); !strings.Contains(string(got), `"x": 1`) {
			t.Errorf("content %s", got)
		}
	})
}

// What a caller does to its values after Update has returned does not matter.
func TestAnUpdateDoesNotKeepItsCallersValues(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		r, err := c.Register(t.Context(), "/svc", addr, map[string]any{"pid": 7})
		if err != nil {
			t.Fatal(err)
		}
		server.Partition(true)
		time.Sleep(time.Second)
		tags := []string{"a", "b"}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r.Update(ctx, map[string]any{"tags": tags})
		tags[0] = "z"
		server.Partition(false)
		if err := r.Update(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if got, _, _ := server.Get(addrPath); string(got) != `{"pid": 7, "tags": ["a","b"]}` && string(got) != `{"pid": 7, "tags": ["a", "b"]}` {
			t.Errorf("content %s", got)
		}
	})
}

// An Update that would be too large is refused, and not tried for ever after its caller has gone.
func TestAnUpdateThatIsTooLargeIsDropped(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		r, err := c.Register(t.Context(), "/svc", addr, map[string]any{"a": strings.Repeat("x", 600<<10)})
		if err != nil {
			t.Fatal(err)
		}
		connections := server.Stats().Requests[zktest.OpConnect]
		if err := r.Update(t.Context(), map[string]any{"b": strings.Repeat("x", 600<<10)}); !errors.Is(err, zkstream.ErrTooLarge) {
			t.Errorf("update: %v", err)
		}
		time.Sleep(time.Minute)
		if n := server.Stats().Requests[zktest.OpConnect]; n != connections || status(r) != zkstream.Registered {
			t.Errorf("%d connections more, %v", n-connections, status(r))
		}
		if err := r.Update(t.Context(), map[string]any{"c": 1}); err != nil {
			t.Error(err)
		}
	})
}

// A server that takes less than others closes the connection on a larger request.
func TestWhatAServerDoesNotTakeCostsThreeConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := zktest.Start(t, zktest.WithMaxBuffer(16<<10))
		c := dialled(t, server)
		defer c.Close()
		large := map[string]any{"a": strings.Repeat("x", 20<<10)}
		connects := func() int64 { return server.Stats().Requests[zktest.OpConnect] }

		before := connects()
		if _, err := c.Register(t.Context(), "/svc", addr, large); !errors.Is(err, zkstream.ErrTooLarge) {
			t.Errorf("register: %v", err)
		}
		if n := connects() - before; n > 3 {
			t.Errorf("Register costs %d connections", n)
		}
		r, err := c.Register(t.Context(), "/svc", addr, map[string]any{"pid": 7})
		if err != nil {
			t.Fatal(err)
		}
		before = connects()
		if err := r.Update(t.Context(), large); !errors.Is(err, zkstream.ErrTooLarge) {
			t.Errorf("update: %v", err)
		}
		if n := connects() - before; n > 3 {
			t.Errorf("Update costs %d connections", n)
		}
		time.Sleep(10 * time.Minute)
		if n := connects() - before; n > 3 || status(r) != zkstream.Registered {
			t.Errorf("afterwards %d connections, %v", n, status(r))
		}
		if err := r.Update(t.Context(), map[string]any{"b": 1}); err != nil {
			t.Error(err)
		}
		if got, _, _ := server.Get(addrPath); string(got) != `{"pid": 7, "b": 1}` {
			t.Errorf("content %.60s", got)
		}
	})
}

// Each connection that a too large request costs may cost the session, too.
func TestWhatAServerDoesNotTakeIsFoundOutAcrossSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := zktest.Start(t, zktest.WithMaxBuffer(16<<10))
		var connects atomic.Int64
		server.Intercept(func(r zktest.Request) zktest.Fault {
			if r.Op == zktest.OpConnect {
				connects.Add(1)
				server.ExpireAll()
			}
			return zktest.Fault{}
		})
		c := dialled(t, server)
		defer c.Close()
		large := map[string]any{"a": strings.Repeat("x", 20<<10)}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()

		if _, err := c.Register(ctx, "/svc", "b:2", large); !errors.Is(err, zkstream.ErrTooLarge) {
			t.Errorf("register: %v", err)
		}
		r, err := c.Register(t.Context(), "/svc", addr, map[string]any{"pid": 7})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Update(ctx, large); !errors.Is(err, zkstream.ErrTooLarge) {
			t.Errorf("update: %v", err)
		}
		time.Sleep(time.Minute)
		before := connects.Load()
		time.Sleep(10 * time.Minute)
		if n := connects.Load() - before; n > 0 || status(r) != zkstream.Registered {
			t.Errorf("afterwards %d connections, %v", n, status(r))
		}
	})
}
