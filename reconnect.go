package zkstream

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zkstream/zkstream/internal/watching"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// A sessionKeeper follows the client's session, and says what its state is. Its goroutine also does for the watches what is due
// now and then.
//
// What follows from a new connection or a new session is done elsewhere, in this order:
//
//   - The connection takes the session up again, or begins a new one, and sends credentials (internal/zkconn).
//   - Before anything else is asked, [watching.Supervisor.Attached] goes through the watches. In the same session those that were
//     up to date are set again as of the last zxid that was seen, and the server sends events for what has changed since. In a
//     new session the server is brought up to date with the leader, and everything is read again; its content decides what is new.
//   - The registrations hear of the new state from here, and create their nodes in a new session (internal/registration). They are
//     read before all else.
//   - Calls that were waiting go on; what becomes of a write whose answer was lost is found out (internal/calls).
type sessionKeeper struct {
	conn     *zkconn.Conn
	log      *slog.Logger
	watches  *watching.Supervisor
	sessions *hub[Session] // what Client.Session streams
	changed  func(Session) // called with each state; the last is Closed
	orphaned func()        // called when somebody has closed the low-level handle

	first chan error // capacity 1: how the first handshake went

	disconnects, expirations atomic.Int64 // see Stats

	running sync.WaitGroup // run
	quit    chan struct{}  // closed by stop
}

func newSessionKeeper(c *Client) *sessionKeeper {
	return &sessionKeeper{
		conn:     c.conn,
		log:      c.log,
		watches:  c.watches,
		sessions: &hub[Session]{tasks: &c.tasks},
		changed:  c.sessionChanged,
		orphaned: c.orphaned,
		first:    make(chan error, 1),
		quit:     make(chan struct{}),
	}
}

// start starts the keeper's goroutine, which stop ends.
func (k *sessionKeeper) start() { k.running.Go(k.run) }

func (k *sessionKeeper) run() {
	var events []zkconn.Event
	expiry := time.NewTimer(0) // runs while there is a session
	expiry.Stop()
	defer expiry.Stop()
	tick := time.NewTicker(k.watches.RecheckStep())
	defer tick.Stop()
	for {
		select {
		case <-k.quit:
			return
		case <-expiry.C:
			k.checkAge(expiry)
		case <-tick.C:
			k.watches.Recheck()
		case <-k.watches.Retired():
			k.watches.Dismantle()
		case <-k.conn.Ready():
			events = k.conn.Take(events)
			for _, ev := range events {
				k.handle(ev, expiry)
			}
			clear(events)
		}
	}
}

// stop ends the streams of the session. The caller then closes the connection, and calls wait.
func (k *sessionKeeper) stop(reason error) {
	close(k.quit)
	last := k.sessions.get()
	last.State = Closed
	k.sessions.finish(last, reason)
}

// wait returns when the goroutine has ended.
func (k *sessionKeeper) wait() {
	k.running.Wait()
	k.changed(k.sessions.get())
}

// handle handles what concerns the session. The state comes first: a logger may block.
func (k *sessionKeeper) handle(ev zkconn.Event, expiry *time.Timer) {
	switch ev.Kind {
	case zkconn.Up:
		k.setSession(Session{State: Connected, ID: ev.Session.ID, Server: ev.Session.Server, Timeout: ev.Session.Timeout})
		k.greeted(nil)
		expiry.Reset(time.Until(k.conn.Answered().Add(ev.Session.Timeout)))
		k.log.Info("zkstream: connected", "server", ev.Session.Server, "session", hex(ev.Session.ID), "timeout", ev.Session.Timeout)
	case zkconn.Down:
		k.disconnects.Add(1)
		now := k.sessions.get()
		if now.State != Expired { // it has been silent for too long before it was lost
			k.setState(Suspended)
		}
		expiry.Reset(time.Until(k.conn.Answered().Add(now.Timeout)))
		k.log.Info("zkstream: disconnected", "server", now.Server, "session", hex(now.ID))
	case zkconn.Expired:
		expiry.Stop()
		k.setState(Expired)
		k.log.Warn("zkstream: session expired", "session", hex(k.sessions.get().ID))
	case zkconn.AuthFailed:
		k.greeted(ev.Err)
		k.log.Error("zkstream: authentication failed", "error", ev.Err)
	case zkconn.Ended:
		// The client is closing, or somebody closed the low-level handle: there is nothing left to stand on.
		k.orphaned()
	}
}

// checkAge takes the session for expired if the session timeout has passed since the last request was sent that was
// answered. No server need be there to say so, but none keeps a session for longer than it has heard from the
// client: and whatever else it has received, it has received that request. While a large answer arrives over a thin line
// the connection may be up for all that. When it has arrived, and the server still knows the session, it is back.
func (k *sessionKeeper) checkAge(expiry *time.Timer) {
	now := k.sessions.get()
	left := time.Until(k.conn.Answered().Add(now.Timeout))
	isUp := k.conn.IsUp()
	switch {
	case left > 0:
		if isUp && now.State == Expired && now.ID == k.conn.SessionID() {
			k.setState(Connected)
		}
		expiry.Reset(left)
		return
	case now.State == Connected || now.State == Suspended:
		k.setState(Expired)
		k.log.Warn("zkstream: no server has answered for longer than the session timeout", "session", hex(now.ID))
	}
	if isUp {
		expiry.Reset(max(now.Timeout/20, time.Millisecond))
	}
}

// greeted tells Connect how the first handshake went.
func (k *sessionKeeper) greeted(err error) {
	select {
	case k.first <- err:
	default:
	}
}

func (k *sessionKeeper) setState(state SessionState) {
	now := k.sessions.get()
	if now.State != state {
		now.State = state
		k.setSession(now)
	}
}

// setSession is called by run only.
func (k *sessionKeeper) setSession(now Session) {
	if now.State == Expired {
		k.expirations.Add(1)
	}
	k.changed(now) // first, so that it comes before what Connect and streams of the session set off
	k.sessions.set(now)
}
