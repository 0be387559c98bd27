package zkconn

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
)

// A place where a connection can be when it is closed. Server a:1 is the connection's own; b:2 is
// there for the farewell.
type state struct {
	name string
	// enter brings the connection, which has just been opened, into the state.
	enter func(t *testing.T, f *fake, c *client)
	// otherServes says that b:2 serves from then on; else it hangs.
	otherServes bool
	// session is what must have ended after Close, 0 if there is none or nobody can end it.
	session int64
	// limit is how long Close may take: not at all where the server answers, else a second, which is
	// go-zookeeper's, and the farewell.
	limit time.Duration
}

const at = 10 * time.Second // session timeout

// up gets the session and the connection to a:1.
func up(t *testing.T, f *fake, c *client) *peer {
	t.Helper()
	p := f.peer()
	p.accept(session, at)
	c.expect(Up)
	return p
}

var states = []state{
	{name: "refused", limit: time.Second, enter: func(t *testing.T, f *fake, c *client) {
		f.peer().Close()
		f.refuse(true, "a:1")
		time.Sleep(minute)
	}},
	{name: "accepted, handshake hung", limit: time.Second, enter: func(t *testing.T, f *fake, c *client) {
		f.peer().drain()
	}},
	{name: "accepted, not read from", limit: time.Second, enter: func(t *testing.T, f *fake, c *client) { f.peer() }},
	{name: "handshakes closed", limit: time.Second, enter: func(t *testing.T, f *fake, c *client) {
		for range 10 {
			p := f.peer()
			p.hello()
			p.Close()
		}
	}},
	{name: "waiting for the answer to a credential", limit: time.Second, otherServes: true, session: session, enter: func(t *testing.T, f *fake, c *client) {
		p := f.peer()
		p.accept(session, at)
		p.expect(opAuth)
	}},
	{name: "connected", limit: 0, session: session, enter: func(t *testing.T, f *fake, c *client) {
		p := up(t, f, c)
		// Ends with the connection.
		go func() {
			for b, err := p.read(); err == nil; b, err = p.read() {
				if r := parsePacket(b); r.op == opClose {
					f.end(session)
					p.Write(reply(r.xid, 0, 0))
				}
			}
		}()
	}},
	{name: "connected, with calls under way", limit: 2 * time.Second, otherServes: true, session: session, enter: func(t *testing.T, f *fake, c *client) {
		up(t, f, c).drain()
		for range 10 {
			c.get()
		}
	}},
	{name: "hung", limit: 2 * time.Second, otherServes: true, session: session, enter: func(t *testing.T, f *fake, c *client) {
		up(t, f, c).drain()
	}},
	{name: "hung with a full queue", limit: 2 * time.Second, otherServes: true, session: session, enter: func(t *testing.T, f *fake, c *client) {
		up(t, f, c)
		for range 50 {
			c.get()
		}
	}},
	{name: "hung, and all others too", limit: 2 * time.Second, enter: func(t *testing.T, f *fake, c *client) {
		up(t, f, c)
		for range 50 {
			c.get()
		}
	}},
	{name: "lost, refused since", limit: time.Second, otherServes: true, session: session, enter: func(t *testing.T, f *fake, c *client) {
		p := up(t, f, c)
		f.refuse(true, "a:1")
		p.Close()
		c.expect(Down)
		time.Sleep(1500 * time.Millisecond)
	}},
	{name: "lost, next handshake hung", limit: time.Second, otherServes: true, session: session, enter: func(t *testing.T, f *fake, c *client) {
		up(t, f, c).Close()
		c.expect(Down)
		f.peer().hello()
	}},
	{name: "lost, all others hang", limit: 2 * time.Second, enter: func(t *testing.T, f *fake, c *client) {
		up(t, f, c).Close()
		c.expect(Down)
		f.peer().hello()
	}},
	{name: "the end of the session is refused", limit: 2 * time.Second, otherServes: true, session: session, enter: func(t *testing.T, f *fake, c *client) {
		p := up(t, f, c)
		// Ends with the connection.
		go func() {
			for b, err := p.read(); err == nil; b, err = p.read() {
				if r := parsePacket(b); r.op == opClose {
					p.Write(reply(r.xid, 0, -1))
				}
			}
		}()
	}},
	{name: "expired", limit: time.Second, enter: func(t *testing.T, f *fake, c *client) {
		up(t, f, c).Close()
		c.expect(Down)
		f.peer().accept(0, 0)
		c.expect(Expired)
		f.peer()
	}},
	{name: "behind a shut gate", limit: 2 * time.Second, otherServes: true, session: session, enter: func(t *testing.T, f *fake, c *client) {
		p := up(t, f, c)
		c.watch(p, "/a", 7)
		p = c.reconnect(f, p)
		p.send(event(zk.EventNodeCreated, "/a"))
	}},
}

func (f *fake) end(session int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = append(f.closed, session)
}

func TestCloseInEveryState(t *testing.T) {
	for _, s := range states {
		for _, closers := range []int{1, 10} {
			t.Run(s.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFake(t)
					// b:2 is not dialed before Close: a:1 alone is in the list.
					cfg := Config{Servers: []string{"a:1"}, Timeout: at}
					if s.name == "waiting for the answer to a credential" {
						cfg.Auth = []Auth{{"digest", []byte("user:password")}}
					}
					c := f.open(cfg)
					s.enter(t, f, c)
					c.setServers("a:1", "b:2")
					if s.otherServes {
						f.serve(func(p *peer) {
							if p.addr == "b:2" {
								p.serve(session, at, nil)
							}
						})
					}
					synctest.Wait()

					pending := c.get() // a call that begins, or waits for a session
					synctest.Wait()
					start := time.Now()
					var wg sync.WaitGroup
					for range closers {
						// Ends with Close.
						wg.Go(func() {
							if err := c.Close(); err != nil {
								t.Error(err)
							}
							if d := time.Since(start); d > s.limit {
								t.Errorf("Close took %v, want %v at most", d, s.limit)
							}
						})
					}
					wg.Wait()
					if err := <-pending; err != ErrClosed {
						t.Errorf("a call under way: %v", err)
					}
					if s.session != 0 && !f.ended(s.session) {
						t.Error("the session lives on")
					}
					f.checkHungUp()
					start = time.Now()
					if err := c.Close(); err != nil || time.Since(start) > 0 {
						t.Errorf("a later Close: %v after %v", err, time.Since(start))
					}
				})
			})
		}
	}
}

func TestCloseDuringADial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dialing := make(chan bool, 1)
		c := open(t, Config{Servers: []string{"a:1"}, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialing <- true
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		<-dialing
		start := time.Now()
		if err := c.Close(); err != nil || time.Since(start) > time.Second {
			t.Errorf("Close: %v after %v", err, time.Since(start))
		}
	})
}

func TestWhatADialBringsAfterCloseIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dialing := make(chan bool, 1)
		f := newFake(t)
		c := open(t, Config{Servers: []string{"a:1"}, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialing <- true
			<-ctx.Done()
			return f.dial(ctx, network, addr) // it was just being accepted
		}})
		<-dialing
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		f.peer()
		f.checkHungUp()
	})
}

func TestCloseReportsADialerThatDoesNotReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release, dialing := make(chan bool), make(chan bool, 1)
		stuck := false
		f := newFake(t)
		c := f.open(Config{Servers: []string{"a:1"}, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr == "b:2" || !stuck {
				return f.dial(ctx, network, addr)
			}
			dialing <- true
			<-release
			return nil, errRefused
		}})
		p := up(t, f, c)
		stuck = true
		p.Close()
		c.expect(Down)
		<-dialing
		c.setServers("b:2")
		f.serve(func(p *peer) { p.serve(session, at, nil) })
		start := time.Now()
		if err := c.Close(); err == nil || time.Since(start) > 3*time.Second {
			t.Errorf("Close: %v after %v", err, time.Since(start))
		}
		if !f.ended(session) {
			t.Error("the session lives on")
		}
		close(release)
		if err := c.Close(); err != nil {
			t.Errorf("Close after its return: %v", err)
		}
	})
}

// The handshake is over on the server when Close begins, and its answer is on the way.
func TestASessionThatBeginsDuringCloseIsEnded(t *testing.T) {
	for _, wait := range []time.Duration{0, closeGrace / 2, closeGrace + farewellGrace/2} {
		t.Run(wait.String(), func(t *testing.T) { testASessionThatBeginsDuringClose(t, wait) })
	}
}

func testASessionThatBeginsDuringClose(t *testing.T, wait time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		var c *client
		release := make(chan bool)
		c = open(t, Config{Servers: []string{"a:1"}, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := f.dial(ctx, network, addr)
			return &heldConn{Conn: conn, release: release}, err
		}})
		p := f.peer()
		p.accept(session, at)
		synctest.Wait() // the answer has been read, and is about to be looked at
		f.serve(func(p *peer) { p.serve(session, at, nil) })
		done := make(chan error)
		go func() { done <- c.Close() }() // waited for below
		time.Sleep(wait)
		close(release)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if !f.ended(session) {
			t.Error("the session lives on")
		}
		f.checkHungUp()
	})
}

// heldConn keeps what it has read until release.
type heldConn struct {
	net.Conn
	release chan bool
}

func (h *heldConn) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	<-h.release
	return n, err
}

func TestAFarewellThatIsCutOffIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := f.open(Config{})
		up(t, f, c).Close()
		c.expect(Down)
		f.peer().hello()
		tries := 0
		f.serve(func(p *peer) {
			// Another connection comes, before or after the answer.
			switch tries++; tries {
			case 1:
				p.Close()
			case 2:
				p.read()
				p.read()
				p.Close()
			case 3:
				p.read()
				p.read()
				p.Write(welcome(session, at))
				p.Close()
			default:
				p.serve(session, at, nil)
			}
		})
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if !f.ended(session) {
			t.Error("the session lives on")
		}
	})
}

func TestAFarewellMakesNoEndlessTries(t *testing.T) {
	for name, test := range map[string]struct {
		fn    func(*peer)
		dials int
	}{
		"closing":  {func(p *peer) { p.Close() }, 5},
		"attached": {func(p *peer) { p.read(); p.read(); p.Write(welcome(session, at)); p.Close() }, 5},
		"garbage":  {func(p *peer) { p.read(); p.read(); p.Write(i32(-1)); p.Close() }, 5},
		"expired":  {func(p *peer) { p.read(); p.read(); p.Write(welcome(0, 0)); p.Close() }, 1},
		"empty":    {func(p *peer) { p.read(); p.read(); p.Write(i32(0)); p.Close() }, 1},
		"silent":   {func(p *peer) { p.drain() }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				c := f.open(Config{})
				up(t, f, c).Close()
				c.expect(Down)
				f.peer().hello()
				dials := f.dialCount()
				f.serve(test.fn)
				start := time.Now()
				if err := c.Close(); err != nil || time.Since(start) > 2*time.Second {
					t.Errorf("Close: %v after %v", err, time.Since(start))
				}
				if n := f.dialCount() - dials; n != test.dials {
					t.Errorf("%d dials, want %d", n, test.dials)
				}
				f.checkHungUp()
			})
		})
	}
}
