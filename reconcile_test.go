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
	"github.com/zkstream/zkstream/internal/zkconn"
	"github.com/zkstream/zkstream/zktest"
)

// status returns the present status of a registration.
func status(r *zkstream.Registration) zkstream.RegistrationStatus { return zkstream.StatusNow(r) }

// denying has the server answer each request of an operation on addrPath with the code that is stored, while
// that is not zero, and counts these.
func denying(server *zktest.Server, op zktest.Op) (code, count *atomic.Int64) {
	code, count = new(atomic.Int64), new(atomic.Int64)
	server.Intercept(func(r zktest.Request) zktest.Fault {
		if now := zktest.Code(code.Load()); r.Op == op && now != 0 && (r.Path == addrPath || op == zktest.OpMulti) {
			count.Add(1)
			return zktest.Fault{Code: now}
		}
		return zktest.Fault{}
	})
	return code, count
}

func TestARefusedUpdateLeavesTheRegistrationAsItWas(t *testing.T) {
	for _, refusal := range []zktest.Code{zktest.ErrQuotaExceeded, zktest.ErrNoAuth, zktest.ErrInvalidACL, zktest.ErrBadArguments, zktest.ErrEphemeralOnLocal} {
		inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
			r, err := c.Register(t.Context(), "/svc", addr, map[string]any{"pid": 1})
			if err != nil {
				t.Fatal(err)
			}
			code, _ := denying(server, zktest.OpMulti)
			code.Store(int64(refusal))
			err = r.Update(t.Context(), map[string]any{"x": 1})
			var pe *zkstream.PathError
			if !errors.As(err, &pe) || pe.Op != "update" || pe.Path != addrPath {
				t.Errorf("%v: Update returns %v", refusal, err)
			}
			time.Sleep(time.Minute)
			if r.Err() != nil || status(r) != zkstream.Registered || r.Refusal() != nil {
				t.Errorf("%v: the registration is %v: %v, %v", refusal, status(r), r.Err(), r.Refusal())
			}
			code.Store(0)
			if err := r.Update(t.Context(), map[string]any{"y": 2}); err != nil {
				t.Error(err)
			}
			if got, _, _ := server.Get(addrPath); string(got) != `{"pid": 1, "y": 2}` {
				t.Errorf("%v: content %s", refusal, got)
			}
		})
	}
}

// Of updates that wait together only those are refused for which there is a reason.
func TestARefusedUpdateTakesNoOtherWithIt(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		r, err := c.Register(t.Context(), "/svc", addr, map[string]any{"pid": 1})
		if err != nil {
			t.Fatal(err)
		}
		server.Partition(true)
		time.Sleep(time.Second)
		big := strings.Repeat("x", 700<<10) // one fits, two do not
		errs := map[string]error{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for _, key := range []string{"a", "b", "c", "d"} {
			wg.Go(func() {
				value := any(big)
				if key == "a" || key == "d" {
					value = 1
				}
				err := r.Update(t.Context(), map[string]any{key: value})
				mu.Lock()
				errs[key] = err
				mu.Unlock()
			})
			synctest.Wait()
		}
		server.Partition(false)
		wg.Wait()
		if errs["a"] != nil || errs["b"] != nil || !errors.Is(errs["c"], zkstream.ErrTooLarge) || errs["d"] != nil {
			t.Errorf("%v", errs)
		}
		if got, _, _ := server.Get(addrPath); string(got) != `{"pid": 1, "a": 1, "b": "`+big+`", "d": 1}` {
			t.Errorf("content %.40s", got)
		}
		if status(r) != zkstream.Registered {
			t.Error(status(r))
		}
	})
}

// The usual hardening: providers may create nodes, and not delete them.
func TestAnUpdateThatMayNotDelete(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		c := f.connect()
		if _, err := f.admin.Create(f.root+"/svc", nil, 0, zk.WorldACL(zk.PermRead|zk.PermCreate|zk.PermAdmin)); err != nil {
			t.Fatal(err)
		}
		r, _ := register(t, c, map[string]any{"pid": 1})
		if err := r.Update(t.Context(), map[string]any{"x": 1}); !errors.Is(err, zk.ErrNoAuth) {
			t.Errorf("update: %v", err)
		}
		expire(t, c)
		eventually(t, "the node is back", func() bool { return f.owner(addrPath) == zkstream.SessionID(c) })
		if got := f.get(addrPath); got != `{"pid": 1}` {
			t.Errorf("content %s", got)
		}
		if err := r.Close(); !errors.Is(err, zk.ErrNoAuth) {
			t.Errorf("close: %v", err)
		}
		if f.owner(addrPath) == 0 {
			t.Error("the node is gone though it may not be deleted")
		}
	})
}

func TestARegistrationComesBackFromEveryRefusal(t *testing.T) {
	for _, refusal := range []zktest.Code{
		zktest.ErrQuotaExceeded, zktest.ErrNoAuth, zktest.ErrInvalidACL, zktest.ErrBadArguments, zktest.ErrUnimplemented,
		zktest.ErrEphemeralOnLocal, zktest.ErrNoChildrenEphemerals, zktest.ErrRequestTimeout, zktest.ErrSystem, zktest.ErrMarshalling, -999,
	} {
		inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
			r, err := c.Register(t.Context(), "/svc", addr, nil)
			if err != nil {
				t.Fatal(err)
			}
			code, count := denying(server, zktest.OpCreate)
			code.Store(int64(refusal))
			server.ExpireSession(zkstream.SessionID(c))
			time.Sleep(10 * time.Minute)
			if n := count.Load(); n < 10 || n > 50 {
				t.Errorf("%v: %d tries in ten minutes", refusal, n)
			}
			isTransient := refusal == zktest.ErrSystem || refusal == zktest.ErrMarshalling || refusal == zktest.ErrRequestTimeout
			if r.Err() != nil || status(r) != zkstream.Refused && !isTransient {
				t.Errorf("%v: %v, %v", refusal, status(r), r.Err())
			}
			var pe *zkstream.PathError
			if refusal := r.Refusal(); status(r) == zkstream.Refused && (!errors.As(refusal, &pe) || pe.Path != addrPath) {
				t.Errorf("%v: Refusal is %v", refusal, r.Refusal())
			}
			code.Store(0)
			time.Sleep(31 * time.Second)
			if status(r) != zkstream.Registered || r.Refusal() != nil {
				t.Errorf("%v: afterwards %v, %v", refusal, status(r), r.Refusal())
			}
			if _, stat, err := server.Get(addrPath); err != nil || stat.EphemeralOwner != zkstream.SessionID(c) {
				t.Errorf("%v: %+v, %v", refusal, stat, err)
			}
		})
	}
}

func TestRegisterReturnsWhatRetryingDoesNotMend(t *testing.T) {
	for _, refusal := range []zktest.Code{zktest.ErrNoAuth, zktest.ErrInvalidACL, zktest.ErrBadArguments, zktest.ErrUnimplemented} {
		inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
			code, count := denying(server, zktest.OpCreate)
			code.Store(int64(refusal))
			r, err := c.Register(t.Context(), "/svc", addr, nil)
			if err == nil || r != nil || count.Load() != 1 {
				t.Errorf("%v: %v after %d tries", refusal, err, count.Load())
			}
		})
	}
}

// Register waits while a refusal may pass, and says what it waited for.
func TestRegisterWaitsForARefusalThatMayPass(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		code, _ := denying(server, zktest.OpCreate)
		code.Store(int64(zktest.ErrQuotaExceeded))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := c.Register(ctx, "/svc", addr, nil)
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, zkconn.ErrQuotaExceeded) || strings.Count(err.Error(), "zkstream:") != 1 {
			t.Errorf("err = %v", err)
		}
		time.AfterFunc(time.Second, func() { code.Store(0) })
		if _, err := c.Register(t.Context(), "/svc", addr, nil); err != nil {
			t.Error(err)
		}
	})
}

// The parent's ACL is wrong for a moment, while somebody deletes the node.
func TestARegistrationOutlivesAnAclThatIsClosedForAMoment(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		c := f.connect()
		r, _ := register(t, c, nil)
		statuses := r.Status(t.Context())
		closed := zk.WorldACL(zk.PermRead | zk.PermDelete | zk.PermAdmin)
		if _, err := f.admin.SetACL(f.root+"/svc", closed, -1); err != nil {
			t.Fatal(err)
		}
		f.delete(addrPath)
		until(t, statuses, func(s zkstream.RegistrationStatus) bool { return s == zkstream.Refused })
		if err := r.Refusal(); !errors.Is(err, zk.ErrNoAuth) {
			t.Errorf("Refusal is %v", err)
		}
		if _, err := f.admin.SetACL(f.root+"/svc", zk.WorldACL(zk.PermAll), -1); err != nil {
			t.Fatal(err)
		}
		until(t, statuses, func(s zkstream.RegistrationStatus) bool { return s == zkstream.Registered })
		if f.owner(addrPath) != zkstream.SessionID(c) || r.Refusal() != nil {
			t.Errorf("owner %x, refusal %v", f.owner(addrPath), r.Refusal())
		}
	})
}

// unreadable is an ACL for others than the client.
var unreadable = zk.DigestACL(zk.PermAll, "consumers", "secret")

func TestARegistrationThatItsClientMayNotRead(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		var requests counter
		c := f.connect(requests.option())
		r, _ := register(t, c, map[string]any{"pid": 1}, zkstream.WithACL(unreadable))
		if status(r) != zkstream.Registered {
			t.Errorf("%v after Register", status(r))
		}
		requests.take()
		if err := f.admin.AddAuth("digest", []byte("consumers:secret")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		if counts := requests.take(); counts[int32(zktest.OpCreate)] > 0 {
			t.Errorf("a registration at rest sends %v", counts)
		}
		want := `{"pid": 1, "x": 1}`
		if err := r.Update(t.Context(), map[string]any{"x": 1}); err != nil || f.get(r.Path()) != want {
			t.Errorf("update: %v, content %s", err, f.get(r.Path()))
		}
		expire(t, c)
		eventually(t, "it is back in a new session", func() bool { return f.owner(r.Path()) == zkstream.SessionID(c) })
		eventually(t, "it says so", func() bool { return status(r) == zkstream.Registered })
		if got := f.get(r.Path()); got != want {
			t.Errorf("content %s", got)
		}
		if err := r.Close(); err != nil || f.owner(r.Path()) != 0 {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestRegistrationsThatMayNotBeReadAskLittleAtRest(t *testing.T) {
	for _, version := range []string{"3.8.3", "3.9.5"} {
		inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
			for i := range 10 {
				if _, err := c.Register(t.Context(), "/svc", fmt.Sprintf("10.0.0.%d:80", i+1), nil, zkstream.WithACL(unreadable)); err != nil {
					t.Fatal(err)
				}
			}
			var requests, creates atomic.Int64
			server.Intercept(func(r zktest.Request) zktest.Fault {
				switch r.Op {
				case zktest.OpPing:
				case zktest.OpCreate:
					creates.Add(1)
				default:
					requests.Add(1)
				}
				return zktest.Fault{}
			})
			// Two looks each, of two requests; the stream on the node tries as often; and no writes.
			time.Sleep(5 * time.Second)
			if n := requests.Load(); n > 10*2*4 || creates.Load() > 0 {
				t.Errorf("%s: 10 registrations at rest send %d requests and %d creates in five seconds", version, n, creates.Load())
			}
		}, zktest.WithVersion(version))
	}
}

// Somebody deletes a node that the client may not read, and the server hides that event, too.
func TestARegistrationThatItsClientMayNotReadComesBack(t *testing.T) {
	for _, version := range []string{"3.8.3", "3.9.5"} { // exists takes no permission, and it does
		synctest.Test(t, func(t *testing.T) {
			testUnreadableComesBack(t, zktest.Start(t, zktest.WithVersion(version)))
		})
	}
}

func testUnreadableComesBack(t *testing.T, server *zktest.Server) {
	c := dialled(t, server)
	defer c.Close()
	r, err := c.Register(t.Context(), "/svc", addr, nil, zkstream.WithACL(unreadable))
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		time.Sleep(10 * time.Minute)
		server.Delete(addrPath)
		time.Sleep(31 * time.Second)
		if _, stat, err := server.Get(addrPath); err != nil || stat.EphemeralOwner != zkstream.SessionID(c) || status(r) != zkstream.Registered {
			t.Fatalf("%+v, %v, %v", stat, err, status(r))
		}
	}
}

func TestANodeOfAnotherThatMayNotBeReadIsWaitedFor(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		first, second := f.connect(), f.connect()
		if err := f.admin.AddAuth("digest", []byte("consumers:secret")); err != nil {
			t.Fatal(err)
		}
		r1, _ := register(t, first, nil, zkstream.WithACL(unreadable))
		got := make(chan *zkstream.Registration, 1)
		go func() {
			r2, err := second.Register(t.Context(), "/svc", addr, nil, zkstream.WithACL(unreadable))
			if err != nil {
				t.Error(err)
			}
			got <- r2
		}()
		time.Sleep(100 * time.Millisecond)
		if f.owner(addrPath) != zkstream.SessionID(first) {
			t.Fatal("another session's node was touched")
		}
		if err := r1.Close(); err != nil {
			t.Error(err)
		}
		select {
		case r2 := <-got:
			if f.owner(addrPath) != zkstream.SessionID(second) || status(r2) != zkstream.Registered {
				t.Errorf("owner %x, %v", f.owner(addrPath), status(r2))
			}
		case <-time.After(patience):
			t.Error("the second does not take over")
		}
	})
}

// In a new session a registration is the first thing that is done.
func TestARegistrationDoesNotWaitForReads(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		const n = 2000
		for i := range n {
			c.Data(context.Background(), fmt.Sprint("/n/", i))
		}
		if _, err := c.Register(t.Context(), "/svc", addr, nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		var reads, before atomic.Int64
		before.Store(-1)
		server.Intercept(func(r zktest.Request) zktest.Fault {
			switch {
			case strings.HasPrefix(r.Path, "/n/") || r.Op == zktest.OpMultiRead:
				reads.Add(1)
			case r.Op == zktest.OpCreate && r.Path == addrPath:
				before.CompareAndSwap(-1, reads.Load())
			}
			return zktest.Fault{}
		})
		server.Partition(true)
		time.Sleep(time.Minute)
		server.Partition(false)
		time.Sleep(10 * time.Second)
		if got := before.Load(); got < 0 || got > 64 {
			t.Errorf("%d of %d reads came first", got, n)
		}
	})
}

// The node of the session before is still there: the try to create it does no harm, and the node is made when
// the old one goes.
func TestARegistrationWaitsForItsOwnPredecessor(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		r, err := c.Register(t.Context(), "/svc", addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		old := zkstream.SessionID(c)
		server.Intercept(func(r zktest.Request) zktest.Fault {
			return zktest.Fault{NewSession: r.Op == zktest.OpConnect && r.Session == old}
		})
		server.DisconnectSession(old)
		time.Sleep(3 * time.Second)
		_, stat, err := server.Get(addrPath)
		if err != nil || stat.EphemeralOwner != old || status(r) != zkstream.Pending || zkstream.SessionID(c) == old {
			t.Fatalf("%+v, %v, %v", stat, err, status(r))
		}
		server.ExpireSession(old)
		time.Sleep(time.Second)
		if _, stat, err := server.Get(addrPath); err != nil || stat.EphemeralOwner != zkstream.SessionID(c) || status(r) != zkstream.Registered {
			t.Errorf("%+v, %v, %v", stat, err, status(r))
		}
	})
}

// A server that shows an unreadable node's owner to nobody still names the nodes of one's own session.
func TestALostReplyDoesNoHarmToARegistrationThatMayNotBeRead(t *testing.T) {
	for i := range lossy {
		for _, op := range []zktest.Op{zktest.OpCreate, zktest.OpExists, zktest.OpGetEphemerals, zktest.OpMulti, zktest.OpDelete, zktest.OpGetData} {
			for _, sequence := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					server := zktest.Start(t, zktest.WithVersion("3.9.5"))
					c := dialled(t, server)
					defer c.Close()
					server.Create("/svc", nil)
					opts := []zkstream.RegisterOption{zkstream.WithACL(unreadable)}
					if sequence {
						opts = append(opts, zkstream.WithSequence())
					}
					faults(server, op, lossy[i:]...)
					r, err := c.Register(t.Context(), "/svc", addr, map[string]any{"pid": 1}, opts...)
					if err != nil {
						t.Fatal(err)
					}
					check := func(when string) {
						t.Helper()
						time.Sleep(3 * time.Minute)
						names, _ := server.Children("/svc")
						data, stat, err := server.Get(r.Path())
						if len(names) != 1 || err != nil || stat.EphemeralOwner != zkstream.SessionID(c) || status(r) != zkstream.Registered {
							t.Errorf("%v, fault %d, %s: %q, %s, %+v, %v, %v, %v", op, i, when, names, data, stat, err, status(r), r.Refusal())
						}
					}
					check("at first")
					faults(server, op, lossy[i:]...)
					if err := r.Update(t.Context(), map[string]any{"x": 1}); err != nil {
						t.Error(err)
					}
					check("after an update")
					faults(server, op, lossy[i:]...)
					server.ExpireSession(zkstream.SessionID(c))
					check("in a new session")
					if data, _, _ := server.Get(r.Path()); string(data) != `{"pid": 1, "x": 1}` {
						t.Errorf("content %s", data)
					}
					faults(server, op, lossy[i:]...)
					if err := r.Close(); err != nil {
						t.Error(err)
					}
					if names, _ := server.Children("/svc"); len(names) != 0 {
						t.Errorf("%v, fault %d: left %q", op, i, names)
					}
				})
			}
		}
	}
}
