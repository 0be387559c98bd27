package zkconn

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAHandshakeOfGarbageIsAFailureOfItsServer(t *testing.T) {
	for name, test := range map[string]struct {
		reply []byte
		why   string
	}{
		"another protocol":          {[]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), "is this a ZooKeeper server?"},
		"empty":                     {i32(0), "a connect reply of 0 bytes"},
		"too short":                 {frame(make([]byte, 19)), "a connect reply of 19 bytes"},
		"too long":                  {frame(make([]byte, maxHandshake+1)), "a connect reply of 1025 bytes"},
		"negative length":           {i32(-1), "is this a ZooKeeper server?"},
		"cut":                       {welcome(1, time.Second)[:30], "closed the connection during the handshake"},
		"nothing":                   {nil, "closed the connection during the handshake"},
		"timeout 0":                 {welcome(1, 0), "a session timeout of 0s"},
		"negative timeout":          {welcome(1, -time.Second), "a session timeout of -1s"},
		"no session for a new one":  {welcome(0, time.Second), "gave no session"},
		"password beyond the end":   {frame(i32(0), i32(1000), i64(1), i32(17), make([]byte, 16)), "password of 17 bytes"},
		"password of -2 bytes":      {frame(i32(0), i32(1000), i64(1), i32(-2), make([]byte, 16)), "password of -2 bytes"},
		"password of maximal bytes": {frame(i32(0), i32(1000), i64(1), i32(math.MaxInt32), make([]byte, 16)), "password of 2147483647 bytes"},
		// It would fit, but go-zookeeper could never send it back.
		"very long password": {frame(i32(0), i32(1000), i64(1), str(string(make([]byte, 300)))), "password of 300 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				c := f.open(Config{})
				for range 10 {
					p := f.peer()
					p.hello()
					p.send(test.reply)
					p.Close()
				}
				p := f.peer()
				if why := c.Failures(); !strings.HasPrefix(why, "server:2181: ") || !strings.Contains(why, test.why) {
					t.Errorf("Failures() = %q, want %q in it", why, test.why)
				}
				if h := p.accept(session, 10*time.Second); h.session != 0 {
					t.Errorf("the client asks for session %#x", h.session)
				}
				c.expect(Up)
				if why := c.Failures(); why != "" {
					t.Errorf("Failures() = %q after a success", why)
				}
				c.works(p)
			})
		})
	}
}

// Without the byte that says whether a read-only server would do, servers log a warning of an old client.
func TestConnectRequestsHaveTheReadOnlyByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := f.open(Config{Auth: []Auth{{"digest", []byte("user:password")}}})
		hello := func(p *peer) {
			t.Helper()
			b, err := p.read()
			if err != nil || len(b) != 45 || b[44] != 0 {
				t.Errorf("a connect request of %d bytes: %x, %v", len(b), b, err)
			}
		}
		p := f.peer()
		hello(p)
		p.send(welcome(session, 10*time.Second))
		p.expect(opAuth)
		p.Close() // now go-zookeeper knows of no session
		p = f.peer()
		hello(p)
		p.send(append(i32(37), append(welcome(session, 10*time.Second)[4:], 0)...))
		p.reply(p.expect(opAuth).xid, 0, 0)
		c.expect(Up)
		c.works(p)
		p.Close()
		c.expect(Down)
		p = f.peer()
		hello(p)
		f.serve(func(p *peer) { hello(p) }) // the farewell
		c.Close()
	})
}

func TestASessionWithoutAPasswordIsASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := f.open(Config{})
		p := f.peer()
		p.hello()
		p.send(frame(i32(0), i32(10000), i64(session), i32(-1)))
		c.expect(Up)
		c.works(p)
		p.Close()
		p = f.peer()
		if h := p.hello(); h.session != session {
			t.Errorf("the client asks for session %#x", h.session)
		}
	})
}

func TestAHungHandshakeIsGivenUp(t *testing.T) {
	for name, stall := range map[string]func(*peer){
		"silent": func(p *peer) { p.drain() },
		"trickling": func(p *peer) {
			p.hello()
			for _, b := range welcome(session, time.Second) {
				if _, err := p.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		},
		"not reading": func(p *peer) {},
		"deaf to credentials": func(p *peer) {
			p.accept(session, 10*time.Second)
		},
		"silent on credentials": func(p *peer) {
			p.accept(session, 10*time.Second)
			p.expect(opAuth)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				start := time.Now()
				c := f.open(Config{Timeout: 8 * time.Second, Auth: []Auth{{"digest", []byte("user:password")}}})
				stall(f.peer())
				p := f.peer()
				if d, limit := time.Since(start), c.hosts.attemptLimit(); d < limit || d > 2*limit {
					t.Errorf("given up after %v, the limit is %v", d, limit)
				}
				p.accept(session, 8*time.Second)
				p.reply(p.expect(opAuth).xid, 0, 0)
				c.expect(Up)
				c.works(p)
			})
		})
	}
}

func TestTheLimitOfTheHandshakeIsTheClientsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := f.open(Config{Timeout: 10 * time.Second})
		p := f.peer()
		p.accept(session, 3*time.Millisecond) // from which go-zookeeper makes a limit of 20 ms
		c.expect(Up)
		p.Close()
		c.expect(Down)
		p = f.peer()
		h := p.hello()
		if h.timeout != 10*time.Second {
			t.Errorf("the client asks for a timeout of %v, not for the configured one", h.timeout)
		}
		time.Sleep(time.Second)
		p.send(welcome(session, h.timeout))
		if ev := c.expect(Up); ev.Session.Timeout != h.timeout {
			t.Errorf("%+v", ev)
		}
		c.works(p)
	})
}

func TestAVeryLongTimeoutIsAskedForAsFarAsTheProtocolGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := f.open(Config{Timeout: 1000 * 24 * time.Hour})
		p := f.peer()
		if h := p.hello(); h.timeout != math.MaxInt32*time.Millisecond {
			t.Errorf("the client asks for a timeout of %v", h.timeout)
		}
		p.send(welcome(session, 10*time.Second))
		c.expect(Up)
	})
}

func TestASilentlyReplacedSessionIsAnExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := f.open(Config{})
		p := f.peer()
		p.accept(1, 10*time.Second)
		before := c.expect(Up).Session
		c.watch(p, "/a", 7)
		p.Close()
		c.expect(Down)

		p = f.peer()
		if h := p.accept(2, 10*time.Second); h.session != 1 {
			t.Errorf("the client asks for session %d", h.session)
		}
		p.expect(opClose) // nobody will use session 2
		c.expect(Expired)
		p = f.peer()
		if h := p.accept(3, 10*time.Second); h.session != 0 || h.zxid != 0 {
			t.Errorf("the client asks for %+v, want a new session", h)
		}
		if s := c.expect(Up).Session; s.ID != 3 || s.Generation != before.Generation+1 {
			t.Errorf("%+v after %+v", s, before)
		}
		c.works(p) // and no SetWatches

		// A server that does not even take the end of what it gave.
		p.Close()
		c.expect(Down)
		f.peer().accept(4, 10*time.Second)
		c.expect(Expired)
		f.peer().accept(5, 10*time.Second)
		c.expect(Up)
	})
}

func TestAnExpiredSessionIsToldBeforeTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := f.open(Config{})
		p := f.peer()
		p.accept(1, 10*time.Second)
		if s := c.expect(Up).Session; s != (Session{1, 10 * time.Second, "server:2181", 1}) {
			t.Errorf("%+v", s)
		}
		p.Close()
		c.expect(Down)
		p = f.peer()
		p.accept(0, 0)
		c.expect(Expired)
		p = f.peer()
		p.accept(2, 6*time.Second)
		if s := c.expect(Up).Session; s != (Session{2, 6 * time.Second, "server:2181", 2}) {
			t.Errorf("%+v", s)
		}
		if c.SessionID() != 2 || c.Generation() != 2 || !c.IsUp() {
			t.Errorf("session %d, generation %d, up %t", c.SessionID(), c.Generation(), c.IsUp())
		}
	})
}

func TestAnEnsembleThatLostItsDataGetsANewSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		const timeout = 10 * time.Second
		c := f.open(Config{Timeout: timeout})
		p := f.peer()
		p.accept(1, timeout)
		before := c.expect(Up).Session
		c.watch(p, "/a", 7)
		p.Close()
		c.expect(Down)
		start := time.Now()
		// Servers close the handshake of a client that has seen more than they have.
		var h hello
		for p = f.peer(); ; p = f.peer() {
			if h = p.hello(); h.zxid == 0 {
				break
			}
			p.Close()
			if time.Since(start) > minute {
				t.Fatal("the client goes on naming the zxid")
			}
		}
		if d := time.Since(start); d < timeout {
			t.Errorf("the zxid is left out after %v: the servers may only lag behind", d)
		}
		if h.session != 1 {
			t.Errorf("the client asks for session %d", h.session)
		}
		p.send(welcome(0, 0))
		c.expect(Expired)
		p = f.peer()
		p.accept(2, timeout)
		if s := c.expect(Up).Session; s.ID != 2 || s.Generation <= before.Generation {
			t.Errorf("%+v after %+v", s, before)
		}
		c.works(p)
	})
}

func TestAServerThatForgotTheZxidButNotTheSessionBeginsANewGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := f.open(Config{})
		p := f.peer()
		p.accept(session, 10*time.Second)
		before := c.expect(Up).Session
		c.watch(p, "/a", 7)
		p.Close()
		c.expect(Down)
		h := hello{zxid: 7}
		for h.zxid != 0 {
			p = f.peer()
			if h = p.hello(); h.zxid != 0 {
				p.Close()
			}
		}
		p.send(welcome(session, 10*time.Second))
		if s := c.expect(Up).Session; s.ID != session || s.Generation != before.Generation+1 {
			t.Errorf("%+v after %+v", s, before)
		}
		// All watches fire, whatever the server makes of its zxids.
		if r := p.expect(opSetWatches); binary.BigEndian.Uint64(r.body) != 0 {
			t.Errorf("SetWatches is %x", r.body)
		}
	})
}

func TestServersThatHangAreNotTakenForOnesThatLostTheirData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := f.open(Config{Timeout: 2 * time.Second})
		p := f.peer()
		p.hello()
		p.Close() // which was before, and says nothing about the session to come
		p = f.peer()
		p.accept(session, 2*time.Second)
		c.expect(Up)
		c.watch(p, "/a", 7)
		p.Close()
		for start := time.Now(); time.Since(start) < 10*time.Second; {
			p := f.peer()
			if h := p.hello(); h.zxid != 7 {
				t.Fatalf("the client names zxid %d after %v", h.zxid, time.Since(start))
			}
		}
	})
}
