package zkstream_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/internal/zkconn"
	"github.com/zkstream/zkstream/zktest"
)

func TestTheStateOfTheSessionFollowsTheConnection(t *testing.T) {
	var states []zkstream.SessionState
	orphaned := 0
	k := zkstream.NewSessionKeeper(&zkconn.Conn{}, func(s zkstream.Session) { states = append(states, s.State) }, func() { orphaned++ })
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

// The age of a session is that of the last request that was answered. The connection is a client's own, so that it is up or not,
// and the events are made up.
func TestASessionExpiresByItsAge(t *testing.T) {
	const (
		connected = zkstream.Connected
		suspended = zkstream.Suspended
		expired   = zkstream.Expired
		never     = time.Duration(-1)
		age       = time.Second
		young     = age + 3*time.Second // a session timeout that has not passed
		old       = age / 2
	)
	for _, test := range []struct {
		name    string
		state   zkstream.SessionState
		other   bool          // the events are of another session than the connection's
		timeout time.Duration // of the session
		up      zkstream.SessionState
		upAgain time.Duration // until the next check, with the connection up
		down    zkstream.SessionState
		again   time.Duration // with the connection lost
	}{
		{"connected, young", connected, false, young, connected, 3 * time.Second, connected, 3 * time.Second},
		{"connected, just as old as it may be", connected, false, age, expired, age / 20, expired, never},
		{"connected, old", connected, false, old, expired, old / 20, expired, never},
		{"suspended, young", suspended, false, young, suspended, 3 * time.Second, suspended, 3 * time.Second},
		{"suspended, young, of another session", suspended, true, young, suspended, 3 * time.Second, suspended, 3 * time.Second},
		{"suspended, old", suspended, false, old, expired, old / 20, expired, never},
		{"suspended, old, with a timeout of nearly nothing", suspended, false, time.Nanosecond, expired, time.Millisecond, expired, never},
		{"expired, answered after all", expired, false, young, connected, 3 * time.Second, expired, 3 * time.Second},
		{"expired, answered in another session", expired, true, young, expired, 3 * time.Second, expired, 3 * time.Second},
		{"expired, old", expired, false, old, expired, old / 20, expired, never},
	} {
		for _, up := range []bool{true, false} {
			name, want, again := test.name+", up", test.up, test.upAgain
			if !up {
				name, want, again = test.name+", down", test.down, test.again
			}
			t.Run(name, func(t *testing.T) {
				inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
					conn := zkstream.Connection(c)
					var states []zkstream.SessionState
					k := zkstream.NewSessionKeeper(conn, func(s zkstream.Session) { states = append(states, s.State) }, func() {})
					id := zkstream.SessionID(c)
					if test.other {
						id++
					}
					k.Handle(zkconn.Event{Kind: zkconn.Up, Session: zkconn.Session{ID: id, Timeout: test.timeout}})
					switch test.state {
					case suspended:
						k.Handle(zkconn.Event{Kind: zkconn.Down})
					case expired:
						k.Handle(zkconn.Event{Kind: zkconn.Expired})
					}
					if !up {
						server.Stop(true)
						synctest.Wait()
					}
					if conn.IsUp() != up {
						t.Fatalf("the connection is up: %t", conn.IsUp())
					}
					time.Sleep(time.Until(conn.Answered().Add(age)))
					k.Expiry.Stop()
					states = nil
					k.CheckAge()
					if k.State() != want {
						t.Errorf("it is %v, want %v", k.State(), want)
					}
					if changes := len(states); changes > 1 || (changes == 1) != (want != test.state) {
						t.Errorf("the states are %v", states)
					}
					begin, got := time.Now(), never
					select {
					case <-k.Expiry.C:
						got = time.Since(begin)
					case <-time.After(time.Minute):
					}
					if got != again {
						t.Errorf("it is looked at again after %v, want %v", got, again)
					}
				})
			})
		}
	}
}

// A thinLine is a network to a server that delivers, while pace is not 0, a byte in each such time.
type thinLine struct {
	server *zktest.Server
	pace   atomic.Int64 // in nanoseconds
}

func (l *thinLine) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := l.server.Dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &thinConn{conn, l}, nil
}

type thinConn struct {
	net.Conn
	line *thinLine
}

func (c *thinConn) Read(p []byte) (int, error) {
	if pace := time.Duration(c.line.pace.Load()); pace > 0 {
		time.Sleep(pace)
		p = p[:1]
	}
	return c.Conn.Read(p)
}

// The server hears from the client all the time, and its answers take longer than the session timeout.
func TestASessionWhoseAnswersAreLateExpiresAndIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = 10 * time.Second
		line := &thinLine{server: zktest.Start(t)}
		c := dialled(t, line.server, zkstream.WithDialer(line.dial), zkstream.WithSessionTimeout(timeout))
		defer c.Close()
		sessions := c.Session(t.Context())
		first := next(t, sessions)
		time.Sleep(time.Minute) // with pings
		empty(t, sessions, "while pings are answered")

		line.pace.Store(int64(3 * time.Second))
		if got := next(t, sessions); got.State != zkstream.Expired || got.ID != first.ID {
			t.Errorf("it is %v", got)
		}
		if age := time.Since(zkstream.Connection(c).Answered()); age != timeout {
			t.Errorf("it has expired %v after the last request that was answered, want %v", age, timeout)
		}
		line.pace.Store(0)
		if got := next(t, sessions); got.State != zkstream.Connected || got.ID != first.ID {
			t.Errorf("it is %v", got)
		}
		if age := time.Since(zkstream.Connection(c).Answered()); age > timeout/3+timeout/20 {
			t.Errorf("it is back %v after the last request that was answered", age)
		}
		s := c.Stats()
		same(t, "disconnects", s.Disconnects, 0)
		same(t, "expirations", s.Expirations, 1)
	})
}

// The last state that a Trace is told is closed, and Close does not return before it has been told.
func TestCloseWaitsForWhatATraceIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := zktest.Start(t)
		release := make(chan struct{})
		var states traced
		c := dialled(t, server, zkstream.WithTrace(&zkstream.Trace{Session: func(s zkstream.Session) {
			states.note("%v", s.State)
			if s.State == zkstream.Suspended {
				<-release
				states.note("released")
			}
		}}))
		states.expect(t, "at first", "connected")
		server.Stop(true)
		states.expect(t, "without a server", "suspended")
		closed := make(chan error, 1)
		go func() { closed <- c.Close() }()
		time.Sleep(zkstream.CloseLimit - time.Millisecond)
		states.expect(t, "while it is being told")
		close(release)
		if err := <-closed; err != nil {
			t.Error(err)
		}
		states.expect(t, "at the end", "released", "closed")
	})
}
