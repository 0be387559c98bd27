// Command bench measures zkstream beside what one would use instead, on the same work, in the same run,
// against the same real ZooKeeper: one that it starts, or the one that ZOOKEEPER_SERVERS names. It prints
// a table, and writes it as docs/BENCHMARKS.md with a picture.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/zkstream/zkstream/internal/ensemble"
)

const serversEnv = "ZOOKEEPER_SERVERS"

func main() {
	var err error
	if name := os.Getenv(contenderEnv); name != "" {
		err = contend(name, os.Args[1:])
	} else {
		err = run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	plan := full
	quick := flag.Bool("quick", false, "smaller sizes, in under two minutes")
	rounds := flag.Int("rounds", 0, "how often each contender is measured; 0 means as planned")
	out := flag.String("o", filepath.Join("..", "docs"), "the folder for BENCHMARKS.md and its picture")
	only := flag.String("only", "", "only the works whose names match this regular expression")
	profiles := flag.String("profiles", "", "a folder for zkstream's profiles; none are kept without")
	flag.Parse()
	if *quick {
		plan = small
	}
	if *rounds > 0 {
		plan.rounds = *rounds
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return measure(ctx, plan, *only, *out, *profiles)
}

// measure does it all.
func measure(ctx context.Context, plan plan, only, out, profiles string) (err error) {
	dir, err := os.MkdirTemp("", "zkstream-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if profiles == "" {
		profiles = dir
	}
	servers, cpu, stop, err := zooKeeper(ctx)
	if err != nil {
		return err
	}
	defer stop()
	if os.Getenv(serversEnv) != "" {
		plan.timeout = max(plan.timeout, 6*time.Second) // the usual minimum is 4
	}
	b, err := newBench(servers, dir, plan)
	if err != nil {
		return err
	}
	b.serverCPU = cpu
	defer func() { err = errors.Join(err, b.tree.fell()) }()
	if err := b.run(ctx, only); err != nil {
		return err
	}
	layers, err := b.profile(profiles)
	if err != nil {
		return err
	}
	return b.report(out, layers)
}

// zooKeeper returns the servers to use, how much processor time they have taken, if they are this program's, and what stops
// them.
func zooKeeper(ctx context.Context) (servers string, cpu func() (float64, error), stop func(), err error) {
	if servers := os.Getenv(serversEnv); servers != "" {
		if strings.Contains(servers, "/") {
			return "", nil, nil, fmt.Errorf("%s: want host:port,host:port without a chroot", serversEnv)
		}
		return servers, nil, func() {}, nil
	}
	e, err := ensemble.New(ctx, 1, ensemble.Options{
		MaxSessionTimeout: time.Minute,
		// Hundreds of thousands of nodes, and no snapshot to disk in the middle of a measurement.
		Java:   []string{"-Xmx3g"},
		Config: map[string]string{"snapCount": "100000000"},
	})
	if err != nil {
		return "", nil, nil, err
	}
	cpu = func() (float64, error) { return processorTime(e.Servers()[0].PID()) }
	return e.ConnectString(), cpu, func() { e.Close() }, nil
}
