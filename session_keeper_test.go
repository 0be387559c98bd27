package zkstream

import (
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/zkstream/zkstream/internal/zkconn"
)

func TestTheStateOfTheSessionFollowsTheConnection(t *testing.T) {
	var states []SessionState
	orphaned := 0
	k := &sessionKeeper{
		conn: &zkconn.Conn{}, log: slog.New(slog.DiscardHandler), sessions: &hub[Session]{}, first: make(chan error, 1),
		changed:  func(s Session) { states = append(states, s.State) },
		orphaned: func() { orphaned++ },
	}
	expiry := time.NewTimer(time.Hour)
	defer expiry.Stop()
	handle := func(ev zkconn.Event, want ...SessionState) {
		t.Helper()
		states = nil
		k.handle(ev, expiry)
		if !slices.Equal(states, want) {
			t.Errorf("after an event of kind %d: %v, want %v", ev.Kind, states, want)
		}
	}
	handle(zkconn.Event{Kind: zkconn.Up}, Connected)
	if err := <-k.first; err != nil {
		t.Error(err)
	}
	handle(zkconn.Event{Kind: zkconn.Down}, Suspended)
	handle(zkconn.Event{Kind: zkconn.Expired}, Expired)
	if expiry.Stop() {
		t.Error("the session that has expired has a time to expire at")
	}
	handle(zkconn.Event{Kind: zkconn.Down}) // it stays expired
	handle(zkconn.Event{Kind: zkconn.Expired})
	refused := errors.New("refused")
	handle(zkconn.Event{Kind: zkconn.AuthFailed, Err: refused})
	if err := <-k.first; err != refused {
		t.Error(err)
	}
	handle(zkconn.Event{Kind: zkconn.Ended})
	if n, m := k.disconnects.Load(), k.expirations.Load(); n != 2 || m != 1 || orphaned != 1 {
		t.Errorf("%d disconnects, %d expirations, orphaned %d times", n, m, orphaned)
	}
}
