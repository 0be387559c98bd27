package zkstream

import (
	"github.com/zkstream/zkstream/internal/zkconn"
)

// kind is what is read of a node, and so which watch is set there.
type kind = zkconn.Kind

const (
	kindData     = zkconn.Data
	kindChildren = zkconn.Children
	kindStat     = zkconn.Stat
)

type watchKey struct {
	path string // as the server has it
	kind kind
}

// watchState is how far a watch is from showing what the server has.
//
//	         subscribe         Next          Answered
//	(none) ------------> stale ----> asked ------------------------> armed
//	                     ^ ^ ^        | \                            ^ |
//	               Fired | | |  Fired |  \ read by a batch           | | the last stream
//	              from   | | |        |   '------------> arming -----' | has left
//	       asked (later),| | |        v                       Armed    v
//	   arming and armed; | | '---- refired                          parked ----> (none)
//	    a new connection | |   Answered                  Fired, a new connection,
//	                     | |                             or more than mostParked
//	                     | '------- resting <---- asked, refired
//	                     |   a timer        a passing error
//	                     '---- parked, when a stream is opened on it
type watchState uint8

const (
	stale   watchState = iota // to be read; in supervisor.stale
	asked                     // its read is under way
	refired                   // its read is under way, and the node has changed since
	arming                    // what was read has been published; its watch is being set
	armed                     // what was read has been published, and a change of it will be an event
	resting                   // its read has failed for a passing reason; in supervisor.resting
	parked                    // armed, but without streams and content; in supervisor.parked
	gone                      // not in the table any more
)

// A watch is what a client knows of one node: what was last read, and who follows it. Its fields are guarded
// by supervisor.mu.
type watch struct {
	watchKey
	state    watchState
	failures uint8 // of its read, in a row

	// zxid is that of a recheck, and later than the read. What was read has not changed since as far as the watch goes. The
	// rest of the metadata may have: a node's content stays the same when it gets a child.
	confirmed bool

	zxid int64 // it is known to be as new as this
	last *node // nil before the first read, and while parked
	subs subscribers[reading]

	previous, next *watch // in the list of its state, if that has one
}

// A reading is what a subscriber of a watch gets.
type reading struct {
	node    *node
	changed bool // since the one before
}

// Path returns the path of the node as the server has it.
func (w *watch) Path() string { return w.path }

// Kind returns what is read of the node.
func (w *watch) Kind() zkconn.Kind { return w.kind }

// size returns how many bytes the next answer will probably have, 0 if nothing is known.
func (w *watch) size() int {
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

// watchList is a list of watches, in the order in which they were added.
type watchList struct {
	first, last *watch
	length      int
}

func (l *watchList) push(w *watch) {
	w.previous = l.last
	if l.last == nil {
		l.first = w
	} else {
		l.last.next = w
	}
	l.last = w
	l.length++
}

func (l *watchList) pushFront(w *watch) {
	w.next = l.first
	if l.first == nil {
		l.last = w
	} else {
		l.first.previous = w
	}
	l.first = w
	l.length++
}

func (l *watchList) remove(w *watch) {
	if w.previous == nil {
		l.first = w.next
	} else {
		w.previous.next = w.next
	}
	if w.next == nil {
		l.last = w.previous
	} else {
		w.next.previous = w.previous
	}
	w.previous, w.next = nil, nil
	l.length--
}

// listLocked returns the list in which w is, nil if its state has none.
func (s *supervisor) listLocked(w *watch) *watchList {
	switch w.state {
	case stale:
		return &s.stale
	case parked:
		return &s.parked
	case resting:
		return &s.resting[restingFor(w)].watchList
	default:
		return nil
	}
}

// moveLocked takes w from one state to another.
func (s *supervisor) moveLocked(w *watch, to watchState) {
	if l := s.listLocked(w); l != nil {
		l.remove(w)
	}
	s.counts.watches[w.kind][w.state]--
	if w.state = to; to != gone {
		s.counts.watches[w.kind][to]++
	}
	switch l := s.listLocked(w); {
	case to == gone:
		delete(s.watches, w.watchKey)
	case l == nil:
	case w.kind == kindStat: // of a registration, which goes before all reading
		l.pushFront(w)
	default:
		l.push(w)
	}
}

// staleLocked has w read, if anybody wants to know.
func (s *supervisor) staleLocked(w *watch) {
	if len(w.subs) == 0 {
		s.moveLocked(w, gone)
	} else {
		s.moveLocked(w, stale)
	}
}

// armedLocked notes that the server will send an event when w changes.
func (s *supervisor) armedLocked(w *watch) {
	if len(w.subs) > 0 {
		s.moveLocked(w, armed)
		return
	}
	w.last = nil // nobody knows for how long it is parked
	s.moveLocked(w, parked)
	if s.parked.length > mostParked {
		oldest := s.parked.first
		s.moveLocked(oldest, gone)
		s.evicted = append(s.evicted, oldest)
	}
}

// mostParked is how many watches are kept of which nobody follows the nodes. The next stream on such a node
// does not have to set its watch again.
const mostParked = 1024

// failLocked ends the streams of w, whose node cannot be read.
func (s *supervisor) failLocked(w *watch, err error) {
	s.moveLocked(w, gone)
	for _, sub := range w.subs {
		sub.end(&PathError{Op: w.kind.String(), Path: s.chroot.relative(w.path), Err: err})
	}
	w.subs = nil
}
