package simulation

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/zkstream/zkstream/zktest"
)

// rule is what goes wrong with the next requests of a kind.
type rule struct {
	op    zktest.Op
	path  string // "": any
	fault zktest.Fault
	skip  int           // requests that are left alone first
	left  int           // requests
	until time.Time     // nothing goes wrong after that; zero: no limit
	hits  map[int64]int // of a rule that is in force for long, by second
}

// applies reports whether r is for req, which it then counts.
func (r *rule) applies(req zktest.Request) bool {
	if !r.until.IsZero() && time.Now().After(r.until) {
		r.left = 0
	}
	if r.left == 0 || r.op != req.Op || r.path != "" && r.path != req.Path {
		return false
	}
	if r.skip > 0 {
		r.skip--
		return false
	}
	r.left--
	if r.hits != nil {
		r.hits[time.Now().Unix()]++
	}
	return true
}

// calm reports whether nothing is wrong now.
func (s *simulation) calm() bool {
	if s.servers.Leader() == nil || len(s.servers.Followers()) < len(s.servers.Members())-1 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.healing == 0 && !slices.ContainsFunc(s.rules, func(r *rule) bool { return r.left > 0 })
}

func (s *simulation) disconnect() {
	if c := s.client(); c != nil && s.chance(2) {
		now, _ := c.sessions.Latest()
		s.note("disconnect %v", c)
		s.servers.DisconnectSession(now.ID)
		return
	}
	s.note("disconnect all")
	s.servers.Disconnect()
}

func (s *simulation) expire() {
	if c := s.client(); c != nil && s.chance(3) {
		s.expireOne(c)
		return
	}
	s.note("expire all sessions")
	s.servers.ExpireAll()
}

func (s *simulation) expireOne(c *simClient) {
	now, _ := c.sessions.Latest()
	s.note("expire the session of %v", c)
	s.servers.ExpireSession(now.ID)
}

// grow makes the nodes that are there from the start.
func (s *simulation) grow() {
	for _, path := range append(simProps, simToggle) {
		s.direct("create "+path, s.servers.Create(path, []byte(simStart)))
	}
	for _, path := range append(simServices, simQuiet, simLarge, simTree) {
		s.direct("create "+path, s.servers.Create(path, nil))
	}
	if s.has(longPaths) {
		for _, path := range simLong {
			s.direct("create "+path, s.servers.Create(path, nil))
		}
	}
	s.growDenied()
}

// growDenied makes the node that may not be read, if it is not there.
func (s *simulation) growDenied() {
	nobody := zktest.ACL{Perms: 2, Scheme: "world", ID: "anyone"} // may write, and not read
	_, err := s.servers.Add(zktest.Node{Path: simDenied, ACL: []zktest.ACL{nobody}})
	s.direct("create "+simDenied, err)
}

// fail has something go wrong with a few requests to come.
func (s *simulation) fail() {
	r := &rule{left: 1 + s.rng.IntN(3)}
	r.op = pick(s, []zktest.Op{
		zktest.OpGetData, zktest.OpGetData, zktest.OpGetChildren2, zktest.OpGetChildren2, zktest.OpExists, zktest.OpExists,
		zktest.OpSetData, zktest.OpSetData, zktest.OpCreate, zktest.OpCreate, zktest.OpDelete, zktest.OpMulti,
		zktest.OpSync, zktest.OpConnect, zktest.OpConnect, zktest.OpCloseSession, zktest.OpPing, zktest.OpAuth,
		zktest.OpSetWatches, zktest.OpSetWatches, zktest.OpMultiRead, zktest.OpMultiRead,
	})
	if s.chance(4) {
		r.path = pick(s, slices.Concat(simData, simProps, simServices))
		if s.has(trees) && s.chance(2) {
			r.path = s.treePath()
		}
	}
	switch s.rng.IntN(5) {
	case 0, 1:
		r.fault.LoseReply = true
	case 2:
		r.fault.Drop = true
	case 3:
		r.fault.Code = pick(s, []zktest.Code{
			zktest.ErrConnectionLoss, zktest.ErrOperationTimeout, zktest.ErrThrottledOp,
			zktest.ErrSessionMoved, zktest.ErrSessionExpired,
		})
		if s.has(serverErrors) && s.chance(2) {
			r.fault.Code = pick(s, serverCodes)
		}
	}
	if r.op == zktest.OpAuth {
		r.fault.Code = 0 // the credential is good
	}
	if r.fault == (zktest.Fault{}) || s.chance(3) {
		r.fault.Delay = s.upTo(12 * time.Second)
	}
	if r.op == zktest.OpConnect && s.chance(3) {
		r.fault.NewSession = true
	}
	s.note("the next %d %v %s: %s", r.left, r.op, r.path, r)
	if r.op == zktest.OpSetData && r.fault.Drop {
		s.dropsSets.Store(true)
	}
	s.mu.Lock()
	s.rules = append(s.rules, r)
	s.mu.Unlock()
	if s.chance(4) { // right after a reconnect
		s.disconnect()
	}
}

// serverCodes are errors that say nothing about the request.
var serverCodes = []zktest.Code{
	zktest.ErrSystem, zktest.ErrRuntimeInconsistency, zktest.ErrDataInconsistency, zktest.ErrMarshalling, zktest.ErrRequestTimeout,
}

// throttle has the server refuse all requests of a kind for a while.
func (s *simulation) throttle() {
	op := pick(s, []zktest.Op{zktest.OpExists, zktest.OpGetData, zktest.OpGetChildren2, zktest.OpSync, zktest.OpCreate, zktest.OpMulti})
	code := pick(s, []zktest.Code{zktest.ErrThrottledOp, zktest.ErrOperationTimeout, zktest.ErrConnectionLoss})
	r := &rule{op: op, fault: zktest.Fault{Code: code}, left: math.MaxInt, until: time.Now().Add(s.upTo(6 * time.Second))}
	s.note("each %v: %s", r.op, r)
	s.mu.Lock()
	s.rules = append(s.rules, r)
	s.mu.Unlock()
	if s.chance(2) {
		s.disconnect()
	}
}

func (r *rule) String() string {
	what := ""
	if r.fault.Delay > 0 {
		what += fmt.Sprintf("delayed by %v ", r.fault.Delay)
	}
	switch {
	case r.fault.LoseReply:
		what += "carried out without a reply "
	case r.fault.Drop:
		what += "dropped "
	case r.fault.Code != 0:
		what += fmt.Sprintf("answered with %v ", r.fault.Code)
	}
	if r.fault.NewSession {
		what += "in a new session "
	}
	if !r.until.IsZero() {
		what += fmt.Sprintf("for %v", time.Until(r.until))
	}
	return what
}

// refuse has the server refuse all writes of a kind for a while, as one that keeps a quota does.
func (s *simulation) refuse() {
	r := &rule{
		op:    pick(s, []zktest.Op{zktest.OpCreate, zktest.OpMulti, zktest.OpSetData}),
		fault: zktest.Fault{Code: zktest.ErrQuotaExceeded}, left: math.MaxInt, until: time.Now().Add(s.upTo(30 * time.Second)),
	}
	s.note("each %v: %s", r.op, r)
	s.addRule(r)
}

func (s *simulation) addRule(r *rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = append(s.rules, r)
}

// loseEvents has the watch events of a few steps get lost.
func (s *simulation) loseEvents() {
	s.note("watch events get lost")
	s.setSwallow(true)
	s.last()
}
