package zkstream

import "sync"

// claims keeps the registrations of a client out of each other's way. All their nodes are of one session, so
// without it each would take another's node for its own.
type claims struct {
	mu    sync.Mutex               // guards what follows
	held  map[string]chan struct{} // by path: closed when it is released
	nodes map[string]*Registration // the sequence nodes that are known, by path
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

// setNode notes that r has the sequence node at path, and no longer that at old.
func (c *claims) setNode(old, path string, r *Registration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.nodes[old] == r {
		delete(c.nodes, old)
	}
	if path == "" {
		return
	}
	if c.nodes == nil {
		c.nodes = map[string]*Registration{}
	}
	c.nodes[path] = r
}

// ofOther reports whether the sequence node at path is that of a registration other than r.
func (c *claims) ofOther(path string, r *Registration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	owner := c.nodes[path]
	return owner != nil && owner != r
}
