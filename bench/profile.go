package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/pprof/profile"
)

// A layer is a part of the program, with its share of what a profile counts.
type layer struct {
	name  string
	share float64
}

// spending is where the time, or the memory, of one work goes.
type spending struct {
	work   string
	layers []layer
}

// profile has zkstream do its work once more with profiles, which would disturb the measurements, and
// returns where its time and memory go. The profiles are left in dir.
func (b *bench) profile(dir string) ([]spending, error) {
	b.progress("profiles")
	n, streams := slices.Max(b.plan.open), slices.Max(b.plan.fan)
	if err := b.tree.grow(n); err != nil {
		return nil, err
	}
	tag, err := b.tree.fill(0, n)
	if err != nil {
		return nil, err
	}
	node, err := b.tree.single("data", "profile")
	if err != nil {
		return nil, err
	}
	zkstream := b.peers[slices.IndexFunc(b.peers, func(p *peer) bool { return p.name == "zkstream" })]
	c, err := zkstream.begin(b.tree.servers, longTimeout)
	if err != nil {
		return nil, err
	}
	defer c.end()
	var all []spending
	record := func(work, file string, fn func() error) error {
		file = filepath.Join(dir, file)
		if _, err := c.ask("ok", "profile %s", file); err != nil {
			return err
		}
		if err := fn(); err != nil {
			return err
		}
		if _, err := c.ask("ok", "profile"); err != nil {
			return err
		}
		s, err := readProfile(work, file, "cpu")
		all = append(all, s)
		return err
	}
	err = record(fmt.Sprintf("time: open %s nodes", thousands(n)), "open.prof", func() error {
		if _, err := c.ask("ok", "open data %s 0 %d", nodeFormat, n); err != nil {
			return err
		}
		_, err := c.await(tag)
		return err
	})
	if err != nil {
		return nil, err
	}
	heap := filepath.Join(dir, "heap.prof")
	if _, err := c.ask("ok", "heap %s", heap); err != nil {
		return nil, err
	}
	s, err := readProfile(fmt.Sprintf("memory: %s streams", thousands(n)), heap, "inuse_space")
	if err != nil {
		return nil, err
	}
	err = record(fmt.Sprintf("time: storm of %s changes", thousands(n)), "storm.prof", func() error {
		tag, _, _, err := b.tree.storm(0, n)
		if err != nil {
			return err
		}
		_, err = c.await(tag)
		return err
	})
	if err != nil {
		return nil, err
	}
	all = append(all, s)

	c2, err := zkstream.begin(b.tree.servers, longTimeout)
	if err != nil {
		return nil, err
	}
	defer c2.end()
	c = c2
	shared := &station{child: c, peer: zkstream, node: node}
	if err := shared.grow(streams); err != nil {
		return nil, err
	}
	err = record(fmt.Sprintf("time: changes of one node with %s streams", thousands(streams)), "fan.prof", func() error {
		for range 200 {
			if _, err := shared.change(); err != nil {
				return err
			}
		}
		return nil
	})
	return all, err
}

// readProfile adds up a profile by layers.
func readProfile(work, file, sampleType string) (spending, error) {
	f, err := os.Open(file)
	if err != nil {
		return spending{}, err
	}
	defer f.Close()
	p, err := profile.Parse(f)
	if err != nil {
		return spending{}, fmt.Errorf("%s: %w", file, err)
	}
	index, err := p.SampleIndexByName(sampleType)
	if err != nil {
		return spending{}, fmt.Errorf("%s: %w", file, err)
	}
	total, sums := 0.0, map[string]float64{}
	for _, sample := range p.Sample {
		x := float64(sample.Value[index])
		sums[layerOf(sample)] += x
		total += x
	}
	s := spending{work: work}
	for name, sum := range sums {
		s.layers = append(s.layers, layer{name, sum / total})
	}
	slices.SortFunc(s.layers, func(a, b layer) int { return cmp.Compare(b.share, a.share) })
	return s, nil
}

// layers are recognized by the functions on the stack, from the innermost out; the first that fits.
var layers = []struct{ prefix, name string }{
	{"syscall.", "kernel: network"},
	{"internal/runtime/syscall.", "kernel: network"},
	{"runtime.mallocgc", "allocation"},
	{"runtime.newobject", "allocation"},
	{"runtime.gc", "garbage collection"},
	{"runtime.bgsweep", "garbage collection"},
	{"runtime.bgscavenge", "garbage collection"},
	{"runtime.mcall", "goroutine scheduling"},
	{"runtime.schedule", "goroutine scheduling"},
	{"runtime.ready", "goroutine scheduling"},
	{"runtime.goready", "goroutine scheduling"},
	{"runtime.mstart", "goroutine scheduling"},
	{"runtime.netpoll", "goroutine scheduling"},
	{"github.com/go-zookeeper/", "go-zookeeper"},
	{"github.com/zkstream/zkstream/internal/zkconn", "zkstream, connection"},
	{"github.com/zkstream/zkstream.", "zkstream, streams"},
	{"main.", "the consumer"},
}

func layerOf(s *profile.Sample) string {
	for _, location := range s.Location {
		for _, line := range location.Line {
			for _, l := range layers {
				if strings.HasPrefix(line.Function.Name, l.prefix) {
					return l.name
				}
			}
		}
	}
	return "the rest of Go's runtime"
}
