package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// A suite is a run of tests that judges mutants.
type suite struct {
	name     string
	dir      string // of the package
	args     []string
	patience time.Duration // how long it may take; 0 means mostPatience. A mutant that makes it hang is noticed.
}

// A suite may take so much longer with a mutant, since the machine may be busy at that moment.
const (
	leastPatience = 20 * time.Second
	mostPatience  = 3 * time.Minute
	slower        = 4
)

const simulation = "internal/simulation"

// suites returns the judges of the mutants in a directory, those first that notice much for little time. None needs a real server.
func (j *judge) suites(dir string) []suite {
	first := min(50, j.seeds)
	some := func(from, n int) []string {
		return []string{"-test.run=TestSimulation$", "-stop-at-first", "-seed", strconv.Itoa(from), "-seeds", strconv.Itoa(n)}
	}
	var all []suite
	if dir != "." {
		all = append(all, suite{name: dir, dir: dir, args: []string{"-test.failfast", "-test.short"}})
	}
	all = append(all,
		suite{name: "simulation", dir: simulation, args: some(1, first)},
		suite{name: "root", dir: ".", args: []string{"-test.failfast", "-test.short", "-test.skip=InAStorm"}})
	if first < j.seeds {
		all = append(all, suite{name: "simulation, more seeds", dir: simulation, args: some(1+first, j.seeds-first)})
	}
	all = append(all, suite{name: "storm", dir: ".", args: []string{"-test.short", "-test.run=InAStorm"}})
	if j.quick {
		return all[:1]
	}
	return all
}

// verdict is what became of a mutant.
type verdict struct {
	mutant
	built  bool
	killer string // the suite that noticed; empty: none has
	test   string // that has failed; empty where none says so, as in a panic
}

// judge has what is built of the mutants.
type judge struct {
	seeds int  // of the simulation, for each mutant
	quick bool // only the first suite judges

	dir   string          // of the programs
	fails map[int]string  // what the compiler says of a mutant, by id
	tests map[string]bool // packages, by their directories, whose tests are built

	mu      sync.Mutex          // guards what follows, and the output
	noticed map[string][]string // tests that have noticed something, by suite
}

func (j *judge) close() { os.RemoveAll(j.dir) }

// build builds the tests, with all mutants in them that compile.
func (j *judge) build(ctx context.Context, all []mutant) (err error) {
	if j.dir, err = os.MkdirTemp("", "mutate"); err != nil {
		return err
	}
	j.fails, j.tests, j.noticed = map[int]string{}, map[string]bool{}, map[string][]string{}
	dirs := map[string]bool{}
	for _, m := range all {
		dirs[filepath.Dir(m.file)] = true
	}
	for dir := range dirs {
		for {
			n := len(j.fails)
			if err := j.overlay(all); err != nil {
				return err
			}
			out, err := j.tool(ctx, "build", "-gcflags=-e", "./"+dir)
			if err == nil {
				break
			}
			for _, found := range regexp.MustCompile(`(?m)`+compiled+`(\d+):[\d:]+ (.*)$`).FindAllStringSubmatch(out, -1) {
				id, _ := strconv.Atoi(found[1])
				j.fails[id] = found[2]
			}
			if len(j.fails) == n {
				return fmt.Errorf("%w\n%s", err, out)
			}
		}
	}
	for dir := range dirs {
		for _, s := range j.suites(dir) {
			if j.tests[s.dir] {
				continue
			}
			if out, err := j.tool(ctx, "test", "-vet=off", "-c", "-o", j.test(s.dir), "./"+s.dir); err != nil {
				return fmt.Errorf("%w\n%s", err, out)
			}
			j.tests[s.dir] = true
		}
	}
	return nil
}

// test returns the name of the program with the tests of a directory.
func (j *judge) test(dir string) string {
	return filepath.Join(j.dir, strings.ReplaceAll(filepath.Clean("root/"+dir), "/", "-")+".test")
}

// tool runs go with the overlay.
func (j *judge) tool(ctx context.Context, command string, args ...string) (string, error) {
	args = append([]string{command, "-overlay=" + filepath.Join(j.dir, "overlay.json")}, args...)
	out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
	return string(out), err
}

// overlay writes the sources with all mutants that have not failed to compile.
func (j *judge) overlay(all []mutant) error {
	of := map[string][]mutant{}
	for _, m := range all {
		if _, fails := j.fails[m.id]; !fails {
			of[m.file] = append(of[m.file], m)
		}
	}
	replace := map[string]string{}
	add := func(name string, source []byte) error {
		original, err := filepath.Abs(name)
		if err != nil {
			return err
		}
		replace[original] = filepath.Join(j.dir, strings.ReplaceAll(name, "/", "-"))
		return os.WriteFile(replace[original], source, 0o600)
	}
	for file, some := range of {
		source, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		with, pkg, err := instrument(source, some)
		if err != nil {
			return err
		}
		if err := errors.Join(add(file, with), add(filepath.Join(filepath.Dir(file), "mutantid.go"), []byte(selector(pkg)))); err != nil {
			return err
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(j.dir, "overlay.json"), text, 0o600)
}

// judge tries the mutants, several at a time, and prints each that a suite has noticed. All go to the first suite, those that
// it has not noticed to the second, and so on.
func (j *judge) judge(ctx context.Context, all []mutant, noticed *results, workers int) ([]verdict, error) {
	verdicts := make([]verdict, len(all))
	left := map[string][]*verdict{} // by directory
	for i, m := range all {
		v := &verdicts[i]
		*v = verdict{mutant: m}
		why, fails := j.fails[m.id]
		v.built = !fails
		if v.killer = noticed.by[m.hash()]; fails {
			fmt.Printf("does not compile: %v (%s)\n", m, why)
		} else if v.killer == "" {
			left[filepath.Dir(m.file)] = append(left[filepath.Dir(m.file)], v)
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(left)) {
		for _, s := range j.suites(dir) {
			if len(left[dir]) == 0 {
				break
			}
			fmt.Printf("%d mutants of %s, judged by: %s\n", len(left[dir]), dir, s.name)
			begin := time.Now()
			if out, err := j.run(ctx, mutant{}, s, s.args); err != nil {
				return nil, fmt.Errorf("%s fails without a mutant: %w\n%s", s.name, err, out)
			}
			s.patience = min(leastPatience+slower*time.Since(begin), mostPatience)
			g, ctx := errgroup.WithContext(ctx)
			g.SetLimit(workers)
			for _, v := range left[dir] {
				g.Go(func() (err error) {
					begin := time.Now()
					v.killer, v.test, err = j.try(ctx, v.mutant, s)
					if err != nil || v.killer == "" {
						return err
					}
					j.mu.Lock()
					defer j.mu.Unlock()
					fmt.Printf("%6v noticed by %s %s: %v\n", time.Since(begin).Round(time.Second/10), v.killer, v.test, v.mutant)
					return noticed.add(*v)
				})
			}
			if err := g.Wait(); err != nil {
				return nil, err
			}
			var rest []*verdict
			for _, v := range left[dir] {
				if v.killer == "" {
					rest = append(rest, v)
				}
			}
			left[dir] = rest
		}
	}
	return verdicts, nil
}

// failed finds the name of a test that has failed, which is not part of another.
var failed = regexp.MustCompile(`(?m)^--- FAIL: ([^ ]+)`)

// running finds the names of tests that were under way when time was up.
var running = regexp.MustCompile(`(?m)^\t\t(Test[^ /\n]+)\S* \(`)

// underWay returns, as a pattern, the tests that were under way when time was up.
func underWay(out []byte) string {
	var tests []string
	for _, found := range running.FindAllSubmatch(out, -1) {
		if test := string(found[1]); !slices.Contains(tests, test) {
			tests = append(tests, test)
		}
	}
	return strings.Join(tests, "|")
}

// try has s judge m. killer is empty if s has not noticed it. A test that fails once and not again is no judge, but one that
// suffers from what else the machine does.
func (j *judge) try(ctx context.Context, m mutant, s suite) (killer, test string, err error) {
	var out []byte
	if likely := j.likely(s); likely != "" {
		out, err = j.run(ctx, m, s, append(slices.Clone(s.args), "-test.run=^("+likely+")$"))
	}
	if err == nil {
		out, err = j.run(ctx, m, s, s.args)
	}
	if err == nil || ctx.Err() != nil {
		return "", "", context.Cause(ctx)
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return "", "", err
	}
	found := failed.FindSubmatch(out)
	switch {
	case bytes.Contains(out, []byte("panic: test timed out")):
		// It hangs, or the machine is busy. What hangs does so again, alone, too.
		tests := underWay(out)
		if _, err := j.run(ctx, m, s, append(slices.Clone(s.args), "-test.run=^("+tests+")$")); err == nil || ctx.Err() != nil {
			fmt.Printf("%v: %s was slow\n", m, tests)
			return "", "", context.Cause(ctx)
		}
		return s.name, "by its time", nil
	case found == nil:
		return s.name, "by its end", nil
	}
	test = string(found[1])
	if s.dir != simulation { // which is another the second time, as far as the order of goroutines goes
		if _, err := j.run(ctx, m, s, append(slices.Clone(s.args), "-test.run=^"+test+"$")); err == nil || ctx.Err() != nil {
			fmt.Printf("%v: %s fails now and then\n", m, test)
			return "", "", context.Cause(ctx)
		}
	}
	if s.dir == simulation { // which has one test
		return s.name, test, nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if name := s.name; !slices.Contains(j.noticed[name], test) {
		j.noticed[name] = append(j.noticed[name], test)
	}
	return s.name, test, nil
}

// likely returns the tests of s that have noticed other mutants, as a pattern: they are run before the rest.
func (j *judge) likely(s suite) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.noticed[s.name], "|")
}

// run runs a suite with m; the mutant 0 is none.
func (j *judge) run(ctx context.Context, m mutant, s suite, args []string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, j.test(s.dir), append([]string{"-test.timeout=" + cmp.Or(s.patience, mostPatience).String()}, args...)...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", variable, m.id), "ZOOKEEPER_HOME="+filepath.Join(j.dir, "none"), "ZKSTREAM_REQUIRE_ZOOKEEPER=")
	return cmd.CombinedOutput()
}
