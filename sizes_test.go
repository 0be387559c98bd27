package zkstream_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/internal/ensemble"
	"github.com/zkstream/zkstream/zktest"
)

// A server whose jute.maxbuffer is small closes the connection on a larger request, without a word.
func TestWhatASmallServerDoesNotTakeIsFoundOut(t *testing.T) {
	t.Run("zktest", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := dialled(t, zktest.Start(t, zktest.WithMaxBuffer(20_000)))
			defer c.Close()
			sendTooLarge(t, c, 10*time.Minute)
		})
	})
	t.Run("zookeeper", func(t *testing.T) {
		t.Parallel()
		e := ensemble.Start(t, 1, ensemble.Options{Java: []string{"-Djute.maxbuffer=20000"}})
		sendTooLarge(t, connect(t, e.Servers()[0].Addr(), zkstream.WithSessionTimeout(2*time.Second)), 3*time.Second)
	})
}

// sendTooLarge has c send more than its server takes, in each way that there is. The client must find that out within three
// connections, and then leave it alone: during quiet no connection is lost.
func sendTooLarge(t *testing.T, c *zkstream.Client, quiet time.Duration) {
	ctx := t.Context()
	content := []byte(strings.Repeat("x", 25_000))
	large := map[string]any{"x": string(content)}
	if err := c.Create(ctx, "/a", nil); err != nil {
		t.Fatal(err)
	}
	r, err := c.Register(ctx, "/services", "10.0.0.1:80", nil)
	if err != nil {
		t.Fatal(err)
	}
	connects := c.Stats().Connects
	for _, call := range []struct {
		name string
		do   func() error
	}{
		{"Create", func() error { return c.Create(ctx, "/b", large) }},
		{"SetProperties", func() error { return c.SetProperties(ctx, "/a", large) }},
		{"UpdateProperties", func() error { return c.UpdateProperties(ctx, "/a", large) }},
		{"Write", func() error { _, err := c.Write(ctx, "/a", content, zkstream.AnyVersion); return err }},
		{"Write of a version", func() error { _, err := c.Write(ctx, "/a", content, 0); return err }},
		{"CreateNode", func() error { _, err := c.CreateNode(ctx, "/b", content); return err }},
		{"CreateNode of a sequence", func() error {
			_, err := c.CreateNode(ctx, "/b-", content, zkstream.Sequential(), zkstream.Ephemeral())
			return err
		}},
		{"Multi", func() error {
			_, err := c.Multi(ctx, &zk.CheckVersionRequest{Path: "/a", Version: -1}, &zk.SetDataRequest{Path: "/a", Data: content, Version: -1})
			return err
		}},
		{"Register", func() error { _, err := c.Register(ctx, "/services", "10.0.0.2:80", large); return err }},
		{"Update", func() error { return r.Update(ctx, large) }},
	} {
		if err := call.do(); !errors.Is(err, zkstream.ErrTooLarge) || errors.Is(err, zkstream.ErrUnknown) {
			t.Errorf("%s: %v", call.name, err)
		}
		now := c.Stats().Connects
		if n := now - connects; n < 1 || n > 3 {
			t.Errorf("%s cost %d connections", call.name, n)
		}
		connects = now
	}

	// One request for all the updates, then one for each, of which only the first need be sent.
	var updates sync.WaitGroup
	for range 10 {
		updates.Go(func() {
			if err := r.Update(ctx, large); !errors.Is(err, zkstream.ErrTooLarge) {
				t.Errorf("one of many updates: %v", err)
			}
		})
	}
	updates.Wait()
	now := c.Stats().Connects
	if n := now - connects; n > 6 {
		t.Errorf("ten updates at the same time cost %d connections", n)
	}
	time.Sleep(quiet)
	if n := c.Stats().Connects; n != now {
		t.Errorf("%d connections more after the calls had returned", n-now)
	}
	if err := r.Update(ctx, map[string]any{"small": 1}); err != nil || r.Err() != nil {
		t.Errorf("a small update: %v, %v", err, r.Err())
	}
}
