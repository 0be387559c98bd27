package main

import (
	"fmt"
	"time"
)

// distinct measures one stream on each of n nodes: opening them, what they take at rest, and a storm in
// which all of them change. One contender runs at a time.
func (b *bench) distinct(kind string, n int) error {
	work := fmt.Sprintf("%s nodes, %s", thousands(n), kind)
	b.progress(work)
	if err := b.tree.grow(n); err != nil {
		return err
	}
	stations := b.stations(kind, n)
	defer func() { endAll(stations) }()
	err := b.each(work, &stations, func(s *station) error {
		defer s.end()
		if err := b.openAll(s, kind, n); err != nil {
			return err
		}
		if kind == "data" {
			return b.storm(s, n)
		}
		return nil
	})
	if err != nil || kind != "data" {
		return err
	}
	b.progress(work + ": no watching")
	return b.bareRequests(n)
}

func (b *bench) openAll(s *station, kind string, n int) error {
	tag, err := b.tree.fill(0, n)
	if err != nil {
		return err
	}
	if kind == "children" {
		tag = 0 // the nodes have none
	}
	if err := s.start(b.tree.servers, longTimeout); err != nil {
		return err
	}
	before, _, err := s.mem()
	if err != nil {
		return err
	}
	began, err := s.ask("ok", "open %s %s 0 %d", kind, nodeFormat, n)
	if err != nil {
		return err
	}
	at, err := s.await(tag)
	if err != nil {
		return err
	}
	after, goroutines, err := s.mem()
	b.add(openTime(kind, n), s.peer, float64(at)-began[0])
	b.add(openBytes(kind, n), s.peer, (after-before)/float64(n))
	b.add(openGoroutines(kind, n), s.peer, goroutines)
	return err
}

func (b *bench) storm(s *station, n int) error {
	before, err := s.cpu()
	if err != nil {
		return err
	}
	tag, begin, end, err := b.tree.storm(0, n)
	if err != nil {
		return err
	}
	at, err := s.await(tag)
	if err != nil {
		return err
	}
	after, err := s.cpu()
	b.add(stormTime(n), s.peer, since(begin, at))
	b.add(stormTail(n), s.peer, max(0, since(end, at))/since(begin, end))
	b.add(stormCPU(n), s.peer, (after-before)/float64(n))
	if err != nil {
		return err
	}
	begin = time.Now().UnixNano()
	if tag, err = b.tree.fill(0, n); err != nil {
		return err
	}
	at, err = s.await(tag)
	b.add(batchStormTime(n), s.peer, since(begin, at))
	return err
}

// bareRequests measures what the same takes without streams.
func (b *bench) bareRequests(n int) error {
	floor := b.floor()
	for _, op := range []string{"get", "getw"} {
		c, err := floor.begin(b.tree.servers, longTimeout)
		if err != nil {
			return err
		}
		defer c.end()
		before, _, err := c.mem()
		if err != nil {
			return err
		}
		took, err := c.pipeline(op, nodeFormat, 0, n)
		if err != nil {
			return err
		}
		after, _, err := c.mem()
		if err != nil {
			return err
		}
		if op == "get" {
			b.add(openTime("data", n), floor, took)
		} else {
			b.add(pipelined("GetW", n), floor, took)
			b.add(openBytes("data", n), floor, (after-before)/float64(n)) // of watches that nobody waits for
		}
		c.end()
	}
	_, begin, end, err := b.tree.storm(0, n)
	b.add(stormTime(n), floor, since(begin, end))
	return err
}
