package ui

import (
	"testing"
	"time"
)

const (
	MostStreams = mostStreams
	MostShown   = mostShown
)

// WaitForNoStreams waits until no browser has a stream of events any more.
func (s *Server) WaitForNoStreams(t *testing.T, patience time.Duration) {
	t.Helper()
	late := time.After(patience)
	for range cap(s.open) { // when all places can be taken, none is
		select {
		case s.open <- struct{}{}:
		case <-late:
			t.Fatalf("%d streams of events are left", len(s.open))
		}
	}
	for range cap(s.open) {
		<-s.open
	}
}
