package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

const longTimeout = 30 * time.Second // of sessions that are not to expire

// onOne starts a process for each contender that can watch the kind, each with a node of its own.
func (b *bench) onOne(work, kind string) (stations []*station, err error) {
	stations = b.stations(kind, 1)
	err = b.each(work, &stations, func(s *station) (err error) {
		if s.node, err = b.tree.single(kind, s.peer.name); err != nil {
			return err
		}
		return s.start(b.tree.servers, longTimeout)
	})
	return stations, err
}

// grow has n streams watch the station's node.
func (s *station) grow(n int) error {
	if _, err := s.ask("ok", "share %s %s %d", s.node.kind, s.node.path, n-s.have); err != nil {
		return err
	}
	s.have, s.times, s.calls = n, nil, 0
	_, err := s.await(s.node.current)
	return err
}

// change changes the station's node and returns how long it took until the last delivery.
func (s *station) change() (float64, error) {
	tag, begin, err := s.node.change()
	if err != nil {
		return 0, err
	}
	at, err := s.await(tag)
	return since(begin, at), err
}

// oneNode measures streams on one node, 1 and more: the time from a write to the last delivery, and the
// requests and the processor time that it takes. Contenders take turns at each single write.
func (b *bench) oneNode(kind string, sizes []int) error {
	stations, err := b.onOne("one node, "+kind, kind)
	defer func() { endAll(stations) }()
	if err != nil {
		return err
	}
	for _, n := range sizes {
		work := fmt.Sprintf("%d streams on %s of one node", n, kind)
		stations = slices.DeleteFunc(stations, func(s *station) bool {
			if n > s.peer.mostOnOne {
				s.end()
			}
			return n > s.peer.mostOnOne
		})
		if err := b.each(work, &stations, func(s *station) error { return s.grow(n) }); err != nil {
			return err
		}
		if n == 1 {
			if err = b.latency(work, kind, &stations); err == nil {
				err = b.secondStream(work, kind, &stations)
			}
		} else {
			err = b.fanOut(work, kind, n, &stations)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// turns is each in another order each time: in always the same, who comes behind a contender that is heavy on the machine would pay
// for it.
func (b *bench) turns(work string, stations *[]*station, fn func(*station) error) error {
	rand.Shuffle(len(*stations), func(i, k int) { (*stations)[i], (*stations)[k] = (*stations)[k], (*stations)[i] })
	return b.each(work, stations, fn)
}

// latency measures one stream.
func (b *bench) latency(work, kind string, stations *[]*station) error {
	sample := func(s *station) error {
		took, err := s.change()
		s.times = append(s.times, took)
		return err
	}
	for range b.plan.warmUp {
		if err := b.turns(work, stations, sample); err != nil {
			return err
		}
	}
	for range b.plan.latencies {
		if err := b.turns(work, stations, sample); err != nil {
			return err
		}
	}
	for _, s := range *stations {
		b.add(latency(kind), s.peer, median(s.times[b.plan.warmUp:]))
	}
	// Once more, in one go for each, so that nothing else happens to the process meanwhile.
	return b.each(work, stations, func(s *station) error {
		before, err := s.cpu()
		if err != nil {
			return err
		}
		for range b.plan.latencies {
			if _, err := s.change(); err != nil {
				return err
			}
		}
		after, err := s.cpu()
		b.add(cpuPerChange(kind), s.peer, (after-before)/float64(b.plan.latencies))
		return err
	})
}

// fanOut measures several streams.
func (b *bench) fanOut(work, kind string, n int, stations *[]*station) error {
	for range b.plan.changes {
		err := b.turns(work, stations, func(s *station) error {
			time.Sleep(10 * time.Millisecond) // by then what the contender before has left to do is done
			before, err := b.tree.received()
			if err != nil {
				return err
			}
			took, err := s.change()
			if err != nil {
				return err
			}
			after, err := b.tree.received()
			s.times = append(s.times, took)
			s.calls += float64(after - before - 1) // without the write
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, s := range *stations {
		b.add(fanOut(kind, n), s.peer, median(s.times))
		b.add(fanOutRequests(kind, n), s.peer, s.calls/float64(b.plan.changes))
	}
	return nil
}

// secondStream measures one more stream on a node that is watched, opened by code that knows nothing of
// the first.
func (b *bench) secondStream(work, kind string, stations *[]*station) error {
	n := b.plan.second
	return b.each(work+", second", stations, func(s *station) error {
		if s.peer.name == "channels" { // one more channel
			return nil
		}
		node, err := b.tree.single(kind, s.peer.name+"-second")
		if err != nil {
			return err
		}
		before, err := b.tree.received()
		if err != nil {
			return err
		}
		v, err := s.ask("second", "second %s %s %d", kind, node.path, n)
		if err != nil {
			return err
		}
		after, err := b.tree.received()
		b.add(secondTime(kind), s.peer, v[0])
		b.add(secondRequests(kind), s.peer, float64(after-before)/float64(n+1))
		if v[1] >= 0 {
			b.add(secondAllocs(kind), s.peer, v[1])
		}
		return err
	})
}

// decoding measures many streams of properties on one large node.
func (b *bench) decoding() error {
	n := b.plan.decode
	stations, err := b.onOne("decoding", "properties")
	defer func() { endAll(stations) }()
	if err != nil {
		return err
	}
	if err := b.each("decoding", &stations, func(s *station) error { return s.grow(n) }); err != nil {
		return err
	}
	cpu := map[*station]float64{}
	for range b.plan.changes {
		err := b.each("decoding", &stations, func(s *station) error {
			before, err := s.cpu()
			if err != nil {
				return err
			}
			took, err := s.change()
			if err != nil {
				return err
			}
			after, err := s.cpu()
			s.times = append(s.times, took)
			cpu[s] += after - before
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, s := range stations {
		b.add(decodeTime(n), s.peer, median(s.times))
		b.add(decodeCPU(n), s.peer, cpu[s]/float64(b.plan.changes))
	}
	return nil
}
