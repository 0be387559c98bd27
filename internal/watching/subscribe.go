package watching

import "github.com/zkstream/zkstream/internal/zkconn"

// Leave takes sub, a stream of the user's, from w, which is parked if that was the last.
func (s *Supervisor) Leave(w Watch, sub Subscriber[Reading]) {
	s.mu.Lock()
	s.counts.stream(w.kind, -1)
	s.leaveLocked(w, sub)
	evicted := len(s.evicted) > 0
	s.mu.Unlock()
	if evicted {
		s.conn.Pump()
	}
}

// leaveLocked takes sub from w. Watches that are then to be taken back from the server are in evicted.
func (s *Supervisor) leaveLocked(w Watch, sub Subscriber[Reading]) {
	w.subs.remove(sub)
	if w.subs.len() > 0 {
		return
	}
	switch {
	case w.state == armed, w.wasParked() && (w.state == stale || w.state == resting):
		s.armedLocked(w)
	case w.state == stale, w.state == resting:
		s.moveLocked(w, none)
	}
}

// Join makes sub, a stream of the user's, a subscriber of what k reads of path, below the chroot, and calls on with the watch before
// sub gets anything. It reports why it cannot.
//
// If what was read is up to date, sub has it when Join returns, and nothing is sent. Otherwise sub gets the next
// answer. That is never older than what the client itself has written: replies arrive in order, so a read whose
// answer is still to come was carried out after a write that has been answered. But what a batch has read may be older,
// for as long as its watch is not set:
//
//  1. The batch is asked for, and behind it a write of the client's own goes to the same node.
//  2. The batch is answered, with the old content, and the watch is asked for.
//  3. The write is answered, and its caller opens a stream. No event has come, since no watch was set.
//
// So where the client has written since the read, sub waits until the watch is set. The server sends the event of that write
// before its answer that the watch is set.
func (s *Supervisor) Join(path string, k kind, sub Subscriber[Reading], on func(Watch)) error {
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		return zkconn.ErrClosed
	}
	s.counts.stream(k, 1)
	known := s.joinLocked(s.chroot.Absolute(path), k, sub, on)
	s.mu.Unlock()
	if !known {
		s.conn.Pump()
	}
	return nil
}

// joinLocked makes sub a subscriber. path is the server's. It reports whether sub has a snapshot already; otherwise the caller has
// the connection look for what is to be read (Pump).
func (s *Supervisor) joinLocked(path string, k kind, sub Subscriber[Reading], on func(Watch)) (known bool) {
	w := s.makeLocked(path, k)
	if w.state == none || w.state == parked {
		s.moveLocked(w, stale)
	}
	on(w)
	w.subs.add(sub)
	switch {
	case w.state == armed, w.state == arming && w.zxid >= s.conn.Wrote():
		sub.Put(Reading{Node: w.last, At: Now()})
		return true
	case w.state == arming:
		w.awaited = true
	}
	return false
}
