package zktest

import (
	"encoding/hex"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// readOnlyServer gives a member that has lost the two others, and a session of before.
func readOnlyServer(t *testing.T) (e *Ensemble, alone *Server, before *rawClient) {
	t.Helper()
	e = StartEnsemble(t, 3, WithReadOnly())
	_, alone, other := leaderAndFollowers(t, e)
	if err := e.Create("/a", []byte("one")); err != nil {
		t.Fatal(err)
	}
	before = rawSession(t, alone, 30*time.Second)
	other.Stop(true)
	e.Leader().Stop(true)
	before.closed(t)
	return e, alone, before
}

// readOnlyDial connects a client that takes a read-only server, with another's session unless that is nil.
func readOnlyDial(t *testing.T, s *Server, old *rawClient) (*rawClient, []byte, error) {
	t.Helper()
	c := rawDial(t, s)
	c.readOnly = true
	if old != nil {
		c.session, c.password, c.lastZxid = old.session, old.password, old.lastZxid
	}
	reply, err := c.handshake(10*time.Second, false)
	return c, reply, err
}

func TestServerWithoutALeaderServesReadOnlyClientsAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, alone, before := readOnlyServer(t)
		time.Sleep(2*time.Second - time.Millisecond)
		if _, _, err := readOnlyDial(t, alone, nil); err != io.EOF {
			t.Fatalf("too early: %v", err)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if text, err := word(rawDial(t, alone).nc, "isro"); text != "ro" || err != nil {
			t.Fatalf("isro: %q, %v", text, err)
		}
		if _, err := rawDial(t, alone).handshake(time.Minute, false); err != io.EOF {
			t.Fatalf("a client that wants to write: %v", err)
		}
		if _, err := rawDial(t, alone).handshake(time.Minute, true); err != io.EOF {
			t.Fatalf("a client from before read-only servers: %v", err)
		}
		if _, _, err := readOnlyDial(t, alone, before); err != io.EOF {
			t.Fatalf("a session that all servers know: %v", err)
		}
		c, reply, err := readOnlyDial(t, alone, nil)
		if err != nil || reply[len(reply)-1] != 1 || c.session == 0 {
			t.Fatalf("reply %x, %v", reply, err)
		}
		if got := string(c.ok(t, request{op: OpGetData, path: "/a", watch: true}).bytes()); got != "one" {
			t.Fatal(got)
		}
		for _, r := range []request{
			createRequest("/b", 0), {op: OpSetData, path: "/a", version: -1}, {op: OpDelete, path: "/a", version: -1},
			{op: OpMulti, multi: []request{{op: OpCheck, path: "/a", version: -1}}}, {op: OpSync, path: "/a"},
		} {
			if code, _ := c.must(t, r); code != ErrNotReadOnly {
				t.Errorf("%v: %v", r, code)
			}
		}
		again, reply, err := readOnlyDial(t, alone, c)
		if err != nil || again.session != c.session || reply[len(reply)-1] != 1 {
			t.Fatalf("back with its own session: %x, %v", reply, err)
		}
		c.closed(t)
		again.ok(t, request{op: OpCloseSession})
		again.closed(t)
		if _, reply, err := readOnlyDial(t, alone, c); err != nil || hex.EncodeToString(reply[4:16]) != "000000000000000000000000" {
			t.Fatalf("back with a session that has ended: %x, %v", reply, err)
		}
	})
}

func TestReadOnlySessionsExpireAndEndWithTheMode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, alone, before := readOnlyServer(t)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		silent, _, err := readOnlyDial(t, alone, nil)
		if err != nil {
			t.Fatal(err)
		}
		c, _, err := readOnlyDial(t, alone, nil)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(9 * time.Second)
		c.ok(t, request{op: OpPing})
		time.Sleep(time.Second)
		silent.closed(t)
		c.ok(t, request{op: OpPing})
		if len(e.Sessions()) != 1 {
			t.Fatalf("sessions %x, want only the one of before", e.Sessions())
		}
		for _, s := range e.Members() {
			s.Stop(false)
		}
		time.Sleep(electionTime)
		c.closed(t)
		again, _, err := rawAgain(t, alone, before)
		if err != nil || again.session != before.session {
			t.Fatalf("the session of before: %v", err)
		}
		if _, reply, err := readOnlyDial(t, alone, c); err != nil || hex.EncodeToString(reply[4:16]) != "000000000000000000000000" {
			t.Fatalf("the read-only session: %x, %v", reply, err)
		}
	})
}

func TestIsolatedServerIsReadOnlyWhenTheModeIsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := StartEnsemble(t, 3, WithReadOnly())
		_, cut, _ := leaderAndFollowers(t, e)
		cut.Isolate(true)
		time.Sleep(12 * time.Second)
		synctest.Wait()
		if _, reply, err := readOnlyDial(t, cut, nil); err != nil || reply[len(reply)-1] != 1 {
			t.Fatalf("%x, %v", reply, err)
		}
		if _, reply, err := readOnlyDial(t, e.Leader(), nil); err != nil || reply[len(reply)-1] != 0 {
			t.Fatalf("the leader: %x, %v", reply, err)
		}
	})
}
