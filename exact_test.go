package zkstream_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
)

// Faults that hit exactly one request, in virtual time.

// inBubble runs a test with a server and a client in a synctest bubble.
func inBubble(t *testing.T, test func(t *testing.T, server *zktest.Server, c *zkstream.Client), opts ...zktest.Option) {
	synctest.Test(t, func(t *testing.T) {
		server := zktest.Start(t, opts...)
		c := dialled(t, server)
		defer func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}()
		test(t, server, c)
	})
}

func dialled(t *testing.T, server *zktest.Server, opts ...zkstream.Option) *zkstream.Client {
	t.Helper()
	opts = append([]zkstream.Option{zkstream.WithDialer(server.Dial), zkstream.WithLogger(testLogger(t))}, opts...)
	c, err := zkstream.Connect(t.Context(), "zktest", opts...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// faults gives each request of an operation, by turns, the faults of a list, and then no more.
func faults(server *zktest.Server, op zktest.Op, list ...zktest.Fault) {
	var mu sync.Mutex
	server.Intercept(func(r zktest.Request) zktest.Fault {
		mu.Lock()
		defer mu.Unlock()
		if r.Op != op || len(list) == 0 {
			return zktest.Fault{}
		}
		f := list[0]
		list = list[1:]
		return f
	})
}

var lossy = []zktest.Fault{{LoseReply: true}, {Drop: true}, {Code: zktest.ErrConnectionLoss}, {LoseReply: true}, {Delay: time.Second}}

func TestALostReplyDoesNoHarmToAWrite(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		ctx := t.Context()
		content := func() string {
			data, _, err := server.Get("/a/b")
			if err != nil {
				return err.Error()
			}
			return string(data)
		}
		for i := range lossy {
			faults(server, zktest.OpCreate, lossy[i:]...)
			if err := c.Create(ctx, "/a/b", map[string]any{"n": i}); err != nil && !errors.Is(err, zkstream.ErrUnknown) {
				t.Errorf("create: %v", err)
			}
			if got, want := content(), fmt.Sprintf(`{"n": %d}`, i); got != want {
				t.Errorf("created %s, want %s", got, want)
			}
			if err := c.Create(ctx, "/a/b", map[string]any{"n": i}); !errors.Is(err, zk.ErrNodeExists) {
				t.Errorf("created twice: %v", err)
			}
			faults(server, zktest.OpSetData, lossy[i:]...)
			if err := c.UpdateProperties(ctx, "/a/b", map[string]any{"m": i}); err != nil && !errors.Is(err, zkstream.ErrUnknown) {
				t.Errorf("update: %v", err)
			}
			if got, want := content(), fmt.Sprintf(`{"n": %d, "m": %d}`, i, i); got != want {
				t.Errorf("updated %s, want %s", got, want)
			}
			faults(server, zktest.OpSetData, lossy[i:]...)
			if err := c.SetProperties(ctx, "/a/b", map[string]any{"k": i}); err != nil && !errors.Is(err, zkstream.ErrUnknown) {
				t.Errorf("set: %v", err)
			}
			if got, want := content(), fmt.Sprintf(`{"k": %d}`, i); got != want {
				t.Errorf("set %s, want %s", got, want)
			}
			faults(server, zktest.OpDelete, lossy[i:]...)
			if err := c.Delete(ctx, "/a/b"); err != nil && !errors.Is(err, zkstream.ErrUnknown) {
				t.Errorf("delete: %v", err)
			}
			if err := c.Delete(ctx, "/a/b"); !errors.Is(err, zk.ErrNoNode) {
				t.Errorf("deleted twice: %v", err)
			}
		}
	})
}

func TestALostReplyLeavesNoOrphanAndNoDuplicate(t *testing.T) {
	for i := range lossy {
		for _, op := range []zktest.Op{zktest.OpCreate, zktest.OpExists, zktest.OpMulti, zktest.OpDelete, zktest.OpGetData} {
			inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
				faults(server, op, lossy[i:]...)
				ctx, cancel := context.WithCancel(t.Context())
				r, err := c.Register(ctx, "/svc", addr, nil)
				if err != nil {
					t.Fatal(err)
				}
				_, created, err := server.Get(addrPath)
				if err != nil || created.EphemeralOwner != zkstream.SessionID(c) {
					t.Fatalf("registered: %+v, %v", created, err)
				}
				time.Sleep(time.Minute)
				if names, _ := server.Children("/svc"); len(names) != 1 {
					t.Errorf("children %q", names)
				}
				faults(server, op, lossy[i:]...)
				if err := r.Update(ctx, map[string]any{"x": 1}); err != nil {
					t.Errorf("update: %v", err)
				}
				faults(server, op, lossy[i:]...)
				cancel()
				<-r.Done()
				time.Sleep(time.Minute)
				if names, _ := server.Children("/svc"); len(names) != 0 {
					t.Errorf("%v, fault %d: left %q", op, i, names)
				}
			})
		}
	}
}

// A registration whose creation is under way, its answer lost or late, when its context ends.
func TestAWithdrawalWaitsForItsOwnCreation(t *testing.T) {
	for _, fault := range lossy {
		inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
			fault.Delay = 500 * time.Millisecond
			faults(server, zktest.OpCreate, fault, fault, fault)
			ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
			defer cancel()
			if _, err := c.Register(ctx, "/svc", addr, nil); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("register: %v", err)
			}
			time.Sleep(time.Minute)
			if _, _, err := server.Get(addrPath); err == nil {
				t.Errorf("%+v left an orphan", fault)
			}
		})
	}
}

// A node that is deleted so soon after its creation that the stream shows neither.
func TestARegistrationThatIsDeletedAtOnceComesBack(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		var wait atomic.Bool
		server.Intercept(func(r zktest.Request) zktest.Fault {
			if r.Op == zktest.OpExists && r.Path == addrPath && wait.Load() {
				return zktest.Fault{Delay: 50 * time.Millisecond}
			}
			return zktest.Fault{}
		})
		wait.Store(true)
		r, err := c.Register(t.Context(), "/svc", addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			server.Delete(addrPath)
			time.Sleep(10 * time.Millisecond)
		}
		wait.Store(false)
		time.Sleep(time.Minute)
		if names, err := server.Children("/svc"); len(names) != 1 {
			t.Errorf("children %q, %v", names, err)
		}
		until(t, r.Status(t.Context()), func(s zkstream.RegistrationStatus) bool { return s == zkstream.Registered })
	})
}

func TestAReadThatFailsForAPassingReasonIsSentAgain(t *testing.T) {
	for _, op := range []zktest.Op{zktest.OpGetData, zktest.OpExists, zktest.OpGetChildren2, zktest.OpSync} {
		inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
			for _, code := range []zktest.Code{zktest.ErrConnectionLoss, zktest.ErrOperationTimeout, zktest.ErrSessionMoved, -127} {
				path := fmt.Sprint("/n", -int(code))
				server.Create(path, []byte("0"))
				list := append([]zktest.Fault{{Code: code}, {Code: code}}, lossy...)
				faults(server, op, list...)
				data, children := c.Data(t.Context(), path), c.Children(t.Context(), path)
				missing := c.Data(t.Context(), path+"/missing")
				next(t, data)
				next(t, children)
				next(t, missing)
				faults(server, op, list...)
				server.Disconnect()
				server.Set(path, []byte("1"))
				server.Create(path+"/missing", nil)
				until(t, data, func(d zkstream.Data) bool { return d.String() == "1" })
				until(t, children, func(c zkstream.Children) bool { return c.Contains("missing") })
				until(t, missing, func(d zkstream.Data) bool { return d.Exists() })
				faults(server, op, list...)
				server.ExpireAll()
				server.Set(path, []byte("2"))
				until(t, data, func(d zkstream.Data) bool { return d.String() == "2" })
				data.Close()
				children.Close()
				missing.Close()
			}
		})
	}
}

func TestAReadThatFailsForGoodEndsItsStream(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		server.Create("/a", []byte("0"))
		other := c.Children(t.Context(), "/a")
		next(t, other)
		for _, code := range []zktest.Code{zktest.ErrBadArguments, zktest.ErrUnimplemented, zktest.ErrNoAuth} {
			faults(server, zktest.OpGetData, zktest.Fault{Code: code})
			var pe *zkstream.PathError
			if err := ended(t, c.Data(t.Context(), "/a")); !errors.As(err, &pe) || pe.Path != "/a" {
				t.Errorf("code %d: %v", code, err)
			}
			again := c.Data(t.Context(), "/a")
			next(t, again)
			again.Close()
			server.Set("/a", nil) // takes its watch away
			settled(t, c)
		}
		server.Create("/a/b", nil)
		next(t, other)
	})
}

// Reads that fail for a passing reason are repeated with growing pauses, and end nothing.
func TestAReadThatFailsIsNotRepeatedWithoutAPause(t *testing.T) {
	for _, code := range []zktest.Code{
		zktest.ErrSystem, -2, -3, -5, zktest.ErrOperationTimeout, -13, -14, -120, -122, -125, -127, -9999,
	} {
		inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
			var failed atomic.Int64
			server.Intercept(func(r zktest.Request) zktest.Fault {
				if r.Op == zktest.OpGetData || r.Op == zktest.OpGetChildren2 {
					failed.Add(1)
					return zktest.Fault{Code: code}
				}
				return zktest.Fault{}
			})
			data, children := c.Data(t.Context(), "/missing"), c.Children(t.Context(), "/missing")
			time.Sleep(time.Minute)
			if n := failed.Load(); n < 10 || n > 60 { // 2 watches, whose pauses grow from 100 ms to 10 s
				t.Errorf("code %d: %d reads in a minute", code, n)
			}
			server.Intercept(nil)
			next(t, data)
			next(t, children)
			server.Create("/missing", nil)
			next(t, data)
			next(t, children)
		})
	}
}

func TestANewSessionSyncsBeforeItReads(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		server.Create("/a", []byte("0"))
		s := c.Data(t.Context(), "/a")
		next(t, s)
		var mu sync.Mutex
		var ops []zktest.Op
		server.Intercept(func(r zktest.Request) zktest.Fault {
			mu.Lock()
			defer mu.Unlock()
			if r.Op != zktest.OpConnect && r.Op != zktest.OpPing {
				ops = append(ops, r.Op)
			}
			return zktest.Fault{}
		})
		for range 3 {
			server.ExpireAll()
			down(t, c)
			settled(t, c)
			server.Disconnect()
			down(t, c)
			settled(t, c)
		}
		mu.Lock()
		defer mu.Unlock()
		want := []zktest.Op{zktest.OpSync, zktest.OpGetData, zktest.OpSetWatches}
		if !slices.Equal(ops, slices.Concat(want, want, want)) {
			t.Errorf("requests: %v", ops)
		}
		empty(t, s, "although nothing changed")
	})
}

func TestASilentlyReplacedSessionIsANewOne(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		server.Create("/a", []byte("0"))
		s, sessions := c.Data(t.Context(), "/a"), c.Session(t.Context())
		next(t, s)
		old := next(t, sessions)
		r, err := c.Register(t.Context(), "/svc", addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		faults(server, zktest.OpConnect, zktest.Fault{NewSession: true})
		server.Disconnect()
		server.Set("/a", []byte("1"))
		until(t, s, func(d zkstream.Data) bool { return d.String() == "1" })
		now := until(t, sessions, func(s zkstream.Session) bool { return s.State == zkstream.Connected && s.ID != old.ID })
		// The old session's node goes when the server expires it.
		time.Sleep(time.Minute)
		if _, stat, err := server.Get(addrPath); err != nil || stat.EphemeralOwner != now.ID {
			t.Errorf("the node: %+v, %v; the session is %s", stat, err, hex(now.ID))
		}
		if ids := server.Sessions(); len(ids) != 1 {
			t.Errorf("%d sessions on the server", len(ids))
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestAServerThatLostItsDataInTheBubble(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		for i := range 10 {
			server.Create(fmt.Sprint("/n", i), nil)
		}
		s := c.Children(t.Context(), "/")
		until(t, s, func(c zkstream.Children) bool { return c.Contains("n9") })
		if _, err := c.Register(t.Context(), "/svc", addr, nil); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			server.Wipe()
			begun := time.Now()
			until(t, s, func(c zkstream.Children) bool { return !c.Contains("n9") && c.Contains("svc") })
			until(t, c.Children(t.Context(), "/svc"), func(c zkstream.Children) bool { return c.Contains(addr) })
			if took := time.Since(begun); took > 15*time.Second { // the session timeout is 10 s
				t.Errorf("recovery took %v", took)
			}
			for i := range 10 {
				server.Create(fmt.Sprint("/n", i), nil)
			}
			until(t, s, func(c zkstream.Children) bool { return c.Contains("n9") })
		}
	})
}

// After a wipe zxids start anew, and a node may get those that its predecessor had.
func TestANewWorldIsNotTakenForTheOld(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		data, children, root := c.Data(t.Context(), "/n"), c.Children(t.Context(), "/n"), c.Children(t.Context(), "/")
		for i := range 4 {
			server.Wipe()
			server.Create("/n", fmt.Append(nil, i))
			server.Create(fmt.Sprintf("/n/%d", i), nil)
			server.Create(fmt.Sprintf("/r%d", i), nil)
			until(t, data, func(d zkstream.Data) bool { return d.String() == fmt.Sprint(i) })
			until(t, children, func(c zkstream.Children) bool { return names(c) == fmt.Sprint(i) })
			until(t, root, func(c zkstream.Children) bool { return c.Contains(fmt.Sprintf("r%d", i)) && c.Contains("n") })
		}
	})
}

func TestAFrozenServer(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		server.Create("/a", []byte("0"))
		s, sessions := c.Data(t.Context(), "/a"), c.Session(t.Context())
		next(t, s)
		next(t, sessions)
		server.Freeze(true)
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if err := c.SetProperties(ctx, "/a", nil); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != 300*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		// go-zookeeper waits two thirds of the session timeout for a sign of life.
		if got := next(t, sessions); got.State != zkstream.Suspended || time.Since(begun) > 7*time.Second {
			t.Errorf("%v after %v", got, time.Since(begun))
		}
		if got := next(t, sessions); got.State != zkstream.Expired || time.Since(begun) > 17*time.Second {
			t.Errorf("%v after %v", got, time.Since(begun))
		}
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
				defer cancel()
				begun := time.Now()
				if err := anyCall(ctx, c, i); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != 300*time.Millisecond {
					t.Errorf("call %d: %v after %v", i, err, time.Since(begun))
				}
			})
		}
		wg.Wait()
		server.Freeze(false)
		until(t, sessions, func(s zkstream.Session) bool { return s.State == zkstream.Connected })
		server.Set("/a", []byte("1"))
		until(t, s, func(d zkstream.Data) bool { return d.String() == "1" })
	})
}

// Two calls of one client create the same node. The second one is refused, and that answer is lost: the node that it finds is the
// first one's.
func TestAnEphemeralNodeIsOneCalls(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		faults(server, zktest.OpCreate, zktest.Fault{Delay: time.Second}, zktest.Fault{LoseReply: true})
		outcomes := make(chan error, 2)
		for range 2 {
			go func() { // ends with the call
				_, err := c.CreateNode(t.Context(), "/leader", []byte("me"), zkstream.Ephemeral())
				outcomes <- err
			}()
		}
		first, second := <-outcomes, <-outcomes
		if first != nil || !errors.Is(second, zkstream.ErrUnknown) && !errors.Is(second, zk.ErrNodeExists) {
			t.Errorf("%v, and then %v", first, second)
		}
	})
}
