package zkconn

import (
	"context"
	"errors"
)

// Requests of zkconn's own that somebody waits for. The answer comes straight from the goroutine that receives,
// so that no goroutine stands between the caller and the connection, and a caller whose context ends just goes.

// errBehind is of an answer that may be older than what this client has seen or done.
var errBehind = errors.New("the server has not caught up")

// Read reads a node once, its content or the names of its children, and sets no watch. A missing node is an Answer
// whose Exists is false. What it returns is at least as new as every answer that this client has had before. It waits
// for a session, and returns when ctx ends; Answer.Err is always nil.
func (c *Conn) Read(ctx context.Context, k Kind, path string) (Answer, error) {
	if err := c.admit(ctx); err != nil {
		return Answer{}, err
	}
	defer c.calls.Release(1)
	a, err := c.ask(ctx, k.op(), ownRequest{purpose: forCall, kind: k}, func(p packet) packet { return p.string(path).bool(false) })
	return a, c.explain(err)
}

// admit waits for a place among the calls under way, and for a session. If it returns nil the caller releases the place.
func (c *Conn) admit(ctx context.Context) error {
	if c == nil {
		return ErrNoConn
	}
	if err := c.calls.Acquire(ctx, 1); err != nil {
		return c.NoSession(context.Cause(ctx))
	}
	if err := c.wait(ctx); err != nil {
		c.calls.Release(1)
		return err
	}
	return nil
}

// ask sends a request, whose fields body adds, and waits for its answer.
func (c *Conn) ask(ctx context.Context, op int32, q ownRequest, body func(packet) packet) (Answer, error) {
	r := c.own.Load()
	if r == nil || !r.ask(op, &q, body) {
		return Answer{}, ErrDown
	}
	r.wire.flush()
	a, err := await(ctx, c, r.wire, q.answer)
	if err == nil {
		err = a.Err
	}
	return a, err
}

func (r *requests) ask(op int32, q *ownRequest, body func(packet) packet) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.upLocked() {
		return false
	}
	if q.purpose == forCall {
		r.catchUpLocked()
	}
	q.op, q.answer = op, make(chan Answer, 1)
	start := r.beginLocked(op)
	r.out = body(r.out)
	r.sentLocked(start, *q)
	return true
}

// upLocked reports whether requests can be sent.
func (r *requests) upLocked() bool { return r.attached && !r.ended }

// catchUpLocked has the server become as new as all that has been seen, if it may not be. Servers carry out the requests of a
// session in order, so a read that is sent behind that shows it.
func (r *requests) catchUpLocked() {
	if !r.synced && !r.syncing {
		r.syncLocked()
	}
}

// called handles the answer to a Read.
func (r *requests) called(q ownRequest, zxid int64, code int32, b *body) {
	a := Answer{Zxid: zxid}
	b.node(q.kind, code, r.wire.conn.maxReply, &a)
	r.mu.Lock()
	if a.Err == nil && !r.synced { // the sync before it has failed, and is tried again
		a.Err = errBehind
	}
	r.mu.Unlock()
	q.answer <- a // there is room
}
