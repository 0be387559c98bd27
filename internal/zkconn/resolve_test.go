package zkconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zkstream/zkstream/internal/nameserver"
	"go.uber.org/goleak"
)

// named returns the configuration of a client that resolves zk.test by ns, and reaches its addresses on f.
func (f *fake) named(ns *nameserver.Server) Config {
	return Config{Servers: []string{"zk.test:2181"}, Resolver: ns.Resolver(), Dial: f.dial}
}

var threeAddrs = []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}

func TestANameIsResolvedApartFromDialling(t *testing.T) {
	for _, timeout := range []time.Duration{time.Second, 10 * time.Second} { // of the session
		t.Run(timeout.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ns nameserver.Server
				ns.Set("zk.test", "10.0.0.1")
				ns.SetMode(nameserver.FirstDead)
				f := newFake(t)
				cfg := f.named(&ns)
				cfg.Timeout = timeout
				cfg.Servers = append(cfg.Servers, "zk2.test:2181", "zk3.test:2181")
				c := f.open(cfg)
				start := time.Now()
				p := f.peer()
				p.accept(session, timeout)
				if s := c.expect(Up).Session; s.Server != "zk.test:2181" || p.addr != "10.0.0.1:2181" {
					t.Errorf("%+v at %s", s, p.addr)
				}
				if d := time.Since(start); d >= 10*time.Second {
					t.Errorf("connected after %v", d)
				}
				c.works(p)
			})
		})
	}
}

func TestClientsUseAllAddressesOfAName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ns nameserver.Server
		ns.Set("zk.test", threeAddrs...)
		f := newFake(t)
		used := map[string]int{}
		for range 60 {
			f.open(f.named(&ns))
			used[f.peer().addr]++
		}
		for _, addr := range threeAddrs {
			if n := used[addr+":2181"]; n < 5 { // a chance in a million
				t.Errorf("%d of 60 clients are at %s: %v", n, addr, used)
			}
		}
	})
}

func TestAnAddressThatFailsDoesNotHideTheOthers(t *testing.T) {
	hang := func(ctx context.Context) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	for name, dead := range map[string]struct {
		dial  func(ctx context.Context) (net.Conn, error)
		serve func(*peer)
	}{
		"refuses":                  {dial: func(context.Context) (net.Conn, error) { return nil, errRefused }},
		"drops packets":            {dial: hang},
		"accepts and closes":       {serve: func(p *peer) { p.Close() }},
		"closes the handshake":     {serve: func(p *peer) { p.read(); p.Close() }},
		"hangs in the handshake":   {serve: func(p *peer) { p.drain() }},
		"is not a ZooKeeper":       {serve: func(p *peer) { p.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")); p.Close() }},
		"refuses what was allowed": {serve: func(p *peer) { p.read(); p.Write(welcome(0, 0)); p.Close() }},
	} {
		for _, timeout := range []time.Duration{3 * time.Second, 10 * time.Second} {
			t.Run(fmt.Sprintf("%s, %v", name, timeout), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var ns nameserver.Server
					ns.Set("zk.test", threeAddrs...)
					f := newFake(t)
					cfg := f.named(&ns)
					cfg.Timeout = timeout
					good := "10.0.0.3:2181"
					cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
						if addr != good && dead.dial != nil {
							return dead.dial(ctx)
						}
						return f.dial(ctx, network, addr)
					}
					f.serve(func(p *peer) {
						if p.addr == good {
							p.serve(session, timeout, nil)
						} else {
							dead.serve(p)
						}
					})
					for range 5 { // the order is random
						c := f.open(cfg)
						start := time.Now()
						c.expect(Up)
						if d := time.Since(start); d > timeout {
							t.Errorf("connected after %v", d)
						}
						c.Close()
					}
				})
			})
		}
	}
}

func TestARoundTriesEachAddressOfEachServerOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ns nameserver.Server
		ns.Set("zk.test", threeAddrs...)
		ns.Set("zk2.test", "10.0.0.4", "fd00::5")
		f := newFake(t)
		f.serve(func(p *peer) { p.Close() })
		cfg := f.named(&ns)
		cfg.Servers = append(cfg.Servers, "zk2.test:2182", "10.0.0.6:2183", "[fd00::7]:2184")
		f.open(cfg)
		time.Sleep(5 * time.Second)
		f.mu.Lock()
		defer f.mu.Unlock()
		want := []string{"10.0.0.1:2181", "10.0.0.2:2181", "10.0.0.3:2181", "10.0.0.4:2182", "10.0.0.6:2183", "[fd00::5]:2182", "[fd00::7]:2184"}
		orders := map[string]bool{}
		for round := range slices.Chunk(f.dials[:len(f.dials)/len(want)*len(want)], len(want)) {
			orders[strings.Join(round, " ")] = true
			slices.Sort(round)
			if !slices.Equal(round, want) {
				t.Errorf("a round is %v", round)
			}
		}
		if len(orders) < 3 {
			t.Errorf("the orders of the rounds are %v", orders)
		}
	})
}

func TestARememberedAddressServesWhileTheResolverFails(t *testing.T) {
	for name, out := range map[string]func(*nameserver.Server){
		"SERVFAIL":     func(ns *nameserver.Server) { ns.SetMode(nameserver.Fail) },
		"silence":      func(ns *nameserver.Server) { ns.SetMode(nameserver.Silent) },
		"no such name": func(ns *nameserver.Server) { ns.Set("zk.test") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ns nameserver.Server
				ns.Set("zk.test", "10.0.0.1")
				f := newFake(t)
				cfg := f.named(&ns)
				cfg.Timeout = 4 * time.Second
				c := f.open(cfg)
				p := f.peer()
				p.accept(session, 4*time.Second)
				c.expect(Up)
				out(&ns)
				f.refuse(true, "10.0.0.1:2181")
				time.Sleep(2 * time.Second)
				start := time.Now()
				p.Close()
				c.expect(Down)
				time.Sleep(600 * time.Millisecond)
				f.refuse(false, "10.0.0.1:2181")
				p = f.peer()
				if h := p.accept(session, 4*time.Second); h.session != session {
					t.Errorf("the client asks for %#x", h.session)
				}
				c.expect(Up)
				if d := time.Since(start); d > 3*time.Second {
					t.Errorf("back after %v", d)
				}
				if why := c.Failures(); !strings.HasPrefix(why, "zk.test:2181: lookup zk.test") && name != "silence" {
					t.Errorf("Failures() = %q", why)
				}
				c.works(p)
			})
		})
	}
}

func TestAServerThatHasMovedIsFoundAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ns nameserver.Server
		ns.Set("zk.test", "10.0.0.1")
		f := newFake(t)
		cfg := f.named(&ns)
		cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr == "10.0.0.1:2181" && f.dialCount() > 0 {
				t.Error("the old address is tried")
			}
			return f.dial(ctx, network, addr)
		}
		c := f.open(cfg)
		p := f.peer()
		p.accept(session, 10*time.Second)
		c.expect(Up)
		time.Sleep(2 * time.Second)
		ns.Set("zk.test", "10.0.0.2")
		p.Close()
		c.expect(Down)
		start := time.Now()
		p = f.peer()
		if d := time.Since(start); p.addr != "10.0.0.2:2181" || d != 0 {
			t.Errorf("dialled %s after %v", p.addr, d)
		}
	})
}

func TestFailuresNameTheAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ns nameserver.Server
		ns.Set("zk.test", threeAddrs...)
		f := newFake(t)
		f.refuse(true, "10.0.0.1:2181", "10.0.0.2:2181", "10.0.0.3:2181")
		cfg := f.named(&ns)
		cfg.Servers = append(cfg.Servers, "other.test:2181")
		c := f.open(cfg)
		time.Sleep(time.Second)
		want := "zk.test:2181 (10.0.0.1:2181): connection refused; zk.test:2181 (10.0.0.2:2181): connection refused; " +
			"zk.test:2181 (10.0.0.3:2181): connection refused; other.test:2181: lookup other.test"
		if why := c.Failures(); !strings.HasPrefix(why, want) || !strings.HasSuffix(why, "no such host") {
			t.Errorf("Failures() = %q, want %q and that there is no such host", why, want)
		}
		ns.Set("zk.test", append(threeAddrs, "10.0.0.4", "10.0.0.5", "10.0.0.6")...)
		f.refuse(true, "10.0.0.4:2181", "10.0.0.5:2181", "10.0.0.6:2181")
		time.Sleep(10 * time.Second)
		if why := c.Failures(); !strings.Contains(why, "10.0.0.4") || strings.Contains(why, "10.0.0.5") || !strings.Contains(why, "zk.test:2181: and 2 more addresses") {
			t.Errorf("Failures() = %q", why)
		}
	})
}

func TestCloseEndsALookup(t *testing.T) {
	for _, name := range []string{"before the first session", "while the connection is lost"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ns nameserver.Server
				f := newFake(t)
				c := f.open(f.named(&ns))
				if name != "before the first session" {
					ns.Set("zk.test", "10.0.0.1")
					p := f.peer()
					p.accept(session, 10*time.Second)
					c.expect(Up)
					time.Sleep(2 * time.Second)
					ns.SetMode(nameserver.Silent)
					f.serve(func(p *peer) { p.serve(session, 10*time.Second, nil) })
					p.Close()
					c.expect(Down)
				} else {
					ns.SetMode(nameserver.Silent)
					time.Sleep(3 * time.Second)
				}
				if synctest.Wait(); ns.Waiting() == 0 {
					t.Fatal("no lookup is under way")
				}
				start := time.Now()
				// go-zookeeper may wait a second for an answer that its own loop, which has ended, cannot bring.
				if err := c.Close(); err != nil || time.Since(start) > closeGrace {
					t.Errorf("Close: %v after %v", err, time.Since(start))
				}
				if synctest.Wait(); ns.Waiting() > 0 {
					t.Errorf("%d connections to the name server are left", ns.Waiting())
				}
			})
		})
	}
}

func TestALookupThatCannotBeEndedIsReportedByClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan bool)
		resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			<-release // as the C library's resolver does
			return nil, errors.New("given up")
		}}
		f := newFake(t)
		c := f.open(Config{Servers: []string{"zk.test:2181"}, Resolver: resolver})
		synctest.Wait()
		start := time.Now()
		if err := c.Close(); err == nil || time.Since(start) != CloseLimit {
			t.Errorf("Close: %v after %v", err, time.Since(start))
		}
		close(release)
		if err := c.Close(); err != nil {
			t.Errorf("Close after its end: %v", err)
		}
	})
}

func TestAFarewellUsesRememberedAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ns nameserver.Server
		ns.Set("zk.test", "10.0.0.1", "10.0.0.2")
		f := newFake(t)
		c := f.open(f.named(&ns))
		p := f.peer()
		p.accept(session, 10*time.Second)
		c.expect(Up)
		ns.SetMode(nameserver.Fail)
		f.serve(func(other *peer) {
			if other.addr != p.addr {
				other.serve(session, 10*time.Second, nil)
			}
		})
		p.drain() // it hangs
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if !f.ended(session) {
			t.Error("the session lives on")
		}
	})
}

func TestADialerThatReturnsNothingIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := f.open(Config{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, nil }})
		time.Sleep(time.Second)
		if why := c.Failures(); why != "server:2181: the dialer returned neither a connection nor an error" {
			t.Errorf("Failures() = %q", why)
		}
	})
}

// With a socket, and a name server that gets the question and says nothing: package net would leave goroutines
// and the socket for seconds.
func TestCloseLeavesNothingOfALookupOnTheNetwork(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	before := goleak.IgnoreCurrent()
	c := open(t, Config{Servers: []string{"zk.test:2181"}, Resolver: &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "udp", silent.LocalAddr().String())
		},
	}})
	if _, _, err := silent.ReadFrom(make([]byte, 512)); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := c.Close(); err != nil {
		t.Errorf("Close: %v after %v", err, time.Since(start))
	}
	// goleak waits for less than a second, which a busy machine may take to end a goroutine. Package net takes five.
	left := goleak.Find(before)
	for left != nil && time.Since(start) < 4*time.Second {
		left = goleak.Find(before)
	}
	if left != nil {
		t.Error(left)
	}
}
