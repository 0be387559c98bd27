package main

import (
	"sync"
	"time"
)

// changes knows when each node was last written to, as far as writers tried to. It also counts.
type changes struct {
	mu    sync.Mutex // guards what follows
	last  map[string]time.Time
	made  int // that the server confirmed
	maybe int // whose reply was lost
}

func newChanges() *changes { return &changes{last: map[string]time.Time{}} }

// inFlight is how long a change may take to arrive as a snapshot, for it to explain one.
const inFlight = 5 * time.Second

// touch notes that paths are, or may have been, changed now.
func (c *changes) touch(paths ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, path := range paths {
		c.last[path] = time.Now()
	}
}

// sinceBefore reports whether a path may have changed between a snapshot that came at a time and now. A
// path that nobody tells changes of is taken to have changed.
func (c *changes) sinceBefore(path string, at time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	last, known := c.last[path]
	return !known || last.After(at.Add(-inFlight))
}

// outcome counts a change.
func (c *changes) outcome(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.made++
	} else {
		c.maybe++
	}
}

func (c *changes) counts() (made, maybe int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.made, c.maybe
}
