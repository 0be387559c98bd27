package zkconn

import (
	"context"

	"github.com/go-zookeeper/zk"
)

// wait returns once there is a session, or with the reason why there will be none.
func (c *Conn) wait(ctx context.Context) error {
	for {
		c.mu.Lock()
		up, isUp, closing := c.up, c.isUp.Load(), c.closing
		c.mu.Unlock()
		switch {
		case closing:
			return ErrClosed
		case ctx.Err() != nil:
			return c.NoSession(context.Cause(ctx))
		case isUp:
			return nil
		}
		select {
		case <-up:
		case <-ctx.Done():
		case <-c.ctx.Done():
		}
	}
}

// Do waits for a place among the calls under way, and for a session. Then it calls fn and returns its error. fn makes requests by
// Look, Send and their like, with ctx. These return when ctx ends, and so does Do.
//
// The next session is held back until fn returns, so no request of fn is sent in a later session than the one before it.
// If ctx ends while there is no session, the error also says why: see NoSession.
func (c *Conn) Do(ctx context.Context, fn func() error) error {
	if c == nil {
		return ErrNoConn
	}
	if err := c.calls.Acquire(ctx, 1); err != nil {
		return c.NoSession(context.Cause(ctx))
	}
	defer c.calls.Release(1)
	return c.Run(ctx, func(*zk.Conn) error { return fn() })
}

// Run waits for a session and calls fn in the caller's goroutine. ctx bounds only the wait for a session; once fn has
// started, Run returns its result. As with Do, the next session is held back until fn returns.
func (c *Conn) Run(ctx context.Context, fn func(*zk.Conn) error) error {
	if err := c.begin(ctx); err != nil {
		return err
	}
	defer c.finish()
	return c.explain(fn(c.zc))
}

// begin waits for a session and counts a call in.
func (c *Conn) begin(ctx context.Context) error {
	for {
		if err := c.wait(ctx); err != nil {
			return err
		}
		c.mu.Lock()
		if c.isUp.Load() && !c.closing {
			// Under mu, so that neither Close nor the next session can miss it.
			c.running.Add(1)
			c.pending.Add(1)
			c.mu.Unlock()
			return nil
		}
		c.mu.Unlock()
	}
}

// spawn runs fn in a goroutine that Close waits for, unless Close has begun.
func (c *Conn) spawn(fn func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		c.running.Go(fn)
	}
	return !c.closing
}

func (c *Conn) finish() {
	c.pending.Add(-1)
	c.running.Done()
}
