package zkstream_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
)

// journal counts what a server has carried out, by operation and path.
type journal struct {
	mu     sync.Mutex
	counts map[string]int
}

func newJournal(server *zktest.Server) *journal {
	j := &journal{counts: map[string]int{}}
	server.Journal(func(c zktest.Change) {
		j.mu.Lock()
		defer j.mu.Unlock()
		if c.Session == 0 {
			return // by a method of the server's
		}
		j.counts[fmt.Sprint(c.Op, " ", c.Path, " ", string(c.Data))]++
	})
	return j
}

func (j *journal) count(op zktest.Op, path, data string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.counts[fmt.Sprint(op, " ", path, " ", data)]
}

// checkFate checks the promise of a write: carried out once, or not, or nobody knows.
func checkFate(t *testing.T, what string, err error, times int) {
	t.Helper()
	switch {
	case errors.Is(err, zkstream.ErrUnknown) && times <= 1:
	case err == nil && times == 1:
	case err != nil && !errors.Is(err, zkstream.ErrUnknown) && times == 0:
	default:
		t.Errorf("%s: carried out %d times, and said %v", what, times, err)
	}
}

// Each write meets each fault at each of its requests, and afterwards somebody else's write.
func TestEachWriteSaysWhatBecameOfIt(t *testing.T) {
	type call struct {
		name, path, wrote string
		op                zktest.Op // that the journal counts
		faulty            zktest.Op
		do                func(ctx context.Context, c *zkstream.Client) error
	}
	calls := []call{
		{"Create", "/new", `{"v": 1}`, zktest.OpCreate, zktest.OpCreate, func(ctx context.Context, c *zkstream.Client) error {
			return c.Create(ctx, "/new", map[string]any{"v": 1})
		}},
		{"SetProperties", "/old", `{"v": 1}`, zktest.OpSetData, zktest.OpSetData, func(ctx context.Context, c *zkstream.Client) error {
			return c.SetProperties(ctx, "/old", map[string]any{"v": 1})
		}},
		{"UpdateProperties", "/old", `{"v": 1}`, zktest.OpSetData, zktest.OpSetData, func(ctx context.Context, c *zkstream.Client) error {
			return c.UpdateProperties(ctx, "/old", map[string]any{"v": 1})
		}},
		{"Delete", "/old", "", zktest.OpDelete, zktest.OpDelete, func(ctx context.Context, c *zkstream.Client) error {
			return c.Delete(ctx, "/old")
		}},
	}
	faultsOf := map[string]zktest.Fault{
		"reply lost":      {LoseReply: true},
		"dropped":         {Drop: true},
		"connection loss": {Code: zktest.ErrConnectionLoss},
		"system error":    {Code: zktest.ErrSystem},
		"moved":           {Code: zktest.ErrSessionMoved},
	}
	meanwhile := map[string]func(*zktest.Server){
		"nothing":         func(*zktest.Server) {},
		"set":             func(s *zktest.Server) { s.Set("/old", []byte(`{"v": 2}`)); s.Set("/new", []byte(`{"v": 2}`)) },
		"set twice":       func(s *zktest.Server) { s.Set("/old", []byte(`{"v": 2}`)); s.Set("/old", []byte(`{"v": 3}`)) },
		"deleted":         func(s *zktest.Server) { s.Delete("/old"); s.Delete("/new") },
		"created":         func(s *zktest.Server) { s.Create("/new", []byte(`{"v": 2}`)); s.Create("/old", nil) },
		"deleted, made":   func(s *zktest.Server) { s.Delete("/old"); s.Create("/old", []byte(`{"v": 0}`)); s.Delete("/new") },
		"another's child": func(s *zktest.Server) { s.Create("/other", nil) },
		"expired":         func(s *zktest.Server) { s.ExpireSession(0) },
	}
	settledCalls := 0
	for _, call := range calls {
		for fault, f := range faultsOf {
			for event, happen := range meanwhile {
				inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
					server.Create("/old", []byte(`{"v": 0}`))
					if err := c.Conn().Delete("/nothing", -1); !errors.Is(err, zk.ErrNoNode) { // the newest zxid is known
						t.Fatal(err)
					}
					j := newJournal(server)
					var once atomic.Bool
					met := make(chan struct{})
					server.Intercept(func(r zktest.Request) zktest.Fault {
						if r.Op == call.faulty && once.CompareAndSwap(false, true) {
							close(met)
							return f
						}
						return zktest.Fault{}
					})
					// Nobody gets in before the other's write is done.
					go func() {
						<-met
						server.Partition(true)
						time.Sleep(time.Second)
						happen(server)
						server.Partition(false)
					}()
					err := call.do(t.Context(), c)
					// Of the other's writes none is undone.
					checkFate(t, call.name+", "+fault+", "+event, err, j.count(call.op, call.path, call.wrote))
					if data, _, err := server.Get("/old"); event == "set" && call.op == zktest.OpSetData && f.LoseReply &&
						(err != nil || string(data) != `{"v": 2}`) {
						t.Errorf("%s, %s: somebody else's write is gone: %s, %v", call.name, fault, data, err)
					}
					if err == nil {
						settledCalls++
					}
				})
			}
		}
	}
	if settledCalls < 60 {
		t.Errorf("only %d calls could tell that they were carried out", settledCalls)
	}
}

func TestATooLargeRequestIsFoundOut(t *testing.T) {
	big := map[string]any{"x": strings.Repeat("x", 100_000)}
	for name, do := range map[string]func(ctx context.Context, c *zkstream.Client) error{
		"create": func(ctx context.Context, c *zkstream.Client) error { return c.Create(ctx, "/big", big) },
		"set":    func(ctx context.Context, c *zkstream.Client) error { return c.SetProperties(ctx, "/a", big) },
		"update": func(ctx context.Context, c *zkstream.Client) error { return c.UpdateProperties(ctx, "/a", big) },
	} {
		inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
			server.Create("/a", []byte("{}"))
			connects := tooLargeFor(server, "/big", "/a")
			if err := do(t.Context(), c); !errors.Is(err, zkstream.ErrTooLarge) || errors.Is(err, zkstream.ErrUnknown) {
				t.Errorf("%s: %v", name, err)
			}
			if n := connects.Load(); n != 3 {
				t.Errorf("%s cost %d connections", name, n)
			}
			time.Sleep(time.Minute)
			if n := connects.Load(); n != 3 {
				t.Errorf("%s cost %d connections after it had returned", name, n-3)
			}
			server.Intercept(nil)
			if err := do(t.Context(), c); err != nil {
				t.Errorf("%s of a server that takes it: %v", name, err)
			}
		})
	}
}

// tooLargeFor has the server close the connection on every change of these nodes, and counts connections.
func tooLargeFor(server *zktest.Server, paths ...string) *atomic.Int64 {
	var connects atomic.Int64
	server.Intercept(func(r zktest.Request) zktest.Fault {
		if r.Op == zktest.OpConnect {
			connects.Add(1)
		}
		for _, p := range paths {
			if r.Path == p && (r.Op == zktest.OpCreate || r.Op == zktest.OpSetData) {
				return zktest.Fault{Drop: true}
			}
		}
		return zktest.Fault{}
	})
	return &connects
}

func TestASmallRequestIsNeverTooLarge(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		server.Create("/a", []byte("{}"))
		drops := make([]zktest.Fault, 10)
		for i := range drops {
			drops[i].Drop = true
		}
		faults(server, zktest.OpSetData, drops...)
		if err := c.UpdateProperties(t.Context(), "/a", map[string]any{"x": 1}); err != nil {
			t.Error(err)
		}
	})
}

func TestNothingIsSentForACallThatHasReturned(t *testing.T) {
	for _, op := range []zktest.Op{zktest.OpGetData, zktest.OpCreate} {
		inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
			server.Create("/a", []byte("{}"))
			server.Create("/dir", nil)
			faults(server, op, zktest.Fault{Delay: 2 * time.Second})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			j := newJournal(server)
			err := c.UpdateProperties(ctx, "/a", map[string]any{"x": 1})
			if op == zktest.OpGetData && (!errors.Is(err, context.DeadlineExceeded) || errors.Is(err, zkstream.ErrUnknown)) {
				t.Errorf("update: %v", err)
			}
			if op == zktest.OpCreate {
				err := c.Create(ctx, "/x/y", nil)
				if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, zkstream.ErrUnknown) {
					t.Errorf("create: %v", err)
				}
			}
			time.Sleep(time.Minute)
			if op == zktest.OpGetData && j.count(zktest.OpSetData, "/a", `{"x": 1}`) != 0 {
				t.Error("set after its call had returned")
			}
			if _, _, err := server.Get("/x"); err == nil {
				t.Error("a parent was made after its call had returned")
			}
		})
	}
}

func TestACallSaysWhyThereIsNoSession(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		server.Partition(true)
		synctest.Wait() // the client has noticed
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		err := c.SetProperties(ctx, "/a", nil)
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, zkstream.ErrUnknown) || !strings.Contains(err.Error(), "no session: zktest:2181: ") {
			t.Error(err)
		}
	})
}

func TestARequestOverTheLimitIsNotSent(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, _ *zkstream.Client) {
		var acl []zk.ACL
		for i := range 8 {
			acl = append(acl, zk.DigestACL(zk.PermAll, string(rune('a'+i)), "pw")...)
		}
		c := dialled(t, server, zkstream.WithDefaultACL(acl), zkstream.WithMaxRequest(2000))
		defer c.Close()
		connects := tooLargeFor(server, "/a")
		text := func(n int) map[string]any { return map[string]any{"string_value": strings.Repeat("x", n)} }
		if err := c.Create(t.Context(), "/a", text(1700)); !errors.Is(err, zkstream.ErrTooLarge) {
			t.Errorf("content with its ACL: %v", err)
		}
		if err := c.SetProperties(t.Context(), "/a", text(1990)); !errors.Is(err, zkstream.ErrTooLarge) {
			t.Errorf("set: %v", err)
		}
		if n := connects.Load(); n != 0 {
			t.Errorf("%d connections lost", n)
		}
		server.Intercept(nil)
		server.Create("/b", []byte(`{"y": "`+strings.Repeat("y", 1900)+`"}`))
		if err := c.UpdateProperties(t.Context(), "/b", map[string]any{"x": strings.Repeat("x", 100)}); !errors.Is(err, zkstream.ErrTooLarge) {
			t.Errorf("update: %v", err)
		}
		if err := c.SetProperties(t.Context(), "/b", text(1970)); err != nil {
			t.Error(err)
		}
	})
}

// Between the read and the write of an update somebody deletes the node, makes it again and changes it as often.
func TestAnUpdateOfANodeThatIsMadeAnewMeanwhileSaysSo(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		server.Create("/a", []byte(`{"old": 1}`))
		server.Set("/a", []byte(`{"old": 2}`))
		server.Intercept(func(r zktest.Request) zktest.Fault {
			if r.Op == zktest.OpSetData {
				server.Delete("/a")
				server.Create("/a", []byte(`{"new": 1}`))
				server.Set("/a", []byte(`{"new": 2}`))
			}
			return zktest.Fault{}
		})
		if err := c.UpdateProperties(t.Context(), "/a", map[string]any{"x": 1}); err == nil || !strings.Contains(err.Error(), "created anew") {
			t.Error(err)
		}
	})
}
