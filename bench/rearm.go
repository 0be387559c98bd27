package main

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/go-zookeeper/zk"
)

// rearm measures a reconnect in which nothing changed, of streams on the content and on the children of many nodes: how
// long it takes until the server has all watches again, and what is sent for it.
func (b *bench) rearm() error {
	n := b.plan.recover
	if err := b.tree.grow(n); err != nil {
		return err
	}
	stations := slices.DeleteFunc(b.stations("children", n), func(s *station) bool {
		return !slices.Contains(s.peer.kinds, "data") ||
			b.plan.recoverers != nil && !slices.Contains(b.plan.recoverers, s.peer.name)
	})
	defer func() { endAll(stations) }()
	return b.each("recovery of all kinds", &stations, func(s *station) error {
		defer s.end()
		if err := s.startBehindProxy(b); err != nil {
			return err
		}
		before, err := b.tree.watches()
		if err != nil {
			b.note("the recovery of all kinds was not measured, because the server does not tell its watches")
			return nil
		}
		for _, kind := range []string{"data", "children"} {
			if _, err := s.ask("ok", "open %s %s 0 %d", kind, nodeFormat, n); err != nil {
				return err
			}
		}
		for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			set, err := b.tree.watches()
			if err != nil {
				return err
			}
			if set-before >= 2*n {
				break
			}
			if time.Since(begin) > patience {
				return fmt.Errorf("%d of %d watches are set", set-before, 2*n)
			}
		}
		requests, err := b.tree.received()
		if err != nil {
			return err
		}
		sent, _ := s.proxy.Bytes()
		connections := s.proxy.Accepted() + 1
		s.proxy.Drop()
		begin, end, err := b.quiet(s.proxy, connections, before+2*n)
		if err != nil {
			return err
		}
		sentThen, _ := s.proxy.Bytes()
		requestsThen, err := b.tree.received()
		b.add(rearmTime(n), s.peer, since(begin, end))
		b.add(rearmRequests(n), s.peer, float64(requestsThen-requests))
		b.add(rearmBytes(n), s.peer, float64(sentThen-sent))
		return err
	})
}

// disturb changes one node in a hundred of n: half of them it sets, a quarter it deletes, and a quarter it deletes and makes
// anew. It returns how many these are, and what makes again those that are gone.
func (t *tree) disturb(n int) (changed int, restore func() error, err error) {
	t.tag++
	data := []byte(strconv.FormatInt(t.tag, 10))
	var ops, again []any
	for i := 0; i < n; i += 200 {
		set, other := fmt.Sprintf(nodeFormat, i), fmt.Sprintf(nodeFormat, i+100)
		ops = append(ops, &zk.SetDataRequest{Path: set, Data: data, Version: -1}, &zk.DeleteRequest{Path: other, Version: -1})
		create := &zk.CreateRequest{Path: other, Data: data, Acl: zk.WorldACL(zk.PermAll)}
		if i%400 == 0 {
			ops = append(ops, create)
		} else {
			again = append(again, create)
		}
		changed += 2
	}
	restore = func() error { return t.batches(len(again), func(i int) any { return again[i] }) }
	return changed, restore, t.batches(len(ops), func(i int) any { return ops[i] })
}

func rearmTime(n int) metric {
	return metric{fmt.Sprintf("content and children of %s nodes, %s", thousands(n), nothing), duration}
}

func rearmRequests(n int) metric {
	return metric{fmt.Sprintf("content and children of %s nodes, %s: requests", thousands(n), nothing), count}
}

func rearmBytes(n int) metric {
	return metric{fmt.Sprintf("content and children of %s nodes, %s: bytes sent", thousands(n), nothing), size}
}

func snapshotsPerChange(n int) metric {
	return metric{fmt.Sprintf("recover %s nodes, %s: snapshots per change", thousands(n), some), count}
}
