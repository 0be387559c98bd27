package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/internal/ensemble"
)

// load is all that runs. Its methods are for the test's goroutine, which alone makes changes; so at any
// time it knows what each stream must show.
type load struct {
	t       *testing.T
	size    size
	proxies []*ensemble.Proxy
	clients []*client
	witness *client // connected straight to the server, with a stream on each service
	readers sync.WaitGroup

	content []int             // of each node, as last written
	present []map[string]bool // the addresses at each service
	counts
}

// counts are for the lines that tell how it goes.
type counts struct {
	snapshots  atomic.Int64 // received by readers
	writes     int
	streams    int // opened and left
	drops      int // of all connections through a proxy
	expiries   int // of the sessions of all clients of a proxy
	reregister int
}

// client has a client's streams, in the order of their nodes and services.
type client struct {
	*zkstream.Client
	session       *zkstream.Stream[zkstream.Session]
	data          map[int]*zkstream.Stream[zkstream.Data]
	properties    map[int]*zkstream.PropertyStream
	children      map[int]*zkstream.Stream[zkstream.Children]
	registrations []registration
}

type registration struct {
	*zkstream.Registration
	service int
}

func node(i int) string    { return fmt.Sprintf("/nodes/%d", i) }
func service(i int) string { return fmt.Sprintf("/services/%d", i) }

// start connects all clients, opens their streams and registers their servers.
func start(t *testing.T, server *ensemble.Server, of size) *load {
	t.Helper()
	l := &load{t: t, size: of, content: make([]int, of.nodes)}
	for range of.services {
		l.present = append(l.present, map[string]bool{})
	}
	for range of.proxies {
		l.proxies = append(l.proxies, ensemble.StartProxy(t, server.Addr()))
	}
	began := time.Now()
	l.witness = l.connect(server.Addr())
	var wg sync.WaitGroup
	for i := range of.nodes {
		// Ends with the call; waited for below.
		wg.Go(func() {
			if err := l.witness.Create(t.Context(), node(i), map[string]any{"n": 0}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for s := range of.services {
		l.must(l.witness.Create(t.Context(), service(s), nil))
		l.witness.children[s] = l.witness.Children(t.Context(), service(s))
	}
	for i := range of.clients {
		l.clients = append(l.clients, l.connect(l.proxies[i%of.proxies].Addr()))
	}
	for i, c := range l.clients {
		// Ends with the registrations; waited for below.
		wg.Go(func() { l.open(i, c) })
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	for _, c := range l.clients {
		for _, r := range c.registrations {
			l.present[r.service][r.Addr()] = true
		}
	}
	l.rest()
	for _, p := range l.proxies { // so that each client has been through it before anything is measured
		p.Drop()
	}
	t.Logf("%d clients, %d streams and %d registrations are up after %v",
		of.clients, of.clients*of.streams, of.clients*of.registrations, time.Since(began).Round(time.Millisecond))
	return l
}

func (l *load) connect(addr string) *client {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	c, err := zkstream.Connect(ctx, addr, zkstream.WithSessionTimeout(l.size.timeout))
	l.must(err)
	l.t.Cleanup(func() { c.Close() }) // for a test that fails
	return &client{
		Client:     c,
		session:    c.Session(l.t.Context()),
		data:       map[int]*zkstream.Stream[zkstream.Data]{},
		properties: map[int]*zkstream.PropertyStream{},
		children:   map[int]*zkstream.Stream[zkstream.Children]{},
	}
}

// open opens the streams of client i, and registers its servers. Of its streams two are read.
func (l *load) open(i int, c *client) {
	ctx := l.t.Context()
	onServices := min(l.size.streams/5, l.size.services)
	onNodes := l.size.streams - onServices
	for k := range onNodes {
		n := (i*onNodes + k) % l.size.nodes
		if k%2 == 0 {
			c.data[n] = c.Data(ctx, node(n))
		} else {
			c.properties[n] = c.Properties(ctx, node(n))
		}
	}
	for k := range onServices {
		s := (i + k) % l.size.services
		c.children[s] = c.Children(ctx, service(s))
	}
	if got := len(c.data) + len(c.properties) + len(c.children); got != l.size.streams {
		l.t.Errorf("client %d has %d streams, want %d", i, got, l.size.streams)
	}
	for k := range l.size.registrations {
		number := i*l.size.registrations + k
		s := number % l.size.services
		r, err := c.Register(ctx, service(s), fmt.Sprintf("10.0.0.1:%d", number+1), map[string]any{"client": i})
		if err != nil {
			l.t.Error(err)
			return
		}
		c.registrations = append(c.registrations, registration{r, s})
	}
	// Both end with their streams, which end with the client; close waits for them.
	l.readers.Go(func() { read(c.children[i%l.size.services], &l.snapshots) })
	l.readers.Go(func() { read(c.data[i*onNodes%l.size.nodes], &l.snapshots) })
}

func read[T any](s *zkstream.Stream[T], snapshots *atomic.Int64) {
	for range s.All() {
		snapshots.Add(1)
	}
}

func (l *load) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// disturb makes changes and breaks connections until the time is over, and does each at least once.
func (l *load) disturb(d time.Duration) {
	l.t.Helper()
	end := time.Now().Add(d)
	expire := time.Now()
	tell := time.Now().Add(10 * time.Second)
	for turn := 0; turn == 0 || time.Now().Before(end); turn++ {
		for range 5 {
			l.write(l.anyClient())
		}
		l.passBy()
		if turn%20 == 0 {
			l.proxies[rand.IntN(len(l.proxies))].Drop()
			l.drops++
		}
		if turn%10 == 0 {
			l.replace()
		}
		if time.Now().After(expire) {
			expire = time.Now().Add(l.size.expiries)
			l.expire(l.proxies[rand.IntN(len(l.proxies))])
		}
		if time.Now().After(tell) {
			tell = time.Now().Add(10 * time.Second)
			l.tell("running", usage())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// call runs fn with a limit of time.
func (l *load) call(fn func(ctx context.Context) error) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	l.must(fn(ctx))
}

func (l *load) anyClient() *client { return l.clients[rand.IntN(len(l.clients))] }

// write changes one node.
func (l *load) write(c *client) {
	l.t.Helper()
	n := rand.IntN(len(l.content))
	l.content[n]++
	l.call(func(ctx context.Context) error {
		err := zkstream.ErrUnknown
		for errors.Is(err, zkstream.ErrUnknown) { // its session expired meanwhile, on a busy machine; once more does no harm
			err = c.UpdateProperties(ctx, node(n), map[string]any{"n": l.content[n]})
		}
		return err
	})
	l.writes++
}

// passBy opens a stream, takes its first snapshot, and leaves: by its context, or by Close.
func (l *load) passBy() {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	s := zkstream.Map(l.anyClient().Data(ctx, node(rand.IntN(len(l.content)))), zkstream.Data.Exists)
	if there, ok := <-s.C(); !ok || !there {
		l.t.Fatalf("a stream begins with %v, %v; its end: %v", there, ok, s.Err())
	}
	if rand.IntN(2) == 0 {
		s.Close()
	}
	l.streams++
}

// replace updates a registration, and withdraws and repeats another.
func (l *load) replace() {
	l.t.Helper()
	c := l.anyClient()
	l.call(func(ctx context.Context) error {
		return c.registrations[0].Update(ctx, map[string]any{"turn": rand.Int()})
	})
	k := rand.IntN(len(c.registrations))
	old := c.registrations[k]
	l.must(old.Close())
	again, err := c.Register(l.t.Context(), service(old.service), old.Addr(), nil)
	l.must(err)
	c.registrations[k].Registration = again
	l.reregister++
}

// expire cuts the clients of one proxy off until their sessions have expired, at the server, too. Meanwhile
// nodes change, which they must learn afterwards.
func (l *load) expire(p *ensemble.Proxy) {
	l.t.Helper()
	p.Cut()
	l.wait("the sessions have expired", func() string {
		l.write(l.witness)
		for i, c := range l.clients {
			if l.proxies[i%l.size.proxies] != p {
				continue
			}
			if s, _ := c.session.Latest(); s.State != zkstream.Expired {
				return fmt.Sprintf("client %d: %v", i, s)
			}
			for _, r := range c.registrations {
				if at, _ := l.witness.children[r.service].Latest(); at.Contains(r.Addr()) {
					return r.Path() + " is still there"
				}
			}
		}
		return ""
	})
	p.Heal()
	l.expiries++
}

// wait waits until wrong returns "".
func (l *load) wait(what string, wrong func() string) {
	l.t.Helper()
	end := time.Now().Add(patience)
	for {
		why := wrong()
		if why == "" {
			return
		}
		if time.Now().After(end) {
			l.t.Fatalf("not in time: %s: %s", what, why)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// rest waits until every stream shows what it should, and every registration is there.
func (l *load) rest() {
	l.t.Helper()
	l.wait("all is right", func() string {
		if why := l.wrong(l.witness); why != "" {
			return "the witness: " + why
		}
		for i, c := range l.clients {
			if why := l.wrong(c); why != "" {
				return fmt.Sprintf("client %d: %s", i, why)
			}
		}
		return ""
	})
}

// wrong says what a client does not have right, if anything.
func (l *load) wrong(c *client) string {
	if s, _ := c.session.Latest(); s.State != zkstream.Connected {
		return s.String()
	}
	for _, r := range c.registrations {
		if err := r.Err(); err != nil {
			return fmt.Sprintf("%s has ended: %v", r.Path(), err)
		}
		// As the server has it, not as a stream tells.
		exists, stat, err := l.witness.Conn().Exists(r.Path())
		if s, _ := c.session.Latest(); err != nil || !exists || stat.EphemeralOwner != s.ID {
			return fmt.Sprintf("%s: %v, %+v, %v; the session is %x", r.Path(), exists, stat, err, s.ID)
		}
	}
	for n, s := range c.data {
		want := fmt.Sprintf(`{"n": %d}`, l.content[n])
		if got, ok := s.Latest(); !ok || got.String() != want || s.Err() != nil {
			return fmt.Sprintf("node %d is %s, want %s; %v", n, got, want, s.Err())
		}
	}
	for n, s := range c.properties {
		p, _ := s.Latest()
		if got, err := zkstream.Value[int](p, "n"); err != nil || got != l.content[n] || s.Err() != nil {
			return fmt.Sprintf("node %d has %d, %v, want %d; %v", n, got, err, l.content[n], s.Err())
		}
	}
	for i, s := range c.children {
		got, ok := s.Latest()
		if !ok || s.Err() != nil || got.Len() != len(l.present[i]) {
			return fmt.Sprintf("service %d has %d addresses, want %d; %v", i, got.Len(), len(l.present[i]), s.Err())
		}
		if k := slices.IndexFunc(got.Names(), func(addr string) bool { return !l.present[i][addr] }); k >= 0 {
			return fmt.Sprintf("service %d has %s, want %v", i, strings.Join(got.Names(), " "), l.present[i])
		}
	}
	return ""
}

// close closes all clients, and waits until nothing reads their streams.
func (l *load) close() {
	l.t.Helper()
	for _, c := range append(l.clients, l.witness) {
		if err := c.Close(); err != nil {
			l.t.Error(err)
		}
	}
	l.readers.Wait()
}
