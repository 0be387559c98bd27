package zkstream

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/address"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// supervisor keeps every watch of a client up to date. It has the table of watches, one for each node and
// kind, whatever the number of streams on it.
//
// What the server sends is handled where it arrives, by the goroutine of the connection that receives: an event
// makes watches stale; before that goroutine waits for more, the connection takes what is stale (Next) and asks
// for it; an answer is compared with what was last read, and what is new is published to the streams. So the
// snapshots of a node arrive in the order in which its server showed them. The supervisor's own goroutine
// handles what concerns the session, and the timers.
type supervisor struct {
	conn     *zkconn.Conn
	log      *slog.Logger
	chroot   address.Chroot
	tasks    *tasks
	interval time.Duration // within which each watch is rechecked; 0: never
	orphaned func()        // called when somebody has closed the low-level handle
	sessions *hub[Session] // what Client.Session streams
	trace    *Trace

	first chan error // capacity 1: how the first handshake went

	disconnects, expirations atomic.Int64 // see Stats

	mu       sync.Mutex // guards what follows, and all watches. Nobody waits for anything while he holds it.
	nodes    table
	presence table   // of registrations
	stale    backlog // those of registrations are in urgent
	urgent   backlog
	parked   []watch // oldest first
	resting  [restingPlaces]restingPlace
	evicted  []watch // from parked, and still set on the server

	assemblers map[shape]*assembler
	assembling []*assembler // whose queue is not empty
	leaves     []watch      // see joinLeafLocked
	retired    []*treeNode  // of assemblers that have ended: they and those below them are to leave their watches
	denied     []denial     // oldest first

	// What a reply had named when this round of rechecks began, and the one before; 0: none has. See rechecker.
	roundNow, roundBefore int64

	// Of the rechecker: how many steps it has made, how many are between two rechecks of a watch at most, and by how many
	// the watch is early that was checked last.
	clock, turns, early uint16

	resync      ResyncTrace // that is under way
	resyncBegan time.Time   // zero while none is

	reason error // why no more streams are served; nil while they are

	counts counts // see Stats

	running sync.WaitGroup // run
	quit    chan struct{}  // closed by stop
	retire  chan struct{}  // capacity 1: retired is not empty
}

func newSupervisor(log *slog.Logger, root address.Chroot, tasks *tasks, interval time.Duration, orphaned func(), trace *Trace) *supervisor {
	return &supervisor{
		log:      log,
		chroot:   root,
		tasks:    tasks,
		interval: interval,
		orphaned: orphaned,
		sessions: &hub[Session]{tasks: tasks},
		trace:    trace,
		first:    make(chan error, 1),
		nodes:    table{},
		presence: table{},
		quit:     make(chan struct{}),
		retire:   make(chan struct{}, 1),

		assemblers: map[shape]*assembler{},
	}
}

// start starts the supervisor's goroutine, which stop ends.
func (s *supervisor) start(conn *zkconn.Conn) {
	s.conn = conn
	s.running.Go(s.run)
}

// run handles what concerns the session, and the rechecks, until stop.
func (s *supervisor) run() {
	var events []zkconn.Event
	expiry := time.NewTimer(0) // runs while there is a session
	expiry.Stop()
	defer expiry.Stop()
	rechecks, step := s.rechecker()
	tick := time.NewTicker(step)
	defer tick.Stop()
	for {
		select {
		case <-s.quit:
			return
		case <-expiry.C:
			s.checkAge(expiry)
		case <-tick.C:
			rechecks.recheck(s)
			s.tryDenied()
		case <-s.retire:
			s.dismantle()
		case <-s.conn.Ready():
			events = s.conn.Take(events)
			for _, ev := range events {
				s.handle(ev, expiry)
			}
			clear(events)
		}
	}
}

// stop ends every stream with reason. The caller then closes the connection, and calls wait.
func (s *supervisor) stop(reason error) {
	s.mu.Lock()
	if s.reason != nil {
		s.mu.Unlock()
		return
	}
	s.reason = reason
	close(s.quit)
	for w := range s.allLocked() {
		w.subs.end(reason)
		*w.slot = slot{kind: w.kind}
	}
	for _, a := range s.assemblers {
		for _, sub := range a.subs {
			sub.end(reason)
		}
		a.subs, a.ended, a.root = nil, true, nil
	}
	s.leaves = nil
	s.assemblers, s.assembling, s.retired, s.denied = nil, nil, nil, nil
	s.nodes, s.presence, s.stale, s.urgent, s.parked, s.evicted = nil, nil, nil, nil, nil, nil
	clear(s.counts.watches[:])
	for i := range s.resting {
		s.resting[i].clear()
	}
	s.mu.Unlock()
	last := s.sessions.get()
	last.State = Closed
	s.sessions.finish(last, reason)
}

// wait returns when no goroutine of the supervisor is left.
func (s *supervisor) wait() {
	s.running.Wait()
	s.trace.session(s.sessions.get())
}

// handle handles what concerns the session. The state comes first: a logger may block.
func (s *supervisor) handle(ev zkconn.Event, expiry *time.Timer) {
	switch ev.Kind {
	case zkconn.Up:
		s.setSession(Session{State: Connected, ID: ev.Session.ID, Server: ev.Session.Server, Timeout: ev.Session.Timeout})
		s.greeted(nil)
		expiry.Reset(time.Until(s.conn.Answered().Add(ev.Session.Timeout)))
		s.log.Info("zkstream: connected", "server", ev.Session.Server, "session", hex(ev.Session.ID), "timeout", ev.Session.Timeout)
	case zkconn.Down:
		s.disconnects.Add(1)
		now := s.sessions.get()
		if now.State != Expired { // it has been silent for too long before it was lost
			s.setState(Suspended)
		}
		expiry.Reset(time.Until(s.conn.Answered().Add(now.Timeout)))
		s.log.Info("zkstream: disconnected", "server", now.Server, "session", hex(now.ID))
	case zkconn.Expired:
		expiry.Stop()
		s.setState(Expired)
		s.log.Warn("zkstream: session expired", "session", hex(s.sessions.get().ID))
	case zkconn.AuthFailed:
		s.greeted(ev.Err)
		s.log.Error("zkstream: authentication failed", "error", ev.Err)
	case zkconn.Ended:
		// The client is closing, or somebody closed the low-level handle: there is nothing left to stand on.
		s.orphaned()
	}
}

// checkAge takes the session for expired if the session timeout has passed since the last request was sent that was
// answered. No server need be there to say so, but none keeps a session for longer than it has heard from the
// client: and whatever else it has received, it has received that request. While a large answer arrives over a thin line
// the connection may be up for all that. When it has arrived, and the server still knows the session, it is back.
func (s *supervisor) checkAge(expiry *time.Timer) {
	now := s.sessions.get()
	left := time.Until(s.conn.Answered().Add(now.Timeout))
	isUp := s.conn.IsUp()
	switch {
	case left > 0:
		if isUp && now.State == Expired && now.ID == s.conn.SessionID() {
			s.setState(Connected)
		}
		expiry.Reset(left)
		return
	case now.State == Connected || now.State == Suspended:
		s.setState(Expired)
		s.log.Warn("zkstream: no server has answered for longer than the session timeout", "session", hex(now.ID))
	}
	if isUp {
		expiry.Reset(max(now.Timeout/20, time.Millisecond))
	}
}

// greeted tells Connect how the first handshake went.
func (s *supervisor) greeted(err error) {
	select {
	case s.first <- err:
	default:
	}
}

func (s *supervisor) setState(state SessionState) {
	now := s.sessions.get()
	if now.State != state {
		now.State = state
		s.setSession(now)
	}
}

// setSession is called by run only.
func (s *supervisor) setSession(now Session) {
	if now.State == Expired {
		s.expirations.Add(1)
	}
	s.sessions.set(now)
	s.trace.session(now)
}

// Next takes stale watches, for the connection to read. See [zkconn.Table].
func (s *supervisor) Next(least int, take func(size int) bool) (ws []zkconn.Watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.countStaleLocked() < least {
		return nil
	}
	for {
		w, q, found := s.nextStaleLocked()
		if !found || !take(w.size()) {
			return ws
		}
		q.drop()
		s.moveLocked(w, asked)
		ws = append(ws, w.wire())
	}
}

// Evicted takes watches that the server may forget. See [zkconn.Table].
func (s *supervisor) Evicted(most int) (ws []zkconn.Watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.evicted) > 0 && len(ws) < most {
		w := s.evicted[0]
		s.evicted[0] = watch{}
		s.evicted = s.evicted[1:]
		followed := func(k kind) bool { _, found := s.findLocked(w.path, k); return found } // again
		// Those of content and of metadata are one watch to the server.
		if !followed(w.kind) && (w.kind == kindChildren || !followed(kindData) && !followed(kindStat)) {
			ws = append(ws, w.wire())
		}
	}
	if len(s.evicted) == 0 {
		s.evicted = nil
	}
	return ws
}

// Fired makes the watches of a node stale that an event has used up. See [zkconn.Table].
func (s *supervisor) Fired(path string, event zk.EventType) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.events.add(event)
	found := false
	if event != zk.EventNodeChildrenChanged {
		found = s.firedLocked(path, kindData)
		found = s.firedLocked(path, kindStat) || found
	}
	if event != zk.EventNodeDataChanged {
		found = s.firedLocked(path, kindChildren) || found
	}
	if !found {
		// ClickHouse Keeper says in answer to SetWatches that the content has changed where the children have.
		for _, k := range [...]kind{kindData, kindStat, kindChildren} {
			s.firedLocked(path, k)
		}
	}
}

// firedLocked reports whether there is such a watch.
func (s *supervisor) firedLocked(path string, k kind) bool {
	w, found := s.findLocked(path, k)
	if !found {
		return false
	}
	switch w.state {
	case asked:
		// The answer may have been made before the change, so it is not the last word.
		s.moveLocked(w, refired)
	case arming, armed, parked:
		s.staleLocked(w)
	}
	return true
}

// Answered publishes what was read. See [zkconn.Table].
func (s *supervisor) Answered(zw zkconn.Watch, a *zkconn.Answer) (arm bool) {
	w := watchOf(zw)
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.state != asked && w.state != refired { // the supervisor has stopped
		return false
	}
	switch {
	case a.Err != nil && zkconn.Final(a.Err):
		s.failLocked(w, a.Err)
		return false
	case a.Err != nil:
		s.restLocked(w, a.Err)
		return false
	}
	n := newNode(s.chroot.Relative(w.path), a)
	r := reading{node: w.last, changed: w.last == nil || !w.last.equal(n, w.kind)}
	if r.changed {
		r.node = n
	}
	w.last, w.zxid, w.confirmed, w.failures, w.awaited = r.node, a.Zxid, !r.changed, 0, false
	s.counts.reads[w.kind]++
	w.subs.put(r)
	switch {
	case w.state == refired, w.subs.len() == 0 && !a.Armed:
		s.staleLocked(w)
	case a.Armed:
		s.armedLocked(w)
	default:
		s.moveLocked(w, arming)
		return true
	}
	return false
}

// Armed notes which watches are set. See [zkconn.Table].
func (s *supervisor) Armed(ws []zkconn.Watch, zxid int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, zw := range ws {
		w := watchOf(zw)
		switch w.state {
		case arming:
			last, awaited := w.last, w.awaited
			w.awaited = false
			s.armedLocked(w)
			if awaited {
				w.subs.put(reading{node: last})
			}
		case armed:
		default: // an event has come first, or the supervisor has stopped
			continue
		}
		if since := min(zxid, s.roundBefore); since > w.zxid {
			w.zxid, w.confirmed = since, true
		}
	}
}

// Unarmed has watches read again. See [zkconn.Table].
func (s *supervisor) Unarmed(ws []zkconn.Watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, zw := range ws {
		switch w := watchOf(zw); w.state {
		case asked, refired, arming, armed:
			s.staleLocked(w)
		}
	}
}
