package zkconn

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
)

func TestCredentialsAreSentFirstOnEachConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := f.open(Config{Auth: []Auth{{"digest", []byte("user:password")}, {"ip", nil}}})
		auth := func(p *peer) {
			t.Helper()
			for _, want := range [][]byte{
				bytes.Join([][]byte{i32(0), str("digest"), str("user:password")}, nil),
				bytes.Join([][]byte{i32(0), str("ip"), str("")}, nil),
			} {
				r := p.expect(opAuth)
				if r.xid != xidAuth || !bytes.Equal(r.body, want) {
					t.Errorf("credential: xid %d, %q", r.xid, r.body)
				}
				synctest.Wait()
				if c.IsUp() != false {
					t.Error("there is a session before the credentials are in force")
				}
				p.reply(r.xid, 0, 0)
			}
		}
		p := f.peer()
		p.accept(session, 10*time.Second)
		auth(p)
		c.expect(Up)
		c.works(p)
		c.watch(p, "/a", 7)
		p.Close()
		c.expect(Down)
		p = f.peer()
		p.accept(session, 10*time.Second)
		auth(p)
		c.expect(Up)
		p.expect(opSetWatches)
	})
}

func TestARefusedCredentialIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := f.open(Config{Auth: []Auth{{"digest", []byte("user:password")}}})
		for i := range 3 {
			p := f.peer()
			h := p.accept(session, 10*time.Second)
			if i > 0 && h.session != session {
				t.Errorf("try %d asks for session %#x: the one of before is left to itself", i, h.session)
			}
			p.reply(p.expect(opAuth).xid, 0, -115)
			p.Close()
			if i > 0 {
				c.quiet() // no Up, and it has been told
				continue
			}
			ev := c.expect(AuthFailed)
			if !errors.Is(ev.Err, zk.ErrAuthFailed) || strings.Contains(ev.Err.Error(), "password") {
				t.Errorf("error %v", ev.Err)
			}
			if why := c.Failures(); !strings.Contains(why, ev.Err.Error()) {
				t.Errorf("Failures() = %q", why)
			}
		}
		// A session that go-zookeeper never saw has run out meanwhile.
		f.peer().accept(0, 0)
		c.expect(Expired)
		p := f.peer()
		if h := p.accept(session+1, 10*time.Second); h.session != 0 {
			t.Errorf("the client asks for %#x", h.session)
		}
		p.reply(p.expect(opAuth).xid, 0, 0)
		c.expect(Up)
		c.works(p)
	})
}

func TestAnAnswerToACredentialThatIsNoneEndsTheHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := f.open(Config{Auth: []Auth{{"digest", []byte("user:password")}}})
		for _, b := range [][]byte{reply(7, 0, 0), reply(xidAuth, 0, 0, i32(0)), i32(-1), nil} {
			p := f.peer()
			p.accept(session, 10*time.Second)
			p.expect(opAuth)
			p.send(b)
			p.Close()
		}
		p := f.peer()
		if why := c.Failures(); !strings.Contains(why, `credential of scheme "digest"`) {
			t.Errorf("Failures() = %q", why)
		}
		p.accept(session, 10*time.Second)
		p.reply(p.expect(opAuth).xid, 0, 0)
		c.expect(Up)
	})
}

func TestACredentialIsRefusedWhenAllServersHaveRefusedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		var wrong, right []string // addresses of servers
		var mu sync.Mutex         // guards wrong and right
		f.serve(func(p *peer) {
			mu.Lock()
			refuses := !slices.Contains(right, p.addr)
			mu.Unlock()
			if !refuses {
				p.serve(session, 10*time.Second, nil)
				return
			}
			p.read()
			p.Write(welcome(session, 10*time.Second))
			p.read()
			mu.Lock()
			wrong = append(wrong, p.addr)
			mu.Unlock()
			p.Write(reply(xidAuth, 0, -115))
			p.Close()
		})
		cfg := Config{Servers: []string{"a:1", "b:2", "c:3"}, Auth: []Auth{{"digest", []byte("user:password")}}}
		right = []string{"b:2"}
		for range 20 { // the order is random
			c := f.open(cfg)
			c.expect(Up)
			c.Close()
		}
		mu.Lock()
		if len(wrong) == 0 {
			t.Error("no server has refused the credential")
		}
		right, wrong = nil, nil
		mu.Unlock()
		c := f.open(cfg)
		c.expect(AuthFailed)
		mu.Lock()
		defer mu.Unlock()
		if slices.Sort(wrong); !slices.Equal(wrong, cfg.Servers) {
			t.Errorf("refused by %v, when only these had refused: %v", cfg.Servers, wrong)
		}
	})
}

// A server that enforces authentication by a scheme takes the connection and refuses each request, pings
// too. It does not name the scheme.
func TestAServerThatEnforcesAuthenticationRefusesACredential(t *testing.T) {
	for name, request := range map[string]func(*client) error{
		"a request": func(c *client) error {
			err := <-c.get()
			if !errors.Is(err, zk.ErrAuthFailed) || Transient(err) {
				t.Errorf("the call: %v", err)
			}
			return err
		},
		"a ping": func(*client) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				f.serve(func(p *peer) {
					p.read()
					p.Write(welcome(session, 10*time.Second))
					if b, err := p.read(); err == nil {
						p.Write(reply(parsePacket(b).xid, 0, codeAuthRequired))
					}
					p.Close()
				})
				c := f.open(Config{})
				c.expect(Up)
				request(c)
				if ev := c.expect(AuthFailed); !errors.Is(ev.Err, zk.ErrAuthFailed) || !strings.Contains(ev.Err.Error(), "requires authentication") {
					t.Errorf("error %v", ev.Err)
				}
				c.expect(Down)
				if why := c.Failures(); why != "server:2181: "+ErrAuthRequired.Error() {
					t.Errorf("Failures() = %q", why)
				}
			})
		})
	}
}
