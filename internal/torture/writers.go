package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
	"golang.org/x/sync/errgroup"
)

const root = "/torture"

// The nodes that all contenders watch.
var (
	values  = []string{root + "/d0", root + "/d1", root + "/d2", root + "/d3", root + "/c0/n1", root + "/c2/n2", root + "/big"}
	parents = []string{root + "/c0", root + "/c1", root + "/c2"}
)

const (
	names         = 12 // that the children of a parent can have
	mortal        = 2  // which of the parents is deleted at times, with its children
	writerTimeout = 4 * time.Second
)

// plain is a connection that goes directly to the servers: a writer's, or the one that reads the truth.
type plain struct {
	*zk.Conn
	events <-chan zk.Event
}

// dial opens a plain connection, and waits for its session.
func dial(ctx context.Context, servers []string) (*plain, error) {
	conn, events, err := zk.Connect(servers, writerTimeout, zk.WithLogger(log.New(io.Discard, "", 0)))
	if err != nil {
		return nil, err
	}
	p := &plain{conn, events}
	for {
		select {
		case ev := <-events:
			if ev.State == zk.StateHasSession {
				return p, nil
			}
		case <-ctx.Done():
			p.close()
			return nil, context.Cause(ctx)
		}
	}
}

// close returns when nothing of the connection is left.
func (p *plain) close() {
	p.Close()
	for range p.events { // closed when its goroutines have ended
	}
}

// writers keep changing nodes. Each node has one writer, so that its counter only goes up.
type writers struct {
	servers []string
	changes *changes
	log     *record
	counter atomic.Int64 // of all values
	losses  losses       // of the nodes that writeValue writes
}

// run writes until ctx ends, as the seed says.
func (w *writers) run(ctx context.Context, seed uint64) error {
	var g errgroup.Group // waited for here
	g.Go(func() error {
		return w.loop(ctx, rand.New(rand.NewPCG(seed, 1)), w.writeValue)
	})
	g.Go(func() error {
		return w.loop(ctx, rand.New(rand.NewPCG(seed, 2)), w.writeChild)
	})
	g.Go(func() error {
		return w.loop(ctx, rand.New(rand.NewPCG(seed, 3)), func(p *plain, rng *rand.Rand) {
			w.writeBig(p)
			_ = pause(ctx, spread(rng, 500*time.Millisecond, 3*time.Second))
		})
	})
	return g.Wait()
}

// loop writes with one connection. When ctx ends, a call that waits for a server is given a moment, and
// then ended.
func (w *writers) loop(ctx context.Context, rng *rand.Rand, write func(*plain, *rand.Rand)) error {
	p, err := dial(ctx, w.servers)
	if err != nil {
		return nil // no server was in reach before the round was over
	}
	done := make(chan struct{})
	// Ends when done is closed, which is before loop returns.
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			write(p, rng)
			wait := spread(rng, time.Millisecond, 40*time.Millisecond)
			if rng.IntN(4) == 0 {
				wait = 0 // several changes while a reader is still at the first
			}
			_ = pause(ctx, wait)
		}
	}()
	<-ctx.Done()
	select {
	case <-done:
	case <-time.After(3 * time.Second):
	}
	p.close()
	<-done
	return nil
}

// do makes one change. What its error leaves open, the truth will tell.
func (w *writers) do(verb, path, watched string, change func() error) error {
	w.changes.touch(path, watched)
	err := change()
	w.changes.touch(path, watched) // it may have taken long
	w.log.add("writer", fmt.Sprintf("%s %s: %v", verb, path, err))
	if !errors.Is(err, zk.ErrNoNode) && !errors.Is(err, zk.ErrNodeExists) && !errors.Is(err, zk.ErrNotEmpty) {
		w.changes.outcome(err)
	}
	return err
}

// next returns a value for a node: its name, for go-kit, which takes that of a child from its value, and the
// counter.
func (w *writers) next(node string) []byte {
	return fmt.Appendf(nil, "%s=%d", node[strings.LastIndexByte(node, '/')+1:], w.counter.Add(1))
}

func (w *writers) create(p *plain, path, parent string) (value []byte, err error) {
	value = w.next(path)
	return value, w.do("create "+string(value), path, parent, func() error {
		_, err := p.Create(path, value, 0, zk.WorldACL(zk.PermAll))
		return err
	})
}

func (w *writers) remove(p *plain, path, parent string) error {
	return w.do("delete", path, parent, func() error { return p.Delete(path, -1) })
}

// writeValue changes a node of its own: the others are children, which writeChild writes.
func (w *writers) writeValue(p *plain, rng *rand.Rand) {
	path := values[rng.IntN(4)]
	create := func() {
		value, err := w.create(p, path, "")
		w.losses.created(path, string(value), err)
	}
	remove := func() { w.losses.deleted(path, w.remove(p, path, "")) }
	switch draw := rng.IntN(10); {
	case draw < 8:
		value := w.next(path)
		var stat *zk.Stat
		err := w.do("set "+string(value), path, "", func() (err error) { stat, err = p.Set(path, value, -1); return err })
		w.losses.changed(path, string(value), stat, err)
		if errors.Is(err, zk.ErrNoNode) {
			create()
		}
	case draw < 9:
		remove()
	default: // gone and back
		remove()
		create()
	}
}

// writeBig changes the large node, or creates it.
func (w *writers) writeBig(p *plain) {
	path := root + "/big"
	value := w.next(path)
	data := append(value, bytes.Repeat([]byte(padding), largeSize-len(value))...)
	err := w.do("set "+string(value), path, "", func() error { _, err := p.Set(path, data, -1); return err })
	if errors.Is(err, zk.ErrNoNode) {
		_ = w.do("create "+string(value), path, "", func() error {
			_, err := p.Create(path, data, 0, zk.WorldACL(zk.PermAll))
			return err
		})
	}
}

// writeChild creates, changes or deletes a child, or a parent with all of them.
func (w *writers) writeChild(p *plain, rng *rand.Rand) {
	n := rng.IntN(len(parents))
	parent := parents[n]
	if n == mortal && rng.IntN(8) == 0 {
		for i := range names {
			_ = w.remove(p, fmt.Sprintf("%s/n%d", parent, i), parent)
		}
		_ = w.remove(p, parent, parent)
		if rng.IntN(2) == 0 {
			return // until a child is to be created
		}
		_, _ = w.create(p, parent, parent)
		return
	}
	child := fmt.Sprintf("%s/n%d", parent, rng.IntN(names))
	switch rng.IntN(3) {
	case 0:
		value := w.next(child)
		_ = w.do("set "+string(value), child, "", func() error { _, err := p.Set(child, value, -1); return err })
	case 1:
		_ = w.remove(p, child, parent)
	default:
		if _, err := w.create(p, child, parent); errors.Is(err, zk.ErrNoNode) {
			_, _ = w.create(p, parent, parent)
		}
	}
}

// prepareNodes makes the nodes that must be there before the first round.
func prepareNodes(p *plain, a *arena) error {
	paths := []string{root, parents[0], parents[1], parents[2]}
	paths = append(paths, closables...)
	for _, c := range a.clients {
		paths = append(paths, c.service(), c.large())
	}
	for _, path := range paths {
		if _, err := p.Create(path, []byte("0"), 0, zk.WorldACL(zk.PermAll)); err != nil {
			return fmt.Errorf("create %s: %w", path, err)
		}
	}
	return nil
}
