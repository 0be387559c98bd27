package zkstream

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A plant is a fault that is put into a copy of one source file: a piece of it that occurs once, and what
// stands there instead. Some are what was wrong once, until a simulated schedule found it.
type plant struct {
	name     string
	file     string
	old, new string
}

var plants = []plant{
	{
		"a watch is not set again after it has fired",
		"reconnect.go",
		"err := s.conn.Watch(generation, e.path, func(zc *zk.Conn) (err error) {",
		`watch := s.conn.Watch
		if e.last != nil && todo == read {
			watch = func(g int64, _ string, fn func(*zk.Conn) error) error { return s.conn.Direct(g, fn) }
		}
		err := watch(generation, e.path, func(zc *zk.Conn) (err error) {`,
	},
	{
		"nothing is looked at after a reconnect",
		"reconnect.go",
		"			s.needLocked(e, check)\n		default:",
		"			e.armed = true\n		default:",
	},
	{
		"the event of a deletion is dropped",
		"reconnect.go",
		"	if t != zk.EventNodeChildrenChanged {",
		"	if t != zk.EventNodeChildrenChanged && t != zk.EventNodeDeleted {",
	},
	{
		"a new session reads without a sync",
		"reconnect.go",
		"if !known && s.synced != 0 {",
		"if false {",
	},
	{
		"a failed read is not repeated",
		"reconnect.go",
		"		s.laterLocked(e)\n",
		"",
	},
	{
		"what has not changed is delivered again",
		"reconnect.go",
		"if e.news = e.last == nil || !e.last.equal(n, e.kind); e.news {",
		"if e.news = true; e.news {",
	},
	{
		"a node that was deleted and made again is not told from the old one",
		"node.go",
		"case a.Czxid != b.Czxid || a.Ctime != b.Ctime || a.EphemeralOwner != b.EphemeralOwner:\n		return false",
		"case k != kindChildren:\n		return a.Version == b.Version",
	},
	{
		"a node is told from that of a lost world by its zxids alone",
		"node.go",
		"case a.Czxid != b.Czxid || a.Ctime != b.Ctime || a.EphemeralOwner != b.EphemeralOwner:\n		return false",
		"case k != kindChildren:\n		return a.Czxid == b.Czxid && a.Mzxid == b.Mzxid",
	},
	{
		"a full channel keeps the older snapshot",
		"stream.go",
		"	select {\n	case <-s.ch:\n	default:\n	}\n	s.ch <- v // there is room: only mu's holder sends\n",
		"	select {\n	case s.ch <- v:\n	default:\n	}\n",
	},
	{
		"a stream ends with its context's error, not with the cause",
		"stream.go",
		"s.leave(context.Cause(ctx)) })",
		"s.leave(ctx.Err()) })",
	},
	{
		"a registration is not made again",
		"register.go",
		"		return r.create(generation, content, revision)\n",
		`		if r.owners[0] {
			return nil
		}
		r.owners[0] = true
		return r.create(generation, content, revision)
`,
	},
	{
		"a withdrawn registration deletes another session's node",
		"register.go",
		"if !exists || stat.EphemeralOwner != conn.SessionID() || !r.owners[stat.EphemeralOwner] {",
		"if _ = stat; !exists {",
	},
	{
		"a registration takes another session's node for its own",
		"register.go",
		"	case owner != session:\n		r.place(0)\n		holder",
		"	case owner != session && owner == 0:\n		r.place(0)\n		holder",
	},
	{
		"an update does not look at the version",
		"properties.go",
		"zc.Set(abs, data, stat.Version)",
		"zc.Set(abs, data, stat.Version-stat.Version-1)",
	},
	{
		"a closed client leaves its session to the server",
		"internal/zkconn/close.go",
		"		c.zc.Close()\n",
		"",
	},
}

// simulationFiles matches the test files that TestSimulation needs.
var simulationFiles = regexp.MustCompile(`^(simulate|harness|race)_`)

// TestTheSimulationSeesPlantedFaults shows that the checks of TestSimulation can fail, each kind of them:
// with each of the faults it must fail within a thousand seeds.
func TestTheSimulationSeesPlantedFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs a test binary for each fault; not with -short")
	}
	if raceEnabled {
		t.Skip("builds and runs a test binary for each fault; not under the race detector")
	}
	t.Parallel()
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range plants {
		t.Run(strings.ReplaceAll(p.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			binary := p.build(t, root)
			out, err := exec.Command(binary, "-test.run", "^TestSimulation$", "-test.timeout", "5m",
				"-seed", "1", "-seeds", "1000", "-stop-at-first").CombinedOutput()
			if err == nil {
				t.Fatalf("no seed of 1,000 finds it:\n%s", out)
			}
			seed := regexp.MustCompile(`--- FAIL: TestSimulation/seed=(\d+)`).FindSubmatch(out)
			if seed == nil {
				t.Fatalf("the simulation failed without naming a seed: %v\n%s", err, out)
			}
			n, _ := strconv.Atoi(string(seed[1]))
			_, found, _ := strings.Cut(string(out), "breaks a promise:\n")
			found, _, _ = strings.Cut(strings.TrimSpace(found), "\n")
			t.Logf("found by seed %d: %.200s", n, found)
		})
	}
}

// build builds the package's test binary with the fault in it.
func (p plant) build(t *testing.T, root string) string {
	t.Helper()
	path, dir := filepath.Join(root, p.file), t.TempDir()
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), p.old); n != 1 {
		t.Fatalf("%s has changed: it holds the piece to be replaced %d times, want once:\n%s", p.file, n, p.old)
	}
	mutated := filepath.Join(dir, filepath.Base(p.file))
	if err := os.WriteFile(mutated, []byte(strings.Replace(string(source), p.old, p.new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	replace := map[string]string{path: mutated}
	tests, err := filepath.Glob(filepath.Join(root, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range tests { // what the simulation does not need is left out, for speed
		if !simulationFiles.MatchString(filepath.Base(test)) {
			replace[test] = ""
		}
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "simulation.test")
	build := exec.Command("go", "test", "-c", "-vet=off", "-ldflags=-s -w", "-overlay", filepath.Join(dir, "overlay.json"), "-o", binary, ".")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the mutated package does not build: %v\n%s", err, out)
	}
	return binary
}
