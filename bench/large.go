package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strconv"

	"github.com/go-zookeeper/zk"
)

const (
	largeFormat = root + "/large/%08d"
	largeSize   = 200_000
)

// large measures streams on large nodes: opening them, and the most memory that it takes.
func (b *bench) large() error {
	n := b.plan.large
	if _, ok := b.tree.planted["large"]; !ok {
		l := leaves{top: root + "/large", n: n, flat: true}
		if err := b.tree.create(l.top, ""); err != nil {
			return err
		}
		b.tree.planted["large"] = l
		content := append([]byte("1"), bytes.Repeat([]byte(" "), largeSize-1)...)
		err := parallel(n, func(i int) error {
			_, err := b.tree.conn.Create(l.path(i), content, 0, zk.WorldACL(zk.PermAll))
			return err
		})
		if err != nil {
			return err
		}
	}
	stations := b.stations("data", n)
	defer func() { endAll(stations) }()
	return b.each("large nodes", &stations, func(s *station) error {
		defer s.end()
		if err := s.start(b.tree.servers, longTimeout); err != nil {
			return err
		}
		began, err := s.ask("ok", "open data %s 0 %d", largeFormat, n)
		if err != nil {
			return err
		}
		at, err := s.await(1)
		if err != nil {
			return err
		}
		b.add(largeOpen(n), s.peer, float64(at)-began[0])
		if peak, ok := s.peak(); ok {
			b.add(largePeak(n), s.peer, peak)
		} else {
			b.note("the peak of memory is told by Linux only")
		}
		return nil
	})
}

var peakLine = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB`)

// peak returns the most memory in bytes that the process has had, where the system tells it. See proc_pid_status(5).
func (c *child) peak() (float64, bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		return 0, false
	}
	found := peakLine.FindSubmatch(text)
	if found == nil {
		return 0, false
	}
	n, err := strconv.Atoi(string(found[1]))
	return float64(n) * 1024, err == nil
}

func largeOpen(n int) metric {
	return metric{fmt.Sprintf("open %s nodes of 200 KB", thousands(n)), duration}
}

func largePeak(n int) metric {
	return metric{fmt.Sprintf("open %s nodes of 200 KB: memory at the peak", thousands(n)), size}
}
