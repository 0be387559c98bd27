package simulation

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A plant is a fault that is put into a copy of one of the library's source files: a piece that occurs once
// in all of them, and what stands there instead. Some are what was wrong once, until a simulated schedule
// found it.
type plant struct {
	name     string
	old, new string
}

var plants = []plant{
	{
		name: "a watch is not set again after it has fired",
		old:  "	r.out = r.out.string(w.Path()).bool(true)\n",
		new:  "	r.out = r.out.string(w.Path()).bool(w.Kind == Stat)\n",
	},
	{
		name: "no watch is set again after a reconnect",
		old:  "	for _, p := range again.split(rearmBytes) {\n",
		new:  "	for range again.split(0) {\n		break\n	}\n	for _, p := range (Paths{}).split(rearmBytes) {\n",
	},
	{
		name: "a missing node is not watched for its creation",
		old:  "	case !exists:\n		p.Exist = append(p.Exist, path)\n",
		new:  "	case !exists:\n",
	},
	{
		name: "an event is dropped while the watch is being set",
		old:  "	case arming, armed, parked:\n		s.staleLocked(w)\n",
		new:  "	case armed, parked:\n		s.staleLocked(w)\n",
	},
	{
		name: "what was being read when the connection was lost is not read again",
		old:  "		case w.state == stale:\n		default:\n			s.staleLocked(w)\n",
		new:  "		case w.state == stale:\n		case w.state == asked:\n		default:\n			s.staleLocked(w)\n",
	},
	{
		name: "nothing is rechecked",
		old:  "	groups := grouped(watches)\n",
		new:  "	groups := grouped(nil)\n",
	},
	{
		name: "a recheck names a zxid that is too late",
		old:  "			groups = append(groups, recheck{zxid: w.zxid})\n",
		new:  "			groups = append(groups, recheck{zxid: w.zxid + 1000})\n",
	},
	{
		name: "a session counts as synced when it is resumed",
		old:  "	r.synced = generation == 1 || generation == c.syncedGeneration\n",
		new:  "	r.synced = resumed || generation == 1 || generation == c.syncedGeneration\n",
	},
	{
		name: "the event of a deletion is dropped",
		old:  "	if event != zk.EventNodeChildrenChanged {",
		new:  "	if event != zk.EventNodeChildrenChanged && event != zk.EventNodeDeleted {",
	},
	{
		name: "a new session reads without a sync",
		old:  "		if !r.synced && !r.syncing && r.staleLocked() {\n			r.syncLocked()\n		}\n",
		new:  "		r.synced = true\n",
	},
	{
		name: "a failed read is not repeated",
		old:  "				if w.state == resting && place == &s.resting[restingFor(w)] {\n					s.moveLocked(w, stale)\n				}\n",
		new:  "				_ = w\n",
	},
	{
		name: "what has not changed is delivered again",
		old:  "Changed: w.last == nil || !w.last.equal(n, w.kind)",
		new:  "Changed: true",
	},
	{
		name: "a node that was deleted and made again is not told from the old one",
		old:  "case a.Czxid != b.Czxid || a.Ctime != b.Ctime || a.EphemeralOwner != b.EphemeralOwner:\n		return false",
		new:  "case k != kindChildren:\n		return a.Version == b.Version",
	},
	{
		name: "a node is told from that of a lost world by its zxids alone",
		old:  "case a.Czxid != b.Czxid || a.Ctime != b.Ctime || a.EphemeralOwner != b.EphemeralOwner:\n		return false",
		new:  "case k != kindChildren:\n		return a.Czxid == b.Czxid && a.Mzxid == b.Mzxid",
	},
	{
		name: "a full channel keeps the older snapshot",
		old:  "	select {\n	case <-s.ch:\n		skipped = true\n	default:\n	}\n	s.ch <- v // there is room: only mu's holder sends\n",
		new:  "	select {\n	case s.ch <- v:\n	default:\n	}\n",
	},
	{
		name: "a stream ends with its context's error, not with the cause",
		old:  "		s.leave(context.Cause(sc.ctx))\n",
		new:  "		s.leave(sc.ctx.Err())\n",
	},
	{
		name: "a registration is not made again",
		old:  "	if k.standing == absent {\n		if err := k.create(zc)",
		new:  "	if k.standing == absent && !k.wasPlaced() {\n		if err := k.create(zc)",
	},
	{
		name: "a withdrawn registration deletes another session's node",
		old:  "case standingOf(found, stat.EphemeralOwner, k.session, k.owners) == ours:",
		new:  "case found:",
	},
	{
		name: "a registration takes another session's node for its own",
		old:  "	case owner == 0 || !slices.Contains(mine, owner):\n		return foreign\n	case owner != session:",
		new:  "	case owner == 0:\n		return foreign\n	case owner != session && slices.Contains(mine, owner):",
	},
	{
		name: "an update does not look at the version",
		old:  "Data: data, Version: stat.Version})",
		new:  "Data: data, Version: stat.Version - stat.Version - 1})",
	},
	{
		name: "the first snapshot of a set does not wait for the children that are found",
		old:  "a.list(m, names, listedZxid, m.first || late && !a.begun)",
		new:  "a.list(m, names, listedZxid, false)",
	},
	{
		name: "an old list of children is shown with a child that was made again",
		old:  "	if m.parent != nil && n.stat.Czxid > m.parent.more.listedZxid {\n		m.early = true\n		return\n	}\n",
		new:  "",
	},
	{
		name: "watches are set again from a zxid that is too late",
		old:  "		r.armLocked(p, c.rearmZxid, forRearm, nil)\n",
		new:  "		r.armLocked(p, c.rearmZxid+1000, forRearm, nil)\n",
	},
	{
		name: "watches are set again from what the new connection has heard",
		old:  "	if w.own.rearmed() {\n",
		new:  "	if true {\n",
	},
	{
		name: "a change during the first reading is missed",
		old:  "			known = append(known, zkconn.Known{Zxid: w.zxid})\n		}\n		k := &known[len(known)-1]\n",
		new:  "			known = append(known, zkconn.Known{Zxid: w.zxid})\n		}\n		k := &known[len(known)-1]\n		if w.kind == kindData {\n			k.Zxid = s.conn.Zxid()\n		}\n",
	},
	{
		name: "a child is missed that came while the list of its parent was being read",
		old:  "			known = append(known, zkconn.Known{Zxid: w.zxid})\n		}\n		k := &known[len(known)-1]\n",
		new:  "			known = append(known, zkconn.Known{Zxid: w.zxid})\n		}\n		k := &known[len(known)-1]\n		if w.kind == kindChildren {\n			k.Zxid = s.conn.Zxid()\n		}\n",
	},
	{
		name: "a child is missed that came since the content of its parent was read",
		old:  "	if w.state != none || content.confirmed || content.state",
		new:  "	if w.state != none || content.state",
	},
	{
		name: "a branch that was deleted and made again is shown with the children that it had",
		old:  "	if m.shown != nil && anotherNode(m.shown, n) {\n		a.dropChildren(m)\n	}\n",
		new:  "",
	},
	{
		name: "a child that came while the connection was lost is missed",
		old:  "		p.Child = append(p.Child, path)\n",
		new:  "		p.Data = append(p.Data, path)\n",
	},
	{
		name: "the content of a node that was made again is shown with the list of the old one",
		old:  "	} else if m.content == read && m.list == read && !sameNode(content, list) {\n		return\n	}\n",
		new:  "	}\n",
	},
	{
		name: "a call reads in a new session without a sync",
		old:  "	if !r.synced && !r.syncing {\n		r.syncLocked()\n	}\n}\n",
		new:  "	r.synced = true\n}\n",
	},
	{
		name: "a write that has left counts as one that has not",
		old:  "	case withdrawn && ctx.Err() == nil: //",
		new:  "	case !answered && ctx.Err() == nil: //",
	},
	{
		name: "what became of a lost write is asked without a sync",
		old:  "	if err := w.caller.conn.Sync(ctx, w.path); err != nil {\n		return unknown, err\n	}\n",
		new:  "",
	},
	{
		name: "a closed client leaves its session to the server",
		old:  "		c.zc.Close()\n",
		new:  "",
	},
}

// TestThePlantsTakeRoot: each planted fault has its place in the library as it is now. If one has not, the code
// there has changed, and the fault is to be planted anew.
func TestThePlantsTakeRoot(t *testing.T) {
	sources := readSources(t)
	for _, p := range slices.Concat(plants, unmended) {
		if _, err := p.put(sources); err != nil {
			t.Error(err)
		}
	}
}

// TestTheSimulationSeesPlantedFaults shows that the checks of TestSimulation can fail, each kind of them:
// with each of the faults it must fail within a thousand seeds. The slowest need some two hundred, more or
// fewer from run to run, since a seed does not decide in which order goroutines run.
func TestTheSimulationSeesPlantedFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs a test binary for each fault; not with -short")
	}
	if raceEnabled {
		t.Skip("builds and runs a test binary for each fault; not under the race detector")
	}
	t.Parallel()
	sources := readSources(t)
	for _, p := range slices.Concat(plants, unmended) {
		t.Run(strings.ReplaceAll(p.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			binary := p.build(t, sources)
			out, err := exec.Command(binary, "-test.run", "^TestSimulation$", "-test.timeout", "15m",
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

// readSources reads the library's source files, by their absolute path.
func readSources(t *testing.T) map[string]string {
	t.Helper()
	sources := map[string]string{}
	for _, dir := range []string{"../..", "../address", "../calls", "../content", "../logqueue", "../member", "../registration", "../slots", "../watching", "../zkconn"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			path, err := filepath.Abs(file)
			if err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			sources[path] = string(text)
		}
	}
	return sources
}

// put gives the path of the file that the fault goes into. It fails unless there is exactly one place.
func (p plant) put(sources map[string]string) (path string, err error) {
	n := 0
	for file, text := range sources {
		if found := strings.Count(text, p.old); found > 0 {
			path = file
			n += found
		}
	}
	if n != 1 {
		return "", fmt.Errorf("%q has to be planted anew: its place occurs %d times in the library, want once:\n%s", p.name, n, p.old)
	}
	return path, nil
}

// build builds this package's test binary with the fault in the library.
func (p plant) build(t *testing.T, sources map[string]string) string {
	t.Helper()
	path, err := p.put(sources)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	mutated := filepath.Join(dir, filepath.Base(path))
	if err := os.WriteFile(mutated, []byte(strings.Replace(sources[path], p.old, p.new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {path: mutated}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "simulation.test")
	build := exec.Command("go", "test", "-c", "-vet=off", "-ldflags=-s -w", "-overlay", filepath.Join(dir, "overlay.json"), "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the library does not build with %q planted: %v\n%s", p.name, err, out)
	}
	return binary
}
