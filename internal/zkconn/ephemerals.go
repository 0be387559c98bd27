package zkconn

import (
	"context"

	"github.com/go-zookeeper/zk"
)

// Ephemerals returns the paths of the session's ephemeral nodes that begin with prefix (getEphemerals). It is for
// those nodes that the client may not read: whose they are a server tells in no other way from ZooKeeper 3.8.4 and
// 3.9.2 on. Servers before 3.6 end the connection. Call it in a function that Do or Run calls, with their ctx.
//
// go-zookeeper does not have this request, so it is one of zkconn's own.
func (c *Conn) Ephemerals(ctx context.Context, prefix string) ([]string, error) {
	r := c.own.Load()
	if r == nil {
		return nil, ErrDown
	}
	answer := make(chan ephemerals, 1)
	r.mu.Lock()
	ok := r.attached && !r.ended
	if ok {
		start := r.beginLocked(opGetEphemerals)
		r.out = r.out.string(prefix)
		r.sentLocked(start, ownRequest{op: opGetEphemerals, purpose: forEphemerals, ephemerals: answer})
	}
	r.mu.Unlock()
	if !ok {
		return nil, ErrDown
	}
	r.wire.flush()
	select {
	case a := <-answer:
		return a.paths, a.err
	case <-r.wire.closed:
		return nil, zk.ErrConnectionClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// ephemerals is the answer to a getEphemerals.
type ephemerals struct {
	paths []string
	err   error
}

// listed handles the answer to a getEphemerals.
func (r *requests) listed(q ownRequest, code int32, b *body) {
	var a ephemerals
	if code != 0 {
		a.err = codeError(code)
	} else {
		var complete bool
		switch a.paths, complete = b.names(r.wire.conn.maxReply); {
		case b.err != nil:
			a.err = errMalformed
		case !complete:
			a.err = errReplyTooLarge
		}
	}
	q.ephemerals <- a // there is room
}
