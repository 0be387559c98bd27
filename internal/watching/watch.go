package watching

import (
	"iter"
	"slices"

	"github.com/zkstream/zkstream/internal/zkconn"
)

// kind is what is read of a node, and so which watch is set there.
type kind = zkconn.Kind

const (
	kindData     = zkconn.Data
	kindChildren = zkconn.Children
	kindStat     = zkconn.Stat
)

// watchState is how far a watch is from showing what the server has.
//
//	state            what happens                                   next state
//	none             Join: a stream is opened                       stale
//	stale            Next: the connection asks for it               asked
//	asked            Answered, and its watch is set                 armed
//	asked            Answered by a batch, which sets no watch       arming
//	asked            Fired: the node has changed meanwhile          refired
//	refired          Answered: published, but not the last word     stale
//	asked, refired   Answered by an error that may pass             resting, then stale by a timer
//	asked, refired   Answered by an error that stays                none: the streams end
//	arming           Armed: its watch is set                        armed
//	arming, armed    Fired                                          stale
//	armed            Leave: its last stream is closed               parked
//	parked           Join                                           stale
//	parked           Fired, or more than mostParked are parked      none
//
// On a new connection (Attached), what was armed in the same session stays so, and everything else becomes stale. A watch
// without streams is never read: where it would become stale, it goes to none, and where it would be armed, it is parked.
type watchState uint8

const (
	none    watchState = iota // there is no such watch
	stale                     // to be read; in Supervisor.stale or urgent
	asked                     // its read is under way
	refired                   // its read is under way, and the node has changed since
	arming                    // what was read has been published; its watch is being set
	armed                     // what was read has been published, and a change of it will be an event
	resting                   // its read has failed for a passing reason; in Supervisor.resting
	parked                    // armed, but without streams and content; in Supervisor.parked

	watchStates = iota
)

// An entry is what a client knows of one node. Of most nodes of a tree there are two watches, and may be a million of these
// nodes, so an entry is kept small. It is guarded by Supervisor.mu.
type entry struct {
	path  string // as the server has it
	slots [2]slot
}

// A slot of an entry is a watch as the table has it: of the content, or for a registration of the metadata; and of the children.
type slot struct {
	subs     followers
	last     *Node // nil before the first read, and while parked
	zxid     int64 // it is known to be as new as this; see also wasParked
	kind     kind
	state    watchState
	failures uint8 // of its read, in a row
	queued   bool  // in Supervisor.stale or urgent
	awaited  bool  // while arming: a subscriber waits until it is armed, since what was read may be older than what the client has written

	// confirmed says that zxid is later than the read that last comes from: a recheck, or another read, has found nothing new.
	// Only what the watch is of has not changed. The rest of the metadata may have: when a node gets a child, its content stays
	// the same, but NumChildren does not.
	confirmed bool

	checkedAt uint16 // when it was read or rechecked last, by Supervisor.clock
}

// Path returns the path of the node as the server has it.
func (e *entry) Path() string { return e.path }

// A Watch is one slot of an entry.
type Watch struct {
	*slot
	*entry
}

// watch returns the watch of that kind, which may be none.
func (e *entry) watch(k kind) Watch { return Watch{&e.slots[k&1], e} }

// all ranges over the watches that there are.
func (e *entry) all() iter.Seq[Watch] {
	return func(yield func(Watch) bool) {
		for i := range e.slots {
			if e.slots[i].state != none && !yield(Watch{&e.slots[i], e}) {
				return
			}
		}
	}
}

// Kind returns what is read of the node.
func (w Watch) Kind() zkconn.Kind { return w.kind }

// wire is w as the connection has it.
func (w Watch) wire() zkconn.Watch { return zkconn.Watch{Node: w.entry, Kind: w.kind} }

// watchOf is the inverse of wire.
func watchOf(w zkconn.Watch) Watch { return w.Node.(*entry).watch(w.Kind) }

// wasParked reports whether w is parked, or was until a stream was opened on it. The server has its watch set all the time, until
// there is an event or another connection; then its zxid is 0. So a batch that reads it has no need to set it.
func (w Watch) wasParked() bool { return w.last == nil && w.zxid != 0 }

// A table holds entries by path. Those of registrations are in a table of their own, since an entry has no room for
// a third watch.
type table map[string]*entry

func (s *Supervisor) table(k kind) table {
	if k == kindStat {
		return s.presence
	}
	return s.nodes
}

// findLocked returns the watch of that kind, and whether there is one.
func (s *Supervisor) findLocked(path string, k kind) (Watch, bool) {
	e := s.table(k)[path]
	if e == nil {
		return Watch{}, false
	}
	w := e.watch(k)
	return w, w.state != none
}

// makeLocked returns the watch of that kind. If there was none, it is in no state yet.
func (s *Supervisor) makeLocked(path string, k kind) Watch {
	t := s.table(k)
	e := t[path]
	if e == nil {
		e = &entry{path: path}
		t[path] = e
	}
	w := e.watch(k)
	w.kind = k
	return w
}

// allLocked ranges over all watches.
func (s *Supervisor) allLocked() iter.Seq[Watch] {
	return func(yield func(Watch) bool) {
		for _, t := range [...]table{s.presence, s.nodes} {
			for _, e := range t {
				for w := range e.all() {
					if !yield(w) {
						return
					}
				}
			}
		}
	}
}

// A Reading is what a subscriber of a watch gets.
type Reading struct {
	Node    *Node
	Changed bool // since the one before
	At      Seconds
}

// size returns how many bytes the next answer will probably have, 0 if nothing is known.
func (w Watch) size() int {
	const head = 81 // of an answer in a multiRead, with the metadata
	switch {
	case w.last == nil:
		return 0
	case w.kind == kindChildren: // a batch reads the content with them
		return head + int(w.last.stat.DataLength) + 32*int(w.last.stat.NumChildren)
	default:
		return head + int(w.last.stat.DataLength)
	}
}

// A backlog holds watches that are stale, in the order in which they became so. One that is not stale any more stays in it until
// its turn comes.
type backlog []Watch

// drop takes the first watch out.
func (q *backlog) drop() {
	(*q)[0].queued = false
	(*q)[0] = Watch{}
	if *q = (*q)[1:]; len(*q) == 0 {
		*q = nil
	}
}

// nextStaleLocked returns the watch that is to be read next: registrations' go before all other reading. It stays in its backlog
// for as long as it is stale.
func (s *Supervisor) nextStaleLocked() (w Watch, found bool) {
	for _, q := range [...]*backlog{&s.urgent, &s.stale} {
		for len(*q) > 0 {
			if w := (*q)[0]; w.state == stale {
				return w, true
			}
			q.drop()
		}
	}
	return Watch{}, false
}

// queueLocked puts w, which has become stale, into its backlog. Without a connection no watch's turn comes, while streams are
// opened and closed. So when most of the backlog is not stale any more, that part is taken out.
func (s *Supervisor) queueLocked(w Watch) {
	if w.queued {
		return
	}
	q := &s.stale
	if w.kind == kindStat {
		q = &s.urgent
	}
	if len(*q) > 2*s.countStaleLocked()+64 {
		*q = slices.DeleteFunc(*q, func(w Watch) bool {
			w.queued = w.state == stale
			return !w.queued
		})
	}
	w.queued = true
	*q = append(*q, w)
}

// countStaleLocked returns how many watches are stale.
func (s *Supervisor) countStaleLocked() int { return s.countLocked(stale) }

// countLocked returns how many watches are in these states.
func (s *Supervisor) countLocked(states ...watchState) (n int) {
	for i := range s.counts.watches {
		for _, state := range states {
			n += s.counts.watches[i][state]
		}
	}
	return n
}

// moveLocked takes w from one state to another.
func (s *Supervisor) moveLocked(w Watch, to watchState) {
	n := &s.counts.watches[w.kind]
	if w.state == parked {
		i := slices.Index(s.parked, w)
		s.parked = slices.Delete(s.parked, i, i+1)
	}
	if w.state != none {
		n[w.state]--
	}
	if w.state = to; to != none {
		n[to]++
	}
	switch to {
	case stale:
		s.queueLocked(w)
	case resting:
		place := &s.resting[restingFor(w)]
		place.watches = append(place.watches, w)
	case parked:
		s.parked = append(s.parked, w)
	case none:
		*w.slot = slot{kind: w.kind, queued: w.queued}
		if w.slots[0].state == none && w.slots[1].state == none {
			delete(s.table(w.kind), w.path)
		}
	}
}

// staleLocked has w read if it has streams, and forgets it otherwise.
func (s *Supervisor) staleLocked(w Watch) {
	if w.subs.len() == 0 {
		s.moveLocked(w, none)
	} else {
		s.moveLocked(w, stale)
	}
}

// armedLocked notes that the server will send an event when w changes.
func (s *Supervisor) armedLocked(w Watch) {
	if w.subs.len() > 0 {
		s.moveLocked(w, armed)
		s.checkedLocked(w)
		return
	}
	w.last = nil // it may be parked for long
	s.moveLocked(w, parked)
	if len(s.parked) > mostParked {
		oldest := s.parked[0]
		s.moveLocked(oldest, none)
		s.evicted = append(s.evicted, oldest)
	}
}

// mostParked is how many watches without streams are kept. Below that the end of a node's last stream sends nothing, and streams
// that come and go on one node have one watch on the server.
const mostParked = 1024

// failLocked ends the streams of w, whose node cannot be read.
func (s *Supervisor) failLocked(w Watch, err error) {
	subs := w.subs
	s.moveLocked(w, none)
	s.counts.stream(w.kind, -subs.end(&PathError{Op: w.kind.String(), Path: s.chroot.Relative(w.path), Err: err}))
}

// A PathError says what could not be read: see zkstream.PathError, into which it is made.
type PathError struct {
	Op   string
	Path string
	Err  error
}

func (e *PathError) Error() string { return e.Op + " " + e.Path + ": " + e.Err.Error() }

// unsettledLocked returns how many watches are not known to show what the server has.
func (s *Supervisor) unsettledLocked() (n int) {
	for _, c := range s.counts.watches {
		n += c[stale] + c[asked] + c[refired] + c[arming] + c[resting]
	}
	return n
}
