package zktest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zkstream/zkstream/internal/ensemble"
)

// pair is a real ZooKeeper and a Server, side by side.
type pair struct {
	real, fake func() (net.Conn, error)
	worlds     int
}

// compareTick makes sessions of up to a minute, so that none expires while a noisy machine is slow.
const compareTick = 3 * time.Second

// startPair needs a ZooKeeper 3.8 or 3.9 that hides events from those who may not read the node
// (CVE-2024-23944): Debian's 3.8.0, 3.8.4 and later, 3.9.2 and later.
func startPair(t testing.TB, settings ...setting) *pair {
	version := realVersion(t)
	real := ensemble.Options{
		TickTime: compareTick,
		Java:     []string{"-Dznode.container.checkIntervalMs=3600000"},
		Config:   map[string]string{"extendedTypesEnabled": "false"},
	}
	opts := []Option{WithTickTime(compareTick), WithSweepInterval(time.Hour), WithVersion(version)}
	for _, set := range settings {
		maps.Copy(real.Config, set.config)
		opts = append(opts, set.option)
	}
	e := ensemble.Start(t, 1, real)
	addr := e.Servers()[0].Addr()
	s := Start(t, opts...)
	return &pair{
		real: func() (net.Conn, error) { return net.Dial("tcp", addr) },
		fake: func() (net.Conn, error) { return s.Dial(context.Background(), "tcp", "") },
	}
}

// setting is something that a server can be told, in the words of the real one's zoo.cfg and in ours.
type setting struct {
	config map[string]string
	option Option
}

var extendedTypes = setting{map[string]string{"extendedTypesEnabled": "true"}, WithExtendedTypes()}

// realVersion is that of the installed ZooKeeper. It skips the test where that one is not compared with.
func realVersion(t testing.TB) string {
	t.Helper()
	ensemble.Need(t)
	found, err := ensemble.Find()
	if err != nil {
		t.Fatal(err)
	}
	if r, err := parseVersion(found.Version); err != nil || r.line < 8 {
		t.Skipf("zktest is compared with ZooKeeper 3.8 and 3.9 only, not with %q", found.Version)
	}
	return found.Version
}

// run gives the first difference between the two servers, or "".
func (p *pair) run(steps []step) (difference string, err error) {
	p.worlds++
	name := fmt.Sprintf("world%d", p.worlds)
	real, err := newWorld(p.real, name)
	if err != nil {
		return "", fmt.Errorf("real server: %w", err)
	}
	fake, err := newWorld(p.fake, name)
	if err != nil {
		return "", fmt.Errorf("zktest: %w", err)
	}
	for i, st := range steps {
		want, err := real.do(st)
		if err != nil {
			return "", fmt.Errorf("real server, step %d, %v: %w", i, st, err)
		}
		got, err := fake.do(st)
		if err != nil {
			return "", fmt.Errorf("zktest, step %d, %v: %w (real server: %q)", i, st, err, want)
		}
		if st.req.op == OpCloseSession { // its ephemeral nodes go in the order of a hash set
			slices.Sort(want)
			slices.Sort(got)
		}
		if !slices.Equal(want, got) {
			difference = fmt.Sprintf("step %d, %v\n\treal server\n\t  %s\n\tzktest\n\t  %s",
				i, st, strings.Join(want, "\n\t  "), strings.Join(got, "\n\t  "))
			break
		}
	}
	if difference == "" {
		if difference, err = audit(real, fake); err != nil {
			return "", err
		}
	}
	if err := real.close(); err != nil {
		return difference, fmt.Errorf("real server: %w", err)
	}
	if err := fake.close(); err != nil {
		return difference, fmt.Errorf("zktest: %w", err)
	}
	return difference, nil
}

// audit compares the servers' own accounts of nodes, sessions and watches. The real server forgets a
// dropped connection first and its watches after that, so it gets a second chance.
func audit(real, fake *world) (difference string, err error) {
	for range 100 {
		want, err := real.accounts()
		if err != nil {
			return "", fmt.Errorf("real server: %w", err)
		}
		got, err := fake.accounts()
		if err != nil {
			return "", fmt.Errorf("zktest: %w", err)
		}
		if want == got {
			return "", nil
		}
		difference = fmt.Sprintf("accounts at the end\n\treal server\n%s\tzktest\n%s", want, got)
		time.Sleep(5 * time.Millisecond)
	}
	return difference, nil
}

// check fails the test with the shortest sequence it can find, if the servers differ. They must do so
// again when the sequence is repeated: for the same reason checkWatches may find, on the real server, the
// watch of a connection that has just been dropped.
func (p *pair) check(t *testing.T, steps []step) {
	t.Helper()
	difference := ""
	for range 3 {
		last := difference
		var err error
		if difference, err = p.run(steps); err != nil {
			t.Fatal(err)
		}
		if difference == "" {
			if last != "" {
				t.Logf("a difference that did not come again: %s", last)
			}
			return
		}
	}
	steps, difference = p.shrink(steps, difference)
	var b strings.Builder
	for i, st := range steps {
		fmt.Fprintf(&b, "\t%d: %v\n", i, st)
	}
	t.Fatalf("the servers differ after %d steps:\n%s%s", len(steps), b.String(), difference)
}

// shrink leaves steps out while the servers still differ.
func (p *pair) shrink(steps []step, difference string) ([]step, string) {
	for size := len(steps) / 2; size > 0; size /= 2 {
		for at := 0; at+size <= len(steps); {
			shorter := slices.Concat(steps[:at], steps[at+size:])
			if d, err := p.run(shorter); err == nil && d != "" {
				steps, difference = shorter, d
			} else {
				at += size
			}
		}
	}
	return steps, difference
}

func (st step) String() string {
	if st.act != "" {
		return fmt.Sprintf("client%d %s (%+d, %v) %.40x", st.who, st.act, st.req.version, st.req.watch, st.raw)
	}
	text := fmt.Sprintf("client%d %v", st.who, st.req)
	if st.raw != nil {
		text += fmt.Sprintf(" cut to %d bytes", len(st.raw))
	}
	if st.mutations != nil {
		text += fmt.Sprintf(" with bytes changed %v", st.mutations)
	}
	return text
}

func (r request) String() string {
	text := fmt.Sprintf("%v %q", r.op, r.path)
	switch r.op {
	case OpCreate, OpCreate2, OpCreateContainer, OpCreateTTL:
		text += fmt.Sprintf(" data %.20q acl %v flags %d ttl %d", r.data, r.acl, r.flags, r.ttl)
	case OpDelete, OpCheck:
		text += fmt.Sprintf(" version %d", r.version)
	case OpSetData:
		text += fmt.Sprintf(" data %.20q version %d", r.data, r.version)
	case OpSetACL:
		text += fmt.Sprintf(" acl %v version %d", r.acl, r.version)
	case OpExists, OpGetData, OpGetChildren, OpGetChildren2:
		text += fmt.Sprintf(" watch %v", r.watch)
	case OpAddWatch, OpCheckWatches, OpRemoveWatches:
		text += fmt.Sprintf(" mode %d", r.mode)
	case OpAuth:
		text += fmt.Sprintf(" scheme %q data %q", r.scheme, r.data)
	case OpSetWatches, OpSetWatches2:
		text += fmt.Sprintf(" %+v", *r.watches)
	case OpMulti, OpMultiRead:
		text += fmt.Sprintf(" %v", r.multi)
	}
	return text
}

// sequences is how many random sequences the test tries; ZKTEST_SEQUENCES sets another number, and
// ZKTEST_SEED the first seed.
const sequences = 300

func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

func TestRandomSequencesAnswerAsZooKeeper(t *testing.T) {
	t.Parallel()
	startPair(t, extendedTypes).random(t, 1, stepsFrom)
}

// The same with a server as it is installed, which has no TTL nodes.
func TestRandomSequencesAnswerAsAnUnconfiguredZooKeeper(t *testing.T) {
	t.Parallel()
	startPair(t).random(t, 10, stepsFrom)
}

// random compares as many random sequences as are asked for, divided by share. It waits for answers most of the time, so the
// tests of it run side by side: each has servers of its own.
func (p *pair) random(t *testing.T, share int, steps func(data []byte) []step) {
	first := number("ZKTEST_SEED", 1)
	for seed := first; seed < first+number("ZKTEST_SEQUENCES", sequences)/share; seed++ {
		rnd := rand.New(rand.NewPCG(uint64(seed), 0))
		data := make([]byte, 200+rnd.IntN(1000))
		for i := range data {
			data[i] = byte(rnd.Uint32())
		}
		sequence := steps(data)
		t.Run(fmt.Sprintf("seed%d", seed), func(t *testing.T) { p.check(t, sequence) })
		if t.Failed() {
			return
		}
	}
}

func TestFramesOfGarbageEndTheConnectionAsOnZooKeeper(t *testing.T) {
	var steps []step
	for _, raw := range [][]byte{
		{}, {1}, {0, 0, 0, 1}, {0, 0, 0, 1, 0, 0, 0}, // no whole header
		{0, 0, 0, 1, 0, 0, 0, byte(OpAuth)},
		{0, 0, 0, 1, 0, 0, 0, byte(OpAuth), 0, 0, 0, 0, 0, 0, 0, 9, 'd', 'i', 'g'},
		{0, 0, 0, 1, 0, 0, 0, byte(OpSASL)},
		{0, 0, 0, 1, 0, 0, 0, byte(OpSASL), 0xff, 0xff, 0xff, 0xff},
		{0, 0, 0, 1, 0, 0, 0, 99},
		make([]byte, 0x100000), // a byte more than jute.maxbuffer
	} {
		steps = append(steps, step{act: "raw", raw: raw}, step{act: "attach"})
	}
	startPair(t, extendedTypes).check(t, steps)
}

// FuzzAnswersAsZooKeeper has the fuzzer invent sequences:
//
//	go test -run '^$' -fuzz FuzzAnswersAsZooKeeper -fuzzminimizetime 1x -parallel 1 ./zktest
//
// (Shortening an input that is merely new is a waste of time: a failing sequence is shrunk here.)
func FuzzAnswersAsZooKeeper(f *testing.F) {
	p := startPair(f, extendedTypes)
	f.Add([]byte("a few bytes that make a few steps, which is what there is to begin with"))
	f.Fuzz(func(t *testing.T, data []byte) { p.check(t, stepsFrom(data)) })
}

// What the comparison is worth: it finds a server that answers one operation wrongly, and comes down to the
// steps that show it. Two servers that are the same do not differ.
func TestADifferenceIsFoundAndShrunk(t *testing.T) {
	server := func() *Server { return Start(t, WithTickTime(compareTick), WithSweepInterval(time.Hour)) }
	dialer := func(s *Server) func() (net.Conn, error) {
		return func() (net.Conn, error) { return s.Dial(context.Background(), "tcp", "") }
	}
	honest, other := server(), server()
	p := &pair{real: dialer(honest), fake: dialer(other)}
	rnd := rand.New(rand.NewPCG(1, 0))
	data := make([]byte, 2000)
	for i := range data {
		data[i] = byte(rnd.Uint32())
	}
	steps := stepsFrom(data)
	if difference, err := p.run(steps); difference != "" || err != nil {
		t.Fatalf("the same server twice: %s, %v", difference, err)
	}
	other.Intercept(func(r Request) Fault {
		if r.Op == OpGetData {
			return Fault{Code: ErrNoAuth}
		}
		return Fault{}
	})
	difference, err := p.run(steps)
	if difference == "" || err != nil {
		t.Fatalf("no difference in %d steps: %v", len(steps), err)
	}
	shorter, difference := p.shrink(steps, difference)
	if n := len(shorter); n < 1 || n > 3 || shorter[n-1].req.op != OpGetData || !strings.Contains(difference, shorter[n-1].String()) {
		t.Errorf("%d steps are shrunk to %v: %s", len(steps), shorter, difference)
	}
}
