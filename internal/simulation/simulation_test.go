package simulation

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zkstream/zkstream/internal/history"
	"github.com/zkstream/zkstream/internal/nameserver"
	"github.com/zkstream/zkstream/zktest"
)

var (
	firstSeed   = flag.Uint64("seed", 0, "first seed of TestSimulation; alone: the only one, and -v tells its schedule")
	seedCount   = flag.Int("seeds", 0, "number of seeds of TestSimulation; 0: as many as suit a test run")
	stopAtFirst = flag.Bool("stop-at-first", false, "have TestSimulation end at the first seed that fails")
)

// TestSimulation has a few clients live through random schedules of faults, each in virtual time on a
// server in memory, and then checks all that zkstream promises. A seed replays a schedule; what it does
// not replay is the order in which goroutines run that may run at the same time.
func TestSimulation(t *testing.T) {
	first, n := *firstSeed, *seedCount
	switch {
	case n == 0 && first != 0:
		n = 1
	case n == 0 && raceEnabled, n == 0 && testing.Short():
		n = 30
	case n == 0:
		n = 600
	}
	if first == 0 {
		first = 1
	}
	var taken, done atomic.Int64
	var failed atomic.Bool
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := taken.Add(1) - 1; i < int64(n) && !(failed.Load() && *stopAtFirst); i = taken.Add(1) - 1 {
				seed := first + uint64(i)
				ok := t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { simulate(t, seed, n == 1) })
				done.Add(1)
				if !ok {
					failed.Store(true)
				}
			}
		})
	}
	workers.Wait()
	t.Logf("%d seeds from %d on", done.Load(), first)
}

func simulate(t *testing.T, seed uint64, verbose bool) {
	synctest.Test(t, func(t *testing.T) {
		s := newSimulation(t, seed)
		s.verbose = verbose && testing.Verbose()
		s.note("%v", s)
		defer s.report()
		s.begin()
		for range 40 + s.rng.IntN(60) {
			if s.isBroken() {
				break
			}
			s.step()
			s.pause()
		}
		if s.has(crowds) {
			s.crowd()
		}
		s.finish()
	})
}

// simulation is one schedule, and what has become of it.
type simulation struct {
	t        *testing.T
	seed     uint64
	rng      *rand.Rand // of the goroutine of the schedule, which alone makes choices
	servers  *zktest.Ensemble
	started  time.Time
	verbose  bool
	features map[feature]bool
	resolver nameserver.Server
	mute     bool // a dial to the address at which nobody is gets no answer, rather than a refusal
	limit    int  // of a request in bytes, where the server is a small one

	clients   []*simClient // in the order of their making; closed ones included
	regs      []*simReg
	streams   []*watcher
	calls     []*simCall
	ids       int
	finishing bool // the faults have stopped
	wiping    bool // the server may lose its data

	dropsSets atomic.Bool // a fault has ended the connection upon writes

	mu       sync.Mutex           // guards what follows; its holder calls no method of the server
	healing  int                  // steps until partition or freeze end; 0: there is none
	lastTry  map[string]time.Time // when a node was last deleted or made directly, by path
	closed   map[string]bool      // nodes that have been closed to clients at some time
	schedule []string
	breaches []string
	wipes    []time.Time
	rules    []*rule
	instant  time.Time     // of the last request
	requests int           // at that instant
	silent   chan struct{} // until it is closed, dialling gets no answer; nil: it does
	swallow  bool          // no watch event arrives
	unheard  int           // connections that will end before their client hears anything in its new session
	dials    []time.Time   // that any client has made
	rivals   atomic.Int64
	contents map[string]string // what has been seen of each path, by zxid: it must be the same for all
	owners   map[int64]*simClient
	history  writes
	past     history.History // of all nodes
}

func newSimulation(t *testing.T, seed uint64) *simulation {
	s := &simulation{
		t:        t,
		seed:     seed,
		rng:      rand.New(rand.NewPCG(seed, 0)),
		started:  time.Now(),
		lastTry:  map[string]time.Time{},
		closed:   map[string]bool{},
		contents: map[string]string{},
		owners:   map[int64]*simClient{},
		history:  newWrites(),
	}
	s.wiping = s.chance(3)
	s.chooseFeatures()
	opts := []zktest.Option{zktest.WithTickTime(500 * time.Millisecond)}
	if s.has(smallServers) {
		s.limit = 8<<10 + s.rng.IntN(56<<10)
		opts = append(opts, zktest.WithMaxBuffer(s.limit))
	}
	n := 1
	if s.has(ensembles) {
		n = 3
	}
	version := pick(s, []string{"3.5", "3.6", "3.8.0", "3.8", "3.9"})
	switch {
	case s.has(blindOwners): // hides events, and says whose a node is; newer ones do not
		opts = append(opts, zktest.WithVersion("3.8.0"))
	case s.has(versions):
		opts = append(opts, zktest.WithVersion(version))
	}
	s.servers = zktest.StartEnsemble(t, n, opts...)
	s.setNames()
	return s
}

// note adds a line to the schedule.
func (s *simulation) note(format string, args ...any) {
	line := fmt.Sprintf("%10.3fs  %s", time.Since(s.started).Seconds(), short(fmt.Sprintf(format, args...)))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.schedule = append(s.schedule, line)
	if s.verbose {
		s.t.Log(line)
	}
}

// short has a text be readable that holds what is long.
func short(text string) string {
	if len(text) < 1<<10 {
		return text
	}
	return padding.ReplaceAllString(text, "...")
}

var padding = regexp.MustCompile(longPart[:100] + "+")

// breach notes that a promise is broken.
func (s *simulation) breach(promise, format string, args ...any) {
	line := promise + ": " + short(fmt.Sprintf(format, args...))
	s.note("BROKEN: %s", line)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.breaches = append(s.breaches, line)
}

func (s *simulation) isBroken() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.breaches) > 0
}

// report fails the test if a promise was broken.
func (s *simulation) report() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.breaches) == 0 {
		return
	}
	const tail = 60
	lines := s.schedule
	if s.verbose {
		lines = nil // told already
	} else if len(lines) > tail {
		lines = append([]string{"       ..."}, lines[len(lines)-tail:]...)
	}
	s.t.Errorf("seed %d (go test -v -run 'TestSimulation$' ./internal/simulation -args -seed %d) breaks a promise:\n%s\n\n%s",
		s.seed, s.seed, strings.Join(s.breaches, "\n"), strings.Join(lines, "\n"))
	if len(s.breaches) > 0 && os.Getenv("SIMULATION_STACKS") != "" {
		buf := make([]byte, 1<<22)
		s.t.Logf("%s", buf[:runtime.Stack(buf, true)])
	}
}

// The choices of the schedule.

// chance is true once in n times.
func (s *simulation) chance(n int) bool { return s.rng.IntN(n) == 0 }

// upTo is a time of random length, mostly much shorter than limit.
func (s *simulation) upTo(limit time.Duration) time.Duration {
	return time.Duration(float64(limit) * s.rng.Float64() * s.rng.Float64())
}

func pick[T any](s *simulation, from []T) T { return from[s.rng.IntN(len(from))] }

// pause lets time pass between two steps, or none: then what they do happens at the same time.
func (s *simulation) pause() {
	switch p := s.rng.IntN(24); {
	case p < 7:
	case p < 9:
		runtime.Gosched()
	case p < 14:
		synctest.Wait()
	case p < 18:
		time.Sleep(s.upTo(5 * time.Millisecond))
	case p < 21:
		time.Sleep(s.upTo(time.Second))
	case p < 23:
		time.Sleep(s.upTo(8 * time.Second))
	default:
		time.Sleep(s.upTo(40 * time.Second))
	}
}

// context gives a stream, call or registration its context: one that nobody ends, one that the schedule
// may cancel, or one that ends by itself.
func (s *simulation) context() *simContext {
	c := &simContext{ctx: context.Background()}
	switch draw := s.rng.IntN(6); {
	case draw == 0, s.finishing: // then a stream has to be there when it is checked
	case draw == 1:
		d := time.Millisecond + s.upTo(20*time.Second)
		c.ends = time.Now().Add(d)
		c.ctx, c.stop = context.WithTimeout(c.ctx, d)
	default:
		c.cause = fmt.Errorf("cancelled by the schedule, %d", s.id())
		ctx, cancel := context.WithCancelCause(c.ctx)
		c.ctx, c.cancel = ctx, func() { cancel(c.cause) }
	}
	return c
}

func (s *simulation) id() int {
	s.ids++
	return s.ids
}

type simContext struct {
	ctx    context.Context
	cancel func() // nil if the schedule may not cancel it
	cause  error  // of cancel
	ends   time.Time
	stop   func() // of one that ends by itself, to end it at the end of the schedule
}

func (c *simContext) String() string {
	switch {
	case c.cancel != nil:
		return "with a context to be cancelled"
	case !c.ends.IsZero():
		return fmt.Sprintf("for %v", time.Until(c.ends).Round(time.Millisecond))
	}
	return "for ever"
}
