package registration

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/calls"
	"github.com/zkstream/zkstream/internal/zkconn"
	"github.com/zkstream/zkstream/zktest"
)

func TestStanding(t *testing.T) {
	for _, c := range []struct {
		name           string
		exists         bool
		owner, session int64
		mine           []int64
		want           standing
	}{
		{"no node", false, 0, 1, []int64{1}, absent},
		{"created in this session", true, 1, 1, []int64{1}, ours},
		{"of this session, which created none", true, 1, 1, nil, foreign},
		{"created in the session before", true, 1, 2, []int64{1, 2}, predecessor},
		{"of another session", true, 3, 2, []int64{1, 2}, foreign},
		{"not ephemeral", true, 0, 2, []int64{0, 1, 2}, foreign},
		{"before the first session", true, 3, 0, nil, foreign},
	} {
		if got := standingOf(c.exists, c.owner, c.session, c.mine); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// inBubble runs a test on a server with a registrar, whose client passes no change of the session on, and a node to register.
func inBubble(t *testing.T, test func(t *testing.T, server *zktest.Server, g *Registrar, n Node)) {
	synctest.Test(t, func(t *testing.T) {
		server := zktest.Start(t)
		log := slog.New(slog.DiscardHandler)
		conn, err := zkconn.Open(zkconn.Config{Servers: []string{"zktest:2181"}, Timeout: 10 * time.Second, Dial: server.Dial, Logger: log, MaxCalls: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		g := New(Config{
			Conn:    conn,
			Calls:   calls.New(conn, ctx, zk.WorldACL(zk.PermAll)),
			Closing: ctx,
			Watch:   func(context.Context, string) Stream { return silent{} },
		})
		test(t, server, g, Node{Path: "/svc/n", ACL: zk.WorldACL(zk.PermRead), Log: log, Changed: func(Status) {}})
	})
}

// keeperOf returns the keeper of a registration that does not run.
func keeperOf(t *testing.T, g *Registrar, n Node) *keeper {
	r, err := g.New(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	return &keeper{Registration: r, conn: g.Conn, content: n.Content}
}

// silent is the stream of a node whose events the server hides.
type silent struct{}

func (silent) C() <-chan Presence { return nil }
func (silent) Close()             {}

// The sessions of before are forgotten when the node is there in a later one. No event is needed for that.
func TestARegistrationDoesNotGrowWithItsSessions(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, g *Registrar, n Node) {
		k := keeperOf(t, g, n)
		for i := range 20 {
			for k.standing != ours || k.session != g.Conn.SessionID() {
				k.step()
				time.Sleep(time.Second)
			}
			if len(k.owners) != 1 {
				t.Fatalf("after %d sessions: %v", i+1, k.owners)
			}
			server.ExpireSession(g.Conn.SessionID())
			time.Sleep(5 * time.Second)
		}
	})
}

// A keeper that finds the connection gone does not wait for the next: what else happens meanwhile is not lost.
func TestAStepDoesNotWaitForASession(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, g *Registrar, n Node) {
		k := keeperOf(t, g, n)
		server.Partition(true)
		time.Sleep(time.Second)
		start := time.Now()
		err := k.inSession(func(*zk.Conn) error { return nil })
		if !errors.Is(err, zkconn.ErrDown) || time.Since(start) > sessionWait {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// However many callers give up in an outage, they leave one update, and the newest values are those that count.
func TestUpdatesThatAreGivenUpLeaveOne(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, g *Registrar, n Node) {
		r, err := g.New(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		go r.Run()
		defer func() {
			r.Withdraw(zkconn.ErrClosed)
			<-r.Done()
		}()
		time.Sleep(time.Second)
		g.SessionChanged(false)
		if err := r.Await(t.Context()); err != nil {
			t.Fatal(err)
		}
		server.Partition(true)
		time.Sleep(time.Second)
		for i := range 100 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err := r.Update(ctx, map[string]any{"load": i, fmt.Sprint("k", i%3): i})
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
		}
		r.mu.Lock()
		waiting := len(r.updates)
		r.mu.Unlock()
		if waiting != 1 {
			t.Errorf("%d updates wait", waiting)
		}
		server.Partition(false)
		time.Sleep(time.Minute)
		if err := r.Update(t.Context(), map[string]any{"last": true}); err != nil {
			t.Fatal(err)
		}
		data, _, err := server.Get("/svc/n")
		if got := string(data); err != nil || got != `{"k0": 99, "k1": 97, "k2": 98, "load": 99, "last": true}` {
			t.Errorf("content %s, %v", got, err)
		}
	})
}
