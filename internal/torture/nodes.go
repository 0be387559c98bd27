package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
	"golang.org/x/sync/errgroup"
)

const (
	largeSize = 900_000   // bytes of the large node
	thinRate  = 450_000   // bytes a second: a large node takes the whole session timeout
	mostTaken = 960_000   // bytes, which is jute.maxbuffer of the servers
	tooMuch   = 1_000_000 // bytes: less than a server with the default would take
)

// closables are the nodes that are hidden at times, in their data and their children.
var closables = []string{root + "/h0", root + "/h1"}

// closed lets everybody do everything but read: so whoever closes a node can open it again.
var closed = zk.WorldACL(zk.PermAll &^ zk.PermRead)

// hides reports whether a path is of a node that is hidden at times.
func hides(path string) bool { return strings.HasPrefix(path, root+"/h") }

// closeNodes hides nodes and shows them again, for so long. What changes while a node is hidden has no event, and
// uses up the watches all the same. It also creates nodes that are hidden at first.
func (a *arena) closeNodes(ctx context.Context, last time.Duration, rng *rand.Rand) error {
	within, cancel := context.WithTimeout(ctx, last)
	defer cancel()
	p, err := dial(within, a.servers())
	if err != nil {
		return err
	}
	defer p.close()
	for within.Err() == nil {
		path := closables[rng.IntN(len(closables))]
		a.log.add("fault", "hide "+path)
		if err := a.hide(within, p, path, rng); err != nil {
			return err // openNodes makes good for it
		}
		_ = pause(within, spread(rng, 50*time.Millisecond, 600*time.Millisecond))
	}
	return nil
}

// hide hides a node, changes it, and shows it again.
func (a *arena) hide(ctx context.Context, p *plain, path string, rng *rand.Rand) error {
	child := fmt.Sprintf("%s/n%d", path, rng.IntN(names))
	counter := a.counter.Add(1)
	value := fmt.Appendf(nil, "%s=%d", path[len(root)+1:], counter)
	anew := rng.IntN(3) == 0
	steps := []func() error{
		func() error { _, err := p.SetACL(path, closed, -1); return err },
		func() error { _, err := p.Set(path, value, -1); return err },
	}
	if anew {
		steps = []func() error{
			func() error { return p.removeAll(path) },
			func() error { _, err := p.Create(path, value, 0, closed); return err },
		}
	}
	steps = append(steps,
		func() error {
			if rng.IntN(2) == 0 {
				return nil
			}
			_, err := p.Create(child, []byte("0"), 0, zk.WorldACL(zk.PermAll))
			if errors.Is(err, zk.ErrNodeExists) {
				err = p.Delete(child, -1)
			}
			return err
		},
		func() error { return pause(ctx, spread(rng, 0, 50*time.Millisecond)) },
		func() error { _, err := p.SetACL(path, zk.WorldACL(zk.PermAll), -1); return err },
	)
	for _, step := range steps {
		a.changes.touch(path)
		if err := step(); err != nil {
			return err
		}
	}
	a.changes.touch(path)
	return nil
}

// removeAll deletes a node and its children. That it may not list the children does not matter, as their names are
// known.
func (p *plain) removeAll(path string) error {
	for i := range names {
		if err := p.Delete(fmt.Sprintf("%s/n%d", path, i), -1); err != nil && !errors.Is(err, zk.ErrNoNode) {
			return err
		}
	}
	if err := p.Delete(path, -1); err != nil && !errors.Is(err, zk.ErrNoNode) {
		return err
	}
	return nil
}

// quotaOf is where the limits of a node stand.
func quotaOf(path string) string { return "/zookeeper/quota" + path }

// limit lets no service have more nodes, for so long: who loses its node cannot register again.
func (a *arena) limit(ctx context.Context, last time.Duration) error {
	within, cancel := context.WithTimeout(ctx, last+healLimit)
	defer cancel()
	p, err := dial(within, a.servers())
	if err != nil {
		return err
	}
	defer p.close()
	for _, c := range a.clients {
		if err := p.setQuota(c.service()); err != nil {
			return err
		}
	}
	_ = pause(ctx, last)
	for _, c := range a.clients {
		if err := p.clearQuota(c.service()); err != nil {
			return err
		}
	}
	return nil
}

// setQuota lets a node have no descendants but those that it has.
func (p *plain) setQuota(path string) error {
	for at := len("/zookeeper/quota/"); at < len(quotaOf(path)); at++ {
		if quotaOf(path)[at] == '/' {
			if err := p.ensure(quotaOf(path)[:at], nil); err != nil {
				return err
			}
		}
	}
	if err := p.ensure(quotaOf(path), nil); err != nil {
		return err
	}
	const limits = "count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=1"
	if err := p.ensure(quotaOf(path)+"/zookeeper_limits", []byte(limits)); err != nil {
		return err
	}
	return p.ensure(quotaOf(path)+"/zookeeper_stats", []byte("count=0,bytes=0"))
}

func (p *plain) clearQuota(path string) error {
	for _, name := range []string{"/zookeeper_limits", "/zookeeper_stats", ""} {
		if err := p.Delete(quotaOf(path)+name, -1); err != nil && !errors.Is(err, zk.ErrNoNode) {
			return err
		}
	}
	return nil
}

// ensure creates a node, if it is missing.
func (p *plain) ensure(path string, data []byte) error {
	_, err := p.Create(path, data, 0, zk.WorldACL(zk.PermAll))
	if errors.Is(err, zk.ErrNodeExists) {
		return nil
	}
	return err
}

// openNodes takes back what closeNodes and limit may have left: they need servers, which may have been away.
func (a *arena) openNodes(ctx context.Context) error {
	p, err := dial(ctx, a.servers())
	if err != nil {
		return err
	}
	defer p.close()
	for _, path := range closables {
		if err := p.ensure(path, []byte("0")); err != nil {
			return fmt.Errorf("create %s: %w", path, err)
		}
		if _, err := p.SetACL(path, zk.WorldACL(zk.PermAll), -1); err != nil {
			return fmt.Errorf("open %s: %w", path, err)
		}
	}
	for _, c := range a.clients {
		if err := p.clearQuota(c.service()); err != nil {
			return fmt.Errorf("quota of %s: %w", c.service(), err)
		}
	}
	return nil
}

// ask has all clients make a write that is too large for the servers, and waits until they have said how it went.
func (a *arena) ask(ctx context.Context) error {
	var g errgroup.Group // waited for here
	for _, c := range a.clients {
		if !c.alive() || !c.owner.tally.can("large") {
			continue
		}
		g.Go(func() error {
			id := fmt.Sprintf("l%d", a.counter.Add(1))
			c.oracle.large(id, a.calm)
			c.process.send("large %s %s %d", id, c.large(), tooMuch)
			for end := time.Now().Add(updateLimit + slack); time.Now().Before(end) && c.alive() && !c.oracle.answered(id); {
				if err := pause(ctx, 50*time.Millisecond); err != nil {
					return nil
				}
			}
			return nil
		})
	}
	return g.Wait()
}
