package simulation

import (
	"bytes"
	"errors"
	"fmt"
	"runtime/pprof"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
)

// What is checked while the schedule runs.

// deliver checks a snapshot against those that came before it.
func (w *watcher) deliver(n seen) {
	if w.set != nil {
		w.deliverSet(n)
		return
	}
	s := w.s
	s.mu.Lock()
	last, there := w.last, w.lastThere
	w.last = &n
	w.count++
	if n.exists {
		w.lastThere = &n
	}
	var other string
	var known bool
	if n.exists {
		id := fmt.Sprintf("%s %v %v", w.path, w.kind, s.orderLocked(n, w.kind))
		other, known = s.contents[id]
		s.contents[id] = n.text
	}
	var order, before [2]int64
	if n.exists && there != nil {
		order, before = s.orderLocked(n, w.kind), s.orderLocked(*there, w.kind)
	}
	s.mu.Unlock()
	if s.verbose {
		s.note("%v: %v", w, n)
	}
	switch {
	case known && other != n.text:
		s.breach("a zxid stands for one state", "%v: %v; the same was also %.60q", w, n, other)
	case !n.exists:
		if last != nil && !last.exists && w.path == simNever {
			s.breach("no noise", "%v: missing, twice", w)
		}
	case there == nil:
	case order == before:
		s.breach("no noise", "%v: %v after %v", w, n, *there)
	case slices.Compare(order[:], before[:]) < 0:
		s.breach("no going back", "%v: %v after %v", w, n, *there)
	}
}

// orderLocked is a number that grows with each state of a node: the wipe that its world began with, by
// the time of its creation, and its zxid.
func (s *simulation) orderLocked(n seen, k kind) [2]int64 {
	zxid := n.stat.Mzxid
	if k == kindChildren {
		zxid = n.stat.Pzxid
	}
	world := 0
	for _, t := range s.wipes {
		if n.stat.Ctime >= t.UnixMilli() {
			world++
		}
	}
	return [2]int64{int64(world), max(zxid, n.stat.Czxid)}
}

// asked is called with each request that reaches the server, and decides what goes wrong with it.
func (s *simulation) asked(req zktest.Request) zktest.Fault {
	if s.verbose && req.Op != zktest.OpPing {
		s.note("    session %s asks for %v %s (%d)", hex(req.Session), req.Op, req.Path, req.Xid)
	}
	switch req.Op {
	case zktest.OpDelete, zktest.OpMulti:
		s.checkDelete(req, req)
		for _, sub := range req.Multi {
			s.checkDelete(req, sub)
		}
	}
	if s.isBusy() {
		return zktest.Fault{Delay: time.Second}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.rules {
		if !r.applies(req) {
			continue
		}
		client := s.owners[req.Session]
		if r.fault.Code != 0 && client != nil {
			client.refused.Add(1)
		}
		if r.fault.LoseReply && s.has(rivals) && (slices.Contains(simData, req.Path) || slices.Contains(simProps, req.Path)) {
			s.history.armed[req.Path] = true
		}
		return r.fault
	}
	return zktest.Fault{}
}

// isBusy counts a request in, and reports whether there were more at this very instant than anything
// but a loop without a pause can make.
func (s *simulation) isBusy() bool {
	const limit = 5000
	s.mu.Lock()
	if now := time.Now(); !now.Equal(s.instant) {
		s.instant, s.requests = now, 0
	}
	s.requests++
	n := s.requests
	s.mu.Unlock()
	if n == limit {
		s.breach("no request is repeated without a pause", "%d at the same instant", n)
	}
	return n >= limit
}

// checkDelete: nobody may delete another session's node. Between a client's look at its node and its
// request somebody may have deleted the node and a third one made another; that cannot be helped.
func (s *simulation) checkDelete(req, op zktest.Request) {
	if op.Op != zktest.OpDelete {
		return
	}
	if inTree(op.Path) {
		return
	}
	if !slices.Contains(s.servers.Sessions(), req.Session) {
		return // a server that is behind may still serve it; but what it asks for is refused
	}
	_, stat, err := s.servers.Get(op.Path)
	if err != nil || stat.EphemeralOwner == 0 && !slices.ContainsFunc(simServices, func(p string) bool { return strings.HasPrefix(op.Path, p+"/") }) {
		return
	}
	s.mu.Lock()
	recent := time.Since(s.lastTry[op.Path]) < time.Minute
	s.mu.Unlock()
	if stat.EphemeralOwner != req.Session && !recent {
		s.breach("a registration touches only its own node", "session %s wants to delete %s of session %s",
			hex(req.Session), op.Path, hex(stat.EphemeralOwner))
	}
}

// What is checked when the faults have stopped.

// truth is the state of a node on the server.
func (s *simulation) truth(k kind, path string) seen {
	data, stat, err := s.servers.Get(path)
	if err != nil {
		return seen{}
	}
	n := seen{exists: true, text: string(data), stat: zk.Stat{
		Czxid: stat.Czxid, Mzxid: stat.Mzxid, Pzxid: stat.Pzxid, Ctime: stat.Ctime, Mtime: stat.Mtime,
		Version: stat.Version, Cversion: stat.Cversion, EphemeralOwner: stat.EphemeralOwner,
	}}
	if k == kindChildren {
		names, _ := s.servers.Children(path)
		n.text = strings.Join(names, " ")
	}
	return n
}

// equal compares what a stream of kind k shows.
func (n seen) equal(m seen, k kind) bool {
	if k == kindInstances || k == kindTree {
		return sameSet(n, m)
	}
	if k == kindChildren {
		n.stat.Mzxid, n.stat.Mtime, n.stat.Version = m.stat.Mzxid, m.stat.Mtime, m.stat.Version
	} else {
		n.stat.Pzxid, n.stat.Cversion = m.stat.Pzxid, m.stat.Cversion
	}
	return n.exists == m.exists && n.text == m.text && n.stat.Czxid == m.stat.Czxid && n.stat.Mzxid == m.stat.Mzxid &&
		n.stat.Pzxid == m.stat.Pzxid && n.stat.Ctime == m.stat.Ctime && n.stat.Mtime == m.stat.Mtime &&
		n.stat.Version == m.stat.Version && n.stat.Cversion == m.stat.Cversion && n.stat.EphemeralOwner == m.stat.EphemeralOwner
}

// checkStreams: each open stream has delivered the server's state, each other one ended for its reason.
func (s *simulation) checkStreams(when string) {
	for _, w := range s.streams {
		err := w.err()
		s.mu.Lock()
		last, ended := w.last, w.ended
		s.mu.Unlock()
		reasons := w.reasons
		if err != nil && s.wasClosed(w.path) {
			reasons = append(slices.Clone(reasons), zk.ErrNoAuth)
		}
		if len(reasons) > 0 || err != nil {
			s.checkEnd(w.String(), err, reasons)
			if err != nil && !ended {
				s.breach("every end has a reason", "%v: %s, the channel of the ended stream is not closed", w, when)
			}
			continue
		}
		switch want := w.truth(); {
		case slices.Contains(places(), w.path) && s.wasClosed(w.path): // the node may be one that this client may not read
		case ended:
			s.breach("every end has a reason", "%v: %s, the channel of the open stream is closed", w, when)
		case last == nil:
			s.breach("convergence", "%v: %s, nothing was delivered; the server has %v", w, when, want)
		case !last.equal(want, w.kind):
			s.breach("convergence", "%v: %s, the last snapshot is %v; the server has %v", w, when, *last, want)
		default:
			if n, ok := w.newest(); !ok || !n.equal(want, w.kind) {
				s.breach("convergence", "%v: %s, Latest is %v, %v; the server has %v", w, when, n, ok, want)
			}
		}
	}
}

// checkEnd: what has ended has one of the reasons, and without reasons nothing ends.
func (s *simulation) checkEnd(what string, err error, reasons []error) {
	for _, r := range reasons {
		if err != nil && errors.Is(err, r) && (r != zkstream.ErrClosed || err == zkstream.ErrClosed) {
			return
		}
	}
	s.breach("every end has a reason", "%s: ended with %v, want one of %v", what, err, reasons)
}

// checkSessions: each open client is connected in a session that the server has, and it has no other.
func (s *simulation) checkSessions(when string) {
	have := s.servers.Sessions()
	for _, c := range s.clients {
		if !c.ready.Load() {
			continue
		}
		now, _ := c.sessions.Latest()
		if now != c.session {
			s.breach("session states make sense", "%v: %s, %v, but delivered was %v", c, when, now, c.session)
		}
		i := slices.Index(have, now.ID)
		if now.State != zkstream.Connected || i < 0 {
			s.breach("session states make sense", "%v: %s, %v; the server has %x", c, when, now, have)
			continue
		}
		have = slices.Delete(have, i, i+1)
	}
	if len(have) > 0 {
		s.breach("nothing left behind", "%s, the server has sessions of nobody: %x", when, have)
	}
}

// checkCalls: all calls have returned, except those that wait for another's node to go.
func (s *simulation) checkCalls(when string) {
	for _, k := range s.calls {
		if !k.done.Load() && (k.ctx.ctx.Err() != nil || !s.isWaiting(k.reg)) {
			s.breach("calls end with an answer or a reason", "%s, %s has not returned since %v", when, k.name, k.began.Sub(s.started))
		}
	}
}

// isWaiting reports whether r is one that waits for another's node to go.
func (s *simulation) isWaiting(r *simReg) bool {
	if r == nil {
		return false
	}
	n := s.truth(kindData, r.path)
	return n.exists && !r.owns(n)
}

// checkRegistrations: one node for each live registration, of its client's session and with all that it
// was asked to hold; none for the others.
func (s *simulation) checkRegistrations(when string) {
	for _, service := range simServices {
		for _, addr := range simAddrs {
			s.checkPlace(service+"/"+addr, when)
		}
	}
	for _, r := range s.regs {
		s.mu.Lock()
		reg, reasons := r.r, r.reasons
		if reg != nil && r.client.closing {
			reasons = append(slices.Clone(reasons), zkstream.ErrClosed)
		}
		s.mu.Unlock()
		if reg == nil {
			continue
		}
		select {
		case <-reg.Done():
			s.checkEnd(r.String(), reg.Err(), reasons)
		default:
			if len(reasons) > 0 {
				s.breach("every end has a reason", "%v: %s, it has not ended, want one of %v", r, when, reasons)
			}
		}
	}
}

func (s *simulation) checkPlace(path, when string) {
	const promise = "one node for each live registration"
	live := s.live(path)
	n := s.truth(kindData, path)
	if len(live) == 0 {
		if n.exists {
			s.breach(promise, "%s, %s is there: %v, of session %s", when, path, n, hex(n.stat.EphemeralOwner))
		}
		return
	}
	holders := 0
	for _, r := range live {
		s.mu.Lock()
		reg, updates, kept := r.r, r.updates, r.kept
		s.mu.Unlock()
		if !s.mayRefuse(r) {
			updates = append(slices.Clone(updates), kept...)
		}
		now, _ := r.client.sessions.Latest()
		if !n.exists || n.stat.EphemeralOwner != now.ID || !r.owns(n) {
			if reg != nil {
				if st := status(reg); st != zkstream.Conflict && n.exists {
					s.breach(promise, "%v: %s, it is %v; the node is %v", r, when, st, n)
				}
			}
			continue
		}
		holders++
		if reg == nil {
			s.breach(promise, "%v: %s, the node is there, but Register has not returned", r, when)
			continue
		}
		if st := status(reg); st != zkstream.Registered {
			s.breach(promise, "%v: %s, it is %v with its node in place", r, when, st)
		}
		for _, key := range updates {
			if !strings.Contains(n.text, `"`+key+`"`) {
				s.breach("no update is lost", "%v: %s, %s is missing in %s", r, when, key, n.text)
			}
		}
	}
	if holders != 1 {
		s.breach(promise, "%s, %s is %v, of session %s; live are %v", when, path, n, hex(n.stat.EphemeralOwner), live)
	}
}

// checkGone: nothing is left of a closed client but a log handler that the user has not returned from.
func (s *simulation) checkGone(c *simClient) {
	synctest.Wait()
	if n := c.sockets.Load(); n != 0 {
		s.breach("nothing left behind", "%v is closed, and has %d sockets", c, n)
	}
	left := goroutinesOf(c.label())
	if len(left) == 1 && isOneHandler(left[0]) {
		return
	}
	if len(left) > 0 {
		s.breach("nothing left behind", "%v is closed, and has goroutines:\n%s", c, strings.Join(left, "\n\n"))
	}
}

// isOneHandler reports whether what goroutinesOf gives is a single goroutine, inside the log handler.
func isOneHandler(stacks string) bool {
	return strings.HasPrefix(stacks, "1 @") && strings.Contains(stacks, "simulation.logCounter.Handle")
}

// goroutinesOf gives the stacks of the goroutines with a label. Those that stand at the same place share one.
func goroutinesOf(label string) (found []string) {
	var b bytes.Buffer
	pprof.Lookup("goroutine").WriteTo(&b, 1)
	_, profile, _ := strings.Cut(b.String(), "\n") // without its heading
	for block := range strings.SplitSeq(profile, "\n\n") {
		if strings.Contains(block, `"`+label+`"`) {
			found = append(found, block)
		}
	}
	return found
}
