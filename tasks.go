package zkstream

import "sync"

// tasks is the set of a client's goroutines that run functions of the user's, and of its registrations.
// Client.Close waits for them.
type tasks struct {
	mu      sync.Mutex // guards closing, and adding to running
	closing bool
	running sync.WaitGroup
}

// spawn runs fn in a goroutine that ends when its streams or its registration do. Without tasks, or after
// close, they have ended already, and nobody waits for fn.
func (t *tasks) spawn(fn func()) {
	if t == nil {
		go fn()
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closing {
		go fn()
		return
	}
	t.running.Go(fn)
}

// close ends the adding of goroutines, so that wait can be called.
func (t *tasks) close() {
	t.mu.Lock()
	t.closing = true
	t.mu.Unlock()
}

// wait returns when all goroutines have ended.
func (t *tasks) wait() { t.running.Wait() }
