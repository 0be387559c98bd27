package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// Publishing is inside of the library, so its own benchmark measures it.

const publishStreams = 10_000 // of BenchmarkPublish

var publishLine = regexp.MustCompile(`(?m)^BenchmarkPublish\S*\s.*?([\d.]+) ns/stream.*?(\d+) allocs/op`)

// publishing measures what it takes to hand a snapshot to one more subscriber. The floor is to replace a
// value in a bare channel.
func (b *bench) publishing() error {
	program := filepath.Join(b.dir, "publish.test")
	if _, err := os.Stat(program); err != nil {
		out, err := exec.Command("go", "test", "-c", "-o", program, "github.com/zkstream/zkstream").CombinedOutput()
		if err != nil {
			return fmt.Errorf("go test: %w\n%s", err, out)
		}
	}
	out, err := exec.Command(program, "-test.run", "^$", "-test.bench", "^BenchmarkPublish$", "-test.benchmem",
		"-test.benchtime", b.plan.publish.String()).CombinedOutput()
	if err != nil {
		return fmt.Errorf("its benchmark: %w\n%s", err, out)
	}
	found := publishLine.FindSubmatch(out)
	if found == nil {
		return fmt.Errorf("the benchmark does not tell what publishing takes:\n%s", out)
	}
	ns, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		return err
	}
	allocs, err := strconv.ParseFloat(string(found[2]), 64)
	if err != nil {
		return err
	}
	zkstream := &peer{name: "zkstream"}
	b.add(publishTime, zkstream, ns)
	b.add(publishAllocs, zkstream, allocs/publishStreams)
	b.add(publishTime, b.floor(), bareChannels(b.plan.publish))
	return nil
}

// bareChannels returns the nanoseconds that it takes to replace the value in a channel.
func bareChannels(atLeast time.Duration) float64 {
	channels := make([]chan *int, publishStreams)
	for i := range channels {
		channels[i] = make(chan *int, 1)
	}
	v, n := new(int), 0
	begin := time.Now()
	for time.Since(begin) < atLeast {
		for _, ch := range channels {
			select {
			case <-ch:
			default:
			}
			ch <- v
		}
		n += len(channels)
	}
	return float64(time.Since(begin)) / float64(n)
}
