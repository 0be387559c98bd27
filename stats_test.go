package zkstream_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
)

// checkWatches checks what Stats says of watches and streams, once nothing moves.
func checkWatches(t *testing.T, c *zkstream.Client, when string, streams int, data, children, presence zkstream.WatchStats) {
	t.Helper()
	synctest.Wait()
	s := c.Stats()
	if s.Streams != streams || s.Data != data || s.Children != children || s.Presence != presence {
		t.Errorf("%s:\n  got  %d streams, %+v, %+v, %+v\n  want %d streams, %+v, %+v, %+v",
			when, s.Streams, s.Data, s.Children, s.Presence, streams, data, children, presence)
	}
}

func TestStatsCountWatchesByKindAndState(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		none := zkstream.WatchStats{}
		checkWatches(t, c, "at first", 0, none, none, none)
		first, second := c.Data(t.Context(), "/a"), c.Properties(t.Context(), "/a")
		children := c.Children(t.Context(), "/a")
		checkWatches(t, c, "opened", 3, zkstream.WatchStats{Current: 1}, zkstream.WatchStats{Current: 1}, none)
		first.Close()
		children.Close()
		checkWatches(t, c, "one left", 1, zkstream.WatchStats{Current: 1}, zkstream.WatchStats{Parked: 1}, none)

		faults(server, zktest.OpGetData, zktest.Fault{Code: zktest.ErrSystem})
		third := c.Data(t.Context(), "/b")
		checkWatches(t, c, "refused for now", 2, zkstream.WatchStats{Current: 1, Failing: 1}, zkstream.WatchStats{Parked: 1}, none)
		time.Sleep(time.Minute)
		checkWatches(t, c, "read after all", 2, zkstream.WatchStats{Current: 2}, zkstream.WatchStats{Parked: 1}, none)

		server.Stop(true)
		synctest.Wait()
		fourth := c.Data(t.Context(), "/c")
		checkWatches(t, c, "without a server", 3, zkstream.WatchStats{Current: 2, Stale: 1}, zkstream.WatchStats{Parked: 1}, none)
		if s := c.Stats(); s.State != zkstream.Suspended {
			t.Errorf("without a server: %v", s.State)
		}
		second.Close()
		third.Close()
		fourth.Close()
		checkWatches(t, c, "closed without a server", 0, zkstream.WatchStats{Parked: 2}, zkstream.WatchStats{Parked: 1}, none)
		c.Close()
		checkWatches(t, c, "at the end", 0, none, none, none)
		if s := c.Stats(); s.State != zkstream.Closed {
			t.Errorf("at the end: %v", s.State)
		}
	})
}

func TestStatsCountNoStreamThatHasEnded(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		faults(server, zktest.OpGetData, zktest.Fault{Code: zktest.ErrNoAuth})
		denied := c.Data(t.Context(), "/a")
		for range denied.C() {
		}
		denied.Close()
		if err := server.Create("/b", nil); err != nil { // children are followed only of what exists
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		c.Data(ctx, "/b")
		c.Tree(ctx, "/b")
		checkWatches(t, c, "one has failed", 2, zkstream.WatchStats{Current: 1}, zkstream.WatchStats{Current: 1}, zkstream.WatchStats{})
		cancel()
		c.Data(ctx, "/c")
		c.Data(t.Context(), "no path")
		checkWatches(t, c, "the others are cancelled", 0, zkstream.WatchStats{Parked: 1}, zkstream.WatchStats{Parked: 1}, zkstream.WatchStats{})
		open := []func(){c.Data(t.Context(), "/d").Close, c.Tree(t.Context(), "/e").Close}
		c.Close()
		checkWatches(t, c, "at the end", 0, zkstream.WatchStats{}, zkstream.WatchStats{}, zkstream.WatchStats{})
		for _, end := range open {
			end()
		}
		checkWatches(t, c, "after it", 0, zkstream.WatchStats{}, zkstream.WatchStats{}, zkstream.WatchStats{})
	})
}

func TestStatsCountSnapshotsAndThoseThatNobodyReceived(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		slow, quick := c.Data(t.Context(), "/a"), c.Data(t.Context(), "/a")
		next(t, quick)
		for i := range 5 {
			if i == 0 {
				server.Create("/a", nil)
			} else {
				server.Set("/a", fmt.Append(nil, i))
			}
			next(t, quick)
		}
		synctest.Wait()
		if s := c.Stats(); s.Snapshots != 12 || s.Skipped != 5 {
			t.Errorf("%d snapshots, %d skipped, want 12 and 5", s.Snapshots, s.Skipped)
		}
		next(t, slow)
	})
}

func TestStatsCountAStreamOfManyNodesOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		server.Create("/a", nil)
		server.Create("/a/b", nil)
		tree, instances, one := c.Tree(t.Context(), "/a"), c.Instances(t.Context(), "/a"), c.Data(t.Context(), "/a")
		next(t, tree)
		next(t, instances)
		next(t, one)
		checkWatches(t, c, "opened", 3, zkstream.WatchStats{Current: 2}, zkstream.WatchStats{Current: 2}, zkstream.WatchStats{})
		before := c.Stats()
		server.Set("/a/b", []byte("1"))
		next(t, tree)
		next(t, instances)
		synctest.Wait()
		if s := c.Stats(); s.Snapshots != before.Snapshots+2 || s.Skipped != before.Skipped {
			t.Errorf("two snapshots were %d, and %d skipped", s.Snapshots-before.Snapshots, s.Skipped-before.Skipped)
		}
		tree.Close()
		instances.Close()
		checkWatches(t, c, "one left", 1, zkstream.WatchStats{Current: 1, Parked: 1}, zkstream.WatchStats{Parked: 2}, zkstream.WatchStats{})
	})
}

func TestStatsCountRegistrationsByStatus(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		check := func(when string, want zkstream.RegistrationStats, presence int) {
			t.Helper()
			synctest.Wait()
			if s := c.Stats(); s.Registrations != want || s.Presence.Current != presence {
				t.Errorf("%s: %+v and %+v, want %+v", when, s.Registrations, s.Presence, want)
			}
		}
		server.Create("/s", nil)
		server.Create("/s/taken:80", nil)
		ctx, cancel := context.WithCancel(t.Context())
		r, err := c.Register(ctx, "/s", "mine:80", nil)
		if err != nil {
			t.Fatal(err)
		}
		check("registered", zkstream.RegistrationStats{Registered: 1, Placements: 1}, 1)
		waits := begun(func() error { _, err := c.Register(ctx, "/s", "taken:80", nil); return err })
		check("one is in conflict", zkstream.RegistrationStats{Registered: 1, Conflict: 1, Placements: 1, Conflicts: 1}, 2)

		refused := true
		var mu sync.Mutex
		server.Intercept(func(r zktest.Request) zktest.Fault {
			mu.Lock()
			defer mu.Unlock()
			if refused && (r.Op == zktest.OpCreate || r.Op == zktest.OpMulti) {
				return zktest.Fault{Code: zktest.ErrQuotaExceeded}
			}
			return zktest.Fault{}
		})
		server.Delete("/s/mine:80")
		check("one is refused", zkstream.RegistrationStats{Refused: 1, Conflict: 1, Placements: 1, Conflicts: 1}, 2)
		mu.Lock()
		refused = false
		mu.Unlock()
		time.Sleep(time.Minute)
		check("it is back", zkstream.RegistrationStats{Registered: 1, Conflict: 1, Placements: 2, Conflicts: 1}, 2)

		cancel()
		<-r.Done()
		if err := <-waits; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		check("withdrawn", zkstream.RegistrationStats{Placements: 2, Conflicts: 1}, 0)
	})
}

// begun runs fn in a goroutine of its own, which ends with it.
func begun(fn func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- fn() }()
	return done
}

func TestStatsCountConnectionsRequestsAndBytes(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		ctx := t.Context()
		synctest.Wait()
		before := c.Stats()
		if before.Connects != 1 || before.ConnectFailures != 0 || before.Expirations != 0 || before.State != zkstream.Connected ||
			before.Sessions != 1 || before.Disconnects != 0 || before.Timeout != 10*time.Second {
			t.Errorf("at first: %+v", before)
		}
		if before.BytesSent < 44 || before.BytesReceived < 40 { // a handshake
			t.Errorf("a handshake takes %d bytes and %d", before.BytesSent, before.BytesReceived)
		}
		content := make([]byte, 10_000)
		if _, err := c.CreateNode(ctx, "/a", content); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Get(ctx, "/a"); err != nil {
			t.Fatal(err)
		}
		next(t, c.Data(ctx, "/a"))
		s := c.Stats()
		if got := s.Requests - before.Requests; got != 3 {
			t.Errorf("a create, a get and a stream sent %d requests", got)
		}
		if got := s.BytesSent - before.BytesSent; got < 10_000 || got > 10_300 {
			t.Errorf("10,000 bytes of content took %d", got)
		}
		if got := s.BytesReceived - before.BytesReceived; got < 20_000 || got > 20_500 {
			t.Errorf("twice 10,000 bytes of content took %d", got)
		}

		server.Stop(true)
		time.Sleep(time.Minute)
		s = c.Stats()
		if s.ConnectFailures < 10 || s.Expirations != 1 || s.State != zkstream.Expired || s.Connects != 1 || s.Sessions != 1 || s.Disconnects != 1 {
			t.Errorf("after a minute without a server: %+v", s)
		}
		server.Stop(false)
		time.Sleep(time.Minute)
		if s = c.Stats(); s.Connects != 2 || s.State != zkstream.Connected || s.Expirations != 1 || s.Sessions != 1 || s.Disconnects != 1 {
			t.Errorf("afterwards: %+v", s)
		}
	})
}

func TestTheZeroClientHasStats(t *testing.T) {
	if s := new(zkstream.Client).Stats(); s != (zkstream.Stats{State: zkstream.Closed}) {
		t.Errorf("%+v", s)
	}
}

func TestStatsCountEventsAndReads(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		ctx := t.Context()
		content, children := c.Data(ctx, "/a"), c.Children(ctx, "/a")
		next(t, content)
		next(t, children)
		synctest.Wait() // a snapshot comes before the watch is set of a node that is not there
		change := func(fn func() error) {
			t.Helper()
			if err := fn(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		change(func() error { return server.Create("/a", nil) })
		change(func() error { return server.Set("/a", []byte("1")) })
		change(func() error { return server.Set("/a", []byte("2")) })
		change(func() error { return server.Create("/a/b", nil) })
		change(func() error { return server.Delete("/a/b") })
		change(func() error { return server.Delete("/a") })
		s := c.Stats()
		if want := (zkstream.EventStats{Created: 1, DataChanged: 2, ChildrenChanged: 2, Deleted: 1}); s.Events != want {
			t.Errorf("events %+v, want %+v", s.Events, want)
		}
		// At first and at each event; what comes and goes concerns both.
		if want := (zkstream.ReadStats{Data: 5, Children: 5}); s.Reads != want {
			t.Errorf("reads %+v, want %+v", s.Reads, want)
		}
		r, err := c.Register(ctx, "/s", "10.0.0.5:80", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		synctest.Wait()
		if s = c.Stats(); s.Reads.Presence != 1 {
			t.Errorf("a registration has read %d times", s.Reads.Presence)
		}
	})
}

func TestStatsCountCallsUnderWayAndConflicts(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		if err := server.Create("/a", nil); err != nil {
			t.Fatal(err)
		}
		faults(server, zktest.OpSetData, zktest.Fault{Code: zktest.ErrBadVersion}, zktest.Fault{Code: zktest.ErrBadVersion},
			zktest.Fault{Delay: time.Second})
		done := begun(func() error { return c.UpdateProperties(t.Context(), "/a", map[string]any{"a": 1}) })
		time.Sleep(500 * time.Millisecond)
		if s := c.Stats(); s.Calls != 1 || s.UpdateConflicts != 2 {
			t.Errorf("%d calls under way, %d conflicts", s.Calls, s.UpdateConflicts)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if s := c.Stats(); s.Calls != 0 || s.UpdateConflicts != 2 {
			t.Errorf("at the end %d calls under way, %d conflicts", s.Calls, s.UpdateConflicts)
		}
	})
}

func TestStatsCountRetries(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		if err := server.Create("/a", nil); err != nil {
			t.Fatal(err)
		}
		lost := zktest.Fault{Code: zktest.ErrConnectionLoss}
		faults(server, zktest.OpGetData, lost, lost)
		if _, err := c.Get(t.Context(), "/a"); err != nil {
			t.Fatal(err)
		}
		if s := c.Stats(); s.Retries != 2 {
			t.Errorf("a read that fails twice: %d retries", s.Retries)
		}
	})
}
