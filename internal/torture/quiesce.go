package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// quiesce waits until all clients are at rest, or the limit is over, and judges. It returns how long each
// contender took.
func (r *run) quiesce(ctx context.Context, limit time.Duration, round int, props map[*contender]string) (map[*contender]time.Duration, error) {
	for client, d := range r.drivers {
		r.bury(client)
		d.again()
		d.fill()
	}
	begin := time.Now()
	within, cancel := context.WithTimeout(ctx, healLimit)
	defer cancel()
	p, err := dial(within, r.arena.servers())
	if err != nil {
		return nil, fmt.Errorf("no plain client can connect: %w", err)
	}
	defer p.close()
	truth := &reader{conn: p}
	for _, c := range r.arena.clients {
		truth.services = append(truth.services, c.service())
	}
	for c, path := range props {
		truth.props = append(truth.props, path)
		truth.ledgers = append(truth.ledgers, ledgerOf(c, round))
	}

	rest := map[*contender]time.Duration{}
	var t *truthAndSessions
	for again := begin; ; {
		now, err := r.look(ctx, truth)
		switch {
		case err == nil:
			t = now
			busy := false
			for _, c := range r.contenders {
				if r.busy(c, t) {
					delete(rest, c)
					busy = true
				} else if _, known := rest[c]; !known {
					rest[c] = time.Since(begin)
					busy = true // one more look: it may not last
				}
			}
			if !busy {
				return rest, r.judge(p, t)
			}
		case ctx.Err() != nil:
			return nil, ctx.Err()
		default:
			r.arena.log.add("driver", fmt.Sprintf("the truth cannot be read: %v", err))
		}
		if time.Since(begin) > limit && err == nil {
			return rest, r.judge(p, t)
		}
		if time.Since(begin) > limit+healLimit {
			return nil, fmt.Errorf("the truth cannot be read: %w", err)
		}
		if time.Since(again) > time.Second {
			again = time.Now()
			for _, d := range r.drivers {
				d.again()
			}
		}
		_ = pause(ctx, calmPoll)
	}
}

// truthAndSessions is what the servers have, of nodes and of clients.
type truthAndSessions struct {
	*truth
	sessions map[*client][]int64
}

func (r *run) look(ctx context.Context, truth *reader) (*truthAndSessions, error) {
	if err := r.arena.sets.settle(truth.conn); err != nil {
		return nil, err
	}
	t, err := truth.read()
	if err != nil {
		return nil, err
	}
	sessions, err := r.arena.sessions(ctx)
	if err != nil {
		return nil, err
	}
	return &truthAndSessions{t, sessions}, nil
}

// busy reports whether a client of the contender is not at rest.
func (r *run) busy(c *contender, t *truthAndSessions) bool {
	return slices.ContainsFunc(c.clients, func(client *client) bool {
		return client.alive() && len(client.oracle.pending(t.truth, t.sessions[client])) > 0
	})
}

// judge judges all clients, measures what they use, and repairs what would count again.
func (r *run) judge(p *plain, t *truthAndSessions) error {
	r.excuse = none
	if r.stalls.take() > stallLimit {
		r.excuse = stalled
	}
	agrees := r.arena.sets.history.Agrees(t.sets)
	if r.writers.losses.take(t.truth) || !agrees {
		r.excuse = serversLost
	}
	for _, c := range r.contenders {
		c.countWrites(t.truth, r.excuse)
		c.countCalls(t.truth, r.excuse)
	}
	for client, d := range r.drivers {
		if !client.alive() {
			continue
		}
		reopen := client.oracle.judge(t.truth, t.sessions[client], r.excuse)
		for _, s := range reopen {
			d.open(s.verb, s.path)
		}
		d.mend()
		for _, name := range client.oracle.leftovers(t.truth) {
			_ = p.Delete(client.service()+"/"+name, -1)
		}
	}
	if !agrees {
		r.arena.sets.history.Rebase(t.sets)
	}
	for path := range t.props {
		_ = p.Delete(path, -1)
	}
	for path, l := range t.ledgers {
		for _, name := range l.names {
			_ = p.Delete(path+"/"+name, -1)
		}
		_ = p.Delete(path, -1)
	}
	r.measure()
	return nil
}

// listenForUnrest counts the clients that lose connections although nothing is wrong any more: a request that the
// servers do not take must not be sent for ever.
func (r *run) listenForUnrest(ctx context.Context) {
	accepted := func(c *client) (n int64) {
		for _, p := range c.all() {
			n += p.Accepted()
		}
		return n
	}
	before := map[*client]int64{}
	for _, c := range r.arena.clients {
		before[c] = accepted(c)
	}
	if pause(ctx, time.Second) != nil {
		return
	}
	for _, c := range r.arena.clients {
		if n := accepted(c) - before[c]; c.alive() && n > 0 && !r.excuse.covers(restless) {
			c.owner.tally.add(time.Now(), c.name, finding{restless, "connections", fmt.Sprintf("%d more in a second of rest", n)})
		}
	}
}

// countWrites judges whether each update was made once, if it was made at all: a node of properties has as many
// versions as there were updates.
func (c *contender) countWrites(t *truth, e excuse) {
	for path, writes := range t.writes {
		var made, maybe int32
		for _, client := range c.clients {
			certain, open := client.oracle.wrote(path)
			made, maybe = made+certain, maybe+open
		}
		// A node that no client of this contender writes has none.
		if made+maybe > 0 && writes > made+maybe && !e.covers(twice) {
			c.tally.add(t.at, c.name, finding{twice, path,
				fmt.Sprintf("written %d times by %d updates that were made and %d that may have been", writes, made, maybe)})
		}
	}
}

// measure asks all clients what they use.
func (r *run) measure() {
	var wg sync.WaitGroup // waited for here
	var mu sync.Mutex     // guards the samples
	for client := range r.drivers {
		if !client.alive() {
			continue
		}
		wg.Go(func() {
			client.process.send("stats")
			for end := time.Now().Add(statsLimit); client.process.alive(); time.Sleep(5 * time.Millisecond) {
				if use, ok := client.oracle.takeUse(); ok {
					mu.Lock()
					client.owner.samples.add(client.number, use)
					mu.Unlock()
					return
				}
				if time.Now().After(end) {
					client.process.log.add("driver", fmt.Sprintf("no answer to stats in %v", statsLimit))
					client.process.end()
				}
			}
		})
	}
	wg.Wait()
	for client := range r.drivers {
		r.bury(client)
	}
}

// bury counts a client whose process has ended, once.
func (r *run) bury(c *client) {
	if c.gone || c.process.alive() {
		return
	}
	c.gone = true
	c.owner.tally.add(time.Now(), c.name, finding{processDead, "process", c.process.log.tail(15)})
}
