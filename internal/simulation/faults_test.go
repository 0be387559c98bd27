package simulation

import (
	"fmt"
	"math"
	"slices"
	"testing/synctest"
	"time"

	"github.com/zkstream/zkstream/zktest"
)

// rule is what goes wrong with the next requests of a kind.
type rule struct {
	op    zktest.Op
	path  string // "": any
	fault zktest.Fault
	left  int       // requests
	until time.Time // nothing goes wrong after that; zero: no limit
}

// applies reports whether r is for req, which it then counts.
func (r *rule) applies(req zktest.Request) bool {
	if !r.until.IsZero() && time.Now().After(r.until) {
		r.left = 0
	}
	if r.left == 0 || r.op != req.Op || r.path != "" && r.path != req.Path {
		return false
	}
	r.left--
	return true
}

// calm reports whether nothing is wrong now.
func (s *simulation) calm() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.healing == 0 && !slices.ContainsFunc(s.rules, func(r *rule) bool { return r.left > 0 })
}

func (s *simulation) disconnect() {
	if c := s.client(); c != nil && s.chance(2) {
		now, _ := c.sessions.Latest()
		s.note("disconnect %v", c)
		s.server.DisconnectSession(now.ID)
		return
	}
	s.note("disconnect all")
	s.server.Disconnect()
}

// last has what began last for a few steps.
func (s *simulation) last() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.healing = 1 + s.rng.IntN(8)
}

// heal ends partition, silence and freeze.
func (s *simulation) heal() {
	s.mu.Lock()
	s.healing = 0
	if s.silent != nil {
		close(s.silent)
		s.silent = nil
	}
	s.mu.Unlock()
	s.server.Partition(false)
	s.server.Freeze(false)
}

func (s *simulation) partition() {
	s.note("partition")
	s.server.Partition(true)
	s.last()
}

// silence is a freeze in which not even dialling is answered.
func (s *simulation) silence() {
	s.note("silence")
	s.server.Freeze(true)
	s.mu.Lock()
	if s.silent == nil {
		s.silent = make(chan struct{})
	}
	s.mu.Unlock()
	s.last()
}

func (s *simulation) freeze() {
	s.note("freeze")
	s.server.Freeze(true)
	s.last()
}

func (s *simulation) expire() {
	if c := s.client(); c != nil && s.chance(3) {
		now, _ := c.sessions.Latest()
		s.note("expire the session of %v", c)
		s.server.ExpireSession(now.ID)
		return
	}
	s.note("expire all sessions")
	s.server.ExpireSession(0)
}

func (s *simulation) restart() {
	s.note("restart")
	s.server.Restart()
}

// wipe has the server lose its data. A freeze before it keeps the two worlds some milliseconds apart, so
// that a node's time of creation tells to which it belongs.
func (s *simulation) wipe() {
	if !s.wiping {
		return
	}
	s.note("wipe")
	s.server.Freeze(true)
	time.Sleep(2 * time.Millisecond)
	s.mu.Lock()
	s.wipes = append(s.wipes, time.Now())
	s.mu.Unlock()
	s.setPicture(nil)
	s.server.Wipe()
	s.grow()
}

// grow makes the nodes that are there from the start.
func (s *simulation) grow() {
	for _, path := range simProps {
		s.direct("create "+path, s.server.Create(path, []byte(simStart)))
	}
	for _, path := range append(simServices, simQuiet) {
		s.direct("create "+path, s.server.Create(path, nil))
	}
}

// fail has something go wrong with a few requests to come.
func (s *simulation) fail() {
	r := &rule{left: 1 + s.rng.IntN(3)}
	r.op = pick(s, []zktest.Op{
		zktest.OpGetData, zktest.OpGetData, zktest.OpGetChildren2, zktest.OpGetChildren2, zktest.OpExists, zktest.OpExists,
		zktest.OpSetData, zktest.OpSetData, zktest.OpCreate, zktest.OpCreate, zktest.OpDelete, zktest.OpMulti,
		zktest.OpSync, zktest.OpConnect, zktest.OpConnect, zktest.OpCloseSession, zktest.OpPing, zktest.OpAuth,
	})
	if s.chance(4) {
		r.path = pick(s, slices.Concat(simData, simProps, simServices))
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
	s.mu.Lock()
	s.rules = append(s.rules, r)
	s.mu.Unlock()
	if s.chance(4) { // right after a reconnect
		s.disconnect()
	}
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

// fallBehind has the followers that new sessions meet fall behind, or keep up again.
func (s *simulation) fallBehind() {
	switch {
	case !s.lagging:
	case s.chance(3):
		s.note("followers keep up")
		s.setPicture(nil)
	default:
		limit := time.Millisecond + s.upTo(3*time.Second)
		s.note("followers stay where they are, until they have had a client for %v", limit)
		s.takePicture(limit)
	}
}

// begin makes the tree, and opens the first clients with a few streams and registrations.
func (s *simulation) begin() {
	s.server.Intercept(s.asked)
	s.grow()
	for range 1 + s.rng.IntN(2) {
		s.connect(time.Minute)
	}
	synctest.Wait()
	for range s.rng.IntN(4) {
		s.openSome()
		s.registerSome()
	}
}

// finish stops the faults, checks the promises, and closes everything.
func (s *simulation) finish() {
	s.note("the faults stop")
	s.heal()
	s.mu.Lock()
	s.rules = nil
	s.mu.Unlock()
	s.setPicture(nil)
	for _, service := range simServices {
		for _, addr := range simAddrs {
			s.unblock(service + "/" + addr)
		}
	}
	for _, w := range s.streams {
		if w.absent && s.chance(2) {
			w.absent = false
			w.start()
		}
	}
	time.Sleep(time.Minute) // longer than any session, context or pause
	for _, w := range s.streams {
		if w.absent {
			w.absent = false
			w.start()
		}
	}
	synctest.Wait()
	s.check("when the faults have stopped")

	s.rest("a lost connection", true, s.server.Disconnect)
	s.rest("changes of all nodes", false, s.changeAll)
	s.rest("expiry", false, func() { s.server.ExpireSession(0) })
	s.rest("changes of all nodes, again", false, s.changeAll)

	for _, c := range s.openClients() {
		if s.chance(8) {
			// Only now: while it waits for a server's answer, go-zookeeper holds the mutex that the client's
			// own Close then waits for, and for a mutex time does not pass.
			s.note("%v: close the low-level handle", c)
			s.closes(c)
			c.client.Conn().Close() // which has the client close itself
		}
		s.closeOne(c)
	}
	synctest.Wait()
	if left := s.server.Sessions(); len(left) > 0 && !s.isBroken() {
		s.breach("nothing left behind", "all clients are closed; the server has sessions %x", left)
	}
	for _, w := range s.streams {
		if w.err() == nil {
			s.breach("every end has a reason", "%v is open, and its client is closed", w)
		}
	}
	time.Sleep(10 * time.Second) // longer than the pauses of a consumer
	s.checkCalls("at the end")
	s.server.Close()
}

func (s *simulation) check(when string) {
	if s.isBroken() {
		return
	}
	s.note("check %s", when)
	s.checkCalls(when)
	s.checkSessions(when)
	s.checkStreams(when)
	s.checkRegistrations(when)
	s.checkUpdates(when)
}

// rest has something happen when all is well, and checks that all is well again soon after. If it changes
// nothing, no stream delivers anything and no node is touched.
func (s *simulation) rest(what string, quiet bool, do func()) {
	if s.isBroken() {
		return
	}
	s.note("then %s", what)
	counts := make([]int, len(s.streams))
	s.mu.Lock()
	for i, w := range s.streams {
		counts[i] = w.count
	}
	s.mu.Unlock()
	zxid := s.server.Stats().Zxid
	do()
	time.Sleep(15 * time.Second)
	synctest.Wait()
	if now := s.server.Stats().Zxid; quiet && now != zxid {
		s.breach("a reconnect changes nothing", "%d transactions after %s", now-zxid, what)
	}
	s.mu.Lock()
	var noisy []*watcher
	for i, w := range s.streams {
		if quiet && w.count != counts[i] {
			noisy = append(noisy, w)
		}
	}
	s.mu.Unlock()
	for _, w := range noisy {
		s.breach("no noise", "%v has delivered again after %s", w, what)
	}
	s.check("after " + what)
}

// changeAll changes each node that a stream may be on, and deletes each registration's.
func (s *simulation) changeAll() {
	for _, path := range append(slices.Concat(simData, simProps, simServices), simQuiet) {
		data, _, err := s.server.Get(path)
		switch {
		case err != nil:
			s.direct("create "+path, s.server.Create(path, []byte("{}")))
		case slices.Contains(simData, path) && s.chance(2):
			s.direct("delete "+path, s.server.Delete(path))
		default:
			s.direct("set "+path, s.server.Set(path, append(data, ' ')))
		}
	}
	for _, service := range simServices {
		s.direct("create a child of "+service, s.server.Create(fmt.Sprintf("%s/z%d", service, s.id()), nil))
		for _, addr := range simAddrs {
			if s.chance(2) {
				s.touched(service + "/" + addr)
				s.direct("delete "+service+"/"+addr, s.server.Delete(service+"/"+addr))
			}
		}
	}
}
