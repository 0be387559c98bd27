package main

import (
	"sync"
	"time"
)

// stallLimit is how long the machine may stand still in a round that is judged. Beyond that, what looks like a
// broken client or server may be one that did not get its turn.
const stallLimit = 500 * time.Millisecond

// stalls measures how long this process waits for its turn.
type stalls struct {
	quit    chan struct{}
	running sync.WaitGroup

	mu    sync.Mutex // guards what follows
	worst time.Duration
}

// watchStalls begins to measure; the caller must call end.
func watchStalls() *stalls {
	s := &stalls{quit: make(chan struct{})}
	s.running.Go(s.watch) // until end, which waits for it
	return s
}

func (s *stalls) watch() {
	const beat = 20 * time.Millisecond
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	for last := time.Now(); ; {
		select {
		case <-ticker.C:
		case <-s.quit:
			return
		}
		now := time.Now()
		s.mu.Lock()
		s.worst = max(s.worst, now.Sub(last)-beat)
		s.mu.Unlock()
		last = now
	}
}

// take returns the longest wait since the last call.
func (s *stalls) take() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	worst := s.worst
	s.worst = 0
	return worst
}

func (s *stalls) end() {
	close(s.quit)
	s.running.Wait()
}
