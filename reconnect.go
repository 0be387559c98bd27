package zkstream

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// kind is what an entry reads of its node, and so which watch it keeps there.
type kind uint8

const (
	kindData     kind = iota // content: data watch
	kindChildren             // names of the children: child watch
	kindStat                 // existence and owner: data watch
	kinds                    // how many there are
)

func (k kind) String() string { return [...]string{"data", "children", "stat"}[k] }

// work is what an entry needs, the greater including the lesser.
type work uint8

const (
	nothing work = iota
	check        // compare zxids and set the watch: a connection was lost, and with it perhaps an event
	read         // read the node and set the watch
)

type key struct {
	path string // as the server has it
	kind kind
}

// An entry is one watch: what it last saw, and who wants to know. With no subscribers it is parked:
// go-zookeeper cannot remove a watch, so it waits for it to fire, for the connection to be lost, or for
// the next stream on the node.
type entry struct {
	key
	last   *node // nil before the first read
	subs   sinks[*node]
	need   work // what is to be done
	doing  work // what a worker is doing
	queued bool // in supervisor.queue
	rests  bool // in supervisor.late
	reads  int  // that have been begun
	news   bool // the latest that succeeded brought something new
	armed  bool // its watch is set, on this connection
}

// supervisor keeps every watch of a client alive. It owns the table of entries; events from the
// connection mark entries as stale, and a bounded number of workers read the stale ones and hand the
// result to their subscribers. One worker stays, the others come and go.
//
// An entry is read by one worker at a time, and results are published under mu, so snapshots of a node
// arrive in the order in which its server showed them. A result counts only if the session in which
// it was asked for is still there when it arrives: only then was it read from a server that is not
// behind the last snapshot. A new session first syncs with the leader, for the same reason.
type supervisor struct {
	conn     *zkconn.Conn
	client   *Client
	log      *slog.Logger
	max      int           // workers at once
	sessions *hub[Session] // what Client.Session streams

	first chan error // capacity 1: how the first handshake went

	mu      sync.Mutex // guards what follows, and all entries
	entries map[key]*entry
	queue   []*entry  // that need work, first come first served
	workers int       // at work
	idle    bool      // the resident worker waits, for wake
	wake    sync.Cond // with mu
	up      int64     // generation of the session that is connected; 0: none
	synced  int64     // generation that has synced with the leader last
	late    []*entry
	timer   *time.Timer // for late; nil while it is empty
	ended   error       // why no more streams are served

	running sync.WaitGroup // run, reside, workers, syncs
	quit    chan struct{}  // closed by stop
}

// lateDelay is the pause before a request that failed for a passing reason is sent again, when the
// connection is up and so nothing else would tell when.
const lateDelay = 100 * time.Millisecond

func newSupervisor(c *Client, max int) *supervisor {
	s := &supervisor{
		client:   c,
		log:      c.log,
		max:      max,
		sessions: &hub[Session]{tasks: &c.tasks},
		first:    make(chan error, 1),
		entries:  map[key]*entry{},
		quit:     make(chan struct{}),
	}
	s.wake.L = &s.mu
	return s
}

// start starts the supervisor's goroutines, which stop ends.
func (s *supervisor) start(conn *zkconn.Conn) {
	s.conn = conn
	s.running.Go(s.run)
	s.running.Go(s.reside)
}

// run handles the connection's events, one by one, until stop.
func (s *supervisor) run() {
	var events []zkconn.Event
	expiry := time.NewTimer(0) // runs while the session is suspended
	expiry.Stop()
	defer expiry.Stop()
	for {
		select {
		case <-s.quit:
			return
		case <-expiry.C:
			// No server is there to say so, but none keeps a session for longer.
			s.log.Warn("zkstream: disconnected for longer than the session timeout")
			s.setState(Expired)
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
	if s.ended != nil {
		s.mu.Unlock()
		return
	}
	s.ended = reason
	close(s.quit)
	for _, e := range s.entries {
		for _, sub := range e.subs {
			sub.end(reason)
		}
		e.subs = nil
	}
	s.entries, s.queue, s.late = nil, nil, nil
	if s.timer != nil {
		s.timer.Stop()
	}
	s.wake.Signal()
	s.mu.Unlock()
	last := s.sessions.get()
	last.State = Closed
	s.sessions.finish(last, reason)
}

// wait returns when no goroutine of the supervisor is left.
func (s *supervisor) wait() { s.running.Wait() }

func (s *supervisor) handle(ev zkconn.Event, expiry *time.Timer) {
	switch ev.Kind {
	case zkconn.Up:
		expiry.Stop()
		s.log.Info("zkstream: connected", "server", ev.Session.Server, "session", hex(ev.Session.ID), "timeout", ev.Session.Timeout)
		s.sessions.set(Session{State: Connected, ID: ev.Session.ID, Server: ev.Session.Server, Timeout: ev.Session.Timeout})
		s.connected(ev.Session.Generation)
		s.greeted(nil)
	case zkconn.Down:
		now := s.sessions.get()
		expiry.Reset(now.Timeout)
		s.log.Info("zkstream: disconnected", "server", now.Server, "session", hex(now.ID))
		s.setState(Suspended)
		s.mu.Lock()
		s.up = 0
		s.mu.Unlock()
	case zkconn.Expired:
		expiry.Stop()
		s.log.Warn("zkstream: session expired", "session", hex(s.sessions.get().ID))
		s.setState(Expired)
	case zkconn.AuthFailed:
		s.log.Error("zkstream: authentication failed", "error", ev.Err)
		s.greeted(ev.Err)
	case zkconn.Ended:
		// The client is closing, or somebody closed the low-level handle: there is nothing left to
		// stand on. Close waits for this goroutine, so it needs one of its own, which ends with it.
		if s.client.ctx.Err() == nil {
			go s.client.Close()
		}
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
		s.sessions.set(now)
	}
}

// connected takes up work in the session of that generation. No watch is set on a new connection, so
// everything is looked at: if it is the session of before, in which no server can be behind what has been
// seen, by its zxids; otherwise it is read, once the server has synced.
func (s *supervisor) connected(generation int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return
	}
	s.up = generation
	known := s.synced == generation
	for k, e := range s.entries {
		e.armed = false
		switch {
		case len(e.subs) == 0 && e.doing == nothing:
			delete(s.entries, k) // it was parked
		case known && e.last != nil && (e.kind != kindChildren || !e.last.exists):
			s.needLocked(e, check)
		default: // a child watch is only set by reading the children
			s.needLocked(e, read)
		}
	}
	if !known && s.synced != 0 {
		s.running.Go(func() { s.sync(generation) })
		return
	}
	s.synced = generation // in the first session no stream has seen anything yet
	s.dispatchLocked()
}

// sync brings the server up to date with the leader, then lets the workers read.
func (s *supervisor) sync(generation int64) {
	for {
		err := s.conn.Direct(generation, func(zc *zk.Conn) error {
			_, err := zc.Sync("/")
			return err
		})
		if err == nil {
			break
		}
		if !zkconn.Transient(err) {
			s.log.Warn("zkstream: sync failed", "error", err) // a server that has no sync
			break
		}
		if errors.Is(err, zkconn.ErrDown) {
			return // the next connection begins anew
		}
		select {
		case <-time.After(lateDelay):
		case <-s.quit:
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.up == generation {
		s.synced = generation
		s.dispatchLocked()
	}
}

// changed handles the event of a watch, which is thereby used up. The connection's receiving goroutine
// calls it, so it may come before an earlier event of the session has been handled. Then the node is looked
// at on the new connection anyway.
func (s *supervisor) changed(path string, t zk.EventType) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t != zk.EventNodeChildrenChanged {
		s.firedLocked(key{path, kindData})
		s.firedLocked(key{path, kindStat})
	}
	if t != zk.EventNodeDataChanged {
		s.firedLocked(key{path, kindChildren})
	}
	s.dispatchLocked()
}

func (s *supervisor) firedLocked(k key) {
	e := s.entries[k]
	if e == nil {
		return
	}
	e.armed = false
	if len(e.subs) == 0 && e.doing == nothing {
		delete(s.entries, k)
		return
	}
	s.needLocked(e, read)
}

// needLocked notes that e needs at least w. An entry at which a worker is, or that rests, is queued
// afterwards.
func (s *supervisor) needLocked(e *entry, w work) {
	e.need = max(e.need, w)
	if e.doing == nothing && !e.queued && !e.rests && e.need != nothing {
		e.queued = true
		s.queue = append(s.queue, e)
	}
}

// readyLocked reports whether workers may read: in a session that has synced, and that the
// connection, whose events are still to be handled, has not left yet.
func (s *supervisor) readyLocked() bool {
	return s.ended == nil && s.up != 0 && s.up == s.synced && s.conn.IsUp() && s.conn.Generation() == s.up
}

// dispatchLocked wakes and starts workers for what is queued.
func (s *supervisor) dispatchLocked() {
	for n := len(s.queue); n > 0 && s.workers < s.max && s.readyLocked(); n-- {
		s.workers++
		if s.idle {
			s.idle = false
			s.wake.Signal()
		} else {
			s.running.Go(s.work)
		}
	}
}

// nextLocked takes the next entry that needs work, or returns nil if there is none or work must rest.
func (s *supervisor) nextLocked() *entry {
	for len(s.queue) > 0 && s.readyLocked() {
		e := s.queue[0]
		s.queue[0] = nil
		s.queue = s.queue[1:]
		e.queued = false
		switch {
		case s.entries[e.key] != e || e.doing != nothing || e.need == nothing:
		case e.need == check && s.checkingLocked(e.path): // whose answer will serve for e
		case e.need == read && len(e.subs) == 0:
			delete(s.entries, e.key) // its last stream has left
		default:
			return e
		}
	}
	if len(s.queue) == 0 {
		s.queue = nil
	}
	return nil
}

// reside is a worker that stays, until stop: a new goroutine would need longer to send its first request,
// and most changes come alone.
func (s *supervisor) reside() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		s.idle = true
		for s.idle && s.ended == nil {
			s.wake.Wait()
		}
		if s.ended != nil {
			return
		}
		s.workLocked()
	}
}

// work is a worker that ends when there is nothing to read.
func (s *supervisor) work() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.workLocked()
}

// workLocked reads entries until there is none to read. It lets go of mu meanwhile.
func (s *supervisor) workLocked() {
	for e := s.nextLocked(); e != nil; e = s.nextLocked() {
		todo, generation := e.need, s.up
		e.need, e.doing = nothing, todo
		if todo == read {
			e.reads++
		}
		s.mu.Unlock()
		var n *node
		err := s.conn.Watch(generation, e.path, func(zc *zk.Conn) (err error) {
			if todo == check {
				n, err = s.client.checkNode(zc, e.path)
			} else {
				n, err = s.client.readNode(zc, e.key)
			}
			return err
		})
		s.mu.Lock()
		e.doing = nothing
		if s.conn.Generation() != generation || todo == check && e.need != nothing {
			n = nil // read in the next session, before its sync; or checked on the previous connection
		}
		if todo == check && s.ended == nil {
			s.shareLocked(e, n)
		}
		s.settleLocked(e, todo, n, err)
	}
	s.workers--
}

// settleLocked draws the conclusions from what a worker did to e: it got n, which is nil if it does not
// count, or err.
func (s *supervisor) settleLocked(e *entry, did work, n *node, err error) {
	switch {
	case s.ended != nil:
		return
	case err != nil && !zkconn.Transient(err):
		s.failLocked(e, err)
		return
	case err != nil && s.readyLocked():
		e.need = max(e.need, did)
		s.laterLocked(e)
		return
	case n == nil:
		e.need = max(e.need, did)
	case did == check && !e.last.same(n, e.kind):
		e.need = read
	default:
		e.armed = e.need == nothing // else the new watch has fired already, or is of the last connection
		if did == read {
			if e.news = e.last == nil || !e.last.equal(n, e.kind); e.news {
				e.last = n
			}
			for _, sub := range e.subs {
				sub.put(e.last)
			}
		}
	}
	if len(e.subs) == 0 && !e.armed {
		delete(s.entries, e.key)
		return
	}
	s.needLocked(e, nothing)
}

// checkingLocked reports whether a worker is checking any entry of the path.
func (s *supervisor) checkingLocked(path string) bool {
	for k := range kinds {
		if e := s.entries[key{path, k}]; e != nil && e.doing == check {
			return true
		}
	}
	return false
}

// shareLocked gives the outcome of e's check to the others of its path that wait for one.
func (s *supervisor) shareLocked(e *entry, n *node) {
	for k := range kinds {
		other := s.entries[key{e.path, k}]
		if other == nil || other == e || other.need != check || other.doing != nothing {
			continue
		}
		if n != nil && other.last.same(n, k) {
			other.need, other.armed = nothing, true
		} else if n != nil {
			other.need = read
		}
		s.needLocked(other, nothing)
	}
}

// failLocked ends the streams of e for an error of its node.
func (s *supervisor) failLocked(e *entry, err error) {
	delete(s.entries, e.key)
	for _, sub := range e.subs {
		sub.end(&PathError{Op: e.kind.String(), Path: s.client.chroot.relative(e.path), Err: err})
	}
	e.subs = nil
}

// laterLocked has e read again in a while: its request failed for a passing reason, but the connection
// is up, so no event will tell when to try.
func (s *supervisor) laterLocked(e *entry) {
	e.rests = true
	s.late = append(s.late, e)
	if s.timer == nil {
		s.timer = time.AfterFunc(lateDelay, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			late := s.late
			s.late, s.timer = nil, nil
			if s.ended != nil {
				return
			}
			for _, e := range late {
				e.rests = false
				s.needLocked(e, nothing)
			}
			s.dispatchLocked()
		})
	}
}

// nodeStream is a stream on an entry.
type nodeStream[T any] struct {
	Stream[T]
	entry *entry
	sup   *supervisor
	wrap  func(*node) T
	since int // until it has a snapshot: the first of the entry's reads that may bring it
}

// put takes what the entry's latest read has brought: if it is new, or the first that is for this stream.
func (s *nodeStream[T]) put(n *node) {
	if s.since == 0 && s.entry.news || s.since > 0 && s.entry.reads >= s.since {
		s.since = 0
		s.publish(s.wrap(n))
	}
}

// forget leaves the entry, which goes, or is parked if its watch is set.
func (s *nodeStream[T]) forget() {
	sup := s.sup
	sup.mu.Lock()
	defer sup.mu.Unlock()
	e := s.entry
	e.subs.remove(s)
	if len(e.subs) == 0 && !e.armed && e.doing == nothing && sup.entries[e.key] == e {
		delete(sup.entries, e.key)
	}
}

// subscribe opens a stream on what k reads of path. If the node is watched, the stream has its snapshot
// when subscribe returns, and no request is sent; unless the node is about to be read, since it has changed.
// Then the stream waits for that, and its user sees what he has just written.
func subscribe[T any](ctx context.Context, c *Client, k kind, path string, wrap func(*node) T) *Stream[T] {
	s := &nodeStream[T]{sup: c.supervisor, wrap: wrap}
	s.ch, s.tasks, s.source = make(chan T, 1), &c.tasks, s
	if err := validatePath(path); err != nil {
		s.end(&PathError{Op: k.String(), Path: path, Err: err})
		return &s.Stream
	}
	if ctx.Err() != nil {
		s.end(context.Cause(ctx))
		return &s.Stream
	}
	sup := s.sup
	sup.mu.Lock()
	if sup.ended != nil {
		s.end(sup.ended)
		sup.mu.Unlock()
		return &s.Stream
	}
	key := key{c.chroot.absolute(path), k}
	e := sup.entries[key]
	if e == nil {
		e = &entry{key: key}
		sup.entries[key] = e
		sup.needLocked(e, read)
		sup.dispatchLocked()
	}
	s.entry = e
	e.subs.add(s)
	switch {
	case e.last != nil && (e.need == nothing && e.doing == nothing || !sup.readyLocked()):
		s.publish(wrap(e.last))
	case e.doing == read && e.need != read: // under way, and nothing has changed since
		s.since = e.reads
	default:
		s.since = e.reads + 1
		sup.needLocked(e, read)
	}
	sup.mu.Unlock()
	s.endWith(ctx)
	return &s.Stream
}
