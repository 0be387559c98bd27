package registration

import "sync"

// claims keeps the registrations of a client out of each other's way. All their nodes are of one session, so
// without it each would take another's node for its own.
type claims struct {
	mu   sync.Mutex               // guards what follows
	held map[string]chan struct{} // by path: closed when it is released
}

// try claims path, or returns a channel that is closed when the present claim on it ends.
func (c *claims) try(path string) (released <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if other := c.held[path]; other != nil {
		return other
	}
	if c.held == nil {
		c.held = map[string]chan struct{}{}
	}
	c.held[path] = make(chan struct{})
	return nil
}

// release ends the caller's claim on path.
func (c *claims) release(path string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.held[path])
	delete(c.held, path)
}
