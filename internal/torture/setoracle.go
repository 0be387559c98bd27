package main

import (
	"time"

	"github.com/zkstream/zkstream/internal/history"
)

// setFailures are what the faults of a stream of a set count as.
var setFailures = map[history.Fault]failure{history.Back: back, history.Incomplete: incomplete, history.Mixed: mixed}

// takeSet takes a snapshot of a set. It is judged when it is known what there was: until then a writer may be waiting
// for the answer to a change that others have seen already.
func (s *stream) takeSet(now time.Time, nodes []history.Node) {
	s.heard = append(s.heard, history.Snapshot{At: now, Nodes: nodes})
}

// judgeSet says what was wrong with the snapshots of a set that were heard since the last time.
func (s *stream) judgeSet(id string, h *history.History) (found []finding) {
	s.set.History, s.set.Root = h, s.path
	if s.verb == "instances" {
		s.set.Depth = 1
	}
	for _, snapshot := range s.heard {
		for _, w := range s.set.Take(snapshot) {
			found = append(found, finding{setFailures[w.Fault], id + " " + w.Path, w.Text + ": " + listSet(snapshot.Nodes)})
		}
	}
	s.heard = nil
	return found
}

// forgetSet forgets what was heard of a set, since servers have lost what they had.
func (s *stream) forgetSet() {
	s.heard = nil
	s.set.Forget()
}
