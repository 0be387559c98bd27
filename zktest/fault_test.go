package zktest

import (
	"errors"
	"reflect"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestDisconnectDropsConnectionsAndTheirWatches(t *testing.T) {
	s := Start(t)
	a, b := rawSession(t, s, time.Minute), rawSession(t, s, time.Minute)
	a.ok(t, request{op: OpGetData, path: "/", watch: true})
	s.Disconnect()
	a.closed(t)
	b.closed(t)
	if st := s.Stats(); st.Connections != 0 || st.Sessions != 2 || st.DataWatches != 0 {
		t.Fatalf("%+v", st)
	}
}

func TestDisconnectSessionDropsOneConnection(t *testing.T) {
	s := Start(t)
	a, b := rawSession(t, s, time.Minute), rawSession(t, s, time.Minute)
	s.DisconnectSession(a.session)
	s.DisconnectSession(12345) // nobody's
	a.closed(t)
	b.ok(t, request{op: OpPing})
}

func TestPartitionRefusesConnections(t *testing.T) {
	s := Start(t)
	c := rawSession(t, s, time.Minute)
	addr := s.Addr()
	s.Partition(true)
	c.closed(t)
	if _, err := s.Dial(t.Context(), "tcp", ""); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("dial: %v", err)
	}
	if text, err := dialWord(t, addr, "ruok"); err == nil && text != "" {
		t.Fatalf("over TCP: %q", text)
	}
	s.Partition(false)
	rawSession(t, s, time.Minute)
	if text, err := dialWord(t, addr, "ruok"); err != nil || text != "imok" {
		t.Fatalf("over TCP after it: %q, %v", text, err)
	}
}

func TestFrozenServerAnswersNothingAndCarriesOnAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Start(t)
		c := rawSession(t, s, 10*time.Second)
		c.ok(t, request{op: OpExists, path: "/", watch: true})
		lost := rawSession(t, s, 40*time.Second)
		short := rawSession(t, s, 4*time.Second)
		s.Freeze(true)
		s.Freeze(true) // again does nothing

		create := createRequest("/a", 0)
		if _, err := c.send(create.op, create.body()); err != nil {
			t.Fatal(err)
		}
		create = createRequest("/given-up", 0)
		if _, err := lost.send(create.op, create.body()); err != nil {
			t.Fatal(err)
		}
		lost.nc.Close()
		late := rawDial(t, s) // is taken on, but gets no session
		if err := s.Set("/", []byte("event")); err != nil {
			t.Fatal(err)
		}
		c.silent(t, 5*time.Second)
		if _, _, err := s.Get("/a"); !errors.Is(err, ErrNoNode) {
			t.Fatalf("a frozen server has carried a request out: %v", err)
		}
		if len(s.Sessions()) != 3 {
			t.Fatal("a frozen server has expired a session")
		}

		s.Freeze(false)
		if typ, path := c.event(t); typ != nodeDataChanged || path != "/" {
			t.Fatalf("event %v %q", typ, path)
		}
		if frame, err := c.readFrame(); err != nil || len(frame) != 4+8+4+4+2 {
			t.Fatalf("answer after the freeze: %x, %v", frame, err)
		}
		short.closed(t) // its timeout has passed
		synctest.Wait()
		if _, _, err := s.Get("/given-up"); err != nil {
			t.Fatalf("request on a connection that its client has closed: %v", err)
		}
		if _, err := late.handshake(time.Minute, false); err != nil {
			t.Fatal(err)
		}
	})
}

func TestFrozenServerCanBeDisconnectedAndClosed(t *testing.T) {
	s := Start(t)
	c := rawSession(t, s, time.Minute)
	s.Freeze(true)
	c.send(OpPing, nil)
	s.Disconnect()
	c.closed(t)
	c = rawDial(t, s)
	s.Close()
	c.closed(t)
}

func TestRestartKeepsDataAndSessionsAndAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Start(t)
		c := rawSession(t, s, 10*time.Second)
		c.ok(t, createRequest("/e", 1))
		c.ok(t, request{op: OpGetData, path: "/e", watch: true})
		zxid := s.Stats().Zxid
		time.Sleep(9 * time.Second)
		s.Restart()
		c.closed(t)
		if st := s.Stats(); st.Zxid != zxid || st.DataWatches != 0 || st.Requests[OpCreate] != 0 {
			t.Fatalf("%+v", st)
		}
		time.Sleep(9 * time.Second) // the timeout has begun anew
		again, _, err := rawAgain(t, s, c)
		if err != nil || again.session != c.session {
			t.Fatalf("session %x became %x, %v", c.session, again.session, err)
		}
		if _, stat, err := s.Get("/e"); err != nil || stat.EphemeralOwner != c.session {
			t.Fatalf("%+v, %v", stat, err)
		}
	})
}

func TestRestartKeepsTheTCPAddress(t *testing.T) {
	s := Start(t)
	addr := s.Addr()
	s.Restart()
	if text, err := dialWord(t, addr, "ruok"); err != nil || text != "imok" || s.Addr() != addr {
		t.Fatalf("%q, %v, address %s became %s", text, err, addr, s.Addr())
	}
}

func TestWipeLosesEverything(t *testing.T) {
	s := Start(t)
	c := rawSession(t, s, time.Minute)
	c.ok(t, createRequest("/a", 0))
	s.Freeze(true)
	s.Wipe()
	c.closed(t)
	if st := s.Stats(); st.Zxid != 0 || st.Nodes != 3 || st.Sessions != 0 || st.Connections != 0 {
		t.Fatalf("%+v", st)
	}
	c.lastZxid = 2
	if _, _, err := rawAgain(t, s, c); err == nil || timedOut(err) {
		t.Fatalf("a client that has seen more than the server: %v", err)
	}
	rawSession(t, s, time.Minute)
}

func TestInterceptSeesEveryRequest(t *testing.T) {
	s := Start(t)
	var seen []Request
	s.Intercept(func(r Request) Fault { seen = append(seen, r); return Fault{} })
	c := rawSession(t, s, time.Minute)
	c.ok(t, request{op: OpPing})
	c.ok(t, request{op: OpMulti, multi: []request{createRequest("/a", 0), {op: OpDelete, path: "/a", version: -1}}})
	s.Intercept(nil)
	c.ok(t, request{op: OpSync, path: "/"})
	if len(seen) != 3 {
		t.Fatalf("%+v", seen)
	}
	if r := seen[0]; r.Op != OpConnect || r.Session != 0 {
		t.Errorf("%+v", r)
	}
	if r := seen[1]; r.Op != OpPing || r.Session != c.session || r.Xid != -2 {
		t.Errorf("%+v", r)
	}
	if r := seen[2]; r.Op != OpMulti || len(r.Multi) != 2 || r.Multi[1].Op != OpDelete || r.Multi[1].Path != "/a" {
		t.Errorf("%+v", r)
	}
}

// onOp has a fault strike the first request of an opcode.
func onOp(op Op, f Fault) func(Request) Fault {
	var struck atomic.Bool
	return func(r Request) Fault {
		if r.Op == op && struck.CompareAndSwap(false, true) {
			return f
		}
		return Fault{}
	}
}

func TestFaultDelayHoldsUpOneConnectionOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Start(t)
		slow, other := rawSession(t, s, time.Minute), rawSession(t, s, time.Minute)
		s.Intercept(onOp(OpCreate, Fault{Delay: 7 * time.Second}))
		began := time.Now()
		create := createRequest("/a", 0)
		if _, err := slow.send(create.op, create.body()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		other.ok(t, request{op: OpPing})
		if took := time.Since(began); took != 0 {
			t.Fatalf("the other connection waited %v", took)
		}
		if _, err := slow.readFrame(); err != nil || time.Since(began) != 7*time.Second {
			t.Fatalf("answered after %v, %v", time.Since(began), err)
		}
	})
}

func TestFaultCodeAnswersInsteadOfCarryingOut(t *testing.T) {
	s := Start(t)
	c := rawSession(t, s, time.Minute)
	s.Intercept(onOp(OpCreate, Fault{Code: ErrNoAuth}))
	zxid := s.Stats().Zxid
	if code, rest := c.must(t, createRequest("/a", 0)); code != ErrNoAuth || len(rest.buf) != 0 {
		t.Fatalf("%v, %x", code, rest.buf)
	}
	if s.Stats().Zxid != zxid {
		t.Fatal("it took a zxid")
	}
	c.ok(t, createRequest("/a", 0))
	s.Intercept(onOp(OpGetData, Fault{Code: ErrSessionExpired}))
	if code, _ := c.must(t, request{op: OpGetData, path: "/a"}); code != ErrSessionExpired {
		t.Fatal(code)
	}
	c.closed(t)
}

func TestFaultLoseReplyCarriesOut(t *testing.T) {
	s := Start(t)
	c := rawSession(t, s, time.Minute)
	s.Intercept(onOp(OpCreate, Fault{LoseReply: true}))
	if _, err := c.call(OpCreate, (&request{op: OpCreate, path: "/a", acl: openACL}).body()); err == nil || timedOut(err) {
		t.Fatal(err)
	}
	if _, _, err := s.Get("/a"); err != nil {
		t.Fatal(err)
	}
}

func TestFaultLoseReplyOnConnectLeavesASession(t *testing.T) {
	s := Start(t)
	s.Intercept(onOp(OpConnect, Fault{LoseReply: true}))
	if _, err := rawDial(t, s).handshake(time.Minute, false); err == nil || timedOut(err) {
		t.Fatal(err)
	}
	if got := len(s.Sessions()); got != 1 {
		t.Fatalf("%d sessions", got)
	}
}

func TestFaultDropDoesNotCarryOut(t *testing.T) {
	s := Start(t)
	c := rawSession(t, s, time.Minute)
	s.Intercept(onOp(OpCreate, Fault{Drop: true, Delay: time.Millisecond}))
	if _, err := c.call(OpCreate, (&request{op: OpCreate, path: "/a", acl: openACL}).body()); err == nil || timedOut(err) {
		t.Fatal(err)
	}
	if _, _, err := s.Get("/a"); !errors.Is(err, ErrNoNode) {
		t.Fatal(err)
	}
}

func TestFaultNewSessionGivesAnotherSessionWithoutTelling(t *testing.T) {
	s := Start(t)
	c := rawSession(t, s, time.Minute)
	c.ok(t, createRequest("/e", 1))
	s.Intercept(func(r Request) Fault { return Fault{NewSession: r.Op == OpConnect && r.Session == c.session} })
	again, _, err := rawAgain(t, s, c)
	if err != nil || again.session == c.session || again.session == 0 {
		t.Fatalf("session %x, then %x; %v", c.session, again.session, err)
	}
	if _, stat, err := s.Get("/e"); err != nil || stat.EphemeralOwner != c.session {
		t.Fatalf("the old session's node: %+v, %v", stat, err)
	}
}

func TestInterceptMayCallTheServer(t *testing.T) {
	s := Start(t)
	c := rawSession(t, s, time.Minute)
	s.Intercept(func(r Request) Fault {
		if r.Op == OpSync {
			s.Intercept(nil)
			s.Disconnect()
		}
		return Fault{}
	})
	if _, err := c.call(OpSync, (&request{op: OpSync, path: "/"}).body()); err == nil || timedOut(err) {
		t.Fatal(err)
	}
}

func TestDelayedRequestEndsWithItsConnection(t *testing.T) {
	s := Start(t)
	c := rawSession(t, s, time.Minute)
	arrived := make(chan struct{})
	s.Intercept(func(r Request) Fault {
		if r.Op != OpCreate {
			return Fault{}
		}
		close(arrived)
		return Fault{Delay: time.Hour}
	})
	create := createRequest("/a", 0)
	c.send(create.op, create.body())
	<-arrived
	s.Close() // would take an hour otherwise
	c.closed(t)
}

func TestInterceptSeesAllOfARequest(t *testing.T) {
	s := Start(t, WithExtendedTypes())
	var last Request
	s.Intercept(func(r Request) Fault {
		last = r
		return Fault{}
	})
	nc, err := s.Dialer("mine").Dial(t.Context(), "tcp", "zk2.example:2181")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c := &rawClient{nc: nc, lastZxid: 0}
	if _, err := c.handshake(7*time.Second, false); err != nil {
		t.Fatal(err)
	}
	if last.Op != OpConnect || last.Addr != "zk2.example:2181" || last.Dialer != "mine" || last.Session != 0 || last.Timeout != 7*time.Second {
		t.Errorf("%+v", last)
	}
	world := []ACL{{31, "world", "anyone"}}
	create := createRequest("/a", 3)
	create.data = []byte("x")
	for _, test := range []struct {
		request
		want Request
	}{
		{create, Request{Path: "/a", Data: []byte("x"), Flags: 3, ACL: world}},
		{request{op: OpCreateTTL, path: "/t", flags: 5, ttl: 1500, acl: openACL}, Request{Path: "/t", Flags: 5, TTL: 1500 * time.Millisecond, ACL: world}},
		{request{op: OpSetData, path: "/", version: -1, data: []byte{}}, Request{Path: "/", Version: -1, Data: []byte{}}},
		{request{op: OpDelete, path: "/b", version: 7}, Request{Path: "/b", Version: 7}},
		{request{op: OpGetChildren2, path: "/", watch: true}, Request{Path: "/", Watch: true}},
		{request{op: OpAuth, scheme: "digest", data: []byte("a:b")}, Request{Data: []byte("a:b")}},
		{request{op: OpSetWatches2, watches: &watchLists{relativeZxid: 5, data: []string{"/d"}, exist: []string{"/e"}, child: []string{"/c"},
			persistent: []string{"/p"}, recursive: []string{"/r"}}}, Request{Zxid: 5, Paths: []string{"/d", "/e", "/c", "/p", "/r"}}},
		{request{op: OpMulti, multi: []request{{op: OpSetData, path: "/a", version: 3, data: []byte("y")}, {op: OpCheck, path: "/", version: 9}}},
			Request{Multi: []Request{{Op: OpSetData, Path: "/a", Version: 3, Data: []byte("y")}, {Op: OpCheck, Path: "/", Version: 9}}}},
	} {
		frames, err := c.call(test.op, test.body())
		if err != nil {
			t.Fatal(test.request, frames, err)
		}
		fill := func(r *Request) {
			r.Member, r.Addr, r.Dialer, r.Session, r.Xid = 1, "zk2.example:2181", "mine", c.session, c.xid
		}
		test.want.Op = test.op
		fill(&test.want)
		for i := range test.want.Multi {
			fill(&test.want.Multi[i])
		}
		if !reflect.DeepEqual(last, test.want) {
			t.Errorf("%v:\ngot  %+v\nwant %+v", test.request, last, test.want)
		}
	}
}
