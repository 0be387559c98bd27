package zktest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// An ensemble under random faults. Whatever strikes, no client sees a zxid lower than one that it has seen,
// a read after a sync sees every write that was acknowledged before the sync, no acknowledged write is lost, and when the faults
// have ended all members have the same state, which is what the journal says.
func TestEnsembleKeepsItsPromisesInAStorm(t *testing.T) {
	for seed := range uint64(number("ZKTEST_STORMS", 40)) {
		t.Run(fmt.Sprintf("seed%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newEnsembleStorm(t, seed).run() })
		})
	}
}

type ensembleStorm struct {
	t      *testing.T
	e      *Ensemble
	rnd    *rand.Rand
	stop   chan struct{}
	mu     sync.Mutex        // guards what follows
	acked  int64             // the highest zxid of an acknowledged write
	values map[string]string // what the journal says
	zxids  map[int64]bool    // of all transactions in the journal
	writes int
	reads  int
}

func newEnsembleStorm(t *testing.T, seed uint64) *ensembleStorm {
	rnd := rand.New(rand.NewPCG(seed, 7))
	s := &ensembleStorm{
		t: t, rnd: rnd, stop: make(chan struct{}),
		e:      StartEnsemble(t, []int{3, 3, 5, 2, 4}[rnd.IntN(5)], WithTickTime(500*time.Millisecond), WithExtendedTypes(), WithQuotas()),
		values: map[string]string{},
		zxids:  map[int64]bool{},
	}
	s.e.Journal(func(c Change) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.zxids[c.Zxid] = true
		if strings.HasPrefix(c.Path, "/zookeeper/") {
			return // the servers themselves change quotas' statistics
		}
		if c.Op == OpDelete {
			delete(s.values, c.Path)
		} else {
			s.values[c.Path] = string(c.Data)
		}
	})
	return s
}

func (s *ensembleStorm) run() {
	if err := s.e.Create("/s", nil); err != nil {
		s.t.Fatal(err)
	}
	s.e.Create("/zookeeper/quota/s/zookeeper_limits", []byte("count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=20"))
	s.e.Create("/zookeeper/quota/s/zookeeper_stats", nil)
	var clients sync.WaitGroup
	for id := range 6 {
		rnd := rand.New(rand.NewPCG(s.rnd.Uint64(), uint64(id)))
		clients.Go(func() { // ends when stop is closed
			c := &stormer{s: s, rnd: rnd, c: &rawClient{}, dialer: s.e.Dialer(fmt.Sprint(id))}
			for {
				select {
				case <-s.stop:
					return
				default:
					c.connectAndWork()
					time.Sleep(time.Duration(rnd.IntN(100)) * time.Millisecond)
				}
			}
		})
	}
	for range 150 {
		s.strike()
		time.Sleep(time.Duration(s.rnd.IntN(600)) * time.Millisecond)
	}
	s.heal()
	close(s.stop)
	clients.Wait()
	time.Sleep(time.Minute) // the last sessions expire
	synctest.Wait()
	s.audit()
}

// strike has one fault begin or end.
func (s *ensembleStorm) strike() {
	all := s.e.Members()
	m := all[s.rnd.IntN(len(all))]
	if leader := s.e.Leader(); leader != nil && s.rnd.IntN(4) == 0 {
		m = leader
	}
	on := s.rnd.IntN(3) == 0
	switch s.rnd.IntN(12) {
	case 0:
		m.Isolate(on)
	case 1:
		m.Freeze(on)
	case 2:
		m.Stop(on)
	case 3:
		m.Hold(on)
	case 4:
		m.Lag(time.Duration(s.rnd.IntN(2000)) * time.Millisecond)
	case 5:
		m.Partition(on)
	case 6:
		m.Restart()
	case 7:
		m.Disconnect()
	case 8:
		s.e.Dialer(fmt.Sprint(s.rnd.IntN(6))).Freeze(on)
	case 9:
		s.e.Dialer(fmt.Sprint(s.rnd.IntN(6))).Partition(on)
	case 10:
		if ids := s.e.Sessions(); len(ids) > 0 {
			s.e.ExpireSession(ids[s.rnd.IntN(len(ids))])
		}
	case 11:
		// Only while all others serve: history is lost, as in the real world, with the state of a majority.
		if leader := s.e.Leader(); leader != nil && m != leader && len(s.e.Followers()) == len(all)-1 {
			m.Wipe()
		}
	}
}

func (s *ensembleStorm) heal() {
	for _, m := range s.e.Members() {
		m.Isolate(false)
		m.Freeze(false)
		m.Stop(false)
		m.Hold(false)
		m.Lag(0)
		m.Partition(false)
	}
	for id := range 6 {
		d := s.e.Dialer(fmt.Sprint(id))
		d.Freeze(false)
		d.Partition(false)
	}
	time.Sleep(10 * time.Second)
}

func (s *ensembleStorm) audit() {
	if s.writes < 20 || s.reads < 20 {
		s.t.Errorf("only %d writes and %d reads", s.writes, s.reads)
	}
	if s.e.Leader() == nil || len(s.e.Followers()) != len(s.e.Members())-1 {
		s.t.Fatalf("leader %v, followers %v", s.e.Leader(), s.e.Followers())
	}
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	want := s.e.leader.dump()
	for _, m := range s.e.members {
		if got := m.dump(); !maps.Equal(got, want) {
			s.t.Errorf("%v has\n%v\nthe leader has\n%v", m, got, want)
		}
		if len(m.backlog) > 0 || len(m.unsent) > 0 || len(m.unanswered) > 0 || len(m.unreported) > 0 {
			s.t.Errorf("%v: backlog %d, unsent %d, unanswered %d, unreported %d",
				m, len(m.backlog), len(m.unsent), len(m.unanswered), len(m.unreported))
		}
		if got := m.tree.root.descendants(); got != m.tree.count {
			s.t.Errorf("%v: %d nodes, counted as %d", m, got, m.tree.count)
		}
	}
	if len(s.e.tracker.sessions) != len(s.e.leader.sessions) {
		s.t.Errorf("%d sessions, %d tracked", len(s.e.leader.sessions), len(s.e.tracker.sessions))
	}
	for path, value := range s.values {
		if n := s.e.leader.tree.lookup(path); n == nil || string(n.data) != value {
			s.t.Errorf("%s: %+v, the journal says %q", path, n, value)
		}
	}
	if got := s.e.leader.tree.count - 6; got != len(s.values) {
		s.t.Errorf("%d nodes, %d in the journal", got, len(s.values))
	}
}

// dump gives a server's whole state, a line for each node and session.
func (s *Server) dump() map[string]string {
	lines := map[string]string{}
	var walk func(path string, n *node)
	walk = func(path string, n *node) {
		lines[path] = fmt.Sprintf("%q %+v %v %x", n.data, n.stat(), n.acl, n.owner)
		for name, child := range n.children {
			walk(path+"/"+name, child)
		}
	}
	walk("", s.tree.root)
	for id, sess := range s.sessions {
		lines[fmt.Sprintf("%x", id)] = fmt.Sprint(sess.timeout, slices.Sorted(maps.Keys(sess.ephemerals)))
	}
	lines["reapable"] = fmt.Sprint(slices.Sorted(maps.Keys(s.tree.reapable)))
	return lines
}

// stormer is a client that goes from member to member.
type stormer struct {
	s      *ensembleStorm
	rnd    *rand.Rand
	c      *rawClient
	dialer *Dialer
	count  int
}

func (c *stormer) connectAndWork() {
	addrs := c.s.e.DialAddrs()
	nc, err := c.dialer.DialTimeout("tcp", addrs[c.rnd.IntN(len(addrs))], time.Second)
	if err != nil {
		return
	}
	defer nc.Close()
	c.c.nc = nc
	reply, err := c.c.handshake(4*time.Second, false)
	if err != nil {
		return
	}
	d := &decoder{buf: reply}
	d.int32()           // protocol version
	if d.int32() == 0 { // no timeout: expired
		c.c.session, c.c.password = 0, nil
		return
	}
	for range c.rnd.IntN(30) {
		if !c.work() {
			return
		}
		time.Sleep(time.Duration(c.rnd.IntN(300)) * time.Millisecond)
	}
}

// work sends one request, or two. It is false when the connection has ended.
func (c *stormer) work() bool {
	c.count++
	key := fmt.Sprintf("/s/k%d", c.rnd.IntN(5))
	value := fmt.Appendf(nil, "%x-%d", c.c.session, c.count)
	own := fmt.Sprintf("/s/e-%s-%d", c.dialer.Name(), c.rnd.IntN(3))
	switch c.rnd.IntN(8) {
	case 0:
		return c.write(request{op: OpCreate, path: key, data: value, acl: openACL})
	case 1:
		return c.write(request{op: OpSetData, path: key, data: value, version: -1})
	case 2:
		return c.write(request{op: OpDelete, path: key, version: -1})
	case 3:
		return c.write(createRequest(own, 1))
	case 4:
		return c.write(request{op: OpMulti, multi: []request{
			{op: OpCreate, path: own + "-m", data: value, acl: openACL, ttl: -1},
			{op: OpSetData, path: key, data: value, version: -1},
		}})
	case 5:
		c.s.mu.Lock()
		acked := c.s.acked
		c.s.mu.Unlock()
		if _, _, ok := c.call(request{op: OpSync, path: key}); !ok {
			return false
		}
		zxid, _, ok := c.call(request{op: OpGetData, path: key})
		if ok && zxid < acked {
			c.s.t.Errorf("a read after a sync at zxid %x, a write had been acknowledged at %x", zxid, acked)
		}
		return ok
	case 6:
		_, _, ok := c.call(request{op: OpGetChildren, path: "/s", watch: true})
		return ok
	default:
		_, _, ok := c.call(request{op: OpPing})
		return ok
	}
}

func (c *stormer) write(r request) bool {
	zxid, code, ok := c.call(r)
	if !ok || code != 0 {
		return ok
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.writes++
	c.s.acked = max(c.s.acked, zxid)
	if r.op != OpMulti && !c.s.zxids[zxid] {
		c.s.t.Errorf("%v was acknowledged with zxid %x, which is not in the journal", r, zxid)
	}
	return true
}

// call sends a request and looks at the zxids of all that comes up to its answer.
func (c *stormer) call(r request) (zxid int64, code Code, ok bool) {
	frames, err := c.c.call(r.op, r.body())
	for _, frame := range frames {
		d := &decoder{buf: frame}
		d.int32()
		zxid, code = d.int64(), Code(d.int32())
		if zxid <= 0 {
			continue
		}
		if zxid < c.c.lastZxid {
			c.s.t.Errorf("%v was answered with zxid %x after %x", r, zxid, c.c.lastZxid)
		}
		c.c.lastZxid = max(c.c.lastZxid, zxid)
	}
	if err == nil {
		c.s.mu.Lock()
		c.s.reads++
		c.s.mu.Unlock()
	}
	return zxid, code, err == nil
}
