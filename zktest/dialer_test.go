package zktest

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
)

// through opens a connection with a session through a Dialer.
func through(t *testing.T, d *Dialer, addr string, timeout time.Duration) *rawClient {
	t.Helper()
	nc, err := d.Dial(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	c := &rawClient{nc: nc}
	if _, err := c.handshake(timeout, false); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClientStaysCutOffInLaterSessions(t *testing.T) {
	inEnsemble(t, func(t *testing.T, e *Ensemble) {
		a, b := e.Dialer("a"), e.Dialer("b")
		c, events, err := zk.Connect(e.DialAddrs(), 10*time.Second, zk.WithLogger(quiet{}), zk.WithDialer(a.DialTimeout))
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			c.Close()
			for range events {
			}
		}()
		waitFor(t, events, zk.StateHasSession)
		first := c.SessionID()
		other := through(t, b, e.DialAddrs()[0], 40*time.Second)
		a.Partition(true)
		time.Sleep(20 * time.Second)
		if ids := e.Sessions(); len(ids) != 1 || ids[0] != other.session {
			t.Fatalf("sessions %x", ids)
		}
		other.ok(t, request{op: OpPing})
		a.Partition(false)
		waitFor(t, events, zk.StateExpired)
		waitFor(t, events, zk.StateHasSession)
		if c.SessionID() == first {
			t.Fatal("the session has not changed")
		}
		a.Partition(true)
		time.Sleep(20 * time.Second)
		if ids := e.Sessions(); len(ids) != 1 || ids[0] != other.session {
			t.Fatalf("sessions %x: the client is not cut off with its second session", ids)
		}
	})
}

func TestPartitionSessionCutsOffTheClientThatHasIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Start(t)
		named, plain := through(t, s.Dialer("a"), "", 10*time.Second), rawSession(t, s, 10*time.Second)
		s.PartitionSession(0, true) // nobody's
		plain.ok(t, request{op: OpPing})
		s.PartitionSession(named.session, true)
		s.PartitionSession(plain.session, true)
		named.closed(t)
		plain.closed(t)
		if _, err := s.Dialer("a").Dial(t.Context(), "tcp", ""); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("a new connection: %v", err)
		}
		if _, _, err := rawAgain(t, s, plain); err == nil || timedOut(err) {
			t.Fatalf("the session came back: %v", err)
		}
		s.PartitionSession(plain.session, false)
		if again, _, err := rawAgain(t, s, plain); err != nil || again.session != plain.session {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Second)
		s.PartitionSession(named.session, false) // which has expired
		through(t, s.Dialer("a"), "", time.Minute)
	})
}

func TestFrozenDialerHoldsUpBothDirections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Start(t)
		d := s.Dialer("a")
		c := through(t, d, "", 20*time.Second)
		c.must(t, request{op: OpExists, path: "/a", watch: true})
		d.Freeze(true)
		d.Freeze(true) // again does nothing
		c.begin(t, createRequest("/b", 0))
		if err := s.Create("/a", nil); err != nil {
			t.Fatal(err)
		}
		c.silent(t, 10*time.Second)
		if _, _, err := s.Get("/b"); !errors.Is(err, ErrNoNode) {
			t.Fatalf("the request has arrived: %v", err)
		}
		if _, err := d.DialTimeout("tcp", "", time.Second); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("dial: %v", err)
		}
		time.AfterFunc(time.Second, func() { d.Freeze(false) })
		began := time.Now()
		late, err := d.DialTimeout("tcp", "", 0)
		if err != nil || time.Since(began) != time.Second {
			t.Fatalf("dial took %v, %v", time.Since(began), err)
		}
		late.Close()
		if typ, _ := c.event(t); typ != nodeCreated {
			t.Fatal(typ)
		}
		if _, code, _ := c.reply(t); code != 0 {
			t.Fatal(code)
		}
	})
}

func TestFrozenDialerHidesThatTheOtherSideHasClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Start(t)
		d := s.Dialer("a")
		expires, leaves := through(t, d, "", 4*time.Second), through(t, d, "", 30*time.Second)
		d.Freeze(true)
		time.Sleep(5 * time.Second)
		if len(s.Sessions()) != 1 {
			t.Fatalf("sessions %x", s.Sessions())
		}
		expires.silent(t, time.Second)
		if _, err := expires.nc.Write([]byte("lost")); err != nil {
			t.Fatalf("write: %v", err)
		}
		leaves.begin(t, createRequest("/a", 0))
		leaves.nc.Close()
		synctest.Wait()
		if got := s.Stats().Connections; got != 1 {
			t.Fatalf("%d connections", got)
		}
		d.Freeze(false)
		expires.closed(t)
		synctest.Wait()
		if _, _, err := s.Get("/a"); err != nil || s.Stats().Connections != 0 {
			t.Fatalf("what was sent before the end: %v, %d connections", err, s.Stats().Connections)
		}
	})
}

func TestDialerSaysWhoARequestComesFrom(t *testing.T) {
	e := StartEnsemble(t, 3)
	seen := make(chan Request, 10)
	e.Intercept(func(r Request) Fault { seen <- r; return Fault{} })
	c := through(t, e.Dialer("a"), e.DialAddrs()[1], time.Minute)
	c.ok(t, request{op: OpMulti, multi: []request{createRequest("/a", 0)}})
	for range 2 {
		r := <-seen
		if r.Member != 2 || r.Dialer != "a" || r.Op == OpMulti && r.Multi[0].Dialer != "a" {
			t.Errorf("%+v", r)
		}
	}
	if e.Dialer("a").Name() != "a" {
		t.Error(e.Dialer("a").Name())
	}
	if _, err := e.Dialer("a").Dial(t.Context(), "tcp", "10.0.0.9:2181"); !errors.Is(err, syscall.EHOSTUNREACH) {
		t.Error(err)
	}
}
