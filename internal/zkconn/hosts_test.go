package zkconn

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/nameserver"
)

func TestOneBadNameHarmsNoOtherServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		noHost := &net.DNSError{Err: "no such host", Name: "bad", IsNotFound: true}
		c := f.open(Config{
			Servers: []string{"bad:2181", "good:2181", "worse"},
			Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
				if addr == "good:2181" { // as it was given: a dialer resolves names
					return f.dial(ctx, network, addr)
				}
				return nil, noHost
			},
		})
		for range 5 {
			p := f.peer()
			p.accept(session, 10*time.Second)
			if s := c.expect(Up).Session; s.Server != "good:2181" {
				t.Errorf("server %q", s.Server)
			}
			c.works(p)
			p.Close()
			c.expect(Down)
		}
	})
}

func TestFailuresTellOfEachServerInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.refuse(true, "a:1")
		c := f.open(Config{Servers: []string{"a:1", "b:2"}, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr == "b:2" {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return f.dial(ctx, network, addr)
		}})
		time.Sleep(minute)
		if got, want := c.Failures(), "a:1: connection refused; b:2: context deadline exceeded"; got != want {
			t.Errorf("Failures() = %q, want %q", got, want)
		}
		f.refuse(false, "a:1")
		f.peer().accept(session, 10*time.Second)
		c.expect(Up)
		if got, want := c.Failures(), "b:2: context deadline exceeded"; got != want {
			t.Errorf("Failures() = %q, want %q", got, want)
		}
	})
	if got, want := bareConn().Failures(), "server:2181: not reached yet"; got != want {
		t.Errorf("Failures() = %q, want %q", got, want)
	}
}

func TestALostConnectionIsReplacedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := f.open(Config{})
		for i := range 5 {
			p := f.peer()
			p.accept(session, 10*time.Second)
			c.expect(Up)
			var done []<-chan error
			for range 15 { // the server takes none of them
				done = append(done, c.get())
			}
			if i > 0 { // else it is lost as soon as it is there
				time.Sleep(3 * time.Second)
			}
			start := time.Now()
			p.Close()
			c.expect(Down)
			p = f.peer()
			p.accept(session, 10*time.Second)
			c.expect(Up)
			most := time.Duration(0)
			if i == 0 { // a server that drops its connections at once gets a pause
				most = ReconnectPauses.First
			}
			if d := time.Since(start); d > most {
				t.Errorf("replaced after %v", d)
			}
			// Those that have not been sent wait for the next connection. go-zookeeper would fail
			// them: with one server it takes each loss for a round of all servers in vain.
			// Ends with the connection, which is closed below.
			go func() {
				for b, err := p.read(); err == nil; b, err = p.read() {
					p.Write(reply(parsePacket(b).xid, 1, 0, str("data"), stat(1)))
				}
			}()
			for _, done := range done {
				if err := <-done; err != nil && !errors.Is(err, zk.ErrConnectionClosed) {
					t.Errorf("a request: %v", err)
				}
			}
			p.Close()
			c.expect(Down)
		}
	})
}

func TestServersThatFailAreTriedWithPauses(t *testing.T) {
	for name, serve := range map[string]func(*peer){
		"refuse":           nil,
		"close":            func(p *peer) { p.Close() },
		"close handshakes": func(p *peer) { p.read(); p.Close() },
		"expire":           func(p *peer) { p.read(); p.Write(welcome(0, 0)); p.Close() },
		"drop sessions":    func(p *peer) { p.read(); p.Write(welcome(session, time.Second)); p.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				servers := []string{"a:1", "b:2", "c:3"}
				f := newFake(t)
				f.refuse(serve == nil, servers...)
				f.serve(serve)
				f.open(Config{Servers: servers})
				time.Sleep(minute)
				f.mu.Lock()
				defer f.mu.Unlock()
				// Pauses of 0.6 to 1.25 s while a session would live, 10 s; then of 2.5 to 5 s.
				if n := len(f.dials) / len(servers); n < 20 || n > 45 {
					t.Errorf("%d rounds in a minute, want 20 to 45", n)
				}
				for _, s := range servers {
					if !slices.Contains(f.dials, s) {
						t.Errorf("%s has not been tried", s)
					}
				}
			})
		})
	}
}

func TestAnOutageShorterThanTheSessionDoesNotCostIt(t *testing.T) {
	for _, timeout := range []time.Duration{2 * time.Second, 4 * time.Second, 10 * time.Second, 40 * time.Second} {
		t.Run(timeout.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				for range 10 { // the pauses are random
					c := f.open(Config{Timeout: timeout})
					p := f.peer()
					p.accept(session, timeout)
					c.expect(Up)
					time.Sleep(lasting)
					f.refuse(true, "server:2181")
					p.Close()
					c.expect(Down)
					lost := time.Now()
					time.Sleep(timeout * 3 / 4)
					f.refuse(false, "server:2181")
					p = f.peer()
					if d := time.Since(lost); d >= timeout {
						t.Errorf("back after %v", d)
					}
					p.accept(session, timeout)
					c.expect(Up)
					p.drain()
					f.serve(func(p *peer) { p.serve(session, timeout, nil) })
					c.Close()
					f.serve(nil)
				}
			})
		})
	}
}

// After an outage of ten seconds, a hundred clients must not come all at once.
func TestClientsComeBackOneByOne(t *testing.T) {
	for _, timeout := range []time.Duration{4 * time.Second, 10 * time.Second, 40 * time.Second} {
		t.Run(timeout.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const clients = 100
				f := newFake(t)
				var mu sync.Mutex // guards dials
				var dials []time.Time
				cfg := Config{Servers: []string{"a:1"}, Timeout: timeout, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
					mu.Lock()
					dials = append(dials, time.Now())
					mu.Unlock()
					return f.dial(ctx, network, addr)
				}}
				f.serve(func(p *peer) { p.serve(session, timeout, nil) })
				var all []*client
				for range clients {
					all = append(all, f.open(cfg))
					time.Sleep(10 * time.Millisecond)
				}
				time.Sleep(5 * time.Second)
				f.refuse(true, "a:1")
				for _, p := range f.peers {
					p.Close()
				}
				time.Sleep(10 * time.Second)
				f.refuse(false, "a:1")
				back := time.Now()
				time.Sleep(6 * time.Second)
				for _, c := range all {
					c.expect(Up)
					c.expect(Down)
					c.expect(Up)
				}
				first, _ := slices.BinarySearchFunc(dials, back, time.Time.Compare)
				dials = dials[first:]
				if len(dials) != clients {
					t.Fatalf("%d dials after the outage", len(dials))
				}
				if d := dials[clients-1].Sub(back); d > 5*time.Second {
					t.Errorf("the last is back after %v", d)
				}
				for i := 20; i < clients; i++ {
					if d := dials[i].Sub(dials[i-20]); d < 50*time.Millisecond {
						t.Errorf("21 clients come within %v", d)
					}
				}
			})
		})
	}
}

func TestTheConnectionOfAnExpiredSessionIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, p := connected(t)
		p.Close()
		c.expect(Down)
		expired := f.peer()
		expired.accept(0, 0) // and leaves the connection open
		c.expect(Expired)
		p = f.peer()
		expired.SetReadDeadline(time.Now().Add(time.Second))
		if b, err := expired.read(); err != io.EOF {
			t.Errorf("the connection of the expired session is still open: read %x, %v", b, err)
		}
		p.accept(session+1, 10*time.Second)
		c.expect(Up)
	})
}

func TestRequestsOfAnExpiredSessionDoNotRunInTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := f.open(Config{})
		p := f.peer()
		p.accept(1, 10*time.Second)
		c.expect(Up)
		results := make(chan error, 40)
		for range cap(results) { // more than go-zookeeper's queue holds
			// Ends with the call, which ends when the session has expired.
			go func() {
				results <- c.Run(t.Context(), func(zc *zk.Conn) error {
					_, err := zc.Create("/node", nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll))
					return err
				})
			}()
		}
		synctest.Wait()
		p.Close()
		c.expect(Down)
		f.peer().accept(0, 0)
		c.expect(Expired)
		p = f.peer()
		for range cap(results) {
			select {
			case err := <-results:
				if !Transient(err) {
					t.Errorf("a call that was under way: %v", err)
				}
			default:
				t.Fatal("a call is still under way while the next session begins")
			}
		}
		p.accept(2, 10*time.Second)
		c.expect(Up)
		c.works(p) // it is the first request
	})
}

func TestTheNextSessionWaitsForTheCallsOfAnExpiredOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := f.open(Config{})
		p := f.peer()
		p.accept(1, 10*time.Second)
		c.expect(Up)
		resume, result := make(chan bool), make(chan error, 1)
		// Ends with the call, whose second request fails when the session has expired.
		go func() {
			result <- c.Run(t.Context(), func(zc *zk.Conn) error {
				if _, _, err := zc.Exists("/node"); err != nil {
					t.Error(err)
				}
				<-resume
				return zc.Delete("/node", -1) // as decided by what was seen in session 1
			})
		}()
		p.reply(p.expect(opExists).xid, 1, 0, stat(1))
		synctest.Wait()
		p.Close()
		c.expect(Down)
		f.peer().accept(0, 0)
		c.expect(Expired)
		time.Sleep(20 * time.Second)
		if n := f.dialCount(); n != 2 {
			t.Fatalf("%d dials while a call of the expired session is under way", n)
		}
		resume <- true
		p = f.peer()
		select {
		case err := <-result:
			if !Transient(err) {
				t.Errorf("the call: %v", err)
			}
		default:
			t.Error("the call is still under way while the next session begins")
		}
		p.accept(2, 10*time.Second)
		c.expect(Up)
		c.works(p) // it is the first request
	})
}

func TestTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"good"}, NotAfter: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	// shake gives the connection with TLS on it.
	shake := func(t *testing.T, p *peer) *tls.Conn {
		conn := tls.Server(p.Conn, config)
		if err := conn.HandshakeContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.Conn = conn
		p.r.Reset(conn)
		return conn
	}

	t.Run("a session", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t)
			var ns nameserver.Server
			ns.Set("good", "10.0.0.1")
			for _, resolver := range []*net.Resolver{nil, ns.Resolver()} { // the certificate is for the name
				c := f.open(Config{Servers: []string{"good:2181"}, TLS: &tls.Config{RootCAs: roots}, Resolver: resolver})
				p := f.peer()
				shake(t, p)
				p.accept(session, 10*time.Second)
				c.expect(Up)
				c.works(p)
			}
		})
	})
	t.Run("a name that is not the certificate's", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t)
			f.serve(func(p *peer) { tls.Server(p.Conn, config).Handshake() })
			c := f.open(Config{Servers: []string{"bad:2181"}, TLS: &tls.Config{RootCAs: roots}})
			time.Sleep(time.Second)
			if why := c.Failures(); !strings.Contains(why, "bad:2181: TLS: ") || !strings.Contains(why, "not bad") {
				t.Errorf("Failures() = %q", why)
			}
		})
	})
	t.Run("a server without", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t)
			c := f.open(Config{Servers: []string{"good:2181"}, Timeout: 2 * time.Second, TLS: &tls.Config{RootCAs: roots}})
			f.peer().drain() // it waits for more
			f.peer()
			if why := c.Failures(); !strings.Contains(why, "good:2181: TLS: context deadline exceeded") {
				t.Errorf("Failures() = %q", why)
			}
		})
	})
	t.Run("closing before a server that reads no more", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t)
			c := f.open(Config{Servers: []string{"good:2181"}, TLS: &tls.Config{RootCAs: roots}})
			p := f.peer()
			shake(t, p)
			p.accept(session, 10*time.Second)
			c.expect(Up)
			c.mu.Lock()
			w := c.wire
			c.mu.Unlock()
			start := time.Now()
			w.Close()
			if d := time.Since(start); d != 0 {
				t.Errorf("closed after %v", d)
			}
		})
	})
}
