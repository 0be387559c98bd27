package zktest

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// inEnsemble runs a test on three servers in a bubble, with a tick of 2 s and a sync limit of 10 s.
func inEnsemble(t *testing.T, test func(t *testing.T, e *Ensemble)) {
	synctest.Test(t, func(t *testing.T) { test(t, StartEnsemble(t, 3)) })
}

// leaderAndFollowers gives the members by their roles.
func leaderAndFollowers(t *testing.T, e *Ensemble) (leader, a, b *Server) {
	t.Helper()
	synctest.Wait()
	f := e.Followers()
	if e.Leader() == nil || len(f) != 2 {
		t.Fatalf("leader %v, followers %v", e.Leader(), f)
	}
	return e.Leader(), f[0], f[1]
}

// data gives what a member holds of a node, or "-" if there is none.
func data(s *Server, path string) string {
	b, _, err := s.Get(path)
	if err != nil {
		return "-"
	}
	return string(b)
}

// begin sends a request and does not wait for its answer.
func (c *rawClient) begin(t testing.TB, r request) {
	t.Helper()
	if _, err := c.send(r.op, r.body()); err != nil {
		t.Fatal(err)
	}
}

// reply reads the next frame, which has to be an answer.
func (c *rawClient) reply(t testing.TB) (zxid int64, code Code, rest *decoder) {
	t.Helper()
	frame, err := c.readFrame()
	if err != nil {
		t.Fatal(err)
	}
	d := &decoder{buf: frame}
	if xid := d.int32(); xid == -1 {
		t.Fatalf("frame %x is an event", frame)
	}
	zxid = d.int64()
	return zxid, Code(d.int32()), d
}

func TestEveryMemberServesTheSameHistory(t *testing.T) {
	inEnsemble(t, func(t *testing.T, e *Ensemble) {
		leader, a, b := leaderAndFollowers(t, e)
		writer, reader := rawSession(t, a, time.Minute), rawSession(t, b, time.Minute)
		reader.must(t, request{op: OpExists, path: "/a", watch: true})
		writer.ok(t, createRequest("/a", 1))
		if typ, path := reader.event(t); typ != nodeCreated || path != "/a" {
			t.Fatalf("event %v %q", typ, path)
		}
		for _, s := range e.Members() {
			_, stat, err := s.Get("/a")
			if err != nil || stat.EphemeralOwner != writer.session || stat.Czxid != 1<<32+3 {
				t.Fatalf("%v: %+v, %v", s, stat, err)
			}
			if s.Stats().Zxid != 1<<32+3 || len(s.Sessions()) != 2 {
				t.Fatalf("%v: %+v", s, s.Stats())
			}
		}
		again, _, err := rawAgain(t, leader, writer)
		if err != nil || again.session != writer.session {
			t.Fatalf("session %x became %x, %v", writer.session, again.session, err)
		}
	})
}

func TestFollowerThatLagsShowsItsOlderState(t *testing.T) {
	inEnsemble(t, func(t *testing.T, e *Ensemble) {
		leader, slow, _ := leaderAndFollowers(t, e)
		if err := e.Create("/a", []byte("old")); err != nil {
			t.Fatal(err)
		}
		reader, writer := rawSession(t, slow, time.Minute), rawSession(t, leader, time.Minute)
		reader.ok(t, request{op: OpGetData, path: "/a", watch: true})
		slow.Lag(3 * time.Second)
		began := time.Now()
		writer.begin(t, request{op: OpSetData, path: "/a", data: []byte("new"), version: -1})
		zxid, code, _ := writer.reply(t)
		if code != 0 || time.Since(began) != 0 {
			t.Fatalf("the writer waited %v, %v", time.Since(began), code)
		}
		reader.begin(t, request{op: OpGetData, path: "/a"})
		seen, _, d := reader.reply(t)
		if got := string(d.bytes()); got != "old" || seen >= zxid {
			t.Fatalf("%q at zxid %x, written at %x", got, seen, zxid)
		}
		ahead := rawDial(t, slow)
		ahead.session, ahead.password, ahead.lastZxid = writer.session, writer.password, zxid
		if _, err := ahead.handshake(time.Minute, false); err != io.EOF {
			t.Fatalf("a client that has seen more: %v", err)
		}
		time.Sleep(time.Second)
		reader.begin(t, request{op: OpSync, path: "/a"})
		if typ, _ := reader.event(t); typ != nodeDataChanged || time.Since(began) != 3*time.Second {
			t.Fatalf("event %v after %v", typ, time.Since(began))
		}
		if at, code, _ := reader.reply(t); code != 0 || at != zxid || time.Since(began) != 3*time.Second {
			t.Fatalf("sync answered %v at zxid %x after %v", code, at, time.Since(began))
		}
	})
}

func TestFollowerThatIsHeldAnswersItsWriterWhenItIsLetGo(t *testing.T) {
	inEnsemble(t, func(t *testing.T, e *Ensemble) {
		leader, held, _ := leaderAndFollowers(t, e)
		c := rawSession(t, held, time.Minute)
		held.Hold(true)
		c.begin(t, createRequest("/a", 0))
		c.silent(t, 5*time.Second)
		if data(leader, "/a") == "-" || data(held, "/a") != "-" {
			t.Fatalf("leader %q, held follower %q", data(leader, "/a"), data(held, "/a"))
		}
		if err := e.Set("/a", []byte("later")); err != nil {
			t.Fatal(err)
		}
		late := rawDial(t, held)
		began := time.Now()
		time.AfterFunc(time.Second, func() { held.Hold(false) })
		if _, err := late.handshake(time.Minute, false); err != nil || time.Since(began) != time.Second {
			t.Fatalf("connected after %v, %v", time.Since(began), err)
		}
		if zxid, code, _ := c.reply(t); code != 0 || zxid != 1<<32+2 {
			t.Fatalf("answered %v with zxid %x, which is not the write's own", code, zxid)
		}
		if data(held, "/a") != "later" {
			t.Fatalf("%q", data(held, "/a"))
		}
	})
}

func TestClientOfAnIsolatedFollowerIsServedWhileItsSessionExpires(t *testing.T) {
	inEnsemble(t, func(t *testing.T, e *Ensemble) {
		leader, cut, _ := leaderAndFollowers(t, e)
		c := rawSession(t, cut, 4*time.Second)
		c.ok(t, createRequest("/e", 1))
		cut.Isolate(true)
		for range 9 {
			time.Sleep(time.Second)
			c.ok(t, request{op: OpPing})
			c.ok(t, request{op: OpExists, path: "/e"})
		}
		if len(leader.Sessions()) != 0 || data(leader, "/e") != "-" {
			t.Fatalf("the leader has sessions %x, node %q", leader.Sessions(), data(leader, "/e"))
		}
		c.begin(t, request{op: OpSync, path: "/"})
		c.silent(t, 999*time.Millisecond)
		c.closed(t)
		if _, err := rawDial(t, cut).handshake(time.Minute, false); err != io.EOF {
			t.Fatalf("a server that looks for its leader: %v", err)
		}
		cut.Isolate(false)
		time.Sleep(electionTime)
		synctest.Wait()
		if data(cut, "/e") != "-" || len(e.Followers()) != 2 {
			t.Fatalf("back: node %q, followers %v", data(cut, "/e"), e.Followers())
		}
		_, reply, err := rawAgain(t, cut, c)
		if d := (&decoder{buf: reply}); err != nil || d.int32() != 0 || d.int32() != 0 {
			t.Fatalf("the expired session: %x, %v", reply, err)
		}
	})
}

func TestLinkThatComesBackInTimeDeliversWhatHasWaited(t *testing.T) {
	inEnsemble(t, func(t *testing.T, e *Ensemble) {
		leader, cut, _ := leaderAndFollowers(t, e)
		c := rawSession(t, cut, 8*time.Second)
		c.must(t, request{op: OpExists, path: "/b", watch: true})
		cut.Isolate(true)
		time.Sleep(6 * time.Second)
		c.ok(t, request{op: OpPing}) // the leader hears of it 3 s later
		c.begin(t, createRequest("/a", 0))
		if err := e.Create("/b", nil); err != nil {
			t.Fatal(err)
		}
		c.silent(t, time.Second)
		if data(leader, "/a") != "-" {
			t.Fatal("a write came through a link that is cut")
		}
		cut.Isolate(false)
		if typ, path := c.event(t); typ != nodeCreated || path != "/b" {
			t.Fatalf("event %v %q", typ, path)
		}
		if _, code, _ := c.reply(t); code != 0 {
			t.Fatal(code)
		}
		time.Sleep(7 * time.Second)
		c.ok(t, request{op: OpPing})
		if len(leader.Sessions()) != 1 {
			t.Fatal("the session has expired, though its server has reported it")
		}
	})
}

func TestOldConnectionOfASessionThatHasMovedMayNotWrite(t *testing.T) {
	inEnsemble(t, func(t *testing.T, e *Ensemble) {
		_, a, b := leaderAndFollowers(t, e)
		old := rawSession(t, a, time.Minute)
		moved, _, err := rawAgain(t, b, old)
		if err != nil || moved.session != old.session {
			t.Fatal(err)
		}
		old.ok(t, request{op: OpExists, path: "/"})
		old.begin(t, createRequest("/a", 0))
		old.closed(t)
		moved.ok(t, createRequest("/b", 0))
		if data(a, "/a") != "-" {
			t.Fatal("the old connection has written")
		}
	})
}

func TestEnsembleIsReachedByAddress(t *testing.T) {
	e := StartEnsemble(t, 3)
	for _, addrs := range [][]string{e.DialAddrs(), e.Addrs()} {
		for i, addr := range addrs {
			nc, err := e.Dial(t.Context(), "tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			c := &rawClient{nc: nc}
			if _, err := c.handshake(time.Minute, false); err != nil || c.session>>56 != int64(i+1) {
				t.Errorf("%s: session %x, %v", addr, c.session, err)
			}
			nc.Close()
		}
	}
	if _, err := e.Dial(t.Context(), "tcp", "10.0.0.4:2181"); err == nil {
		t.Error("there is no such member")
	}
	if text, err := dialWord(t, e.Addrs()[1], "ruok"); err != nil || text != "imok" {
		t.Errorf("over TCP: %q, %v", text, err)
	}
	if _, _, err := e.Get("/nobody"); !errors.Is(err, ErrNoNode) {
		t.Error(err)
	}
}

func TestMembersTellMonitoringWhatTheyAre(t *testing.T) {
	inEnsemble(t, func(t *testing.T, e *Ensemble) {
		leader, a, _ := leaderAndFollowers(t, e)
		ask := func(s *Server, w string) string {
			text, err := word(rawDial(t, s).nc, w)
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
		for s, want := range map[*Server][]string{
			leader: {"zk_server_state\tleader\n", "zk_synced_followers\t2\n", "zk_quorum_size\t3\n"},
			a:      {"zk_server_state\tfollower\n", "zk_peer_state\tfollowing - broadcast\n", "zk_quorum_size\t3\n"},
		} {
			for _, line := range want {
				if text := ask(s, "mntr"); !strings.Contains(text, line) {
					t.Errorf("%v: no %q in\n%s", s, line, text)
				}
			}
		}
		if text := ask(leader, "srvr"); !strings.Contains(text, "Mode: leader\n") || !strings.Contains(text, "Proposal sizes") {
			t.Error(text)
		}
		if text := ask(a, "stat"); !strings.Contains(text, "Mode: follower\n") || strings.Contains(text, "Proposal sizes") {
			t.Error(text)
		}
	})
}
