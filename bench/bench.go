package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/zkstream/zkstream/internal/ensemble"
)

// A plan says how much is measured.
type plan struct {
	quick      bool
	rounds     int
	warmUp     int // changes of one node before the first that counts
	latencies  int // changes of one node per round
	fan        []int
	changes    int           // of a node that many watch, per round
	open       []int         // numbers of distinct nodes
	recover    int           // nodes
	recoverers []string      // contenders that recover; nil means all
	timeout    time.Duration // of the sessions that recover
	second     int           // streams
	decode     int           // streams
	publish    time.Duration
	calls      int   // of each sort, per block
	once       int   // nodes
	large      int   // nodes of 200 KB
	trees      []int // leaves
	instances  int   // nodes
	imports    int   // leaves
	recheck    int   // nodes; 0 leaves it out
}

var (
	full = plan{
		rounds: 5, warmUp: 300, latencies: 300, fan: []int{1, 10, 100, 1000, 10_000}, changes: 5,
		open: []int{1000, 20_000, 100_000}, recover: 20_000, timeout: 8 * time.Second,
		second: 1000, decode: 1000, publish: time.Second, calls: 1000, once: 2000, large: 300,
		trees: []int{10_000, 100_000}, instances: 10_000, imports: 10_000, recheck: 20_000,
	}
	small = plan{
		quick:  true,
		rounds: 4, warmUp: 50, latencies: 60, fan: []int{1, 100, 10_000}, changes: 2,
		open: []int{500, 2000}, recover: 1000, recoverers: []string{"zkstream", "raw"}, timeout: 1500 * time.Millisecond,
		second: 100, decode: 100, publish: 100 * time.Millisecond, calls: 100, once: 500, large: 30,
		trees: []int{1000}, instances: 1000, imports: 1000,
	}
)

type bench struct {
	plan    plan
	dir     string // for files
	peers   []*peer
	tree    *tree
	results results
	// serverCPU returns the processor time that the servers have taken, in nanoseconds; nil where they are not this program's.
	serverCPU func() (float64, error)
	skipped   []string // contenders that cannot run, and why
	notes     []string

	begin time.Time
	round int
	done  float64   // share of the works
	shown time.Time // when the progress line last was, on a terminal
	told  float64   // done in the last line, elsewhere
}

// newBench prepares a benchmark of these contenders, or all. Files are put into dir.
func newBench(servers, dir string, plan plan, names ...string) (*bench, error) {
	b := &bench{plan: plan, dir: dir, begin: time.Now(), told: -1}
	b.peers, b.skipped = findPeers(dir, names...)
	for _, s := range b.skipped {
		fmt.Fprintln(os.Stderr, "skipped:", s)
	}
	var err error
	b.tree, err = plant(servers)
	return b, err
}

// A work is one kind of thing to measure, for all contenders by turns.
type work struct {
	name string
	run  func() error
}

func (b *bench) works() []work {
	works := []work{
		{"one node, data", func() error { return b.oneNode("data", b.plan.fan) }},
		{"one node, children", func() error { return b.oneNode("children", b.plan.fan) }},
		{"decoding", b.decoding},
		{"publishing", b.publishing},
		{"calls", b.calls},
		{"calls while streams are opened", b.busy},
		{"read once", b.once},
		{"large nodes", b.large},
		{"trees", b.trees},
		{"imports", b.imports},
	}
	for _, n := range b.plan.open {
		works = append(works, work{fmt.Sprintf("%s nodes", thousands(n)), func() error { return b.distinct("data", n) }})
		if n <= 20_000 {
			works = append(works, work{fmt.Sprintf("children of %s nodes", thousands(n)), func() error { return b.distinct("children", n) }})
		}
	}
	return append(works, work{"recovery", b.recovery}, work{"recovery of all kinds", b.rearm}, work{"rechecks", b.recheck})
}

func (b *bench) run(ctx context.Context, only string) error {
	match, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	works := slices.DeleteFunc(b.works(), func(w work) bool { return !match.MatchString(w.name) })
	for b.round = range b.plan.rounds {
		for i, w := range works {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			b.done = float64(b.round*len(works)+i) / float64(b.plan.rounds*len(works))
			b.progress(w.name)
			if err := w.run(); err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
		}
	}
	fmt.Fprintln(os.Stderr)
	return nil
}

// progress shows where the benchmark is: on one line that changes, or with a line for each work where
// there is no terminal.
func (b *bench) progress(doing string) {
	line := fmt.Sprintf("%3.0f %%  %v  round %d of %d: %s", 100*b.done, time.Since(b.begin).Round(time.Second),
		b.round+1, b.plan.rounds, doing)
	info, err := os.Stderr.Stat()
	switch {
	case err == nil && info.Mode()&os.ModeCharDevice != 0:
		if time.Since(b.shown) > 100*time.Millisecond {
			b.shown = time.Now()
			fmt.Fprint(os.Stderr, "\r\x1b[K"+line)
		}
	case b.told != b.done:
		b.told = b.done
		fmt.Fprintln(os.Stderr, line)
	}
}

func (b *bench) floor() *peer {
	return b.peers[slices.IndexFunc(b.peers, func(p *peer) bool { return p.name == "floor" })]
}

func (b *bench) add(m metric, p *peer, x float64) { b.results.add(m, p.name, b.round, x) }

// A station is a contender at work.
type station struct {
	*child
	peer  *peer
	node  *single         // where all watch the same
	proxy *ensemble.Proxy // where the network is broken
	have  int             // streams on node
	times []float64       // of this round
	calls float64         // requests, of this round
}

// stations returns a station for each contender that can watch n streams of the kind, still without a
// process, in an order that changes with the round.
func (b *bench) stations(kind string, n int) []*station {
	var all []*station
	for i := range b.peers {
		p := b.peers[(i+b.round)%len(b.peers)]
		if slices.Contains(p.kinds, kind) && n <= p.most {
			all = append(all, &station{peer: p})
		}
	}
	return all
}

// each calls fn for each station. A contender of others that fails is left out from then on, with the
// reason in the report; the rest goes on.
func (b *bench) each(work string, stations *[]*station, fn func(*station) error) error {
	var left []*station
	for i, s := range *stations {
		b.progress(work + ": " + s.peer.title)
		err := fn(s)
		switch {
		case err == nil:
			left = append(left, s)
		case s.peer.name == "zkstream":
			*stations = append(left, (*stations)[i:]...)
			return err
		default:
			s.end()
			b.note(fmt.Sprintf("%s, in one round or more: %s failed: %v", work, s.peer.title, err))
		}
	}
	*stations = left
	return nil
}

// note puts a line into the report, and shows it, once.
func (b *bench) note(line string) {
	if !slices.Contains(b.notes, line) {
		b.notes = append(b.notes, line)
		fmt.Fprintln(os.Stderr, "\n"+line)
	}
}

// start starts the station's process.
func (s *station) start(servers string, timeout time.Duration, env ...string) (err error) {
	s.child, err = s.peer.begin(servers, timeout, env...)
	return err
}

// end ends what the station has begun.
func (s *station) end() {
	if s.child != nil {
		s.child.end()
	}
	if s.proxy != nil {
		s.proxy.Close()
	}
}

func endAll(stations []*station) {
	for _, s := range stations {
		s.end()
	}
}
