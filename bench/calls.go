package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/zkstream/zkstream"
)

// A caller makes plain calls, one at a time or many at once.
type caller interface {
	call(op, path string) error
}

// callOps are the calls that are compared, and what go-zookeeper's are named.
var callOps = []string{"Get", "List", "Write"}

const callBlocks = 10 // in which the contenders take turns, per round

var callContent = []byte("20 bytes of content.")

func callTime(op string, width int) metric {
	if width == 1 {
		return metric{op + ", one call at a time: per call", duration}
	}
	return metric{fmt.Sprintf("%s, %d calls at once: per call", op, width), duration}
}

// calls measures the client's calls against go-zookeeper's.
func (b *bench) calls() error {
	node, err := b.tree.single("data", "calls")
	if err != nil {
		return err
	}
	peers, processes, err := b.pair()
	defer endChildren(processes)
	if err != nil {
		return err
	}
	for _, op := range callOps {
		for _, width := range []int{1, inFlight} {
			took := make([]float64, len(peers))
			for block := range callBlocks + 1 { // the first is to warm up
				for i := range peers {
					i = (i + block) % len(peers)
					v, err := processes[i].ask("took", "calls %s %s %d %d", op, node.path, b.plan.calls, width)
					if err != nil {
						return err
					}
					if block > 0 {
						took[i] += v[0]
					}
				}
			}
			for i, p := range peers {
				b.add(callTime(op, width), p, took[i]/float64(callBlocks*b.plan.calls))
			}
		}
	}
	return nil
}

// pair starts the two contenders that make plain requests, zkstream and go-zookeeper. The caller ends their processes, also
// if there is an error.
func (b *bench) pair() (peers []*peer, processes []*child, err error) {
	for _, p := range b.peers {
		if p.name != "zkstream" && p.name != "floor" {
			continue
		}
		c, err := p.begin(b.tree.servers, longTimeout)
		if err != nil {
			return peers, processes, err
		}
		peers, processes = append(peers, p), append(processes, c)
	}
	return peers, processes, nil
}

func endChildren(processes []*child) {
	for _, c := range processes {
		c.end()
	}
}

// makeCalls returns how long n calls take, width at once.
func makeCalls(lib library, op, path string, n, width int) (time.Duration, error) {
	c, ok := lib.(caller)
	if !ok {
		return 0, errors.New("this contender makes no calls")
	}
	begin := time.Now()
	err := parallelBy(n, width, func(int) error { return c.call(op, path) })
	return time.Since(begin), err
}

func (z *zkstreamLib) call(op, path string) (err error) {
	switch op {
	case "Get":
		_, err = z.client.Get(z.ctx, path)
	case "List":
		_, err = z.client.List(z.ctx, path)
	case "Write":
		_, err = z.client.Write(z.ctx, path, callContent, zkstream.AnyVersion)
	}
	return err
}

func (f *floor) call(op, path string) (err error) {
	switch op {
	case "Get":
		_, _, err = f.conn.Get(path)
	case "List":
		_, _, err = f.conn.Children(path)
	case "Write":
		_, err = f.conn.Set(path, callContent, -1)
	}
	return err
}
