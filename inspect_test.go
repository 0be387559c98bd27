package zkstream_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
)

// checkInfos checks what Watches says, once nothing moves. The zxids are not compared.
func checkInfos(t *testing.T, c *zkstream.Client, when string, want ...zkstream.WatchInfo) {
	t.Helper()
	synctest.Wait()
	got := c.Watches()
	for i := range got {
		got[i].Zxid = 0
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n  got  %+v\n  want %+v", when, got, want)
	}
}

func TestWatchesListWhatOpenStreamsFollow(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		server.Create("/a", []byte("x"))
		server.Create("/a/b", nil)
		checkInfos(t, c, "at first")
		data, properties, children := c.Data(t.Context(), "/a"), c.Properties(t.Context(), "/a"), c.Children(t.Context(), "/a")
		tree, instances := c.Tree(t.Context(), "/a"), c.Instances(t.Context(), "/a")
		for _, receive := range []func(){func() { next(t, data) }, func() { properties.Next(t.Context()) }, func() { next(t, children) },
			func() { next(t, tree) }, func() { next(t, instances) }} {
			receive()
		}
		checkInfos(t, c, "opened",
			zkstream.WatchInfo{Path: "/a", Kind: "children", State: "current", Nodes: 1, Streams: 1},
			zkstream.WatchInfo{Path: "/a", Kind: "data", State: "current", Nodes: 1, Streams: 2},
			zkstream.WatchInfo{Path: "/a", Kind: "instances", State: "current", Nodes: 2, Streams: 1},
			zkstream.WatchInfo{Path: "/a", Kind: "tree", State: "current", Nodes: 2, Streams: 1})
		latest, _ := data.Latest()
		if info := c.Watches()[1]; info.Zxid < latest.Stat().Mzxid {
			t.Errorf("as new as zxid %d, and shows %d", info.Zxid, latest.Stat().Mzxid)
		}
		for _, end := range []func(){properties.Close, children.Close, tree.Close, instances.Close} {
			end()
		}
		checkInfos(t, c, "closed but for one", zkstream.WatchInfo{Path: "/a", Kind: "data", State: "current", Nodes: 1, Streams: 1})
		c.Close()
		checkInfos(t, c, "at the end")
	})
}

func TestWatchesTellHowFarASlowConsumerIsBehind(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		slow, quick := c.Data(t.Context(), "/a"), c.Data(t.Context(), "/a")
		next(t, slow)
		next(t, quick)
		server.Create("/a", nil)
		next(t, quick)
		time.Sleep(7 * time.Second)
		for i := range 4 {
			server.Set("/a", fmt.Append(nil, i))
			next(t, quick)
		}
		want := zkstream.WatchInfo{Path: "/a", Kind: "data", State: "current", Nodes: 1, Streams: 2, Behind: 1, Lag: 5, Waiting: 7 * time.Second}
		checkInfos(t, c, "one is slow", want)
		next(t, slow)
		want.Behind, want.Lag, want.Waiting = 0, 0, 0
		checkInfos(t, c, "it has caught up", want)
		server.Set("/a", nil)
		want.Behind, want.Lag = 2, 1
		checkInfos(t, c, "both are to receive one", want)
	})
}

func TestWatchesOfManyNodesAreAsTheOneThatIsWorstOff(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		server.Create("/a", nil)
		server.Create("/a/b", nil)
		server.Create("/a/secret", nil)
		tree := c.Tree(t.Context(), "/a")
		next(t, tree)
		current := zkstream.WatchInfo{Path: "/a", Kind: "tree", State: "current", Nodes: 3, Streams: 1}
		checkInfos(t, c, "all can be read", current)

		var mu sync.Mutex
		refuse := true
		server.Intercept(func(r zktest.Request) zktest.Fault {
			mu.Lock()
			defer mu.Unlock()
			if refuse && r.Path == "/a/b" {
				return zktest.Fault{Code: zktest.ErrSystem}
			}
			return zktest.Fault{}
		})
		server.Set("/a/b", []byte("new"))
		failing := current
		failing.State = "failing"
		checkInfos(t, c, "one fails", failing)
		mu.Lock()
		refuse = false
		mu.Unlock()
		time.Sleep(time.Minute)
		next(t, tree)
		checkInfos(t, c, "it is read after all", current)

		if err := server.SetACL("/a/secret", zktest.ACL{Perms: 16, Scheme: "world", ID: "anyone"}); err != nil {
			t.Fatal(err)
		}
		server.Set("/a/secret", []byte("new"))
		time.Sleep(time.Minute)
		next(t, tree)
		checkInfos(t, c, "one may not be read", failing)

		server.Stop(true)
		synctest.Wait()
		other := c.Tree(t.Context(), "/c")
		checkInfos(t, c, "without a server", failing, zkstream.WatchInfo{Path: "/c", Kind: "tree", State: "stale", Nodes: 1, Streams: 1})
		other.Close()
	})
}

func TestRegistrationsAreListedUntilTheyHaveEnded(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		check := func(when string, want ...string) {
			t.Helper()
			synctest.Wait()
			var got []string
			for _, r := range c.Registrations() {
				if (r.Status == zkstream.Conflict) != (r.Err != nil) {
					t.Errorf("%s: %v with error %v", when, r.Status, r.Err)
				}
				got = append(got, fmt.Sprintf("%s %s %v", r.Path, r.Addr, r.Status))
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", when, got, want)
			}
		}
		server.Create("/s", nil)
		server.Create("/s/taken:80", nil)
		check("at first")
		r, err := c.Register(t.Context(), "/s", "mine:80", nil)
		if err != nil {
			t.Fatal(err)
		}
		waits := begun(func() error { _, err := c.Register(t.Context(), "/s", "taken:80", nil); return err })
		check("one is in conflict", "/s/mine:80 mine:80 registered", "/s/taken:80 taken:80 conflict")
		r.Close()
		check("one has ended", "/s/taken:80 taken:80 conflict")
		c.Close()
		if err := <-waits; !errors.Is(err, zkstream.ErrClosed) {
			t.Error(err)
		}
		check("at the end")
	})
}

func TestTheZeroClientHasNothingToInspect(t *testing.T) {
	if c := new(zkstream.Client); c.Watches() != nil || c.Registrations() != nil {
		t.Error(c.Watches(), c.Registrations())
	}
}

func TestSeveralTracesAreCalledInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := zktest.Start(t)
		var n traced
		trace := func(name string) zkstream.Option {
			return zkstream.WithTrace(&zkstream.Trace{
				Connect: func(zkstream.ConnectTrace) { n.note("%s connect", name) },
				Session: func(s zkstream.Session) { n.note("%s %v", name, s.State) },
				Call:    func(_ context.Context, c zkstream.CallTrace) { n.note("%s %s", name, c.Op) },
				Resync:  func(zkstream.ResyncTrace) { n.note("%s resync", name) },
			})
		}
		c := dialled(t, server, trace("first"), zkstream.WithTrace(nil), zkstream.WithTrace(&zkstream.Trace{Session: func(s zkstream.Session) { n.note("second %v", s.State) }}), trace("third"))
		n.expect(t, "at first", "first connect", "third connect", "first connected", "second connected", "third connected")
		c.Sync(t.Context(), "/")
		n.expect(t, "a call", "first sync", "third sync")
		next(t, c.Data(t.Context(), "/a"))
		synctest.Wait()
		server.Disconnect()
		time.Sleep(time.Second)
		synctest.Wait()
		n.mu.Lock()
		if !slices.Contains(n.all, "first resync") || !slices.Contains(n.all, "third resync") {
			t.Errorf("%q", n.all)
		}
		n.all = nil
		n.mu.Unlock()
		c.Close()
		n.expect(t, "the end", "first closed", "second closed", "third closed")
	})
}
