package zktest

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zkstream/zkstream/internal/ensemble"
)

func TestContainerGoesWithItsLastChild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Start(t, WithSweepInterval(time.Minute))
		began := time.Now()
		c := rawSession(t, s, 40*time.Second)
		c.ok(t, request{op: OpCreateContainer, path: "/unused", acl: openACL, flags: 4})
		c.ok(t, request{op: OpCreateContainer, path: "/used", acl: openACL, flags: 4})
		c.ok(t, request{op: OpCreateContainer, path: "/busy", acl: openACL, flags: 4})
		for _, path := range []string{"/used/a", "/used/b", "/busy/a", "/busy/b"} {
			c.ok(t, createRequest(path, 0))
		}
		c.ok(t, request{op: OpCloseSession})
		for _, path := range []string{"/used/a", "/used/b", "/busy/a"} {
			if err := s.Delete(path); err != nil {
				t.Fatal(err)
			}
		}
		zxid := s.Stats().Zxid
		time.Sleep(time.Minute - time.Since(began) - time.Millisecond)
		synctest.Wait()
		if _, _, err := s.Get("/used"); err != nil {
			t.Fatalf("before the sweep: %v", err)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		names, _ := s.Children("/")
		if want := []string{"busy", "unused", "zookeeper"}; !slices.Equal(names, want) {
			t.Fatalf("after the sweep: %v, want %v", names, want)
		}
		if got := s.Stats().Zxid; got != zxid+1 {
			t.Fatalf("zxid %d, was %d", got, zxid)
		}
		if err := s.Delete("/busy/b"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if _, _, err := s.Get("/busy"); !errors.Is(err, ErrNoNode) {
			t.Fatalf("after the second sweep: %v", err)
		}
	})
}

func TestTTLNodeGoesWhenItHasNotBeenChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Start(t, WithSweepInterval(time.Second), WithExtendedTypes())
		c := rawSession(t, s, 40*time.Second)
		ttl := func(path string) request {
			return request{op: OpCreateTTL, path: path, acl: openACL, flags: 5, ttl: 10_000}
		}
		for _, path := range []string{"/left", "/changed", "/parent"} {
			c.ok(t, ttl(path))
		}
		c.ok(t, createRequest("/parent/child", 0))
		c.ok(t, request{op: OpCloseSession})
		time.Sleep(6 * time.Second)
		if err := s.Set("/changed", nil); err != nil {
			t.Fatal(err)
		}
		check := func(after string, want ...string) {
			t.Helper()
			synctest.Wait()
			names, _ := s.Children("/")
			if !slices.Equal(names, append(want, "zookeeper")) {
				t.Fatalf("%s: %v, want %v", after, names, want)
			}
		}
		time.Sleep(4 * time.Second)
		check("10 s, not more", "changed", "left", "parent")
		time.Sleep(time.Second)
		check("11 s", "changed", "parent")
		time.Sleep(6 * time.Second)
		check("17 s", "parent")
		if err := s.Delete("/parent/child"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		check("18 s, without its child")
	})
}

func TestServerWithNothingToSweepLetsABubbleRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Start(t)
		c := rawSession(t, s, 4*time.Second)
		c.ok(t, request{op: OpCreateContainer, path: "/unused", acl: openACL, flags: 4})
		c.ok(t, request{op: OpCloseSession})
		began := time.Now()
		synctest.Wait()
		s.mu.Lock()
		next := s.e.nextDueLocked(time.Now())
		s.mu.Unlock()
		if !next.IsZero() {
			t.Fatalf("something is due in %v", next.Sub(began))
		}
	})
}

// What happens by itself, by expiry and by sweeps, has to look the same from outside: the same events, and
// one transaction for each dead session, container and TTL node.
func TestExpiryAndSweepsLookAsOnZooKeeper(t *testing.T) {
	t.Parallel() // it waits for most of its time
	version := realVersion(t)
	const interval = 200 * time.Millisecond
	e := ensemble.Start(t, 1, ensemble.Options{
		TickTime: time.Second,
		Java:     []string{fmt.Sprintf("-Dznode.container.checkIntervalMs=%d", interval.Milliseconds())},
	})
	s := Start(t, WithTickTime(time.Second), WithSweepInterval(interval), WithVersion(version), WithExtendedTypes())
	addr := e.Servers()[0].Addr()
	var logs []string
	for _, dial := range []func() (net.Conn, error){
		func() (net.Conn, error) { return net.Dial("tcp", addr) },
		func() (net.Conn, error) { return s.Dial(t.Context(), "tcp", "") },
	} {
		logs = append(logs, expiryLog(t, dial))
	}
	if logs[0] != logs[1] {
		t.Fatalf("real server:\n%s\nzktest:\n%s", logs[0], logs[1])
	}
}

// expiryLog has a session die, a container get empty and a TTL node get old, and writes down what a
// watching client sees of it.
func expiryLog(t *testing.T, dial func() (net.Conn, error)) string {
	w := &world{root: "/w", sessions: map[int64]int{}, dial: dial}
	open := func(timeout time.Duration) *peer {
		nc, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		p := &peer{rawClient: rawClient{nc: nc}}
		if _, err := p.handshake(timeout, false); err != nil {
			t.Fatal(err)
		}
		return p
	}
	watcher, actor, mortal := open(20*time.Second), open(20*time.Second), open(4*time.Second)
	watcher.ok(t, createRequest("/w", 0))
	watcher.ok(t, request{op: OpAddWatch, path: "/w", mode: 1})
	for i := range 3 {
		mortal.ok(t, createRequest(fmt.Sprintf("/w/e%d", i), 1))
	}
	actor.ok(t, request{op: OpCreateTTL, path: "/w/ttl", acl: openACL, flags: 5, ttl: 500})
	actor.ok(t, request{op: OpCreateContainer, path: "/w/container", acl: openACL, flags: 4})
	actor.ok(t, createRequest("/w/container/child", 0))
	actor.ok(t, request{op: OpDelete, path: "/w/container/child", version: -1})

	var lines []string
	for deadline := time.Now().Add(patience); len(lines) < 2*6; { // six nodes come and go
		frames, err := watcher.call(OpPing, nil) // keeps the session alive
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("%v; events so far: %q", err, lines)
		}
		for _, frame := range frames[:len(frames)-1] {
			lines = append(lines, w.describe(watcher, request{op: OpPing}, frame))
		}
		actor.ok(t, request{op: OpPing})
		time.Sleep(5 * time.Millisecond)
	}
	slices.Sort(lines) // which of them came first is a matter of clocks
	frames, err := watcher.call(OpExists, (&request{op: OpExists, path: "/w"}).body())
	if err != nil {
		t.Fatal(err)
	}
	d := &decoder{buf: frames[len(frames)-1]}
	d.int32()
	zxid := d.int64()
	d.int32()
	stat := readStat(d)
	return fmt.Sprintf("%s\nzxid %d, cversion %d, %d children", strings.Join(lines, "\n"), zxid, stat.Cversion, stat.NumChildren)
}
