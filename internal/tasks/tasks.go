// Package tasks has groups of goroutines that can be waited for while others try to add to them.
package tasks

import "sync"

// A Group is the set of a client's goroutines that run functions of the user's, and of its registrations.
// Client.Close waits for them.
type Group struct {
	mu      sync.Mutex // guards closing, and adding to running
	closing bool
	running sync.WaitGroup
}

// Spawn runs fn in a goroutine that ends when its streams or its registration do. Without a group, or after
// Close, they have ended already, and nobody waits for fn.
func (g *Group) Spawn(fn func()) {
	if g == nil {
		go fn()
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing {
		go fn()
		return
	}
	g.running.Go(fn)
}

// Close ends the adding of goroutines, so that Wait can be called.
func (g *Group) Close() {
	g.mu.Lock()
	g.closing = true
	g.mu.Unlock()
}

// Wait returns when all goroutines have ended.
func (g *Group) Wait() { g.running.Wait() }
