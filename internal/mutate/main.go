// Command mutate says how good the tests are: it breaks the code that keeps the watches in one small place at a time, and
// asks whether a test or the simulation notices. A mutant that nobody notices is a line that no test stands behind, or
// one that makes no difference. Those that are known to make none stand in survivors.txt, each with its reason; a survivor
// that is not there makes the command fail.
//
//	go run ./internal/mutate                       all mutants
//	go run ./internal/mutate -sample 100           a hundred of them, chosen by -seed
//	go run ./internal/mutate -file FILE,FILE       those of some files
//	go run ./internal/mutate -quick                judged by the tests of the mutant's own package alone
//	go run ./internal/mutate -results noticed.txt  not again those that the file says were noticed, and adds to it
//
// The working directory is the repository's root. Nothing in it is changed: go test gets the mutants as an overlay.
package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strings"
)

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
	"internal/watching/supervisor.go", "internal/watching/watch.go", "internal/watching/subscribe.go", "internal/watching/reconnect.go",
	"reconnect.go",
	"internal/zkconn/requests.go", "internal/zkconn/rearm.go", "internal/zkconn/gate.go",
	"internal/zkconn/answer.go", "internal/zkconn/send.go", "internal/zkconn/receive.go", "internal/zkconn/outstanding.go",
}

func run(ctx context.Context) error {
	file := flag.String("file", "", "only mutants of these files, separated by commas")
	sample := flag.Int("sample", 0, "only so many mutants, chosen by chance; 0 means all")
	seed := flag.Uint64("seed", 1, "what the sample depends on")
	seeds := flag.Int("seeds", 500, "schedules of the simulation for each mutant")
	quick := flag.Bool("quick", false, "only the suite that comes first")
	workers := flag.Int("workers", 2, "mutants at a time")
	results := flag.String("results", "", "a file of mutants that were noticed: they are not judged again, and it grows")
	flag.Parse()
	reasons, err := readSurvivors("internal/mutate/survivors.txt")
	if err != nil {
		return err
	}
	everything, err := readMutants(files)
	if err != nil {
		return err
	}
	if stale := reasons.without(everything); len(stale) > 0 {
		return fmt.Errorf("survivors.txt has what is no mutant any more:\n%s", strings.Join(stale, "\n"))
	}
	all := everything
	if *file != "" {
		if all, err = readMutants(strings.Split(*file, ",")); err != nil {
			return err
		}
	}
	all = judged(all)
	total := len(all)
	if *sample > 0 && *sample < total {
		rand.New(rand.NewPCG(*seed, 0)).Shuffle(total, func(i, j int) { all[i], all[j] = all[j], all[i] })
		all = all[:*sample]
	}
	fmt.Printf("%d mutants of %d\n", len(all), total)
	noticed, err := openResults(*results)
	if err != nil {
		return err
	}
	defer noticed.close()
	j := &judge{seeds: *seeds, quick: *quick}
	defer j.close()
	if err := j.build(ctx, all); err != nil {
		return err
	}
	verdicts, err := j.judge(ctx, all, noticed, *workers)
	if err != nil {
		return err
	}
	text, unknown := summary(verdicts, reasons)
	fmt.Print(text)
	if unknown > 0 {
		return fmt.Errorf("%d survivors have no reason in survivors.txt", unknown)
	}
	return nil
}

// readMutants returns the mutants of files.
func readMutants(files []string) (all []mutant, err error) {
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		some, err := mutants(file, source)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	for i := range all {
		all[i].id = i + 1
	}
	return all, nil
}

// judged returns the mutants that are to be judged, and prints how many are not.
func judged(all []mutant) (rest []mutant) {
	excused := map[string]int{}
	for _, m := range all {
		if m.excuse == "" {
			rest = append(rest, m)
		} else {
			excused[m.excuse]++
		}
	}
	for _, rule := range slices.Sorted(maps.Keys(excused)) {
		fmt.Printf("%d not judged: %s\n", excused[rule], rule)
	}
	return rest
}

// summary says how many were noticed, and lists those that were not. unknown is how many of these have no reason.
func summary(all []verdict, reasons survivors) (text string, unknown int) {
	var s, survived strings.Builder
	type count struct{ noticed, tried int }
	var total count
	files, killers := map[string]count{}, map[string]int{}
	for _, v := range all {
		if !v.built {
			continue
		}
		file := files[v.file]
		file.tried++
		total.tried++
		if v.killer != "" {
			file.noticed++
			total.noticed++
			killers[v.killer]++
		} else if reason, known := reasons[v.key()]; known {
			fmt.Fprintf(&survived, "survived, known: %v\n\t%s\n", v.mutant, reason)
		} else {
			fmt.Fprintf(&survived, "SURVIVED: %v\n\t%s\n", v.mutant, v.key())
			unknown++
		}
		files[v.file] = file
	}
	line := func(name string, c count) {
		fmt.Fprintf(&s, "%4d of %4d noticed (%5.1f %%): %s\n", c.noticed, c.tried, 100*float64(c.noticed)/float64(max(c.tried, 1)), name)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		line(name, files[name])
	}
	line("all", total)
	for _, name := range slices.Sorted(maps.Keys(killers)) {
		fmt.Fprintf(&s, "%5d by %s\n", killers[name], name)
	}
	if n := len(all) - total.tried; n > 0 {
		fmt.Fprintf(&s, "%5d do not compile\n", n)
	}
	return s.String() + survived.String(), unknown
}
