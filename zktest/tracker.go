package zktest

import (
	"container/heap"
	"slices"
	"time"
)

// tracker is the leader's list of sessions: when each was last heard of, and through which server. No
// other server knows. The Server's mutex guards it.
type tracker struct {
	sessions map[int64]*tracked
	queue    expiryQueue
	closing  []*tracked // expired while there was no quorum to agree on it
}

// tracked is a session in the tracker.
type tracked struct {
	id       int64
	timeout  time.Duration
	deadline time.Time // expires then, unless it is heard of before
	queued   time.Time // the deadline under which it stands in the queue
	index    int       // in the queue; -1 while the session waits to be closed
	owner    *Server   // the server that its client is connected to, or was last; nil if the leader does not know
}

// expiryQueue is a heap of sessions by queued deadline. A request only moves the deadline; the
// queue learns of it when the older deadline has come.
type expiryQueue []*tracked

func (q expiryQueue) Len() int           { return len(q) }
func (q expiryQueue) Less(i, j int) bool { return q[i].queued.Before(q[j].queued) }
func (q expiryQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

func (q *expiryQueue) Push(x any) {
	tr := x.(*tracked)
	tr.index = len(*q)
	*q = append(*q, tr)
}

func (q *expiryQueue) Pop() any {
	old := *q
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return last
}

// newTracker gives each session its whole timeout, as a leader does that comes into office.
func newTracker(sessions map[int64]*session) *tracker {
	t := &tracker{sessions: map[int64]*tracked{}}
	for id, sess := range sessions {
		t.add(id, sess.timeout, nil)
	}
	return t
}

func (t *tracker) add(id int64, timeout time.Duration, owner *Server) {
	tr := &tracked{id: id, owner: owner}
	tr.touch(timeout)
	tr.queued = tr.deadline
	t.sessions[id] = tr
	heap.Push(&t.queue, tr)
}

func (t *tracker) remove(id int64) {
	tr := t.sessions[id]
	if tr == nil {
		return
	}
	delete(t.sessions, id)
	if tr.index >= 0 {
		heap.Remove(&t.queue, tr.index)
	} else {
		t.closing = slices.DeleteFunc(t.closing, func(other *tracked) bool { return other == tr })
	}
}

// touch starts the session's timeout anew.
func (tr *tracked) touch(timeout time.Duration) {
	tr.timeout = timeout
	tr.deadline = time.Now().Add(timeout)
}

// touch starts a session's timeout anew. It is false if there is no such session, or its time was up.
func (t *tracker) touch(id int64, timeout time.Duration) bool {
	tr := t.sessions[id]
	if tr == nil || tr.index < 0 {
		return false
	}
	tr.touch(timeout)
	if tr.deadline.Before(tr.queued) { // a shorter timeout than before
		tr.queued = tr.deadline
		heap.Fix(&t.queue, tr.index)
	}
	return true
}

// move is touch for a client that has come to a server, perhaps from another.
func (t *tracker) move(id int64, timeout time.Duration, to *Server) bool {
	if !t.touch(id, timeout) {
		return false
	}
	t.sessions[id].owner = to
	return true
}

// check tells whether a session may write through a server.
func (t *tracker) check(id int64, through *Server) Code {
	tr := t.sessions[id]
	switch {
	case tr == nil || tr.index < 0:
		return ErrSessionExpired
	case tr.owner != nil && tr.owner != through:
		return ErrSessionMoved
	}
	tr.owner = through
	return 0
}

// next is the time at which a session may expire; zero for never.
func (t *tracker) next() time.Time {
	if len(t.queue) == 0 {
		return time.Time{}
	}
	return t.queue[0].queued
}

// expireDue moves the sessions whose deadline has come from the queue to those that wait to be closed.
func (t *tracker) expireDue(now time.Time) {
	for len(t.queue) > 0 && !t.queue[0].queued.After(now) {
		tr := t.queue[0]
		if tr.deadline.After(now) {
			tr.queued = tr.deadline
			heap.Fix(&t.queue, 0)
			continue
		}
		heap.Pop(&t.queue)
		tr.index = -1
		t.closing = append(t.closing, tr)
	}
}

// expireDueLocked ends the sessions whose deadline has come. Without a quorum they cannot be closed yet,
// but nothing that their clients send brings them back.
func (e *Ensemble) expireDueLocked(now time.Time) {
	if e.leader == nil || !e.leader.ableLocked() {
		return
	}
	e.tracker.expireDue(now)
	for e.quorumLocked() && len(e.tracker.closing) > 0 {
		e.expireLocked(e.tracker.closing[0].id)
	}
}
