package simulation

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing/synctest"
	"time"

	"github.com/zkstream/zkstream/internal/nameserver"
	"github.com/zkstream/zkstream/zktest"
)

// begin makes the tree, and opens the first clients with a few streams and registrations.
func (s *simulation) begin() {
	s.servers.Intercept(s.asked)
	s.servers.Journal(s.record)
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
	s.finishing = true
	s.heal()
	s.mu.Lock()
	s.rules = nil
	s.mu.Unlock()
	time.Sleep(2 * time.Second) // there is a leader again
	s.openAll()
	s.growDenied()
	for _, path := range places() {
		s.unblock(path)
		s.removeLeftover(path)
	}
	for _, w := range s.streams {
		if w.absent && s.chance(2) {
			w.absent = false
			w.start()
		}
	}
	time.Sleep(time.Minute) // longer than any session, context or pause
	s.startAbsent()
	synctest.Wait()
	s.check("when the faults have stopped")
	for _, c := range s.clients {
		c.speed.Store(0)
	}

	s.newcomer()
	if s.has(trees) {
		for range 2 {
			s.rest("changes while the tree is first read", false, func() { s.meetNewcomer(s.readDuringChanges) })
		}
		s.rest("children of nodes whose content was followed", false, func() { s.meetNewcomer(s.deepen) })
		s.rest("branches that are made again unseen", false, func() {
			s.replant()
			s.startAbsent()
		})
	}
	if s.has(longPaths) {
		s.rest("streams of all nodes with long names", false, s.openLong)
	}
	s.rest("nothing", true, func() {})
	s.rest("a lost connection", true, s.servers.Disconnect)
	if s.has(names) {
		s.rest("a lost connection while no name is resolved", true, func() {
			s.resolver.SetMode(pick(s, []nameserver.Mode{nameserver.Fail, nameserver.Silent}))
			s.servers.Disconnect()
		})
		s.resolver.SetMode(nameserver.Answer)
	}
	s.rest("changes of all nodes", false, s.changeAll)
	s.rest("changes of all nodes while nobody is connected", false, s.changeUnseen)
	s.rest("changes of all nodes that cannot be read at first", false, s.changeUnread)
	s.rest("expiry", false, s.servers.ExpireAll)
	s.rest("changes of all nodes, again", false, s.changeAll)
	if s.has(lostEvents) {
		s.rest("changes of all nodes without their events", false, func() {
			s.setSwallow(true)
			s.changeAll()
			time.Sleep(time.Second)
			s.setSwallow(false)
			time.Sleep(20 * time.Second) // with those of rest, more than the interval at which all is looked at again
		})
	}

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
	if left := s.servers.Sessions(); len(left) > 0 && !s.isBroken() {
		s.breach("nothing left behind", "all clients are closed; the server has sessions %x", left)
	}
	for _, w := range s.streams {
		if w.err() == nil {
			s.breach("every end has a reason", "%v is open, and its client is closed", w)
		}
	}
	time.Sleep(10 * time.Second) // longer than the pauses of a consumer
	s.checkCalls("at the end")
	s.servers.Close()
}

// meetNewcomer has something happen to a client that knows nothing yet.
func (s *simulation) meetNewcomer(do func(*simClient)) {
	if s.newcomer(); s.isBroken() {
		return
	}
	do(s.clients[len(s.clients)-1])
	s.startAbsent()
}

// newcomer has one more client connect: servers are there, so it takes no longer than its session timeout.
func (s *simulation) newcomer() {
	if s.isBroken() {
		return
	}
	s.connect(time.Minute)
	c := s.clients[len(s.clients)-1]
	time.Sleep(c.timeout)
	if !c.ready.Load() {
		s.breach("a client connects within its session timeout", "%v has not connected in %v", c, c.timeout)
	}
}

// startAbsent has all consumers come that have never come.
func (s *simulation) startAbsent() {
	for _, w := range s.streams {
		if w.absent {
			w.absent = false
			w.start()
		}
	}
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
	s.checkCounts(when)
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
	zxid := s.servers.Zxid()
	do()
	s.mu.Lock()
	dials := len(s.dials)
	s.mu.Unlock()
	time.Sleep(15 * time.Second)
	if s.has(blindOwners) { // what happened to their nodes they learn when they look again
		time.Sleep(20 * time.Second)
	}
	synctest.Wait()
	s.mu.Lock()
	dials = len(s.dials) - dials
	s.mu.Unlock()
	if limit := 6 * len(s.openClients()); dials > limit || what == "nothing" && dials > 0 {
		s.breach("a connection that is well is kept", "%d dials after %s, by %d clients", dials, what, len(s.openClients()))
	}
	if now := s.servers.Zxid(); quiet && now != zxid {
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
		data, _, err := s.servers.Get(path)
		switch {
		case err != nil:
			s.direct("create "+path, s.servers.Create(path, []byte("{}")))
		case slices.Contains(simData, path) && s.chance(2):
			s.direct("delete "+path, s.servers.Delete(path))
		default:
			s.direct("set "+path, s.servers.Set(path, append(data, ' ')))
		}
	}
	if s.has(longPaths) {
		for _, path := range simLong {
			s.direct("set "+path, s.servers.Set(path, s.treeContent()))
		}
	}
	if s.has(trees) {
		for range 3 {
			s.changeTree()
		}
	}
	for _, service := range simServices {
		s.direct("create a child of "+service, s.servers.Create(fmt.Sprintf("%s/z%d", service, s.id()), nil))
	}
	for _, path := range places() {
		if s.chance(2) {
			s.touched(path)
			s.direct("delete "+path, s.servers.Delete(path))
		}
	}
}

// changeUnseen has all nodes change while no client is connected, and the first connections end in the midst of setting the watches again.
func (s *simulation) changeUnseen() {
	s.servers.Partition(true)
	s.changeAll()
	// The delay has the answers before it arrive.
	s.addRule(&rule{op: zktest.OpSetWatches, skip: s.rng.IntN(4), left: s.rng.IntN(3), fault: zktest.Fault{Drop: true, Delay: 20 * time.Millisecond}})
	s.servers.Partition(false)
	time.Sleep(2 * time.Second)
	s.mu.Lock()
	s.rules = nil
	s.mu.Unlock()
}

// changeUnread has all nodes change, and the first reads of them fail.
func (s *simulation) changeUnread() {
	for _, op := range []zktest.Op{zktest.OpGetData, zktest.OpGetChildren2, zktest.OpMultiRead} {
		s.addRule(&rule{op: op, left: 1 + s.rng.IntN(2), until: time.Now().Add(2 * time.Second), fault: zktest.Fault{Code: zktest.ErrThrottledOp}})
	}
	s.changeAll()
}

func (s *simulation) setSwallow(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.swallow = on
}

// removeLeftover deletes a node whose registration has ended and was not allowed to delete it.
func (s *simulation) removeLeftover(path string) {
	n := s.truth(kindData, path)
	if !n.exists || !s.wasClosed(filepath.Dir(path)) && !s.wasClosed(path) {
		return
	}
	for _, r := range s.live(path) {
		if r.owns(n) {
			return
		}
	}
	s.touched(path)
	s.direct("delete what is left at "+path, s.servers.Delete(path))
}
