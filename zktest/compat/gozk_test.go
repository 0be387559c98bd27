package compat

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/zkstream/zkstream/internal/ensemble"
)

const gozkModule = "github.com/go-zookeeper/zk"

// gozkLeftOut are the tests of go-zookeeper that do not run, and why. The others start one server, or none.
var gozkLeftOut = map[string]string{
	"TestIntegration_BasicCluster":             "an ensemble of three",
	"TestIntegration_ClientClusterFailover":    "an ensemble of three, of which one is stopped",
	"TestIntegration_NoQuorum":                 "an ensemble of three, of which two are stopped",
	"TestIntegration_RecurringReAuthHang":      "an ensemble of three, of which one is stopped",
	"TestIntegration_DNSHostProviderReconnect": "an ensemble of three, of which one is stopped",
	"TestIntegration_IncrementalReconfig":      "an ensemble of three that is reconfigured",
	"TestIntegration_Reconfig":                 "an ensemble of three that is reconfigured",
}

func TestGoZooKeeper(t *testing.T) {
	suite(t)
	g := &gozk{realFolder: t.TempDir()}
	release, err := ensemble.Find()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("ZooKeeper %s", release.Version)
	g.classpath = release.Classpath
	if g.golang, err = exec.LookPath("go"); err != nil {
		t.Fatal("no go command on the PATH")
	}
	for name, why := range gozkLeftOut {
		t.Logf("left out: %s: %s", name, why)
	}
	// The suite runs zkServer.sh of a folder; this one ends with the process that the suite kills.
	script := "#!/bin/sh\n" +
		`exec java $SERVER_JVMFLAGS -cp "$ZKCOMPAT_CLASSPATH" org.apache.zookeeper.server.quorum.QuorumPeerMain "$2"` + "\n"
	if err := os.WriteFile(filepath.Join(g.realFolder, "zkServer.sh"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	g.copyModule(t)
	g.host = startHost(t)
	g.fakeFolder, g.fakeEnv = g.host.commands(t, "zkServer.sh")
	real, fake := g.runOnBoth(t, "")
	judge(t, real, fake, func(names []string) (real, fake outcomes) {
		tests := map[string]bool{}
		for _, name := range names {
			test, _, _ := strings.Cut(name, "/")
			tests[test] = true
		}
		return g.runOnBoth(t, pattern(tests))
	})
}

type gozk struct {
	golang, classpath      string
	module                 string // the folder of a copy of the module
	realFolder, fakeFolder string // of zkServer.sh
	fakeEnv                []string
	host                   *host
}

// copyModule copies go-zookeeper's module and mends one thing in its tests: they look at srvr's answer to see
// whether a server is up, and cannot read the build date that servers since 3.6 give there.
func (g *gozk) copyModule(t *testing.T) {
	t.Helper()
	list := program{name: g.golang, args: []string{"list", "-m", "-f", "{{.Dir}}", gozkModule}}
	out, errs, code, err := list.run(t)
	if err != nil || code != 0 {
		t.Fatalf("go list: %v, exit code %d\n%s", err, code, errs)
	}
	g.module = filepath.Join(t.TempDir(), "zk")
	if err := os.CopyFS(g.module, os.DirFS(strings.TrimSpace(out))); err != nil {
		t.Fatal(err)
	}
	const before, after = `
		_, ok := FLWSrvr(serverAddrs, time.Second)
`, `
		ok := true
		for _, addr := range serverAddrs {
			answer, err := fourLetterWord(addr, "srvr", time.Second)
			ok = ok && err == nil && strings.Contains(string(answer), "Mode: ")
		}
`
	name := filepath.Join(g.module, "server_help_test.go")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(text), before) != 1 {
		t.Fatalf("go-zookeeper's tests have changed: %s does not have %q once", name, before)
	}
	if err := os.WriteFile(name, []byte(strings.Replace(string(text), before, after, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// runOnBoth runs the tests that match a pattern, or all.
func (g *gozk) runOnBoth(t *testing.T, only string) (real, fake outcomes) {
	t.Helper()
	before := g.host.started()
	var realErr, fakeErr error
	var wg sync.WaitGroup
	// These end when the tests do, at the latest when this test's time is up; waited for below.
	wg.Go(func() { real, realErr = g.run(t, only, g.realFolder, nil) })
	wg.Go(func() { fake, fakeErr = g.run(t, only, g.fakeFolder, g.fakeEnv) })
	wg.Wait()
	if err := errors.Join(realErr, fakeErr); err != nil {
		t.Fatal(err)
	}
	if g.host.started() == before {
		t.Fatal("no test used zktest")
	}
	return real, fake
}

func (g *gozk) run(t *testing.T, only, folder string, env []string) (outcomes, error) {
	args := []string{"test", "-json", "-count=1", "-vet=off", "-timeout=5m", "-skip", pattern(gozkLeftOut), "."}
	if only != "" {
		args = append(args, "-run", only)
	}
	tests := program{name: g.golang, args: args, dir: g.module, env: append([]string{
		"ZOOKEEPER_BIN_PATH=" + folder,
		"ZKCOMPAT_CLASSPATH=" + g.classpath,
		javaOptions,
	}, env...)}
	out, errs, _, err := tests.run(t)
	if err != nil {
		return nil, err
	}
	all := outcomes{}
	for line := range strings.Lines(out) {
		var event struct{ Action, Test, Output string }
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			return nil, fmt.Errorf("go test: %w: %s", err, line)
		}
		if event.Test == "" {
			continue
		}
		r := all[event.Test]
		switch event.Action {
		case "run":
			r.how = failed // unless it gets to say otherwise
		case "pass":
			r.how = passed
		case "skip":
			r.how = skipped
		case "output":
			r.why += event.Output
		}
		all[event.Test] = r
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("go test ran nothing\n%s%s", out, errs)
	}
	return all, nil
}

// pattern matches exactly the tests that are the keys of a map.
func pattern[V any](tests map[string]V) string {
	return "^(" + strings.Join(slices.Sorted(maps.Keys(tests)), "|") + ")$"
}
