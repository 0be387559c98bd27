package zkconn

import (
	"context"
	"time"

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

// Do waits for a session, calls fn and returns its error. It also returns when ctx ends, which go-zookeeper's calls do not.
// Then fn goes on alone, its outcome is dropped, and Close waits for it. [Left] is true of the error, and the caller must not
// look at variables that fn writes. fn looks at ctx before each of its requests, so that nothing new is sent for a caller
// who has gone.
//
// If ctx ends while there is no session, the error also says why: see NoSession.
func (c *Conn) Do(ctx context.Context, fn func(*zk.Conn) error) error {
	if c == nil {
		return ErrNoConn
	}
	if err := c.calls.Acquire(ctx, 1); err != nil {
		return c.NoSession(context.Cause(ctx))
	}
	if err := c.begin(ctx); err != nil {
		c.calls.Release(1)
		return err
	}
	if ctx.Done() == nil { // nothing could make it return before fn
		defer c.calls.Release(1)
		defer c.finish()
		return c.explain(fn(c.zc))
	}
	j := job{fn, make(chan error, 1)}
	select {
	case c.jobs <- j: // to a worker that waits
	default:
		c.running.Add(1) // not from zero: begin has counted this call
		go c.work(j)     // ends when c closes, at the latest
	}
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-j.done:
		return err
	default:
		return left{c.NoSession(context.Cause(ctx))}
	}
}

// job is a function of Do's, and where its outcome goes.
type job struct {
	fn   func(*zk.Conn) error
	done chan error // of capacity 1
}

// idleWorkers is how many workers wait for the next job. A goroutine that is new at each call would have to let its stack
// grow each time, which takes longer than all else that Do does.
const idleWorkers = 16

// idleTime is how long a worker waits for the next job, so that a client that rests has none.
const idleTime = 100 * time.Millisecond

// work runs j, and then other jobs, unless enough workers wait for those, or none comes for a while. A job ends with the server's answer, the connection's
// loss or Close, which waits for it.
func (c *Conn) work(j job) {
	defer c.running.Done()
	wait := time.NewTimer(idleTime)
	defer wait.Stop()
	for {
		err := c.explain(j.fn(c.zc))
		c.finish()
		c.calls.Release(1)
		if c.idle.Add(1) > idleWorkers {
			c.idle.Add(-1)
			j.done <- err
			return
		}
		j.done <- err
		wait.Reset(idleTime)
		select {
		case j = <-c.jobs:
			c.idle.Add(-1)
		case <-wait.C:
			c.idle.Add(-1)
			return
		case <-c.ctx.Done():
			return
		}
	}
}

// left is the reason why Do returned before its function did.
type left struct{ error }

func (l left) Unwrap() error { return l.error }

// Left reports whether err is of a Do that returned because its context ended, while its function goes on.
func Left(err error) bool {
	_, ok := err.(left)
	return ok
}

// Run waits for a session and calls fn in the caller's goroutine. ctx bounds only the wait for a session; once fn has
// started, Run returns its result. As with Do, the next session is held back until fn returns, so no request of fn is sent
// in a later session.
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
