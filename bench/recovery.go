package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/zkstream/zkstream/internal/ensemble"
)

// What contenders recover from.
const (
	nothing    = "reconnect, nothing changed"
	some       = "reconnect, 1 % changed, deleted or made anew"
	everything = "reconnect, everything changed"
	expired    = "session expired"
)

// recovery measures how long contenders take, once they are connected again, to have all of their nodes
// watched: after a reconnect in which nothing changed, one in which everything did, and the expiry of
// the session. Each is alone then, so that the server's watches are its own, and behind a proxy.
func (b *bench) recovery() error {
	n := b.plan.recover
	if err := b.tree.grow(n); err != nil {
		return err
	}
	stations := slices.DeleteFunc(b.stations("data", n), func(s *station) bool {
		return b.plan.recoverers != nil && !slices.Contains(b.plan.recoverers, s.peer.name)
	})
	defer func() { endAll(stations) }()
	err := b.each("recovery", &stations, func(s *station) error {
		defer s.end()
		return b.recover(s, n)
	})
	if err != nil {
		return err
	}

	floor := &station{peer: b.floor()}
	defer floor.end()
	if err := floor.startBehindProxy(b); err != nil {
		return err
	}
	for _, op := range []struct{ name, title string }{{"exists", "Exists"}, {"get", "Get"}, {"getw", "GetW"}} {
		b.progress("recovery: no watching, " + op.title)
		took, err := floor.pipeline(op.name, nodeFormat, 0, n)
		if err != nil {
			return err
		}
		b.add(pipelinedRecovery(op.title, n), floor.peer, took)
	}
	return nil
}

// recover measures one contender.
func (b *bench) recover(s *station, n int) error {
	tag, err := b.tree.fill(0, n)
	if err != nil {
		return err
	}
	if err := s.startBehindProxy(b); err != nil {
		return err
	}
	before, err := b.settledWatches() // 0 where the server does not tell
	if err != nil {
		return err
	}
	if _, err := s.ask("ok", "open data %s 0 %d", nodeFormat, n); err != nil {
		return err
	}
	if _, err := s.await(tag); err != nil {
		return err
	}
	want, err := b.settledWatches() // others than the contender's are there only on servers of the user's
	if err != nil {
		return err
	}
	if want-before < n {
		b.note("recovery is taken for complete without a look at the server's watches, which it does not tell")
	}

	doing := func(what string) { b.progress("recovery: " + s.peer.title + ": " + what) }
	doing(nothing)
	if err := b.watchedAgain(s, nothing, want, s.proxy.Drop); err != nil {
		return err
	}

	doing(some)
	s.proxy.Cut()
	changed, restore, err := b.tree.disturb(n)
	if err != nil {
		return err
	}
	snapshots, err := s.snapshots()
	if err != nil {
		return err
	}
	if err := b.watchedAgain(s, some, want, s.proxy.Heal); err != nil {
		return err
	}
	later, err := s.snapshots()
	if err != nil {
		return err
	}
	if s.peer.name == "zkstream" {
		b.add(snapshotsPerChange(n), s.peer, (later-snapshots)/float64(changed))
	}
	if err := restore(); err != nil {
		return err
	}

	doing(everything)
	s.proxy.Cut()
	if tag, err = b.tree.fill(0, n); err != nil {
		return err
	}
	connections := s.proxy.Accepted() + 1
	s.proxy.Heal()
	begin, _, err := b.quiet(s.proxy, connections, 0)
	if err != nil {
		return err
	}
	at, err := s.await(tag)
	if err != nil {
		return err
	}
	b.add(recovery(everything, n), s.peer, since(begin, at))

	doing(expired)
	s.proxy.Cut()
	time.Sleep(b.plan.timeout*3/2 + time.Second) // servers look for expired sessions once a tick
	return b.watchedAgain(s, expired, want, s.proxy.Heal)
}

func (s *station) startBehindProxy(b *bench, env ...string) (err error) {
	server, _, _ := strings.Cut(b.tree.servers, ",")
	if s.proxy, err = ensemble.NewProxy(server); err != nil {
		return err
	}
	return s.start(s.proxy.Addr(), b.plan.timeout, env...)
}

// watchedAgain has a contender connect again, and measures how long it takes from its last new connection until
// the server has that many watches.
func (b *bench) watchedAgain(s *station, what string, watches int, reconnect func()) error {
	connections := s.proxy.Accepted() + 1
	reconnect()
	begin, end, err := b.quiet(s.proxy, connections, watches)
	if err == nil {
		b.add(recovery(what, b.plan.recover), s.peer, since(begin, end))
	}
	return err
}

// quiet waits until so many connections have been made through the proxy, until the server has that many
// watches, and until nothing but pings comes any more. It returns when the last connection was accepted and
// when the last bytes came.
func (b *bench) quiet(p *ensemble.Proxy, connections int64, watches int) (begin, end int64, err error) {
	const (
		silent             = 300 * time.Millisecond
		pingSize, pongSize = 12, 20 // bytes
	)
	pings, accepted, start := 0, connections-1, time.Now()
	sentBefore, gotBefore := p.Bytes()
	for {
		time.Sleep(time.Millisecond)
		now := time.Now().UnixNano()
		if a := p.Accepted(); a > accepted {
			accepted, begin, end = a, now, now
		}
		sentNow, gotNow := p.Bytes()
		sent, got := sentNow-sentBefore, gotNow-gotBefore
		sentBefore, gotBefore = sentNow, gotNow
		if sent == pingSize {
			pings++
			sent = 0
		}
		if got == pongSize && pings > 0 {
			pings--
			got = 0
		}
		if sent > 0 || got > 0 {
			end = now
		}
		switch {
		case begin == 0 && time.Since(start) > patience:
			return 0, 0, fmt.Errorf("%d connections, want %d", p.Accepted(), connections)
		case begin == 0 || now-end < silent.Nanoseconds():
			continue
		}
		set, err := b.tree.watches()
		if err != nil || set >= watches {
			return begin, end, nil
		}
		if time.Duration(now-end) > patience {
			return 0, 0, fmt.Errorf("%d of %d nodes are not watched again", watches-set, b.plan.recover)
		}
	}
}
