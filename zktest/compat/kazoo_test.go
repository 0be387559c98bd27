package compat

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/zkstream/zkstream/internal/ensemble"
	"github.com/zkstream/zkstream/internal/foreign"
)

const kazooTests = "kazoo/tests/"

// kazooLeftOut are the files, classes and tests of kazoo that do not run, and why.
var kazooLeftOut = map[string]string{
	"test_build.py":                                     "checks the build machine of the kazoo project",
	"test_sasl.py":                                      "SASL, for which the server's process is configured: zktest has none",
	"test_client.py::TestSSLClient":                     "a port for TLS beside the plain one: a server of zktest has one port",
	"test_client.py::TestReconfig":                      "an ensemble that is reconfigured",
	"test_connection.py::TestReadOnlyMode":              "an ensemble that loses its majority",
	"test_client.py::TestClient::test_update_host_list": "an ensemble that loses a server",
	"test_eventlet_handler.py::TestEventletClient::test_update_host_list": "an ensemble that loses a server",
	"test_gevent_handler.py::TestGeventClient::test_update_host_list":     "an ensemble that loses a server",
}

// kazooFirst are the files that run beside the rest of the suite, which is mostly waiting.
var kazooFirst = []string{"test_eventlet_handler.py", "test_watchers.py", "test_lock.py", "test_gevent_handler.py"}

func TestKazoo(t *testing.T) {
	suite(t)
	k := findKazoo(t)
	files := k.files(t)
	var first, rest []string
	for _, file := range files {
		if slices.Contains(kazooFirst, filepath.Base(file)) {
			first = append(first, file)
		} else {
			rest = append(rest, file)
		}
	}
	for name, why := range kazooLeftOut {
		t.Logf("left out: %s: %s", name, why)
	}
	real, fake := k.runOnBoth(t, first, rest)
	judge(t, real, fake, func(names []string) (real, fake outcomes) {
		var again []string // whole files, because a test may depend on those before it
		for _, name := range names {
			file, _, _ := strings.Cut(name, "::")
			again = append(again, file)
		}
		slices.Sort(again)
		return k.runOnBoth(t, slices.Compact(again))
	})
}

// kazoo is an installed kazoo and what its suite needs.
type kazoo struct {
	foreign.Kazoo
	zookeeper ensemble.Release
	host      *host
}

func findKazoo(t *testing.T) *kazoo {
	t.Helper()
	k := &kazoo{}
	var err error
	if k.zookeeper, err = ensemble.Find(); err != nil {
		t.Fatal(err)
	}
	if k.Kazoo, err = foreign.FindKazoo(); err != nil {
		t.Fatal(err)
	}
	if out, err := k.Command("import pytest, kazoo.tests").CombinedOutput(); err != nil {
		t.Fatalf("no pytest, or kazoo has no tests, run 'make peers': %s", foreign.LastLine(out, err))
	}
	t.Logf("kazoo %s, ZooKeeper %s", k.Version, k.zookeeper.Version)
	k.host = startHost(t)
	return k
}

// files names the suite's files, relative to kazoo's folder.
func (k *kazoo) files(t *testing.T) []string {
	t.Helper()
	files, err := fs.Glob(os.DirFS(k.Folder), kazooTests+"test_*.py")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("kazoo in %s has no tests", k.Folder)
	}
	return files
}

// runOnBoth runs groups of files of the suite, all at once, on servers of their own.
func (k *kazoo) runOnBoth(t *testing.T, groups ...[]string) (real, fake outcomes) {
	t.Helper()
	folder, env := k.host.commands(t, "java")
	env = append(env, "PATH="+folder+string(os.PathListSeparator)+os.Getenv("PATH"))
	before := k.host.started()
	real, fake = outcomes{}, outcomes{}
	var errs []error
	var mu sync.Mutex // guards real, fake and errs
	var wg sync.WaitGroup
	start := func(files, env []string, all outcomes) {
		wg.Go(func() { // ends when pytest does, at the latest when the test's time is up; waited for below
			results, err := k.run(t, env, files)
			mu.Lock()
			defer mu.Unlock()
			maps.Copy(all, results)
			errs = append(errs, err)
		})
	}
	for _, files := range groups {
		start(files, nil, real)
		start(files, env, fake)
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if started := k.host.started() - before; started < len(groups) {
		t.Fatalf("%d servers of zktest were started for %d groups of tests", started, len(groups))
	}
	return real, fake
}

// run runs files of the suite on a server that it starts itself.
func (k *kazoo) run(t *testing.T, env, files []string) (outcomes, error) {
	port, err := freePorts(4)
	if err != nil {
		return nil, err
	}
	plugin, err := filepath.Abs("testdata/kazoo")
	if err != nil {
		return nil, err
	}
	dir := t.TempDir()
	report := filepath.Join(dir, "report.xml")
	args := []string{
		"-B", "-m", "pytest", "-q", "-p", "zkcompat", "-p", "no:cacheprovider", "-c", os.DevNull,
		"--rootdir", k.Folder, "--junitxml", report,
	}
	for name := range kazooLeftOut {
		args = append(args, "--deselect", kazooTests+name)
	}
	for _, file := range files {
		args = append(args, filepath.Join(k.Folder, file))
	}
	pytest := program{name: k.Python, args: args, dir: dir, env: append([]string{
		"PYTHONPATH=" + plugin + string(os.PathListSeparator) + k.Folder,
		"TMPDIR=" + dir, // for what kazoo's servers store
		"ZOOKEEPER_VERSION=" + k.zookeeper.Version,
		"ZOOKEEPER_CLASSPATH=" + k.zookeeper.Classpath,
		"ZOOKEEPER_CLUSTER_SIZE=1",
		"ZOOKEEPER_PORT_OFFSET=" + strconv.Itoa(port),
		javaOptions,
	}, env...)}
	out, errs, code, err := pytest.run(t)
	if err != nil {
		return nil, err
	}
	if code > 1 { // 1 is for tests that have failed
		return nil, fmt.Errorf("pytest: exit code %d\n%s%s", code, out, errs)
	}
	return readJUnit(report)
}

// readJUnit reads pytest's report.
func readJUnit(path string) (outcomes, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	type problem struct {
		Text string `xml:",chardata"`
	}
	var report struct {
		Suites []struct {
			Cases []struct {
				Class    string    `xml:"classname,attr"`
				Name     string    `xml:"name,attr"`
				Failures []problem `xml:"failure"`
				Errors   []problem `xml:"error"`
				Skipped  []problem `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &report); err != nil {
		return nil, err
	}
	all := outcomes{}
	for _, suite := range report.Suites {
		for _, c := range suite.Cases {
			// "kazoo.tests.test_x.TestY" is class TestY of kazoo/tests/test_x.py.
			dot := strings.LastIndexByte(c.Class, '.')
			if dot < 0 { // a file that could not be read
				return nil, fmt.Errorf("%s: %s could not be run", path, c.Name)
			}
			name := strings.ReplaceAll(c.Class[:dot], ".", "/") + ".py::" + c.Class[dot+1:] + "::" + c.Name
			r := result{how: passed}
			for _, p := range c.Skipped {
				r = result{skipped, p.Text}
			}
			for _, p := range slices.Concat(c.Failures, c.Errors) {
				r = result{failed, p.Text}
			}
			if all[name].how != failed { // one that passed may fail to clean up, and stands there twice then
				all[name] = r
			}
		}
	}
	return all, nil
}

// freePorts finds n ports in a row that are free, and returns the first. They are below those that the
// system gives to clients, because a client that tries to reach a stopped server could get its port.
func freePorts(n int) (int, error) {
	for range 100 {
		first := 20_000 + rand.IntN(10_000)
		free := true
		for port := first; port < first+n; port++ {
			l, err := net.Listen("tcp", net.JoinHostPort("", strconv.Itoa(port)))
			if err != nil {
				free = false
				break
			}
			l.Close()
		}
		if free {
			return first, nil
		}
	}
	return 0, errors.New("no free ports in a row")
}
