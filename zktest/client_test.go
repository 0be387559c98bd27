package zktest

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
)

type quiet struct{}

func (quiet) Printf(string, ...any) {}

// connect gives a go-zookeeper connection with a session, over TCP or in memory.
func connect(t *testing.T, s *Server, timeout time.Duration, memory bool) (*zk.Conn, <-chan zk.Event) {
	t.Helper()
	addr, dial := "127.0.0.1:2181", zk.WithDialer(s.DialTimeout)
	if !memory {
		addr, dial = s.Addr(), func(*zk.Conn) {}
	}
	c, events, err := zk.Connect([]string{addr}, timeout, zk.WithLogger(quiet{}), dial)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		for range events { // closed when the connection's goroutines have ended
		}
	})
	waitFor(t, events, zk.StateHasSession)
	return c, events
}

func waitFor(t *testing.T, events <-chan zk.Event, want zk.State) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case ev, ok := <-events:
			if !ok {
				t.Fatalf("event channel closed while waiting for %v", want)
			}
			if ev.State == want && ev.Type == zk.EventSession {
				return
			}
		case <-deadline:
			t.Fatalf("no %v", want)
		}
	}
}

// eachWay runs a test over TCP and, in a bubble of virtual time, in memory.
func eachWay(t *testing.T, test func(t *testing.T, memory bool)) {
	t.Run("tcp", func(t *testing.T) { test(t, false) })
	t.Run("memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, true) })
	})
}

func TestClientReadsAndWrites(t *testing.T) {
	eachWay(t, func(t *testing.T, memory bool) {
		s := Start(t)
		c, _ := connect(t, s, 10*time.Second, memory)
		acl := zk.WorldACL(zk.PermAll)
		path, err := c.Create("/a", []byte("one"), 0, acl)
		if err != nil || path != "/a" {
			t.Fatalf("create: %q, %v", path, err)
		}
		if _, err := c.Create("/a", nil, 0, acl); !errors.Is(err, zk.ErrNodeExists) {
			t.Fatalf("second create: %v", err)
		}
		data, stat, changed, err := c.GetW("/a")
		if err != nil || string(data) != "one" || stat.Version != 0 || stat.Czxid != stat.Mzxid {
			t.Fatalf("get: %q, %+v, %v", data, stat, err)
		}
		if _, err := c.Set("/a", []byte("two"), 0); err != nil {
			t.Fatal(err)
		}
		if ev := <-changed; ev.Type != zk.EventNodeDataChanged || ev.Path != "/a" {
			t.Fatalf("event: %+v", ev)
		}
		for want := range 3 {
			path, err := c.Create("/a/s-", nil, zk.FlagSequence|zk.FlagEphemeral, acl)
			if err != nil || path != "/a/s-000000000"+string(rune('0'+want)) {
				t.Fatalf("sequence: %q, %v", path, err)
			}
		}
		names, _, err := c.Children("/a")
		if err != nil || len(names) != 3 {
			t.Fatalf("children: %v, %v", names, err)
		}
		if err := c.Delete("/a", -1); !errors.Is(err, zk.ErrNotEmpty) {
			t.Fatalf("delete: %v", err)
		}
		res, err := c.Multi(
			&zk.CreateRequest{Path: "/m", Data: []byte("x"), Acl: acl},
			&zk.CheckVersionRequest{Path: "/a", Version: 7},
			&zk.DeleteRequest{Path: "/m", Version: -1},
		)
		if !errors.Is(err, zk.ErrBadVersion) {
			t.Fatalf("multi: %+v, %v", res, err)
		}
		if exists, _, err := c.Exists("/m"); exists || err != nil {
			t.Fatalf("a failed multi left its node: %v, %v", exists, err)
		}
	})
}

func TestClientGetsSessionBackAfterDisconnect(t *testing.T) {
	eachWay(t, func(t *testing.T, memory bool) {
		s := Start(t)
		c, events := connect(t, s, 10*time.Second, memory)
		id := c.SessionID()
		if _, err := c.Create("/e", nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll)); err != nil {
			t.Fatal(err)
		}
		s.Disconnect()
		waitFor(t, events, zk.StateDisconnected)
		waitFor(t, events, zk.StateHasSession)
		if c.SessionID() != id {
			t.Fatalf("session %x became %x", id, c.SessionID())
		}
		if _, stat, err := s.Get("/e"); err != nil || stat.EphemeralOwner != id {
			t.Fatalf("ephemeral node: %+v, %v", stat, err)
		}
	})
}

func TestClientLearnsOfExpiry(t *testing.T) {
	eachWay(t, func(t *testing.T, memory bool) {
		s := Start(t)
		c, events := connect(t, s, 10*time.Second, memory)
		if _, err := c.Create("/e", nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll)); err != nil {
			t.Fatal(err)
		}
		s.ExpireSession(c.SessionID())
		if _, _, err := s.Get("/e"); !errors.Is(err, ErrNoNode) {
			t.Fatalf("ephemeral node after expiry: %v", err)
		}
		waitFor(t, events, zk.StateExpired)
		waitFor(t, events, zk.StateHasSession)
	})
}

func TestSessionExpiresByItselfDuringPartition(t *testing.T) {
	eachWay(t, func(t *testing.T, memory bool) {
		s := Start(t, WithTickTime(200*time.Millisecond))
		c, events := connect(t, s, 2*time.Second, memory)
		if _, err := c.Create("/e", nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll)); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		s.Partition(true)
		for len(s.Sessions()) > 0 {
			time.Sleep(time.Millisecond)
		}
		if took := time.Since(began); took < 500*time.Millisecond { // it pings at least every 2/3 of its timeout
			t.Fatalf("session of 2 s expired after %v of partition", took)
		}
		if _, _, err := s.Get("/e"); !errors.Is(err, ErrNoNode) {
			t.Fatalf("ephemeral node after expiry: %v", err)
		}
		s.Partition(false)
		waitFor(t, events, zk.StateExpired)
		waitFor(t, events, zk.StateHasSession)
	})
}
