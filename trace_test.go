package zkstream_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/internal/nameserver"
	"github.com/zkstream/zkstream/zktest"
)

// traced notes what a Trace is told.
type traced struct {
	mu  sync.Mutex // guards what follows
	all []string
}

func (n *traced) note(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, fmt.Sprintf(format, args...))
}

// expect checks what has been noted since the last call, once nothing moves.
func (n *traced) expect(t *testing.T, when string, want ...string) {
	t.Helper()
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	if !slices.Equal(n.all, want) {
		t.Errorf("%s:\n  got  %q\n  want %q", when, n.all, want)
	}
	n.all = nil
}

func TestTraceTellsOfConnectionsSessionsAndResyncs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := zktest.Start(t)
		var n, states traced
		trace := zkstream.Trace{
			Connect:  func(a zkstream.ConnectTrace) { n.note("connect %s: %v", a.Server, a.Err) },
			Session:  func(s zkstream.Session) { states.note("%v", s.State) },
			Resync:   func(r zkstream.ResyncTrace) { n.note("%+v", r) },
			Resynced: func(r zkstream.ResyncTrace) { n.note("done: %+v", r) },
		}
		c := dialled(t, server, zkstream.WithTrace(&trace))
		defer c.Close()
		trace = zkstream.Trace{} // the client has a copy
		n.expect(t, "at first", "connect zktest:2181: <nil>")
		states.expect(t, "at first", "connected")
		next(t, c.Data(t.Context(), "/a"))
		next(t, c.Children(t.Context(), "/b"))
		synctest.Wait()

		server.Disconnect()
		synctest.Wait()
		time.Sleep(time.Second)
		n.expect(t, "a lost connection", "connect zktest:2181: <nil>", "{Resumed:true Rearmed:2 Read:0 Took:0s}",
			"done: {Resumed:true Rearmed:2 Read:0 Took:0s}")
		states.expect(t, "a lost connection", "suspended", "connected")

		server.ExpireAll()
		time.Sleep(5 * time.Second)
		n.expect(t, "an expiry", "connect zktest:2181: zk: session has been expired by the server",
			"connect zktest:2181: <nil>", "{Resumed:false Rearmed:0 Read:2 Took:0s}", "done: {Resumed:false Rearmed:0 Read:2 Took:0s}")
		states.expect(t, "an expiry", "suspended", "expired", "connected")

		c.Close()
		n.expect(t, "the end")
		states.expect(t, "the end", "closed")
	})
}

func TestTraceTellsOfAttemptsThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := zktest.Start(t)
		server.Stop(true)
		var took []time.Duration
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := zkstream.Connect(ctx, "zktest", zkstream.WithDialer(server.Dial), zkstream.WithTrace(&zkstream.Trace{Connect: func(a zkstream.ConnectTrace) {
			if a.Err == nil || a.Server != "zktest:2181" || a.Addr != "zktest:2181" {
				t.Errorf("%+v", a)
			}
			took = append(took, a.Took)
		}}))
		if err == nil || len(took) < 10 || took[0] > time.Second {
			t.Errorf("%v; attempts took %v", err, took)
		}
	})
}

func TestTraceTellsOfEachCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := zktest.Start(t)
		type key struct{}
		var calls []zkstream.CallTrace
		c := dialled(t, server, zkstream.WithTrace(&zkstream.Trace{Call: func(ctx context.Context, call zkstream.CallTrace) {
			if ctx.Value(key{}) != "caller's" {
				t.Errorf("%s got another context", call.Op)
			}
			calls = append(calls, call)
		}}))
		defer c.Close()
		ctx := context.WithValue(t.Context(), key{}, "caller's")
		faults(server, zktest.OpGetData, zktest.Fault{Delay: time.Second})
		start := time.Now()

		c.Get(ctx, "/missing")
		if call := calls[0]; call.Began != start || call.Took != time.Second {
			t.Errorf("a call of a second: %+v", call)
		}
		c.List(ctx, "/missing")
		_, _, aclErr := c.ACL(ctx, "/missing")
		c.Sync(ctx, "/")
		c.Create(ctx, "/a/b", nil)
		c.CreateNode(ctx, "/c", nil)
		c.Write(ctx, "/c", nil, zkstream.AnyVersion)
		c.SetProperties(ctx, "/c", nil)
		c.UpdateProperties(ctx, "/c", map[string]any{"a": 1})
		c.SetACL(ctx, "/c", zk.WorldACL(zk.PermAll), zkstream.AnyVersion)
		_, multiErr := c.Multi(ctx, &zk.DeleteRequest{Path: "/a/b", Version: -1}, &zk.DeleteRequest{Path: "/d", Version: -1})
		c.Delete(ctx, "/c")
		deleteErr := c.DeleteNode(ctx, "/c", 7)
		c.Get(ctx, "no path") // which is no call
		var got []string
		for _, call := range calls {
			got = append(got, call.Op+" "+call.Path)
		}
		want := []string{"get /missing", "list /missing", "getacl /missing", "sync /", "create /a/b", "create /c", "set /c", "set /c",
			"update /c", "setacl /c", "multi /a/b", "delete /c", "delete /c"}
		if !slices.Equal(got, want) {
			t.Fatalf("calls\n     %q\nwant %q", got, want)
		}
		for i, want := range map[int]error{0: nil, 2: aclErr, 4: nil, 12: deleteErr} {
			if calls[i].Err != want {
				t.Errorf("%s: error %v, want %v", got[i], calls[i].Err, want)
			}
		}
		if !errors.Is(multiErr, zk.ErrNoNode) || !errors.Is(calls[10].Err, zk.ErrNoNode) {
			t.Errorf("multi: %v, traced %v", multiErr, calls[10].Err)
		}
	})
}

func TestTraceTellsWhenAResyncIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := zktest.Start(t)
		var n traced
		c := dialled(t, server, zkstream.WithTrace(&zkstream.Trace{
			Resync:   func(r zkstream.ResyncTrace) { n.note("resync") },
			Resynced: func(r zkstream.ResyncTrace) { n.note("%+v", r) },
		}))
		defer c.Close()
		n.expect(t, "without watches")
		next(t, c.Data(t.Context(), "/a"))
		next(t, c.Data(t.Context(), "/b"))
		n.expect(t, "at first")

		// In a new session both are read. One of the answers takes its time.
		faults(server, zktest.OpGetData, zktest.Fault{Delay: 300 * time.Millisecond})
		server.ExpireAll()
		time.Sleep(5 * time.Second)
		n.expect(t, "a slow answer", "resync", "{Resumed:false Rearmed:0 Read:2 Took:300ms}")

		// The connection is lost again before the server has answered: only the last one is done.
		faults(server, zktest.OpSetWatches, zktest.Fault{Delay: time.Second})
		server.Disconnect()
		time.Sleep(500 * time.Millisecond)
		n.expect(t, "no answer yet", "resync")
		server.Disconnect()
		time.Sleep(5 * time.Second)
		n.expect(t, "an answer", "resync", "{Resumed:true Rearmed:2 Read:0 Took:0s}")
	})
}

func TestTraceTellsWhereAnAttemptFails(t *testing.T) {
	var ns nameserver.Server
	ns.SetMode(nameserver.Fail)
	fault := func(op zktest.Op, f zktest.Fault) func(*zktest.Server) {
		return func(server *zktest.Server) {
			server.Intercept(func(r zktest.Request) zktest.Fault {
				if r.Op == op {
					return f
				}
				return zktest.Fault{}
			})
		}
	}
	for stage, failing := range map[string]struct {
		prepare func(*zktest.Server)
		opt     zkstream.Option
		addr    string
	}{
		"resolve":   {func(*zktest.Server) {}, zkstream.WithResolver(ns.Resolver()), ""},
		"dial":      {func(server *zktest.Server) { server.Stop(true) }, zkstream.WithAuth("digest", []byte("a:b")), "zktest:2181"},
		"tls":       {func(*zktest.Server) {}, zkstream.WithTLS(&tls.Config{}), "zktest:2181"},
		"handshake": {fault(zktest.OpConnect, zktest.Fault{Drop: true}), zkstream.WithAuth("digest", []byte("a:b")), "zktest:2181"},
		"auth":      {fault(zktest.OpAuth, zktest.Fault{Code: zktest.ErrAuthFailed}), zkstream.WithAuth("digest", []byte("a:b")), "zktest:2181"},
	} {
		t.Run(stage, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := zktest.Start(t)
				failing.prepare(server)
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				attempts := 0
				_, err := zkstream.Connect(ctx, "zktest", zkstream.WithDialer(server.Dial), failing.opt, zkstream.WithTrace(&zkstream.Trace{Connect: func(a zkstream.ConnectTrace) {
					attempts++
					if a.Stage != stage || a.Err == nil || a.Server != "zktest:2181" || a.Addr != failing.addr {
						t.Errorf("%+v", a)
					}
				}}))
				if err == nil || attempts == 0 {
					t.Errorf("%d attempts, %v", attempts, err)
				}
			})
		})
	}
}
