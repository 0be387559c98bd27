package zktest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// Clients do what they like while every fault strikes at random. The server has to come out of it alive,
// with accounts that agree with each other.
func TestServerSurvivesAStormOfFaults(t *testing.T) {
	s := Start(t, WithTickTime(10*time.Millisecond), WithSweepInterval(5*time.Millisecond))
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for id := range 8 {
		clients.Go(func() { // ends when stop is closed; the test waits for it
			rnd := rand.New(rand.NewPCG(uint64(id), 1))
			for {
				select {
				case <-stop:
					return
				default:
					stormClient(t, s, rnd)
				}
			}
		})
	}
	rnd := rand.New(rand.NewPCG(99, 1))
	faults := []func(){
		s.Disconnect,
		func() { s.Partition(true); time.Sleep(time.Millisecond); s.Partition(false) },
		func() { s.Freeze(true); time.Sleep(time.Millisecond); s.Freeze(false) },
		func() { s.ExpireAll() },
		s.Restart,
		s.Wipe,
		func() { s.Intercept(func(Request) Fault { return Fault{Delay: time.Millisecond} }) },
		func() { s.Intercept(func(r Request) Fault { return Fault{LoseReply: r.Xid%7 == 3} }) },
		func() { s.Intercept(func(r Request) Fault { return Fault{Drop: r.Xid%7 == 3} }) },
		func() { s.Intercept(nil) },
		func() { s.Create(fmt.Sprintf("/direct/%d", rnd.IntN(10)), nil) },
		func() { s.Delete(fmt.Sprintf("/direct/%d", rnd.IntN(10))) },
		func() { s.Stats() },
	}
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		faults[rnd.IntN(len(faults))]()
		time.Sleep(time.Duration(rnd.IntN(3)) * time.Millisecond)
	}
	close(stop)
	s.Intercept(nil)
	clients.Wait()
	alive(t, s)

	s.mu.Lock()
	defer s.mu.Unlock()
	if got := s.tree.root.descendants(); got != s.tree.count {
		t.Errorf("%d nodes, counted as %d", got, s.tree.count)
	}
	for id, sess := range s.sessions {
		for path := range sess.ephemerals {
			if n := s.tree.lookup(path); n == nil || n.owner != id {
				t.Errorf("session %x does not own %s: %+v", id, path, n)
			}
		}
	}
	for name, table := range map[string]*watchTable{"data": s.dataWatches, "child": s.childWatches} {
		byConn, byPath, recursive := 0, 0, 0
		for c, mine := range table.conns {
			if c.closed {
				t.Errorf("a closed connection has %d %s watches", len(mine), name)
			}
			byConn += len(mine)
			for _, mode := range mine {
				if mode == watchRecursive {
					recursive++
				}
			}
		}
		for _, w := range table.paths {
			byPath += w.len()
		}
		if byConn != table.count || byPath != table.count || recursive != table.recursive {
			t.Errorf("%s watches: %d by connection, %d by path, %d in all; %d recursive, counted as %d",
				name, byConn, byPath, table.count, recursive, table.recursive)
		}
	}
}

// stormClient opens a session and sends requests until something goes wrong.
func stormClient(t *testing.T, s *Server, rnd *rand.Rand) {
	nc, err := s.Dial(t.Context(), "tcp", "")
	if err != nil {
		time.Sleep(100 * time.Microsecond)
		return
	}
	defer nc.Close()
	c := &rawClient{nc: nc}
	if _, err := c.handshake(20*time.Millisecond, false); err != nil {
		return
	}
	for range 50 {
		data := make([]byte, 20)
		for i := range data {
			data[i] = byte(rnd.Uint32())
		}
		ch := &choices{data}
		r := (&world{root: "/direct"}).place(ch.request(), 0)
		if r.op == OpCheck { // might not be answered
			continue
		}
		if _, err := c.call(r.op, r.body()); err != nil {
			return
		}
	}
}
