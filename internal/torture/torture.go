package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/ensemble"
	"github.com/zkstream/zkstream/internal/history"
	"golang.org/x/sync/errgroup"
)

const (
	sessionTimeout = 2 * time.Second

	// calmLimit is how long clients have to come to rest when all is healed and nothing is written any
	// more: two session timeouts and some seconds. silentLimit is added where one server of the list does
	// not answer: go-zookeeper waits 13 s for it at such a session timeout. thinLimit is added where a large node
	// takes a while to arrive, and hiddenLimit where an event may have been hidden: what makes good for it is
	// zkstream's recheck, which takes half a minute. refusedLimit is added where a server has refused nodes: the pauses
	// of a registration that is refused grow to half a minute, and another fault may keep the quota in place until the calm.
	calmLimit    = 2*sessionTimeout + 4*time.Second
	silentLimit  = 10 * time.Second
	thinLimit    = 4 * largeSize * time.Second / thinRate
	hiddenLimit  = 32 * time.Second
	refusedLimit = 32 * time.Second

	calmPoll   = 100 * time.Millisecond // between two looks at the truth
	leastRound = 1500 * time.Millisecond
	afterHeal  = 300 * time.Millisecond // for which writers go on when all is healed
)

// options says what to do.
type options struct {
	length     time.Duration
	seed       uint64
	clients    int // of each contender
	contenders []string
	logs       string    // folder; made when needed
	keepAll    bool      // logs of all rounds, of all contenders
	without    []kind    // faults that are left out
	herd       bool      // at the end, a hundred clients lose all servers at once
	out        io.Writer // for progress
}

// run is a run of it all.
type run struct {
	options
	arena      *arena
	contenders []*contender
	drivers    map[*client]*driver
	changes    *changes
	writers    *writers
	result     *result
	stalls     *stalls
	excuse     excuse // of the latest round
	begin      time.Time
}

// torture runs rounds until the time is over, or ctx ends, and returns what came of it; nil if it did not
// get to the first round.
func torture(ctx context.Context, o options) (_ *result, err error) {
	dir, err := os.MkdirTemp("", "zkstream-torture")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	ready, skipped, err := prepare(o.contenders, dir)
	if err != nil {
		return nil, err
	}
	release, err := ensemble.Find()
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(o.out, "seed %d, %v, %d clients of each contender, ZooKeeper %s\n", o.seed, o.length, o.clients, release.Version)
	for _, why := range skipped {
		fmt.Fprintf(o.out, "skipped: %s\n", why)
	}
	e, err := ensemble.New(ctx, 3, ensemble.Options{
		Java:   []string{fmt.Sprintf("-Djute.maxbuffer=%d", mostTaken)},
		Config: map[string]string{"enforceQuota": "true"},
	})
	if err != nil {
		return nil, err
	}
	changes := newChanges()
	r := &run{
		options: o,
		arena:   &arena{ensemble: e, timeout: sessionTimeout, log: &record{name: "arena"}, changes: changes},
		drivers: map[*client]*driver{},
		changes: changes,
		begin:   time.Now(),
	}
	r.arena.sets = &setWriter{history: new(history.History), changes: changes, log: r.arena.log}
	defer func() { err = errors.Join(err, r.arena.close()) }()
	r.stalls = watchStalls()
	defer r.stalls.end()
	r.writers = &writers{
		servers: r.arena.servers(), changes: r.changes, log: r.arena.log,
		losses: losses{log: r.arena.log, nodes: map[string]known{}},
	}
	if err := r.start(ctx, ready); err != nil {
		return nil, err
	}
	listening, stop := context.WithCancel(ctx)
	defer stop()
	go r.arena.listen(listening) // ends with this function; nobody waits for it
	r.result = &result{options: o, contenders: r.contenders, skipped: skipped, zookeeper: release.Version, faults: map[kind]int{}}
	defer r.finish()
	failed := 0 // rounds in a row that could not be judged
	// One round is judged in any case, if the machine ever runs.
	for n := 1; time.Since(r.begin) < o.length || r.result.rounds == 0 && time.Since(r.begin) < 5*o.length; n++ {
		switch err := r.round(ctx, makeRound(o.seed, n, sessionTimeout, o.without...)); {
		case ctx.Err() != nil:
			return r.result, nil // interrupted: what was judged counts
		case err == nil:
			failed = 0
		case failed == 2:
			return r.result, err
		default:
			failed++
			fmt.Fprintf(o.out, "round %d cannot be judged: %v\n", n, err)
			for _, c := range r.arena.clients {
				c.oracle.skip()
			}
			for _, c := range r.contenders {
				c.tally.takeRound()
			}
		}
	}
	if o.herd {
		err = r.herd(ctx)
	}
	return r.result, err
}

// start starts all contenders, and opens their streams.
func (r *run) start(ctx context.Context, ready []prepared) error {
	for _, p := range ready {
		c := &contender{prepared: p, tally: newTally()}
		r.contenders = append(r.contenders, c)
		for n := range r.clients {
			client, err := r.arena.newClient(c, n, r.changes)
			if err != nil {
				return err
			}
			r.drivers[client] = &driver{client: client}
		}
	}
	within, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	p, err := dial(within, r.arena.servers())
	if err != nil {
		return err
	}
	defer p.close()
	if err := errors.Join(prepareNodes(p, r.arena), r.arena.sets.prepare(p)); err != nil {
		return err
	}
	var g errgroup.Group // waited for here
	for _, c := range r.arena.clients {
		g.Go(func() error {
			err := c.start(ctx, sessionTimeout)
			if err != nil && c.process != nil && c.owner.name != subject {
				return nil // it counts as dead, and the others go on
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, c := range r.arena.clients {
		d := r.drivers[c]
		for _, path := range values {
			d.open("data", path)
		}
		for _, path := range parents {
			d.open("children", path)
		}
		for _, path := range closables {
			d.open("data", path)
			d.open("children", path)
		}
		d.open("instances", flock)
		d.open("tree", forest)
		for _, other := range c.owner.clients {
			d.open("children", other.service())
		}
		d.fill()
	}
	return nil
}

// round is one round: faults while all work, then a calm and a verdict. An error means that it could not be
// judged.
func (r *run) round(ctx context.Context, round round) error {
	a := r.arena
	a.turnLogs()
	r.stalls.take()
	a.log.add("driver", fmt.Sprintf("round %d: %v", round.number, round))
	begin := time.Now()
	props, err := r.newProperties(ctx, round.number)
	if err != nil {
		return err
	}
	a.begin(round)

	work, stop := context.WithCancel(ctx)
	var g errgroup.Group // waited for below
	g.Go(func() error { return r.writers.run(work, round.seed) })
	g.Go(func() error { return a.sets.run(work, r.writers, round.seed) })
	for client, d := range r.drivers {
		d.props, d.ledger = props[client.owner], ledgerOf(client.owner, round.number)
		g.Go(func() error { d.work(work, round.seed); return nil })
	}
	injected := a.inject(ctx, round)
	_ = pause(ctx, leastRound-time.Since(begin))
	err = a.heal(ctx, round)
	_ = pause(ctx, afterHeal)
	stop()
	_ = g.Wait()
	if err != nil || ctx.Err() != nil {
		return errors.Join(err, ctx.Err())
	}
	for _, k := range injected {
		r.result.faults[k]++
	}

	a.log.add("driver", "calm")
	limit := calmLimit
	if round.has(silent) {
		limit += silentLimit
	}
	if round.has(thinLine) {
		limit += thinLimit
	}
	switch {
	case round.has(closedNode):
		limit += max(hiddenLimit, refusedLimit)
	case round.has(quota):
		limit += refusedLimit
	}
	rest, err := r.quiesce(ctx, limit, round.number, props)
	if err != nil {
		return err
	}
	if round.has(tooLarge) && !round.has(silent) && !round.has(thinLine) {
		r.listenForUnrest(ctx)
	}
	switch r.excuse {
	case stalled:
		r.result.stalled++
		fmt.Fprintf(r.out, "round %d: the machine stood still for more than %v, so what takes time does not count\n", round.number, stallLimit)
	case serversLost:
		r.result.lost++
		fmt.Fprintf(r.out, "round %d: the servers lost changes that they had acknowledged, so it counts for nobody\n", round.number)
	default:
		r.result.rounds++
	}
	for _, c := range r.contenders {
		c.tally.forgive(r.excuse)
	}
	return r.progress(round, rest)
}

// newProperties makes a node of properties for each contender.
func (r *run) newProperties(ctx context.Context, round int) (map[*contender]string, error) {
	within, cancel := context.WithTimeout(ctx, healLimit)
	defer cancel()
	p, err := dial(within, r.arena.servers())
	if err != nil {
		return nil, err
	}
	defer p.close()
	paths := map[*contender]string{}
	for _, c := range r.contenders {
		paths[c] = fmt.Sprintf("%s-%d", c.properties(), round)
		if _, err := p.Create(paths[c], []byte("{}"), 0, zk.WorldACL(zk.PermAll)); err != nil {
			return nil, fmt.Errorf("create %s: %w", paths[c], err)
		}
		if _, err := p.Create(ledgerOf(c, round), []byte("{}"), 0, zk.WorldACL(zk.PermAll)); err != nil {
			return nil, fmt.Errorf("create %s: %w", ledgerOf(c, round), err)
		}
	}
	for _, c := range r.arena.clients { // go-kit may have deleted it
		if _, err := p.Create(c.service(), []byte("0"), 0, zk.WorldACL(zk.PermAll)); err != nil && !errors.Is(err, zk.ErrNodeExists) {
			return nil, fmt.Errorf("create %s: %w", c.service(), err)
		}
	}
	return paths, nil
}

// herd has a hundred clients of zkstream, and of go-zookeeper, lose all servers at once.
func (r *run) herd(ctx context.Context) error {
	for _, who := range []struct {
		title string
		join  joiner
	}{{"zkstream", joinZkstream}, {"raw go-zookeeper", joinRaw}} {
		back, err := herd(ctx, r.arena.ensemble.Servers(), who.join)
		if err != nil {
			return fmt.Errorf("a herd of %s: %w", who.title, err)
		}
		r.result.herds = append(r.result.herds, fmt.Sprintf("%s: %v", who.title, back))
		fmt.Fprintf(r.out, "%d clients after an outage of %v: %s: %v\n", herdSize, herdOutage, who.title, back)
	}
	return nil
}

// finish judges what only the whole run shows.
func (r *run) finish() {
	r.result.length = time.Since(r.begin)
	r.result.made, r.result.maybe = r.changes.counts()
	for _, c := range r.contenders {
		for _, client := range c.clients {
			client.oracle.end()
			c.tally.add(time.Now(), client.name, c.samples.growth(client.number)...)
		}
		for _, w := range c.tally.takeRound() {
			fmt.Fprintf(r.out, "%s: %s\n", c.name, w)
		}
	}
}
