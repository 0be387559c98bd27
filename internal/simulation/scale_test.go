package simulation

import (
	"context"
	"math"
	"time"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
)

// What takes long, or many.

// press has the server answer all requests of a kind with an error for longer than any retry should be
// made in quick succession.
func (s *simulation) press() {
	r := &rule{
		op:    pick(s, []zktest.Op{zktest.OpExists, zktest.OpGetData, zktest.OpGetChildren2, zktest.OpSync, zktest.OpCreate, zktest.OpMultiRead, zktest.OpSetWatches}),
		fault: zktest.Fault{Code: pick(s, []zktest.Code{zktest.ErrThrottledOp, zktest.ErrOperationTimeout})},
		left:  math.MaxInt, hits: map[int64]int{},
	}
	s.note("each %v: %s for forty seconds", r.op, r)
	s.addRule(r)
	time.Sleep(40 * time.Second)
	things := 1
	for _, c := range s.clients {
		if c.ready.Load() {
			things++
		}
	}
	for _, w := range s.streams {
		if len(w.reasons) == 0 {
			things++
		}
	}
	for _, k := range s.calls {
		if !k.done.Load() {
			things++
		}
	}
	s.mu.Lock()
	r.left = 0
	last, now := 0, time.Now().Unix()
	for second, n := range r.hits {
		if second >= now-10 {
			last += n
		}
	}
	s.mu.Unlock()
	if limit := 30 * things; last > limit {
		s.breach("what fails is repeated with growing pauses", "%v was sent %d times in the last ten seconds of forty, by %d clients, streams and calls", r.op, last, things)
	}
}

// outage takes the server away for an hour or more, while streams are opened and closed.
func (s *simulation) outage() {
	s.mu.Lock()
	s.rules = nil
	s.mu.Unlock()
	s.heal()
	s.note("no server for more than an hour")
	s.servers.Partition(true)
	lines := map[*simClient]int64{}
	time.Sleep(time.Minute) // its beginning is not counted
	for _, c := range s.openClients() {
		lines[c] = c.lines.Load()
	}
	s.mu.Lock()
	dials := len(s.dials)
	s.mu.Unlock()
	began := time.Now()
	for range 120 {
		for _, c := range s.openClients() {
			ctx, cancel := context.WithCancel(context.Background())
			st := c.client.Children(ctx, c.path(pick(s, simServices)))
			if s.chance(2) {
				st.Close()
			}
			cancel()
		}
		time.Sleep(25*time.Second + s.upTo(30*time.Second))
	}
	hours := time.Since(began).Hours()
	s.mu.Lock()
	dials = len(s.dials) - dials
	s.mu.Unlock()
	for _, c := range s.openClients() {
		if n, had := lines[c]; had && float64(c.lines.Load()-n) > 60*hours {
			s.breach("an outage is a few log lines", "%v has logged %d lines in %.1f hours", c, c.lines.Load()-n, hours)
		}
	}
	// Half of the longest pause, for each client and each address on its list.
	if limit := float64(len(s.clients)*(len(s.servers.Members())+1)) * hours * 3600 / 2.5; float64(dials) > limit {
		s.breach("what fails is repeated with growing pauses", "%d dials in %.1f hours, by %d clients", dials, hours, len(s.clients))
	}
	s.note("heal")
	s.heal()
	time.Sleep(30 * time.Second)
	for _, c := range s.openClients() {
		if now, _ := c.sessions.Latest(); now.State != zkstream.Connected {
			s.breach("convergence", "%v: %v, half a minute after the outage", c, now)
		}
	}
}

// crowd has many clients lose their server at the same time, and come back.
func (s *simulation) crowd() {
	const size, away = 100, 10 * time.Second
	s.mu.Lock()
	s.rules = nil
	s.mu.Unlock()
	s.heal()
	s.note("a crowd of %d clients", size)
	time.Sleep(3 * time.Second) // there is a leader again
	type member struct {
		client   *zkstream.Client
		sessions *zkstream.Stream[zkstream.Session]
	}
	var members []member
	for range size {
		one := &simClient{s: s, labels: context.Background(), timeout: 8 * time.Second}
		opts := []zkstream.Option{zkstream.WithSessionTimeout(one.timeout), zkstream.WithDialer(s.dialer(one))}
		if s.has(names) {
			opts = append(opts, zkstream.WithResolver(s.resolver.Resolver()))
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		c, err := zkstream.Connect(ctx, s.hosts(), opts...)
		cancel()
		if err != nil {
			s.breach("convergence", "a client of the crowd: %v", err)
			return
		}
		members = append(members, member{c, c.Session(context.Background())})
		time.Sleep(s.upTo(40 * time.Millisecond))
	}
	for _, member := range s.servers.Members() {
		if n := member.Stats().Connections; n < size/len(s.servers.Members())/3 {
			s.breach("a crowd is spread over the servers", "%v has %d connections of %d clients", member, n, size)
		}
	}
	s.servers.Partition(true)
	time.Sleep(away)
	s.servers.Partition(false)
	back := time.Now()
	windows := map[int64]int{}
	done := make(chan time.Time, size)
	for _, m := range members {
		// Ends when the client is connected or closed.
		go func() {
			for now := range m.sessions.C() {
				if now.State == zkstream.Connected && time.Since(back) >= 0 {
					done <- time.Now()
					return
				}
			}
		}()
	}
	for range size {
		select {
		case at := <-done:
			windows[int64(at.Sub(back)/(50*time.Millisecond))]++
		case <-time.After(8 * time.Second):
			s.breach("a crowd comes back", "a client is not connected %v after the outage", time.Since(back))
		}
	}
	for window, n := range windows {
		if n > size/5 {
			s.breach("a crowd does not come all at once", "%d of %d clients connect between %v and %v after the outage", n, size,
				time.Duration(window)*50*time.Millisecond, time.Duration(window+1)*50*time.Millisecond)
		}
	}
	s.note("the last of the crowd was back %v after the outage", time.Since(back))
	for _, m := range members {
		if err := m.client.Close(); err != nil {
			s.breach("nothing left behind", "a client of the crowd: Close returns %v", err)
		}
	}
}
