package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/zkstream/zkstream/internal/ensemble"
	"golang.org/x/sync/errgroup"
)

// healLimit is how long the servers may take to serve, when all is healed.
const healLimit = time.Minute

// inject makes a round's faults happen, each at its time, and returns when all are over those that have
// happened as they should. Errors of the servers are logged: what matters is that heal brings them back.
func (a *arena) inject(ctx context.Context, r round) (injected []kind) {
	var mu sync.Mutex    // guards injected
	var g errgroup.Group // waited for here
	begin := time.Now()
	for i, fault := range r.faults {
		g.Go(func() error {
			if pause(ctx, time.Until(begin.Add(fault.at))) != nil {
				return nil
			}
			a.log.add("fault", fault.String())
			rng := rand.New(rand.NewPCG(r.seed, uint64(i)))
			if err := a.one(ctx, fault, rng); err != nil {
				a.log.add("fault", fmt.Sprintf("%v: %v", fault, err))
			} else {
				mu.Lock()
				injected = append(injected, fault.kind)
				mu.Unlock()
			}
			a.log.add("fault", fault.String()+" is over")
			return nil
		})
	}
	_ = g.Wait()
	return injected
}

// one makes one fault happen and undoes it.
func (a *arena) one(ctx context.Context, fault fault, rng *rand.Rand) error {
	switch fault.kind {
	case killFollower, killLeader:
		return a.down(ctx, fault.last, a.choose(ctx, fault))
	case stopFollower, stopLeader:
		s := a.choose(ctx, fault)
		a.log.add("fault", "SIGSTOP to "+s.String())
		err := s.Stop()
		_ = pause(ctx, fault.last)
		return errors.Join(err, s.Continue())
	case noQuorum:
		all := a.ensemble.Servers()
		return a.down(ctx, fault.last, all[fault.pick], all[(fault.pick+1)%len(all)])
	case rolling:
		for _, s := range a.ensemble.Servers() {
			if err := a.restart(ctx, s); err != nil {
				return err
			}
		}
		return nil
	case silent, nameless, thinLine:
		return nil // begun with the round, and it lasts longer than this
	case frozen:
		return a.freeze(ctx, fault)
	case closedNode:
		return a.closeNodes(ctx, fault.last, rng)
	case quota:
		return a.limit(ctx, fault.last)
	case tooLarge:
		return a.ask(ctx)
	}

	proxies := a.hit(fault)
	switch fault.kind {
	case cut, cutServer, expiry:
		each(proxies, (*ensemble.Proxy).Cut)
	case halfOpen:
		each(proxies, (*ensemble.Proxy).Hold)
	case hang:
		each(proxies, (*ensemble.Proxy).Hang)
	case slow:
		late := spread(rng, 20*time.Millisecond, 250*time.Millisecond)
		each(proxies, func(p *ensemble.Proxy) { p.Delay(late) })
	case handshake:
		each(proxies, func(p *ensemble.Proxy) { p.CloseHandshakes(true); p.Drop() })
	case flap:
		for end := time.Now().Add(fault.last); time.Now().Before(end); {
			each(proxies, (*ensemble.Proxy).Drop)
			if pause(ctx, spread(rng, 20*time.Millisecond, 500*time.Millisecond)) != nil {
				return nil
			}
		}
		return nil
	}
	_ = pause(ctx, fault.last)
	each(proxies, func(p *ensemble.Proxy) { p.Delay(0); p.Heal() })
	return nil
}

// down kills servers, and starts them again.
func (a *arena) down(ctx context.Context, last time.Duration, servers ...*ensemble.Server) error {
	for _, s := range servers {
		a.log.add("fault", "SIGKILL to "+s.String())
		if err := s.Kill(); err != nil {
			return err
		}
	}
	_ = pause(ctx, last)
	for _, s := range servers {
		if err := s.StartProcess(); err != nil {
			return err
		}
	}
	return nil
}

func (a *arena) restart(ctx context.Context, s *ensemble.Server) error {
	a.log.add("fault", "restart of "+s.String())
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return s.Restart(ctx)
}

// choose returns the server that a fault is for. While nobody leads, any will do.
func (a *arena) choose(ctx context.Context, fault fault) *ensemble.Server {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	all := a.ensemble.Servers()
	leader, err := a.ensemble.Leader(ctx)
	switch {
	case err != nil:
		return all[fault.pick%len(all)]
	case fault.kind == killLeader || fault.kind == stopLeader:
		return leader
	}
	if s := all[fault.pick%len(all)]; s != leader {
		return s
	}
	return all[(fault.pick+1)%len(all)]
}

// targets returns the clients that a fault of the network is for.
func (a *arena) targets(fault fault) (clients []*client) {
	for _, c := range a.clients {
		if !fault.odd || c.number%2 == 0 {
			clients = append(clients, c)
		}
	}
	return clients
}

// hit returns the proxies that a fault of the network is for.
func (a *arena) hit(fault fault) (proxies []*ensemble.Proxy) {
	for _, c := range a.targets(fault) {
		if fault.kind == cutServer {
			proxies = append(proxies, c.proxies[fault.pick%len(c.proxies)])
			continue
		}
		proxies = append(proxies, c.proxies...)
		if !a.quiet { // else it hangs already
			proxies = append(proxies, c.silent)
		}
	}
	return proxies
}

// begin begins the faults that last as long as the round and its calm.
func (a *arena) begin(r round) {
	a.quieten(r.has(silent))
	a.calm = !slices.ContainsFunc(r.faults, func(f fault) bool { return !slices.Contains(nodeFaults, f.kind) })
	mode := "answer"
	for _, f := range r.faults {
		if f.kind == nameless {
			mode = []string{"fail", "silent"}[f.pick]
		}
	}
	rate := 0
	if r.has(thinLine) {
		rate = thinRate
	}
	for _, c := range a.clients {
		each(c.all(), func(p *ensemble.Proxy) { p.Throttle(rate) })
		if c.alive() && c.owner.tally.can("names") && c.names != mode {
			c.names = mode
			c.process.send("names %s", mode)
		}
	}
}

// quieten sets whether the one more server answers.
func (a *arena) quieten(on bool) {
	a.quiet = on
	for _, c := range a.clients {
		if on {
			c.silent.Hang()
		} else {
			c.silent.Heal()
		}
	}
}

// freeze has clients stand still.
func (a *arena) freeze(ctx context.Context, fault fault) error {
	var g errgroup.Group // waited for here
	for _, c := range a.targets(fault) {
		if c.alive() {
			g.Go(func() error { return c.freeze(ctx, fault.last) })
		}
	}
	return g.Wait()
}

// heal undoes all that may be left, but for what lasts through the calm, and waits for the servers.
func (a *arena) heal(ctx context.Context, r round) error {
	for _, c := range a.clients {
		each(c.proxies, func(p *ensemble.Proxy) { p.Delay(0); p.Heal() })
		c.silent.Delay(0)
	}
	a.begin(r)
	for attempt := 1; ; attempt++ {
		for _, s := range a.ensemble.Servers() {
			if !s.Running() {
				if err := s.StartProcess(); err != nil {
					return err
				}
			} else if err := s.Continue(); err != nil {
				a.log.add("driver", err.Error())
			}
		}
		within, cancel := context.WithTimeout(ctx, healLimit)
		err := a.ensemble.WaitServing(within)
		if err == nil {
			err = a.openNodes(within)
		}
		cancel()
		if err == nil || attempt == 3 || ctx.Err() != nil {
			return err
		}
		a.log.add("driver", fmt.Sprintf("the servers do not come back, and are restarted: %v", err))
		for _, s := range a.ensemble.Servers() {
			if err := s.Kill(); err != nil {
				return err
			}
		}
	}
}

func each(proxies []*ensemble.Proxy, do func(*ensemble.Proxy)) {
	for _, p := range proxies {
		do(p)
	}
}

// pause waits, and returns an error if ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
