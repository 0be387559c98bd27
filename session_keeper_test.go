package zkstream_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/internal/zkconn"
)

func TestTheStateOfTheSessionFollowsTheConnection(t *testing.T) {
	var states []zkstream.SessionState
	orphaned := 0
	k := zkstream.NewSessionKeeper(func(s zkstream.Session) { states = append(states, s.State) }, func() { orphaned++ })
	defer k.Expiry.Stop()
	handle := func(ev zkconn.Event, want ...zkstream.SessionState) {
		t.Helper()
		states = nil
		k.Handle(ev)
		if !slices.Equal(states, want) {
			t.Errorf("after an event of kind %d: %v, want %v", ev.Kind, states, want)
		}
	}
	handle(zkconn.Event{Kind: zkconn.Up}, zkstream.Connected)
	if err := k.First(); err != nil {
		t.Error(err)
	}
	handle(zkconn.Event{Kind: zkconn.Down}, zkstream.Suspended)
	handle(zkconn.Event{Kind: zkconn.Expired}, zkstream.Expired)
	if k.Expiry.Stop() {
		t.Error("the session that has expired has a time to expire at")
	}
	handle(zkconn.Event{Kind: zkconn.Down}) // it stays expired
	handle(zkconn.Event{Kind: zkconn.Expired})
	refused := errors.New("refused")
	handle(zkconn.Event{Kind: zkconn.AuthFailed, Err: refused})
	if err := k.First(); err != refused {
		t.Error(err)
	}
	handle(zkconn.Event{Kind: zkconn.Ended})
	if n, m := k.Counts(); n != 2 || m != 1 || orphaned != 1 {
		t.Errorf("%d disconnects, %d expirations, orphaned %d times", n, m, orphaned)
	}
}
