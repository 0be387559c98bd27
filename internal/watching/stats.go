package watching

import (
	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// Stats are numbers about what is watched, by kind: see zkstream.Stats.
type Stats struct {
	Watches            [zkconn.Kinds]WatchStats
	Streams            int
	Snapshots, Skipped int64
	Reads              [zkconn.Kinds]int64
	Events             EventStats
}

// WatchStats are the watches of one kind: see zkstream.WatchStats.
type WatchStats struct{ Current, Stale, Failing, Parked int }

// EventStats are counts of events, by their type.
type EventStats struct{ Created, Deleted, DataChanged, ChildrenChanged int64 }

func (s *EventStats) add(t zk.EventType) {
	switch t {
	case zk.EventNodeCreated:
		s.Created++
	case zk.EventNodeDeleted:
		s.Deleted++
	case zk.EventNodeDataChanged:
		s.DataChanged++
	case zk.EventNodeChildrenChanged:
		s.ChildrenChanged++
	}
}

// counts is what a Supervisor counts for Stats, guarded by its mu.
type counts struct {
	watches            [zkconn.Kinds][watchStates]int // by kind and state
	streams            int                            // without those of registrations
	snapshots, skipped int64                          // of these streams
	reads              [zkconn.Kinds]int64            // of nodes
	events             EventStats
}

// stream counts n streams on watches of that kind in, or out where n is negative.
func (c *counts) stream(k kind, n int) {
	if k != kindStat { // which are of registrations
		c.streams += n
	}
}

// Published counts a snapshot that a stream of the user's was given. It is called while Put is.
func (s *Supervisor) Published(skipped bool) {
	s.counts.snapshots++
	if skipped {
		s.counts.skipped++
	}
}

// Stats returns numbers as they are now.
func (s *Supervisor) Stats() Stats {
	s.mu.Lock()
	c := s.counts
	s.mu.Unlock()
	stats := Stats{Streams: c.streams, Snapshots: c.snapshots, Skipped: c.skipped, Reads: c.reads, Events: c.events}
	for k, n := range c.watches {
		stats.Watches[k] = WatchStats{
			Current: n[armed],
			Stale:   n[stale] + n[asked] + n[refired] + n[arming],
			Failing: n[resting],
			Parked:  n[parked],
		}
	}
	return stats
}
