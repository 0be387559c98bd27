package zkconn

import (
	"context"
	"errors"

	"github.com/go-zookeeper/zk"
)

// Requests of zkconn's own that somebody waits for. The answer comes straight from the goroutine that receives,
// so that no goroutine stands between the caller and the connection, and a caller whose context ends just goes.

// errBehind is of an answer that may be older than what this client has seen or done.
var errBehind = errors.New("the server has not caught up")

// Read reads a node once, its content or the names of its children, and sets no watch. A missing node is an Answer
// whose Exists is false. What it returns is at least as new as every answer that this client has had before. It waits
// for a session, and returns when ctx ends; Answer.Err is always nil.
func (c *Conn) Read(ctx context.Context, k Kind, path string) (Answer, error) {
	if c == nil {
		return Answer{}, ErrNoConn
	}
	if err := c.calls.Acquire(ctx, 1); err != nil {
		return Answer{}, c.NoSession(context.Cause(ctx))
	}
	defer c.calls.Release(1)
	if err := c.wait(ctx); err != nil {
		return Answer{}, err
	}
	a, err := c.ask(ctx, k.op(), ownRequest{purpose: forCall, kind: k}, func(p packet) packet { return p.string(path).bool(false) })
	return a, c.explain(err)
}

// ask sends a request, whose fields body adds, and waits for its answer.
func (c *Conn) ask(ctx context.Context, op int32, q ownRequest, body func(packet) packet) (Answer, error) {
	r := c.own.Load()
	if r == nil || !r.ask(op, &q, body) {
		return Answer{}, ErrDown
	}
	r.wire.flush()
	select {
	case a := <-q.answer:
		return a, a.Err
	case <-r.wire.closed:
		return Answer{}, zk.ErrConnectionClosed
	case <-ctx.Done():
		return Answer{}, left{c.NoSession(context.Cause(ctx))}
	}
}

func (r *requests) ask(op int32, q *ownRequest, body func(packet) packet) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.attached || r.ended {
		return false
	}
	if q.purpose == forCall && !r.synced && !r.syncing {
		r.syncLocked() // a server carries out the requests of a session in order
	}
	q.op, q.answer = op, make(chan Answer, 1)
	start := r.beginLocked(op)
	r.out = body(r.out)
	r.sentLocked(start, *q)
	return true
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
