package zktest

import (
	"slices"
	"time"
)

// Request is what Intercept sees of a client's request. Fields that an operation does not have are zero.
type Request struct {
	Member  int    // the ID of the server that the request has reached
	Addr    string // what the client dialled: the address that it gave to Dial, over TCP the server's
	Dialer  string // the name of the Dialer that the client connected through; empty for none
	Session int64  // 0 in the connect request of a new session
	Xid     int32  // the client's number of the request; 0 for a connect request
	Op      Op
	Path    string        // a sequence node's without its number
	Data    []byte        // of a create, setData or auth; nil for null; it must not be changed
	ACL     []ACL         // of a create or setACL
	Flags   int32         // of a create: 1 for an ephemeral node, 2 for a sequence node, 3 for both, 4 for a container
	TTL     time.Duration // of a createTTL
	Version int32         // that a setData, setACL, delete or check asks for; -1 for any
	Watch   bool          // whether an exists, getData, getChildren or getChildren2 sets a watch
	Paths   []string      // that setWatches or setWatches2 names, in its order
	Zxid    int64         // that a connect request has seen, or that setWatches goes by
	Timeout time.Duration // that a connect request asks for
	Multi   []Request     // the operations of a multi or multiRead
}

// Fault is what goes wrong with a request. The zero Fault is none. Delay goes with any of the others.
type Fault struct {
	// Delay waits before anything else happens. Later requests of the same connection wait too, those
	// of others do not. A delay does not keep the session alive.
	Delay time.Duration
	// Code answers with an error and does not carry the request out. It has no effect on a connect
	// request, which has no error codes. Any number will do. ErrAuthFailed, ErrAuthRequired and
	// ErrSessionExpired end the connection too, as they do on the real server.
	Code Code
	// LoseReply carries the request out and closes the connection instead of answering.
	LoseReply bool
	// Drop closes the connection and does not carry the request out.
	Drop bool
	// NewSession, on a connect request, ignores the session that the client wants back and opens a new
	// one without telling, as ClickHouse Keeper does. The old session goes on until it expires.
	NewSession bool
}

// Intercept has fn called with every request, connect requests and pings included, before it is
// carried out; what fn returns goes wrong with it. A nil fn ends that. Several connections may call fn at
// once. It may call the Server's methods, except Close.
func (s *Server) Intercept(fn func(Request) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intercept = fn
}

// consult waits while the server is frozen, and then for what Intercept's function does to a request.
// It is false if the connection has been closed.
func (c *conn) consult(req *request) (Fault, bool) {
	if !c.awaitThaw() {
		return Fault{}, false
	}
	c.s.mu.Lock()
	fn := c.s.intercept
	c.s.mu.Unlock()
	if fn == nil {
		return Fault{}, true
	}
	fault := fn(c.describe(req))
	if fault.Delay > 0 {
		timer := time.NewTimer(fault.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-c.dead:
			return Fault{}, false
		}
	}
	if fault.Drop {
		c.close(dropNow)
		return Fault{}, false
	}
	return fault, true
}

func (c *conn) describe(req *request) Request {
	r := Request{Member: c.s.id, Addr: c.addr, Session: req.session, Xid: req.xid}
	if c.session != 0 { // only this goroutine sets it
		r.Session = c.session
	}
	if c.dialer != nil {
		r.Dialer = c.dialer.name
	}
	var multi []Request
	for _, sub := range req.multi {
		one := r
		sub.describe(&one)
		multi = append(multi, one)
	}
	req.describe(&r)
	r.Multi = multi
	return r
}

// describe fills in what the operation itself has.
func (r *request) describe(to *Request) {
	to.Op, to.Path, to.Data, to.Flags, to.Version, to.Watch = r.op, r.path, r.data, r.flags, r.version, r.watch
	to.Zxid, to.Timeout = r.zxid, r.timeout
	if r.op == OpCreateTTL {
		to.TTL = time.Duration(r.ttl) * time.Millisecond
	}
	if len(r.acl) > 0 {
		to.ACL = aclList(r.acl).public()
	}
	if w := r.watches; w != nil {
		to.Zxid = w.relativeZxid
		to.Paths = slices.Concat(w.data, w.exist, w.child, w.persistent, w.recursive)
	}
}

// lockThawed takes the Server's mutex while the server is not frozen. It is false, without the mutex,
// if the connection was closed while it waited.
func (c *conn) lockThawed() bool {
	for {
		c.s.mu.Lock()
		if c.s.thawed == nil {
			return true
		}
		c.s.mu.Unlock()
		if !c.awaitThaw() {
			return false
		}
	}
}

// Disconnect drops every connection. Sessions live on until their timeout; clients may come back at once.
func (s *Server) Disconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropAllLocked()
}

// DisconnectSession drops the connection of one session, if it has one.
func (s *Server) DisconnectSession(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.attached[id]; c != nil {
		c.closeLocked(dropNow)
	}
}

func (s *Server) dropAllLocked() {
	for c := range s.conns {
		c.closeLocked(dropNow)
	}
}

// Partition cuts the server off from its clients while on: connections are dropped and new ones refused. (Over TCP
// they are accepted and reset, so that the port stays this server's.) Sessions expire meanwhile, and
// the Server's own methods work. From the other members of an ensemble [Server.Isolate] cuts it off.
func (s *Server) Partition(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.partitioned = on
	if on {
		s.dropAllLocked()
	}
}

// Freeze makes the server hang while on, as a stopped process does: it takes connections and requests
// on but answers nothing, sends no events and expires no session. When it ends, the sessions whose
// timeout has passed expire first, and then everything that clients have sent is carried out, also on
// connections that they have given up. The Server's own methods work meanwhile, those that write only if there is
// a quorum without a frozen member. A member that has been frozen for syncLimit has been given up by the others, and
// drops its clients as soon as it can, before it answers them.
func (s *Server) Freeze(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if on == (s.thawed != nil) || !s.upLocked() {
		return
	}
	if on {
		s.thawed = make(chan struct{})
	} else {
		thawed := s.thawed
		s.thawed = nil
		defer close(thawed)
	}
	now := time.Now()
	s.e.reviewLocked(now)
	s.e.expireDueLocked(now)
	s.e.wakeLocked(now)
}

// Restart stops the server and starts it again on the same address with its data, as a process that is
// restarted: every connection is dropped, watches and counters are forgotten. It ends a freeze. A standalone
// server carries on at once, and sessions have their whole timeout again; a member of an ensemble looks for the
// leader, and others elect one if it was the leader itself.
func (s *Server) Restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.stopped = false
	s.endProcessLocked()
	s.restartLocked()
	s.e.reviewLocked(time.Now())
}

// Wipe makes the server one that has lost its data: every connection is dropped, the tree is empty,
// there are no sessions and the zxid begins at zero. It ends a freeze. A member of an ensemble gets it all back from the
// leader, if there is one; [Ensemble.Wipe] loses the data of all.
func (s *Server) Wipe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.stopped = false
	s.endProcessLocked()
	s.resetLocked()
	s.e.reviewLocked(time.Now())
}
