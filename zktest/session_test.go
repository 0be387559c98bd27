package zktest

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func createRequest(path string, flags int32) request {
	return request{op: OpCreate, path: path, acl: openACL, flags: flags}
}

func TestConnectReplyIsAByteLongerForClientsThatSendTheReadOnlyFlag(t *testing.T) {
	s := Start(t)
	for old, size := range map[bool]int{true: 36, false: 37} {
		reply, err := rawDial(t, s).handshake(time.Minute, old)
		if err != nil || len(reply) != size {
			t.Errorf("old %v: reply of %d bytes, want %d; %v", old, len(reply), size, err)
		}
	}
}

func TestTimeoutIsClampedToTwoToTwentyTicks(t *testing.T) {
	s := Start(t, WithTickTime(100*time.Millisecond))
	for asked, want := range map[time.Duration]int32{
		0: 200, 50 * time.Millisecond: 200, time.Second: 1000, time.Hour: 2000, -time.Second: 200,
	} {
		reply, err := rawDial(t, s).handshake(asked, false)
		if err != nil {
			t.Fatal(err)
		}
		d := &decoder{buf: reply}
		d.int32()
		if got := d.int32(); got != want {
			t.Errorf("asked for %v: got %d ms, want %d", asked, got, want)
		}
	}
}

func TestSessionExpiresExactlyAfterItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Start(t)
		watcher := rawSession(t, s, 40*time.Second)
		watcher.ok(t, createRequest("/p", 0))
		c := rawSession(t, s, 10*time.Second)
		for i := range 3 {
			c.ok(t, createRequest(fmt.Sprintf("/p/e%d", i), 1))
		}
		watcher.ok(t, request{op: OpGetChildren, path: "/p", watch: true})

		time.Sleep(9 * time.Second)
		c.ok(t, request{op: OpPing}) // a request starts the timeout anew
		time.Sleep(9999 * time.Millisecond)
		synctest.Wait()
		if got := len(s.Sessions()); got != 2 {
			t.Fatalf("%d sessions 1 ms before the timeout", got)
		}
		before := s.Stats().Zxid
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if got := len(s.Sessions()); got != 1 {
			t.Fatalf("%d sessions after the timeout", got)
		}
		c.closed(t)
		if typ, path := watcher.event(t); typ != nodeChildrenChanged || path != "/p" {
			t.Fatalf("event %v %q", typ, path)
		}
		_, stat, err := s.Get("/p")
		if err != nil || stat.NumChildren != 0 || stat.Pzxid != before+1 || s.Stats().Zxid != before+1 {
			t.Fatalf("the ephemeral nodes are not gone in one transaction: %+v, zxid %d before", stat, before)
		}
	})
}

func TestSessionComesBackWithItsPasswordOnly(t *testing.T) {
	s := Start(t)
	c := rawSession(t, s, time.Minute)
	c.ok(t, createRequest("/e", 1))

	again, reply, err := rawAgain(t, s, c)
	if err != nil || again.session != c.session || !bytes.Equal(again.password, c.password) {
		t.Fatalf("came back as %x, reply %x, %v", again.session, reply, err)
	}
	c.closed(t) // the session has one connection
	again.ok(t, request{op: OpPing})

	thief := *again
	thief.password = make([]byte, 16)
	refused, reply, err := rawAgain(t, s, &thief)
	if err != nil || !bytes.Equal(reply[4:16], make([]byte, 12)) {
		t.Fatalf("wrong password: reply %x, %v", reply, err)
	}
	refused.closed(t)
	if len(s.Sessions()) != 1 {
		t.Fatal("a wrong password ended the session")
	}

	again, _, err = rawAgain(t, s, again)
	if err != nil {
		t.Fatal(err)
	}
	again.ok(t, request{op: OpCloseSession})
	again.closed(t)
	if _, _, err := s.Get("/e"); !errors.Is(err, ErrNoNode) {
		t.Fatalf("ephemeral node of a closed session: %v", err)
	}
	gone, reply, err := rawAgain(t, s, again)
	if err != nil || !bytes.Equal(reply[4:16], make([]byte, 12)) {
		t.Fatalf("closed session: reply %x, %v", reply, err)
	}
	gone.closed(t)
}

func TestClientThatHasSeenALaterZxidIsClosedWithoutAnAnswer(t *testing.T) {
	s := Start(t)
	c := rawSession(t, s, time.Minute)
	c.lastZxid = s.Stats().Zxid + 1
	if _, reply, err := rawAgain(t, s, c); err == nil || timedOut(err) {
		t.Fatalf("reply %x, %v", reply, err)
	}
	c.lastZxid = s.Stats().Zxid
	if _, _, err := rawAgain(t, s, c); err != nil {
		t.Fatal(err)
	}
}

func TestSessionLivesOnWhileItsClientIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Start(t)
		c := rawSession(t, s, 10*time.Second)
		c.ok(t, createRequest("/e", 1))
		c.nc.Close()
		time.Sleep(9 * time.Second)
		if _, _, err := s.Get("/e"); err != nil {
			t.Fatal(err)
		}
		// It comes back with a shorter timeout, which counts from now on.
		again := rawDial(t, s)
		again.session, again.password = c.session, c.password
		if _, err := again.handshake(4*time.Second, false); err != nil {
			t.Fatal(err)
		}
		again.nc.Close()
		time.Sleep(3999 * time.Millisecond)
		if _, _, err := s.Get("/e"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Millisecond)
		if _, _, err := s.Get("/e"); !errors.Is(err, ErrNoNode) {
			t.Fatalf("after the shorter timeout: %v", err)
		}
	})
}

func TestManySessionsExpireEachInItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Start(t)
		const count = 50
		for i := range count {
			c := rawSession(t, s, time.Duration(10+(i*7)%count)*200*time.Millisecond+4*time.Second)
			c.nc.Close()
		}
		time.Sleep(4*time.Second + 10*200*time.Millisecond - time.Millisecond)
		for left := count; left > 0; left-- {
			synctest.Wait()
			if got := len(s.Sessions()); got != left {
				t.Fatalf("%d sessions, want %d", got, left)
			}
			time.Sleep(200 * time.Millisecond)
		}
	})
}

func TestServersGiveDifferentSessions(t *testing.T) {
	a := rawSession(t, Start(t), time.Minute)
	other := Start(t)
	rawSession(t, other, time.Minute)
	if _, reply, err := rawAgain(t, other, a); err != nil || !bytes.Equal(reply[4:16], make([]byte, 12)) {
		t.Fatalf("a session of another server: reply %x, %v", reply, err)
	}
}

// A client that has not connected yet calls its session 0: that must not end another's.
func TestExpiringSessionZeroExpiresNobody(t *testing.T) {
	s := Start(t)
	a, b := rawSession(t, s, time.Minute), rawSession(t, s, time.Minute)
	a.ok(t, createRequest("/a", 1))
	s.ExpireSession(0)
	s.ExpireSession(12345)
	if got := s.Sessions(); len(got) != 2 {
		t.Fatalf("sessions %x", got)
	}
	s.ExpireAll()
	a.closed(t)
	b.closed(t)
	if _, _, err := s.Get("/a"); len(s.Sessions()) > 0 || err == nil {
		t.Fatalf("sessions %x, %v", s.Sessions(), err)
	}
}
