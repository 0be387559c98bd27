package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zkstream/zkstream/internal/ensemble"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if name := os.Getenv(contenderEnv); name != "" { // started by a test, as a contender
		if err := contend(name, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// The guard against regressions: zkstream beside go-zookeeper, in small sizes. Machines that run tests are
// noisy, so it compares only what was measured side by side, the margins are wide, and what is too slow is measured
// again: what it finds is a stream that has begun to cost a goroutine, a request, or a multiple.
func TestZkstreamKeepsUpWithGoZookeeper(t *testing.T) {
	e := ensemble.Start(t, 1)
	slow := measureAndCompare(t, e)
	for tries := 1; len(slow) > 0 && tries < 3; tries++ {
		again := measureAndCompare(t, e)
		for what, how := range slow {
			if _, still := again[what]; !still {
				t.Logf("only once: %s: %s", what, how)
				delete(slow, what)
			}
		}
	}
	for what, how := range slow {
		t.Errorf("%s: %s", what, how)
	}
}

// measureAndCompare returns what was not within its margin, and how it was.
func measureAndCompare(t *testing.T, e *ensemble.Ensemble) (slow map[string]string) {
	t.Helper()
	p := plan{
		rounds: 3, warmUp: 20, latencies: 60, fan: []int{1, 1000}, changes: 3, open: []int{2000},
		recover: 1000, recoverers: []string{"zkstream"}, timeout: 1500 * time.Millisecond, second: 100, decode: 50, publish: 50 * time.Millisecond,
	}
	b, err := newBench(e.ConnectString(), t.TempDir(), p, "zkstream", "raw", "floor")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.tree.fell(); err != nil {
			t.Error(err)
		}
	}()
	if err := b.run(t.Context(), `^(one node, data|decoding|publishing|2,000 nodes|recovery)$`); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s\n%s", b.table(), strings.Join(b.notes, "\n"))

	const zkstream = "zkstream"
	slow = map[string]string{}
	for _, guard := range []struct {
		what          string
		metric        metric
		against       string
		other         metric
		atMost, least float64
	}{
		{"latency, data", latency("data"), "raw", latency("data"), 2.5, 0.05},
		{"1,000 streams on one node", fanOut("data", 1000), "raw", fanOut("data", 1000), 0.8, 0},
		{"open", openTime("data", 2000), "floor", pipelined("GetW", 2000), 2.5, 0.05},
		{"memory", openBytes("data", 2000), "raw", openBytes("data", 2000), 0.5, 0.01},
		{"goroutines", openGoroutines("data", 2000), "raw", openGoroutines("data", 2000), 0.05, 0},
		{"storm", stormTime(2000), "raw", stormTime(2000), 2.5, 0.05},
		{"reconnect", recovery(nothing, 1000), "floor", pipelinedRecovery("Exists", 1000), 3, 0.005},
		{"expiry", recovery(expired, 1000), "floor", pipelinedRecovery("GetW", 1000), 3, 0.005},
		{"second stream", secondTime("data"), "raw", secondTime("data"), 0.5, 0},
		{"decoding", decodeCPU(50), "raw", decodeCPU(50), 0.5, 0},
		{"publishing", publishTime, "floor", publishTime, 5, 0.05},
	} {
		got, ok := b.results.ratio(guard.metric, zkstream, guard.other, guard.against)
		if !ok || got > guard.atMost || got < guard.least {
			slow[guard.what] = fmt.Sprintf("%.2f of what %s takes, want %.2f to %.2f", got, guard.against, guard.least, guard.atMost)
		}
	}
	for _, guard := range []struct {
		what   string
		metric metric
		atMost float64
	}{
		{"requests per change of a node with 1,000 streams", fanOutRequests("data", 1000), 2},
		{"requests of a second stream", secondRequests("data"), 0.2},
		{"allocations of a second stream", secondAllocs("data"), 12},
		{"allocations of publishing", publishAllocs, 0.01},
	} {
		if got, ok := b.results.median(guard.metric, zkstream); !ok || got > guard.atMost {
			slow[guard.what] = fmt.Sprintf("%v, want at most %v", got, guard.atMost)
		}
	}
	return slow
}

func TestRatiosAreTakenWithinARound(t *testing.T) {
	var r results
	m := metric{"m", duration}
	for round, x := range []float64{100, 1000, 10_000} { // a machine that slows down
		r.add(m, "a", round, x)
		r.add(m, "b", round, 2*x)
	}
	r.add(m, "a", 3, 1) // a round without the other
	if got, ok := r.ratio(m, "b", m, "a"); !ok || got != 2 {
		t.Errorf("ratio is %v, %v; want 2", got, ok)
	}
	if got, ok := r.median(m, "b"); !ok || got != 2000 {
		t.Errorf("median is %v, %v; want 2000", got, ok)
	}
	if _, ok := r.median(m, "c"); ok {
		t.Error("there is a median of nothing")
	}
	if ahead, ok := r.ahead("b", "a"); !ok || len(ahead) != 1 || ahead[0] != m {
		t.Errorf("ahead of b are %v, %v; want a's only metric", ahead, ok)
	}
	if ahead, ok := r.ahead("a", "b"); !ok || len(ahead) != 0 {
		t.Errorf("ahead of a are %v, %v; want nothing", ahead, ok)
	}
}

func TestFiguresAreReadable(t *testing.T) {
	for _, c := range []struct {
		unit unit
		x    float64
		want string
	}{
		{duration, 999.6, "1000 ns"}, {duration, 1234, "1.23 µs"}, {duration, 5e6, "5 ms"}, {duration, 61.5e9, "61.5 s"},
		{size, 1234.4, "1,234 B"}, {count, 100_000, "100,000"}, {count, 6.24, "6.2"}, {share, 0.0123, "1.2 %"},
		{ratio, 1.034, "1.03"}, {ratio, 1234.4, "1,234"},
	} {
		if got := c.unit.format(c.x); got != c.want {
			t.Errorf("%v of unit %d is %q, want %q", c.x, c.unit, got, c.want)
		}
	}
}

func TestReportHasTablesAndPicture(t *testing.T) {
	p := full
	b := &bench{plan: p, tree: &tree{servers: "127.0.0.1:1"}, peers: []*peer{
		{name: "zkstream", title: "zkstream"}, {name: "raw", title: "raw go-zookeeper"}, {name: "kazoo", title: "kazoo"},
	}}
	for i, name := range []string{"zkstream", "raw"} {
		for _, n := range p.fan {
			b.results.add(fanOut("data", n), name, 0, float64((i+1)*n)*1e6)
		}
		for _, n := range p.open {
			b.results.add(openTime("data", n), name, 0, float64((i+1)*n)*1e5)
			b.results.add(openBytes("data", n), name, 0, float64((i+1)*500))
		}
	}
	dir := t.TempDir()
	if err := b.report(dir, []spending{{"time: something", []layer{{"kernel", 0.75}, {"rest", 0.25}}}}); err != nil {
		t.Fatal(err)
	}
	for name, wants := range map[string][]string{
		"BENCHMARKS.md": {
			"| write to snapshot, data of one node | 1 ms | 2 ms (×2.00) |",
			"| one node: write to snapshot / raw go-zookeeper's | 0.97 | 0.50 | met |",
			"| 20,000 nodes: memory per stream | 650 B | 500 B | met |",
			"| figures in which Curator or kazoo is ahead | 0 | - | not measured |",
			"kernel 75 %, rest 25 %", "BENCHMARKS.svg",
		},
		"BENCHMARKS.svg": {"<svg", "raw go-zookeeper", "100000"},
	} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s lacks %q", name, want)
			}
		}
	}
}

func TestBarsAreKeptOrNot(t *testing.T) {
	for _, c := range []struct {
		bar  bar
		x    float64
		want bool
	}{
		{bar{limit: 1.03, unit: ratio}, 1.03, true},
		{bar{limit: 1.03, unit: ratio}, 1.04, false},
		{bar{limit: 0, unit: count}, 0.01, true}, // a ping among thousands
		{bar{limit: 0, unit: count}, 1, false},
		{bar{limit: 1, unit: count}, 2, false},
		{bar{limit: 1, unit: ratio}, math.NaN(), false},
	} {
		if got := c.bar.met(c.x); got != c.want {
			t.Errorf("%v of %v: met is %v", c.x, c.bar.limit, got)
		}
	}
}
