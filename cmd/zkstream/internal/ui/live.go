package ui

import (
	"context"
	"sync"

	"github.com/zkstream/zkstream"
)

// live has the newest of what there is to show.
type live struct {
	mu      sync.Mutex // guards what follows
	now     state
	changed chan struct{} // closed, and replaced, when now changes
}

// A state is what there is to show at one moment. It is immutable.
type state struct {
	seq     uint64 // greater than those before
	tree    zkstream.Tree
	ready   bool // tree has been read
	session zkstream.Session
	err     error // why tree is not followed any more; nil while it is
}

// follow takes what the two streams deliver until they end.
func (l *live) follow(ctx context.Context, sessions *zkstream.Stream[zkstream.Session], trees *zkstream.Stream[zkstream.Tree]) {
	snapshots := trees.C()
	for {
		select {
		case session, open := <-sessions.C():
			if !open {
				return
			}
			l.set(func(now *state) { now.session = session })
		case tree, open := <-snapshots:
			if !open {
				if ctx.Err() != nil {
					return
				}
				snapshots = nil
				l.set(func(now *state) { now.err = trees.Err() })
				continue
			}
			l.set(func(now *state) { now.tree, now.ready = tree, true })
		}
	}
}

func (l *live) set(change func(*state)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.now)
	l.now.seq++
	close(l.changed)
	l.changed = make(chan struct{})
}

// get returns the newest state, and a channel that is closed when there is a newer one.
func (l *live) get() (state, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now, l.changed
}
