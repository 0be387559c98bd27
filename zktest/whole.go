package zktest

import "time"

// These methods do to an ensemble as a whole what the Server's do to one server.

// Create makes a node as [Server.Create] does. The error is also [ErrNoQuorum].
func (e *Ensemble) Create(path string, data []byte) error { return e.members[0].Create(path, data) }

// Add makes a node of any kind as [Server.Add] does. The error is also [ErrNoQuorum].
func (e *Ensemble) Add(n Node) (path string, err error) { return e.members[0].Add(n) }

// OpenSession makes a session without a client, as [Server.OpenSession] does.
func (e *Ensemble) OpenSession(timeout time.Duration) int64 { return e.members[0].OpenSession(timeout) }

// Nodes gives a node and all below it in the leader's state, as [Server.Nodes] does; without a leader, in the
// member's that has the longest history.
func (e *Ensemble) Nodes(path string) []Node { return e.newest().Nodes(path) }

// Dump writes down the leader's state, as [Server.Dump] does; without a leader, that of the member that has the
// longest history.
func (e *Ensemble) Dump(path string) string { return e.newest().Dump(path) }

// Set sets a node's data as [Server.Set] does. The error is also [ErrNoQuorum].
func (e *Ensemble) Set(path string, data []byte) error { return e.members[0].Set(path, data) }

// Delete deletes a node as [Server.Delete] does. The error is also [ErrNoQuorum].
func (e *Ensemble) Delete(path string) error { return e.members[0].Delete(path) }

// SetACL sets a node's access control list as [Server.SetACL] does. The error is also [ErrNoQuorum].
func (e *Ensemble) SetACL(path string, acl ...ACL) error { return e.members[0].SetACL(path, acl...) }

// Journal has fn called with each change of the history, as [Server.Journal] does.
func (e *Ensemble) Journal(fn func(Change)) { e.members[0].Journal(fn) }

// Get gives a node of the leader's state, as [Server.Get] does; without a leader, of the member's that has
// the longest history.
func (e *Ensemble) Get(path string) ([]byte, Stat, error) { return e.newest().Get(path) }

// Children gives the names of a node's children in the leader's state, as [Server.Children] does; without a
// leader, in the member's that has the longest history.
func (e *Ensemble) Children(path string) ([]string, error) { return e.newest().Children(path) }

// Sessions gives the ids of all live sessions in the leader's state, sorted; without a leader, in the
// member's that has the longest history.
func (e *Ensemble) Sessions() []int64 { return e.newest().Sessions() }

func (e *Ensemble) newest() *Server {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.newestLocked()
}

// Zxid is the zxid of the last transaction in the longest history of a member.
func (e *Ensemble) Zxid() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.newestLocked().loggedLocked()
}

// ExpireSession ends a session at once, as [Server.ExpireSession] does.
func (e *Ensemble) ExpireSession(id int64) { e.members[0].ExpireSession(id) }

// ExpireAll ends every session, as [Server.ExpireAll] does.
func (e *Ensemble) ExpireAll() { e.members[0].ExpireAll() }

// Intercept has fn called with every request to any member, as [Server.Intercept] does.
func (e *Ensemble) Intercept(fn func(Request) Fault) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.members {
		s.intercept = fn
	}
}

// Disconnect drops every connection, as [Server.Disconnect] does.
func (e *Ensemble) Disconnect() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.members {
		s.dropAllLocked()
	}
}

// DisconnectSession drops the connections of one session, if it has any.
func (e *Ensemble) DisconnectSession(id int64) {
	for _, s := range e.members {
		s.DisconnectSession(id)
	}
}

// Partition cuts all members off from all clients while on, as [Server.Partition] does.
func (e *Ensemble) Partition(on bool) {
	for _, s := range e.members {
		s.Partition(on)
	}
}

// Wipe makes the ensemble one that has lost its data, as [Server.Wipe] does: all members are up, and one
// leads at once. Members that are closed stay so.
func (e *Ensemble) Wipe() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	for _, s := range e.members {
		if !s.closed {
			s.stopped = false
			s.endProcessLocked()
			s.resetLocked()
		}
	}
	e.epoch = 0
	e.formLocked()
	e.reviewLocked(time.Now())
}
