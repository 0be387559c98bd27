package zkconn

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/ensemble"
)

// What a real server makes of it.

func TestExpireIsAnExpiry(t *testing.T) {
	server := zooKeeper.Server(t)
	c := open(t, Config{Servers: []string{server.Addr()}, Timeout: 4 * time.Second})
	s := c.expect(Up).Session
	for range 5 {
		before := s
		c.Expire()
		for s.ID == before.ID { // it may have taken the session over for a moment
			c.expect(Down)
			ev := c.next()
			if ev.Kind == Expired {
				ev = c.expect(Up)
				if ev.Session.Generation != before.Generation+1 {
					t.Errorf("%+v after %+v", ev.Session, before)
				}
			}
			s = ev.Session
		}
	}
}

func TestARealServerRefusesACredential(t *testing.T) {
	server := zooKeeper.Server(t)
	c := open(t, Config{Servers: []string{server.Addr()}, Auth: []Auth{{"digest", []byte("user:password")}, {"no-such-scheme", nil}}})
	if ev := c.expect(AuthFailed); !errors.Is(ev.Err, zk.ErrAuthFailed) || !strings.Contains(ev.Err.Error(), "no-such-scheme") {
		t.Errorf("error %v", ev.Err)
	}
	if c.IsUp() {
		t.Error("there is a session without all credentials")
	}
	c.Close()
	dump, err := server.FourLetter(t.Context(), "dump")
	if err != nil {
		t.Fatal(err)
	}
	// What follows is about connections; the server may keep one that failed to authenticate for a while.
	sessions, _, ok := strings.Cut(dump, "ephemeral nodes dump")
	if !ok || strings.Contains(sessions, hex(c.SessionID())) {
		t.Errorf("session %#x is alive:\n%s", c.SessionID(), dump)
	}
}

func TestARealServerTakesCredentialsOfConfigAndHandle(t *testing.T) {
	server := zooKeeper.Server(t)
	proxy := ensemble.StartProxy(t, server.Addr())
	c := open(t, Config{Servers: []string{proxy.Addr()}, Auth: []Auth{{"digest", []byte("user:password")}}})
	c.expect(Up)
	if err := c.Handle().AddAuth("digest", []byte("other:password")); err != nil {
		t.Fatal(err)
	}
	acl := append(zk.DigestACL(zk.PermAll, "user", "password"), zk.DigestACL(zk.PermAll, "other", "password")...)
	for _, a := range acl {
		path := "/auth-" + a.ID[:4]
		if err := c.Run(t.Context(), func(zc *zk.Conn) error {
			_, err := zc.Create(path, nil, zk.FlagEphemeral, []zk.ACL{a})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		proxy.Drop()
		c.expect(Down, Up)
		if err := c.Run(t.Context(), func(zc *zk.Conn) error {
			_, _, err := zc.Get(path)
			return err
		}); err != nil {
			t.Errorf("after a reconnect, %s: %v", path, err)
		}
	}
}

func TestARealServerThatLostItsDataGetsANewSession(t *testing.T) {
	e := ensemble.Start(t, 1)
	server := e.Servers()[0]
	c := open(t, Config{Servers: []string{server.Addr()}, Timeout: 4 * time.Second})
	before := c.expect(Up).Session
	create := func() error {
		return c.Run(t.Context(), func(zc *zk.Conn) error {
			_, err := zc.Create("/node", nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll))
			return err
		})
	}
	if err := create(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(server.Kill(), server.Wipe(), server.StartProcess()); err != nil {
		t.Fatal(err)
	}
	c.expect(Down, Expired)
	if s := c.expect(Up).Session; s.ID == before.ID || s.Generation <= before.Generation {
		t.Errorf("%+v after %+v", s, before)
	}
	if err := create(); err != nil {
		t.Error(err)
	}
}

func TestCloseEndsTheSessionOnARealServer(t *testing.T) {
	server := zooKeeper.Server(t)
	admin, events, err := zk.Connect([]string{server.Addr()}, 10*time.Second, zk.WithLogger(discard{}))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		admin.Close()
		for range events {
		}
	}()
	for name, fault := range map[string]func(*ensemble.Proxy){
		"connected":         func(p *ensemble.Proxy) {},
		"cut":               func(p *ensemble.Proxy) { p.Cut() },
		"hung":              func(p *ensemble.Proxy) { p.Hang() },
		"held":              func(p *ensemble.Proxy) { p.Hold() },
		"handshakes closed": func(p *ensemble.Proxy) { p.CloseHandshakes(true); p.Drop() },
	} {
		t.Run(name, func(t *testing.T) {
			proxies := map[string]*ensemble.Proxy{}
			var servers []string
			for range 2 {
				p := ensemble.StartProxy(t, server.Addr())
				proxies[p.Addr()] = p
				servers = append(servers, p.Addr())
			}
			c := open(t, Config{Servers: servers})
			s := c.expect(Up).Session
			if err := c.Run(t.Context(), func(zc *zk.Conn) error {
				_, err := zc.Create("/ephemeral", nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll))
				return err
			}); err != nil {
				t.Fatal(err)
			}
			fault(proxies[s.Server])
			start := time.Now()
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if d := time.Since(start); d > CloseLimit+time.Second {
				t.Errorf("Close took %v", d)
			}
			if exists, _, err := admin.Exists("/ephemeral"); exists || err != nil {
				t.Errorf("the session's node: exists %t, %v", exists, err)
			}
			for _, p := range proxies {
				p.Heal()
			}
		})
	}
}

// Servers of 3.7 and later may take no request of a client that has not authenticated, the end of its session
// included.
func TestARealServerThatEnforcesAuthentication(t *testing.T) {
	var log lockedBuffer
	e := ensemble.Start(t, 1, ensemble.Options{
		Java: []string{"-Dzookeeper.enforce.auth.enabled=true", "-Dzookeeper.enforce.auth.schemes=digest"},
		Log:  &log,
	})
	addr := e.Servers()[0].Addr()
	if version, err := e.Servers()[0].FourLetter(t.Context(), "srvr"); err != nil || strings.Contains(version, "version: 3.6") {
		t.Skipf("this server does not enforce authentication: %s, %v", version, err)
	}
	t.Run("without a credential", func(t *testing.T) {
		c := open(t, Config{Servers: []string{addr}})
		c.expect(Up)
		if err := c.Run(t.Context(), func(zc *zk.Conn) error {
			_, _, err := zc.Exists("/")
			return err
		}); !errors.Is(err, zk.ErrAuthFailed) {
			t.Errorf("a request: %v", err)
		}
		if ev := c.expect(AuthFailed); !errors.Is(ev.Err, zk.ErrAuthFailed) {
			t.Errorf("error %v", ev.Err)
		}
		c.expect(Down)
	})
	t.Run("with one", func(t *testing.T) {
		auth := []Auth{{"digest", []byte("user:password")}}
		admin := open(t, Config{Servers: []string{addr}, Auth: auth})
		admin.expect(Up)
		for range 10 {
			proxy := ensemble.StartProxy(t, addr)
			c := open(t, Config{Servers: []string{proxy.Addr(), addr}, Auth: auth})
			if s := c.expect(Up).Session; s.Server != proxy.Addr() {
				c.Close()
				continue
			}
			if err := c.Run(t.Context(), func(zc *zk.Conn) error {
				_, err := zc.Create("/mine", nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll))
				return err
			}); err != nil {
				t.Fatal(err)
			}
			proxy.Hang()
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if err := admin.Run(t.Context(), func(zc *zk.Conn) error {
				found, _, err := zc.Exists("/mine")
				if found {
					t.Error("the session's node is there after Close")
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
	})
	if !strings.Contains(log.String(), "authent") {
		t.Errorf("the server has not logged that it refused a request: %s", log.String())
	}
	if strings.Contains(log.String(), "old client") {
		t.Errorf("the server takes this for an old client: %s", log.String())
	}
}

type discard struct{}

func (discard) Printf(string, ...any) {}
