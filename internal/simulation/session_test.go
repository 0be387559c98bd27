package simulation

import (
	"fmt"
	"time"

	"github.com/zkstream/zkstream"
)

// followSessions checks each state of a client's session against the one before.
func (c *simClient) followSessions() {
	bad := func(format string, args ...any) {
		c.s.breach("session states make sense", "%v: %s", c, fmt.Sprintf(format, args...))
	}
	for now := range c.sessions.C() {
		c.s.note("%v: %v", c, now)
		switch {
		case now.State == zkstream.Connecting || now.ID == 0:
			bad("%v after Connect has returned", now)
		case c.closed:
			bad("%v after closed", now)
		case c.gone[now.ID] && now.State != zkstream.Closed:
			bad("%v, but that session was over", now)
		case now.Timeout != c.timeout:
			bad("%v has a timeout of %v, want %v", now, now.Timeout, c.timeout)
		}
		if now.ID != c.lastID {
			c.gone[c.lastID] = true
			c.lastID = now.ID
		}
		c.session, c.closed = now, now.State == zkstream.Closed
	}
	if !c.closed {
		bad("the stream ends after %v: %v", c.session, c.sessions.Err())
	}
}

// answered notes that a request has been answered that was sent at that time.
func (c *simClient) answered(sent time.Time) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if sent.Before(c.heard) {
		return
	}
	c.heard = sent
	const slack = time.Millisecond
	alive := time.Until(sent.Add(c.timeout + slack))
	if c.death == nil {
		c.death = time.AfterFunc(alive, c.silent)
	} else {
		c.death.Reset(alive)
	}
}

// silent: when the session timeout has passed since the last request was sent that has been answered, the
// servers may have given the session to death; so a client must not say any longer that it is alive.
func (c *simClient) silent() {
	s := c.s
	if !s.has(promptExpiry) || !c.ready.Load() || s.isClosing(c) {
		return
	}
	now, _ := c.sessions.Latest()
	if now.State == zkstream.Connected || now.State == zkstream.Suspended {
		s.mu.Lock()
		silence := time.Since(c.heard)
		s.mu.Unlock()
		s.breach("an end of the session is told in time", "%v: %v, and the last request that was answered was sent %v ago", c, now, silence)
	}
}
