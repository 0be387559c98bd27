package watching

import (
	"time"

	"github.com/zkstream/zkstream/internal/zkconn"
)

// smallContent is how many bytes cost no more memory than a node without them.
const smallContent = 128

// joinLeafLocked makes sub a subscriber of the children of a node that had none when its content was read, as most nodes of a
// tree. Their list need not be read. Only the watch is set, as of the zxid at which the content was read: if a child has come
// since, the server sends the event at once. It reports whether that can be done; otherwise the list is to be read.
func (s *Supervisor) joinLeafLocked(e *entry, sub Subscriber[Reading]) bool {
	content, w := e.watch(kindData), e.watch(kindChildren)
	// A content that is about to be read again may be of a lost connection or session. One that has been confirmed says how many
	// children there were at its own read, but its zxid is later: a child that has come in between would be missed.
	if w.state != none || content.confirmed || content.state != armed && content.state != arming {
		return false
	}
	w.kind, w.zxid = kindChildren, content.zxid
	if w.last = content.last; len(w.last.data) > smallContent { // which would be kept for as long as there are no children
		w.last = &Node{path: w.last.path, stat: w.last.stat}
	}
	w.subs.add(sub)
	s.armingLocked(w)
	return true
}

// JoinTree makes sub, a stream of the user's, a subscriber of trees of a shape, and calls on with their Assembler before sub gets
// anything. If one has been assembled already that is as new as what the client has written, sub has it when JoinTree returns. It
// reports why it cannot.
func (s *Supervisor) JoinTree(sh Shape, sub Subscriber[Assembled], on func(*Assembler)) error {
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		return zkconn.ErrClosed
	}
	s.counts.streams++
	a := s.assemblers[sh]
	if a != nil {
		s.assembleLocked() // what has been answered, and is still to be put together
		a = s.assemblers[sh]
	}
	if a != nil {
		a.catchUp()
		on(a)
		a.subs.add(sub)
		if a.begun {
			sub.Put(Assembled{a.last, false, a.pending == 0, Now()})
		}
	} else {
		a = &Assembler{supervisor: s, shape: sh, round: 1, coveredZxid: s.conn.Wrote()}
		s.assemblers[sh] = a
		on(a)
		a.subs.add(sub)
		a.root = &treeNode{more: &inner{assembler: a}}
		a.add(a.root, s.chroot.Absolute(sh.Path), true)
		s.assembleLocked()
	}
	s.mu.Unlock()
	s.conn.Pump()
	return nil
}

// Leave takes sub, a stream of the user's, from the tree, whose watches are left if that was the last.
func (a *Assembler) Leave(sub Subscriber[Assembled]) {
	s := a.supervisor
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.streams--
	a.subs.remove(sub)
	if len(a.subs) == 0 {
		s.retireLocked(a)
	}
}

// assembleLocked runs the assemblers that have something to look at.
func (s *Supervisor) assembleLocked() {
	for len(s.assembling) > 0 {
		assembling := s.assembling
		s.assembling = nil
		for _, a := range assembling {
			a.run()
		}
	}
}

// retireLocked has the watches of an assembler left that has no streams any more. That is done by the supervisor's
// goroutine, bit by bit: they may be many.
func (s *Supervisor) retireLocked(a *Assembler) {
	if a.ended || s.stopped {
		return
	}
	a.ended, a.queue = true, nil
	delete(s.assemblers, a.shape)
	s.retired = append(s.retired, a.root)
	select {
	case s.retire <- struct{}{}:
	default:
	}
}

// mostRetired is how many members leave their watches before others get the lock.
const mostRetired = 1024

// Dismantle leaves the watches of retired assemblers.
func (s *Supervisor) Dismantle() {
	for left := true; left; {
		s.mu.Lock()
		for range mostRetired {
			last := len(s.retired) - 1
			if last < 0 {
				break
			}
			m := s.retired[last]
			s.retired[last] = nil
			s.retired = append(s.retired[:last], m.children()...)
			m.leaveLocked()
		}
		if left = len(s.retired) > 0; !left {
			s.retired = nil
		}
		s.mu.Unlock()
	}
	s.conn.Pump()
}

// A denial is a node of a tree that could not be read.
type denial struct {
	node *treeNode
	at   time.Time
}

// denyLocked has a node that may not be read tried again after the interval of rechecks: servers send no event when an access
// control list changes.
func (s *Supervisor) denyLocked(m *treeNode) {
	if s.interval > 0 {
		s.denied = append(s.denied, denial{m, time.Now()})
	}
}

// tryDenied reads nodes again that could not be read, as many in one step as are rechecked.
func (s *Supervisor) tryDenied() {
	s.mu.Lock()
	tried := 0
	for tried < mostRechecks && len(s.denied) > 0 && time.Since(s.denied[0].at) >= s.interval*9/10 && !s.stopped {
		d := s.denied[0]
		s.denied[0] = denial{}
		s.denied = s.denied[1:]
		if !d.node.gone && !d.node.assembler().ended && d.node.retryLocked() {
			tried++
		}
	}
	if len(s.denied) == 0 {
		s.denied = nil
	}
	s.assembleLocked()
	s.mu.Unlock()
	if tried > 0 {
		s.conn.Pump()
	}
}
