package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/zkstream/zkstream"
	"golang.org/x/sync/errgroup"
)

// readers is how many goroutines open, read and close streams.
const readers = 16

// readOnce reads each of the nodes once.
func readOnce(lib library, paths []string) (time.Duration, error) {
	begin := time.Now()
	err := parallelBy(len(paths), readers, func(i int) error {
		switch lib := lib.(type) {
		case *zkstreamLib:
			s := lib.client.Data(lib.ctx, paths[i])
			defer s.Close()
			_, err := s.Next(lib.ctx)
			return err
		case *floor:
			_, _, err := lib.conn.Get(paths[i])
			return err
		}
		return errors.New("this contender reads no nodes once")
	})
	return time.Since(begin), err
}

// once measures streams that are opened, read once and closed, against as many Gets.
func (b *bench) once() error {
	n := b.plan.once
	if err := b.tree.grow(n); err != nil {
		return err
	}
	for _, p := range b.peers {
		if p.name != "zkstream" && p.name != "floor" {
			continue
		}
		c, err := p.begin(b.tree.servers, longTimeout)
		if err != nil {
			return err
		}
		defer c.end()
		var took []float64
		for range callBlocks {
			v, err := c.ask("took", "once %s %d", nodeFormat, n)
			if err != nil {
				return err
			}
			took = append(took, v[0])
		}
		c.end()
		b.add(readOnceTime(n), p, median(took))
	}
	return nil
}

// getsWhileOpening opens streams on the content and the children of nodes, and calls Get meanwhile, one call after the
// other. It returns what the calls took before, the median, and the slowest meanwhile; and the slowest of those of another
// connection of this process, which wait for the server and for the machine, but for no answer to what the streams have asked for.
func getsWhileOpening(lib library, nodes []string) (usual, slowest, beside time.Duration, err error) {
	raw, _ := lib.(*rawLib)
	get := func(path string) error {
		if raw != nil {
			_, _, err := raw.conn.Get(path)
			return err
		}
		_, err := lib.(*zkstreamLib).client.Get(context.Background(), path)
		return err
	}
	measure := func(path string) (time.Duration, error) {
		begin := time.Now()
		err := get(path)
		return time.Since(begin), err
	}
	var before []time.Duration
	for i := range 500 {
		d, err := measure(nodes[i%len(nodes)])
		if err != nil {
			return 0, 0, 0, err
		}
		before = append(before, d)
	}
	slices.Sort(before)
	usual = before[len(before)/2]

	other, err := connect(os.Args[1], longTimeout)
	if err != nil {
		return 0, 0, 0, err
	}
	defer other.Close()
	opened := make(chan struct{})
	openErr := make(chan error, 1)
	// Ends when all streams have their first snapshot.
	go func() {
		defer close(opened)
		if raw != nil {
			openErr <- raw.openBoth(nodes)
			return
		}
		openErr <- lib.(*zkstreamLib).openBoth(nodes)
	}()
	until := func(get func() error) (slowest time.Duration, err error) {
		for err == nil {
			select {
			case <-opened:
				return slowest, nil
			default:
			}
			begin := time.Now()
			err = get()
			slowest = max(slowest, time.Since(begin))
		}
		return slowest, err
	}
	var g errgroup.Group
	g.Go(func() (err error) {
		slowest, err = until(func() error { return get(nodes[0]) })
		return err
	})
	g.Go(func() (err error) {
		beside, err = until(func() error { _, _, err := other.Get(nodes[0]); return err })
		return err
	})
	err = g.Wait()
	return usual, slowest, beside, errors.Join(err, <-openErr)
}

// openBoth watches the content and the children of nodes, each in a goroutine, until all were read once.
func (r *rawLib) openBoth(nodes []string) error {
	read := make(chan struct{}, 2*len(nodes))
	for _, kind := range []string{"data", "children"} {
		for _, path := range nodes {
			first := true
			go r.loop(kind, path, func(int64) { // ends with the process
				if first {
					first = false
					read <- struct{}{}
				}
			})
		}
	}
	for range cap(read) {
		<-read
	}
	return nil
}

// openBoth opens streams on the content and the children of nodes, and waits for the first snapshot of each.
func (z *zkstreamLib) openBoth(nodes []string) error {
	data := make([]*zkstream.Stream[zkstream.Data], len(nodes))
	children := make([]*zkstream.Stream[zkstream.Children], len(nodes))
	for i, path := range nodes {
		data[i] = z.client.Data(z.ctx, path)
		children[i] = z.client.Children(z.ctx, path)
	}
	for i := range nodes {
		if _, err := data[i].Next(z.ctx); err != nil {
			return err
		}
		if _, err := children[i].Next(z.ctx); err != nil {
			return err
		}
	}
	return nil
}

// busy measures calls while many streams are opened.
func (b *bench) busy() error {
	n := b.plan.recover
	if err := b.tree.grow(n); err != nil {
		return err
	}
	for _, p := range b.peers {
		if p.name != "zkstream" && p.name != "raw" {
			continue
		}
		c, err := p.begin(b.tree.servers, longTimeout)
		if err != nil {
			return err
		}
		defer c.end()
		v, err := c.ask("busy", "busy %s %d", nodeFormat, n)
		if err != nil {
			return err
		}
		c.end()
		b.add(usualGet(n), p, v[0])
		b.add(slowestGet(n), p, v[1])
		if p.name == "zkstream" {
			b.add(slowestGet(n), b.floor(), v[2])
		}
	}
	return nil
}

func readOnceTime(n int) metric {
	return metric{fmt.Sprintf("%s nodes read once, by %d goroutines", thousands(n), readers), duration}
}

func usualGet(n int) metric {
	return metric{fmt.Sprintf("Get, before %s streams are opened", thousands(2*n)), duration}
}

func slowestGet(n int) metric {
	return metric{fmt.Sprintf("Get, while %s streams are opened: the slowest", thousands(2*n)), duration}
}
