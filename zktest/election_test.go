package zktest

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestOthersElectALeaderWhenTheirsStops(t *testing.T) {
	inEnsemble(t, func(t *testing.T, e *Ensemble) {
		leader, a, b := leaderAndFollowers(t, e)
		c := rawSession(t, a, 10*time.Second)
		c.ok(t, createRequest("/e", 1))
		leader.Stop(true)
		c.closed(t)
		if e.Leader() != nil || e.Create("/x", nil) != ErrNoQuorum {
			t.Fatal("there is a leader already")
		}
		time.Sleep(electionTime)
		synctest.Wait()
		if e.Leader() != b {
			t.Fatalf("%v leads, want the one with the highest id", e.Leader())
		}
		time.Sleep(9 * time.Second) // the new leader has given the session its whole timeout
		again, _, err := rawAgain(t, b, c)
		if err != nil || again.session != c.session {
			t.Fatalf("session %x became %x, %v", c.session, again.session, err)
		}
		again.begin(t, createRequest("/n", 0))
		if zxid, code, _ := again.reply(t); zxid != 2<<32+1 || code != 0 {
			t.Fatalf("zxid %x, %v", zxid, code)
		}
		leader.Stop(false)
		time.Sleep(electionTime)
		synctest.Wait()
		if e.Leader() != b || len(e.Followers()) != 2 || data(leader, "/n") == "-" {
			t.Fatalf("leader %v, followers %v, node %q", e.Leader(), e.Followers(), data(leader, "/n"))
		}
	})
}

func TestIsolatedLeaderServesUntilTheOthersElectAnother(t *testing.T) {
	inEnsemble(t, func(t *testing.T, e *Ensemble) {
		old, a, b := leaderAndFollowers(t, e)
		if err := e.Create("/a", []byte("old")); err != nil {
			t.Fatal(err)
		}
		c := rawSession(t, old, 20*time.Second)
		old.Isolate(true)
		time.Sleep(9 * time.Second)
		if got := string(c.ok(t, request{op: OpGetData, path: "/a"}).bytes()); got != "old" {
			t.Fatal(got)
		}
		c.begin(t, request{op: OpSetData, path: "/a", data: []byte("lost"), version: -1})
		c.silent(t, 999*time.Millisecond)
		c.closed(t)
		time.Sleep(electionTime)
		synctest.Wait()
		if e.Leader() != b {
			t.Fatalf("%v leads", e.Leader())
		}
		again, _, err := rawAgain(t, a, c)
		if err != nil || again.session != c.session {
			t.Fatal(err)
		}
		again.ok(t, request{op: OpSetData, path: "/a", data: []byte("new"), version: 0})
		old.Isolate(false)
		time.Sleep(electionTime)
		synctest.Wait()
		if data(old, "/a") != "new" || old.Leads() {
			t.Fatalf("the old leader: %q, leads %v", data(old, "/a"), old.Leads())
		}
	})
}

func TestFrozenLeaderHasBeenReplacedWhenItThaws(t *testing.T) {
	inEnsemble(t, func(t *testing.T, e *Ensemble) {
		old, a, _ := leaderAndFollowers(t, e)
		c := rawSession(t, old, 40*time.Second)
		old.Freeze(true)
		c.begin(t, createRequest("/a", 0))
		time.Sleep(10*time.Second + electionTime)
		synctest.Wait()
		if e.Leader() == old || e.Leader() == nil {
			t.Fatalf("%v leads", e.Leader())
		}
		rawSession(t, a, time.Minute).ok(t, createRequest("/b", 0))
		old.Freeze(false)
		c.closed(t)
		time.Sleep(electionTime)
		synctest.Wait()
		if data(old, "/a") != "-" || data(old, "/b") == "-" {
			t.Fatalf("/a %q, /b %q", data(old, "/a"), data(old, "/b"))
		}
	})
}

func TestFrozenFollowerHoldsNobodyUp(t *testing.T) {
	inEnsemble(t, func(t *testing.T, e *Ensemble) {
		_, frozen, other := leaderAndFollowers(t, e)
		c, d := rawSession(t, frozen, 20*time.Second), rawSession(t, other, 20*time.Second)
		c.must(t, request{op: OpExists, path: "/a", watch: true})
		frozen.Freeze(true)
		d.ok(t, createRequest("/a", 0))
		c.silent(t, 5*time.Second)
		frozen.Freeze(false)
		if typ, _ := c.event(t); typ != nodeCreated {
			t.Fatal(typ)
		}
		frozen.Freeze(true)
		time.Sleep(10 * time.Second)
		frozen.Freeze(false)
		c.closed(t)
	})
}

func TestNobodyServesWithoutAQuorum(t *testing.T) {
	inEnsemble(t, func(t *testing.T, e *Ensemble) {
		leader, a, b := leaderAndFollowers(t, e)
		c := rawSession(t, leader, time.Minute)
		a.Stop(true)
		c.ok(t, createRequest("/a", 0))
		b.Stop(true)
		c.closed(t)
		if _, err := rawDial(t, leader).handshake(time.Minute, false); err != io.EOF {
			t.Fatalf("connect: %v", err)
		}
		if text, err := word(rawDial(t, leader).nc, "srvr"); err != nil || !strings.HasPrefix(text, "This ZooKeeper instance is not currently serving requests") {
			t.Fatalf("srvr: %q, %v", text, err)
		}
		time.Sleep(time.Hour)
		if e.Leader() != nil || len(e.Sessions()) != 1 {
			t.Fatalf("leader %v, sessions %x", e.Leader(), e.Sessions())
		}
		a.Stop(false)
		time.Sleep(electionTime)
		synctest.Wait()
		if e.Leader() != leader || data(a, "/a") == "-" {
			t.Fatalf("leader %v, node %q", e.Leader(), data(a, "/a"))
		}
	})
}

// Without a majority the end of a session cannot be committed. The next leader would bring it back, with its nodes.
func TestNoSessionIsExpiredWithoutAQuorum(t *testing.T) {
	inEnsemble(t, func(t *testing.T, e *Ensemble) {
		leader, _, _ := leaderAndFollowers(t, e)
		id := e.OpenSession(time.Minute)
		if _, err := e.Add(Node{Path: "/e", Session: id}); err != nil {
			t.Fatal(err)
		}
		changes := 0
		e.Journal(func(Change) { changes++ })
		leader.Freeze(true)
		e.ExpireSession(id)
		e.ExpireAll()
		time.Sleep(30 * time.Second)
		leader.Freeze(false)
		time.Sleep(time.Second)
		if len(e.Sessions()) != 1 || changes != 0 {
			t.Fatalf("sessions %x, %d changes", e.Sessions(), changes)
		}
		e.ExpireAll()
		if len(e.Sessions()) != 0 || changes != 1 {
			t.Fatalf("with a quorum: sessions %x, %d changes", e.Sessions(), changes)
		}
	})
}
