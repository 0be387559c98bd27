package main

import (
	"errors"
	"fmt"

	"github.com/go-zookeeper/zk"
)

// known is what a writer knows of a node that nobody else writes: how its last acknowledged change left it.
// After a change whose reply was lost it is not sure.
type known struct {
	sure, exists bool
	version      int32
	value        string
}

// losses tells when the servers have lost changes that they had acknowledged. ZooKeeper 3.8 does so at times,
// when servers are killed while they elect (ZOOKEEPER-4643, ZOOKEEPER-4646), and no client can make good for
// it. One writer uses it, and the calm in which none writes.
type losses struct {
	log   *record
	nodes map[string]known
	seen  bool // since take
}

func (l *losses) lost(path, now string) {
	l.seen = true
	l.log.add("driver", fmt.Sprintf("the servers have lost an acknowledged change: %s had %+v, and now %s", path, l.nodes[path], now))
}

// created, changed and deleted take the outcome of a change.
func (l *losses) created(path, value string, err error) {
	was := l.nodes[path]
	switch {
	case err == nil && was.sure && was.exists:
		l.lost(path, "can be created")
	case errors.Is(err, zk.ErrNodeExists) && was.sure && !was.exists:
		l.lost(path, "exists")
	}
	l.nodes[path] = known{sure: err == nil, exists: true, value: value}
}

func (l *losses) changed(path, value string, stat *zk.Stat, err error) {
	was := l.nodes[path]
	switch {
	case errors.Is(err, zk.ErrNoNode):
		l.deleted(path, err)
	case err != nil:
		l.nodes[path] = known{}
	default:
		if was.sure && (!was.exists || stat.Version != was.version+1) {
			l.lost(path, fmt.Sprintf("a change has made version %d of it", stat.Version))
		}
		l.nodes[path] = known{sure: true, exists: true, version: stat.Version, value: value}
	}
}

func (l *losses) deleted(path string, err error) {
	was := l.nodes[path]
	switch {
	case err == nil && was.sure && !was.exists:
		l.lost(path, "can be deleted")
	case errors.Is(err, zk.ErrNoNode) && was.sure && was.exists:
		l.lost(path, "there is none")
	}
	l.nodes[path] = known{sure: err == nil || errors.Is(err, zk.ErrNoNode)}
}

// take compares with the truth, and reports whether anything was lost since the last call.
func (l *losses) take(t *truth) bool {
	for path, k := range l.nodes {
		if now := t.nodes[path]; k.sure && (now.exists != k.exists || now.exists && now.content != k.value) {
			l.lost(path, now.String())
		}
		l.nodes[path] = known{}
	}
	seen := l.seen
	l.seen = false
	return seen
}
