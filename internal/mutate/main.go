// Command mutate says how good the tests are: it breaks the code that keeps the watches in one small place at a time, and
// asks whether a test or the simulation notices. A mutant that nobody notices is a line that no test stands behind, or
// one that makes no difference.
//
//	go run ./internal/mutate                    all mutants, for hours
//	go run ./internal/mutate -sample 100        a hundred of them, chosen by -seed
//	go run ./internal/mutate -file watch.go     those of one file
//
// The working directory is the repository's root. Nothing in it is changed: go test gets each mutant as an overlay.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// A suite is one command that judges mutants.
type suite struct {
	name string
	args []string // of go test
}

// suites returns the judges of a file, those first that are likely to notice and quick. None needs a real server.
func suites(file string, seeds int) []suite {
	limit := "-timeout=" + patience.String()
	simulation := suite{"simulation", []string{limit, "-run=TestSimulation$", "./internal/simulation", "-args", "-seeds", strconv.Itoa(seeds)}}
	root := suite{"root", []string{limit, "-failfast", "-short", "."}}
	if dir := filepath.Dir(file); dir != "." {
		return []suite{{dir, []string{limit, "-failfast", "-short", "./" + dir}}, simulation, root}
	}
	return []suite{simulation, root}
}

// patience is how long a suite may take. A mutant that makes it hang is noticed.
const patience = 5 * time.Minute

// verdict is what became of a mutant.
type verdict struct {
	mutant
	killer string // the suite that noticed; empty: none has
	built  bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// files hold what keeps the watches.
var files = []string{
	"supervisor.go", "watch.go", "subscribe.go", "reconnect.go",
	"internal/zkconn/requests.go", "internal/zkconn/rearm.go", "internal/zkconn/gate.go",
}

func run(ctx context.Context) error {
	file := flag.String("file", "", "only mutants of this file")
	sample := flag.Int("sample", 0, "only so many mutants, chosen by chance; 0 means all")
	seed := flag.Uint64("seed", 1, "what the sample depends on")
	seeds := flag.Int("seeds", 500, "schedules of the simulation for each mutant")
	workers := flag.Int("workers", 2, "mutants at a time")
	flag.Parse()
	if *file != "" {
		files = []string{*file}
	}
	var all []mutant
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		some, err := mutants(file, source)
		if err != nil {
			return err
		}
		all = append(all, some...)
	}
	total := len(all)
	if *sample > 0 && *sample < total {
		rand.New(rand.NewPCG(*seed, 0)).Shuffle(total, func(i, j int) { all[i], all[j] = all[j], all[i] })
		all = all[:*sample]
	}
	fmt.Printf("%d mutants of %d\n", len(all), total)
	if err := green(ctx, *seeds); err != nil {
		return err
	}
	verdicts, err := judge(ctx, all, *seeds, *workers)
	if err != nil {
		return err
	}
	fmt.Print(summary(verdicts))
	return nil
}

// green returns an error if the suites fail without any mutant: then they would notice everything.
func green(ctx context.Context, seeds int) error {
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	tried := map[string]bool{}
	for _, file := range files {
		if tried[filepath.Dir(file)] {
			continue
		}
		tried[filepath.Dir(file)] = true
		source, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		v, err := try(ctx, filepath.Join(dir, "unchanged"), mutant{file: file, source: source}, seeds)
		if err != nil {
			return err
		}
		if !v.built || v.killer != "" {
			return fmt.Errorf("the tests of %s fail without a mutant: %v", file, v)
		}
	}
	return nil
}

// judge tries the mutants, several at a time, and prints each verdict as it comes.
func judge(ctx context.Context, all []mutant, seeds, workers int) ([]verdict, error) {
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	verdicts := make([]verdict, len(all))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for i, m := range all {
		g.Go(func() error {
			begin := time.Now()
			v, err := try(ctx, filepath.Join(dir, strconv.Itoa(i)), m, seeds)
			if err != nil {
				return err
			}
			verdicts[i] = v
			fmt.Printf("%4d %6v %v\n", i+1, time.Since(begin).Round(time.Second), v)
			return nil
		})
	}
	err = g.Wait()
	return verdicts, err
}

// try runs the suites on a mutant until one fails.
func try(ctx context.Context, name string, m mutant, seeds int) (verdict, error) {
	v := verdict{mutant: m}
	if err := os.WriteFile(name+".go", m.source, 0o600); err != nil {
		return v, err
	}
	original, err := filepath.Abs(m.file)
	if err != nil {
		return v, err
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {original: name + ".go"}})
	if err != nil {
		return v, err
	}
	if err := os.WriteFile(name+".json", overlay, 0o600); err != nil {
		return v, err
	}
	for _, s := range append([]suite{{"build", []string{"-run=^$", "./" + filepath.Dir(m.file)}}}, suites(m.file, seeds)...) {
		cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-vet=off", "-overlay=" + name + ".json"}, s.args...)...)
		cmd.Env = append(os.Environ(), "ZOOKEEPER_HOME="+filepath.Join(name, "none"))
		out, err := cmd.CombinedOutput()
		if ctx.Err() != nil {
			return v, context.Cause(ctx)
		}
		var failed *exec.ExitError
		switch {
		case s.name == "build" && err != nil:
			return v, nil // does not compile, so it says nothing
		case err == nil:
			v.built = true
		case errors.As(err, &failed) && strings.Contains(string(out), "FAIL"):
			v.killer = s.name
			return v, nil
		default:
			return v, fmt.Errorf("%v: %s: %w\n%s", m, s.name, err, out)
		}
	}
	return v, nil
}

func (v verdict) String() string {
	switch {
	case !v.built:
		return "does not compile: " + v.mutant.String()
	case v.killer == "":
		return "SURVIVED: " + v.mutant.String()
	default:
		return "noticed by " + v.killer + ": " + v.mutant.String()
	}
}

// summary says how many were noticed, and lists those that were not.
func summary(all []verdict) string {
	var s strings.Builder
	tried, survived := 0, []string{}
	killers := map[string]int{}
	for _, v := range all {
		switch {
		case !v.built:
		case v.killer == "":
			tried++
			survived = append(survived, v.mutant.String())
		default:
			tried++
			killers[v.killer]++
		}
	}
	fmt.Fprintf(&s, "%d of %d mutants were noticed (%.1f %%); %d do not compile\n",
		tried-len(survived), tried, 100*float64(tried-len(survived))/float64(max(tried, 1)), len(all)-tried)
	var names []string
	for name := range killers {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&s, "%5d by %s\n", killers[name], name)
	}
	slices.Sort(survived)
	for _, line := range survived {
		fmt.Fprintf(&s, "survived: %s\n", line)
	}
	return s.String()
}
