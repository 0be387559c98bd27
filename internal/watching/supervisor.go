// Package watching keeps what a client watches up to date. It knows neither clients nor their streams: what is new goes to the
// Subscribers of a watch, or of a tree.
//
// The way of a change: an event makes a watch stale ([Supervisor.Fired]). The connection takes what is stale and asks for it
// ([Supervisor.Next]). An answer is compared with what was last read, and what is new goes to the watch's subscribers
// ([Supervisor.Answered]): streams of one node, and the trees to which it belongs ([Supervisor.Drained]).
//
//	supervisor.go   the table of watches, and what the connection calls
//	watch.go        the states of a watch, as a diagram, and its transitions
//	subscribe.go    streams that join and leave a watch; subscribers.go: the sets of them
//	reconnect.go    a new connection, and reads that have failed
//	recheck.go      changes whose event was lost
//	node.go         what was read of a node
//	assemble.go     trees: treenode.go is one node's part, branch.go the snapshot, assemblers.go keeps them
package watching

import (
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/address"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// Config is what a Supervisor needs of its client.
type Config struct {
	Log        *slog.Logger
	Chroot     address.Chroot
	Interval   time.Duration // within which each watch is rechecked; 0: never
	OnResync   func(Resync)  // called before anything is read or set on a new connection; may be nil
	OnResynced func(Resync)  // called when all has been read and set; may be nil
}

// A Supervisor keeps every watch of a client up to date. It has the table of watches, one for each node and
// kind, whatever the number of streams on it.
//
// What the server sends is handled where it arrives, by the goroutine of the connection that receives: an event
// makes watches stale; before that goroutine waits for more, the connection takes what is stale (Next) and asks
// for it; an answer is compared with what was last read, and what is new is published to the streams. So the
// snapshots of a node arrive in the order in which its server showed them. A Supervisor has no goroutine of its own:
// its client's calls Recheck and Dismantle.
type Supervisor struct {
	conn       *zkconn.Conn
	log        *slog.Logger
	chroot     address.Chroot
	interval   time.Duration
	onResync   func(Resync)
	onResynced func(Resync)
	rechecks   *rechecker
	retire     chan struct{} // capacity 1: retired is not empty

	mu       sync.Mutex // guards what follows, and all watches. Nobody waits for anything while he holds it.
	nodes    table
	presence table   // of registrations
	stale    backlog // those of registrations are in urgent
	urgent   backlog
	parked   []Watch // oldest first
	resting  [restingPlaces]restingPlace
	evicted  []Watch // from parked, and still set on the server

	assemblers map[Shape]*Assembler
	assembling []*Assembler // whose queue is not empty
	unset      []unset      // oldest first
	answers    int64        // that have been taken
	retired    []*treeNode  // of assemblers that have ended: they and those below them are to leave their watches
	denied     []denial     // oldest first

	// The zxid of the last reply when this round of rechecks began, and when the one before did; 0 if there was none. See rechecker.
	roundNow, roundBefore int64

	// Of the rechecker, in its steps: how many it has made, how many may pass between two rechecks of a watch, and by how many
	// the turn of the watch that was checked last comes before that.
	clock, turns, headStart uint16

	resync      Resync    // that is under way
	resyncBegan time.Time // zero while none is

	stopped bool // no more streams are served

	counts counts // see Stats
}

// New returns a Supervisor, which is to be a connection's [zkconn.Table].
func New(cfg Config) *Supervisor {
	rechecks := newRechecker(cfg.Interval)
	return &Supervisor{
		log:        cfg.Log,
		chroot:     cfg.Chroot,
		interval:   cfg.Interval,
		onResync:   cfg.OnResync,
		onResynced: cfg.OnResynced,
		rechecks:   rechecks,
		retire:     make(chan struct{}, 1),
		nodes:      table{},
		presence:   table{},
		assemblers: map[Shape]*Assembler{},
		turns:      uint16(len(rechecks.until)),
	}
}

// Start gives the Supervisor its connection. It comes before Join, Recheck and Dismantle.
func (s *Supervisor) Start(conn *zkconn.Conn) { s.conn = conn }

// Stop ends every stream with zkconn.ErrClosed.
func (s *Supervisor) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	for w := range s.allLocked() {
		s.counts.stream(w.kind, -w.subs.end(zkconn.ErrClosed))
		*w.slot = slot{kind: w.kind}
	}
	for _, a := range s.assemblers {
		s.counts.streams -= a.subs.end(zkconn.ErrClosed)
		a.subs, a.ended, a.root = nil, true, nil
	}
	s.unset = nil
	s.assemblers, s.assembling, s.retired, s.denied = nil, nil, nil, nil
	s.nodes, s.presence, s.stale, s.urgent, s.parked, s.evicted = nil, nil, nil, nil, nil, nil
	clear(s.counts.watches[:])
	for i := range s.resting {
		s.resting[i].clear()
	}
}

// Retired returns a channel that has a value when Dismantle is to be called.
func (s *Supervisor) Retired() <-chan struct{} { return s.retire }

// Next takes stale watches, for the connection to read. See [zkconn.Table].
func (s *Supervisor) Next(least int, take func(size int) bool) (ws []zkconn.Watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.countStaleLocked() < least {
		return nil
	}
	for {
		w, found := s.nextStaleLocked()
		if !found || !take(w.size()) {
			return ws
		}
		s.moveLocked(w, asked)
		ws = append(ws, w.wire())
	}
}

// Evicted takes watches that the server may forget. See [zkconn.Table].
func (s *Supervisor) Evicted(most int) (ws []zkconn.Watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for ; n < len(s.evicted) && len(ws) < most; n++ {
		w := s.evicted[n]
		followed := func(k kind) bool { _, found := s.findLocked(w.path, k); return found } // again
		// Those of content and of metadata are one watch to the server.
		if !followed(w.kind) && (w.kind == kindChildren || !followed(kindData) && !followed(kindStat)) {
			ws = append(ws, w.wire())
		}
	}
	s.evicted = slices.Delete(s.evicted, 0, n)
	return ws
}

// Fired makes the watches of a node stale that an event has used up. See [zkconn.Table].
func (s *Supervisor) Fired(path string, event zk.EventType) {
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
func (s *Supervisor) firedLocked(path string, k kind) bool {
	w, found := s.findLocked(path, k)
	if !found {
		return false
	}
	if w.wasParked() {
		w.zxid = 0
	}
	switch w.state {
	case asked:
		// The server may have read the node before the change, so the answer is not the last word.
		s.moveLocked(w, refired)
	case arming, armed, parked:
		s.staleLocked(w)
	}
	return true
}

// Answered publishes what was read. See [zkconn.Table].
func (s *Supervisor) Answered(zw zkconn.Watch, a *zkconn.Answer) {
	w := watchOf(zw)
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.state != asked && w.state != refired { // the supervisor has stopped
		return
	}
	s.answers++
	switch {
	case a.Err != nil && zkconn.Final(a.Err):
		s.failLocked(w, a.Err)
		return
	case a.Err != nil:
		s.restLocked(w, a.Err)
		return
	}
	isSet := a.Armed || w.wasParked() && w.state == asked
	n := NewNode(s.chroot.Relative(w.path), a)
	r := Reading{Node: w.last, Changed: w.last == nil || !w.last.equal(n, w.kind), At: Now()}
	if r.Changed {
		r.Node = n
	}
	w.last, w.zxid, w.confirmed, w.failures, w.awaited = r.Node, a.Zxid, !r.Changed, 0, false
	s.counts.reads[w.kind]++
	w.subs.put(r)
	switch {
	case w.state == refired, w.subs.len() == 0 && !isSet:
		s.staleLocked(w)
	case isSet:
		s.armedLocked(w)
	default:
		s.armingLocked(w)
	}
}

// Armed notes which watches are set. See [zkconn.Table].
func (s *Supervisor) Armed(ws []zkconn.Watch, zxid int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, zw := range ws {
		w := watchOf(zw)
		switch w.state {
		case arming:
			last := w.last
			s.armedLocked(w)
			if w.awaited {
				w.subs.put(Reading{Node: last, At: Now()})
			}
		case armed: // it was rechecked
			s.checkedLocked(w)
		default: // an event has come first, or the supervisor has stopped
			continue
		}
		if since := min(zxid, s.roundBefore); since > w.zxid {
			w.zxid, w.confirmed = since, true
		}
	}
}

// Unarmed has watches read again. See [zkconn.Table].
func (s *Supervisor) Unarmed(ws []zkconn.Watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, zw := range ws {
		switch w := watchOf(zw); w.state {
		case asked, refired, arming, armed:
			s.staleLocked(w)
		}
	}
}
