package main

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"
)

// recheckEnv turns zkstream's rechecks off in a contender.
const recheckEnv = "ZKSTREAM_BENCH_NO_RECHECK"

// recheckPathBytes is what one path of the nodes takes in the request that sets watches again: its length, and itself.
const recheckPathBytes = 4 + len(root+"/nodes/00000000")

// recheckBytes is what such a request takes besides: its length, header and zxid, and the lengths of three lists. A ping takes less.
const recheckBytes = 4 + 8 + 8 + 3*4

// recheck measures what zkstream's rechecks of quiet nodes cost: the paths that it asks about, and the server's processor
// time for a round, against as long a time without rechecks. It takes some minutes, and is done in the first round only.
func (b *bench) recheck() error {
	n := b.plan.recheck
	if b.round > 0 || n == 0 {
		return nil
	}
	if b.serverCPU == nil {
		b.note("rechecks were not measured, because the server is not one of this program's")
		return nil
	}
	if err := b.tree.grow(n); err != nil {
		return err
	}
	tag, err := b.tree.fill(0, n)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(b.peers, func(p *peer) bool { return p.name == "zkstream" })
	without, err := b.watchQuietly(&station{peer: b.peers[i]}, n, tag, recheckEnv+"=1")
	if err != nil {
		return err
	}
	with, err := b.watchQuietly(&station{peer: b.peers[i]}, n, tag)
	if err != nil {
		return err
	}
	b.add(recheckRate(n), b.peers[i], math.Floor(with.paths))
	b.add(recheckSnapshots(n), b.peers[i], with.snapshots)
	b.add(recheckCPU(n), b.peers[i], max(0, with.cpu-without.cpu))
	return nil
}

// quietWatch is what streams cost while nothing changes.
type quietWatch struct {
	paths     float64 // asked about, a second, in the busiest five seconds
	snapshots float64 // delivered
	cpu       float64 // of the server, in nanoseconds
}

// watchQuietly has streams on n nodes watch while nothing happens, for as long as a round of rechecks takes at 256
// paths a second, which is what zkstream promises to keep below.
func (b *bench) watchQuietly(s *station, n int, tag int64, env ...string) (q quietWatch, err error) {
	defer s.end()
	if err := s.startBehindProxy(b, env...); err != nil {
		return q, err
	}
	if _, err := s.ask("ok", "open data %s 0 %d", nodeFormat, n); err != nil {
		return q, err
	}
	if _, err := s.await(tag); err != nil {
		return q, err
	}
	time.Sleep(time.Second)
	snapshots, err := s.snapshots()
	if err != nil {
		return q, err
	}
	cpu, err := b.serverCPU()
	if err != nil {
		return q, err
	}
	last, _ := s.proxy.Bytes()
	asked, err := b.tree.received()
	if err != nil {
		return q, err
	}
	length := time.Duration(float64(n) / 256 * float64(time.Second))
	for begin := time.Now(); time.Since(begin) < length; {
		b.progress(fmt.Sprintf("rechecks: %v of %v", time.Since(begin).Round(time.Second), length))
		const window = 5 * time.Second
		time.Sleep(window)
		now, _ := s.proxy.Bytes()
		requests, err := b.tree.received()
		if err != nil {
			return q, err
		}
		inPaths := now - last - int64(recheckBytes*(requests-asked))
		q.paths = max(q.paths, float64(inPaths)/float64(recheckPathBytes)/window.Seconds())
		last, asked = now, requests
	}
	cpuAfter, err := b.serverCPU()
	if err != nil {
		return q, err
	}
	later, err := s.snapshots()
	q.snapshots, q.cpu = later-snapshots, cpuAfter-cpu
	return q, err
}

// processorTime returns the processor time of a process so far, in nanoseconds, and that of its threads that have ended.
// See proc_pid_stat(5).
func processorTime(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, fields, _ := strings.Cut(string(text), ") ")
	words := strings.Fields(fields)
	if len(words) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: %q", pid, text)
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 on all of Linux's machines that Go runs on
	return float64(number(words[11])+number(words[12])) * float64(tick), nil
}

func recheckRate(n int) metric {
	return metric{fmt.Sprintf("recheck of %s quiet nodes: paths a second, at most", thousands(n)), count}
}

func recheckCPU(n int) metric {
	return metric{fmt.Sprintf("recheck of %s quiet nodes: the server's processor time for a round", thousands(n)), duration}
}

func recheckSnapshots(n int) metric {
	return metric{fmt.Sprintf("recheck of %s quiet nodes: snapshots", thousands(n)), count}
}
