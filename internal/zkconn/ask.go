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
	if err := c.admit(ctx); err != nil {
		return Answer{}, err
	}
	defer c.calls.Release(1)
	a, err := c.Look(ctx, k, path)
	return a, c.explain(err)
}

// Look is Read within a function that Do or Run calls: it does not wait for a session.
func (c *Conn) Look(ctx context.Context, k Kind, path string) (Answer, error) {
	return ask(ctx, c, k.op(), true, func(p packet) packet { return p.string(path).bool(false) },
		func(r *requests, zxid int64, code int32, b *body) (Answer, error) {
			a := Answer{Zxid: zxid}
			b.node(k, code, c.maxReply, &a)
			if a.Err == nil {
				a.Err = r.behind()
			}
			return a, a.Err
		})
}

// Sync returns when the server has caught up with all that the ensemble had carried out when it was called. Call it in a
// function that Do or Run calls, with their ctx, as the other requests below.
func (c *Conn) Sync(ctx context.Context, path string) error {
	_, err := ask(ctx, c, opSync, false, func(p packet) packet { return p.string(path) },
		func(_ *requests, zxid int64, code int32, _ *body) (struct{}, error) {
			if code != 0 {
				return struct{}{}, codeError(code)
			}
			c.acknowledged(zxid)
			return struct{}{}, nil
		})
	return err
}

// ACL reads the access control list of a node, with its metadata.
func (c *Conn) ACL(ctx context.Context, path string) (acl []zk.ACL, stat zk.Stat, err error) {
	acl, err = ask(ctx, c, opGetACL, true, func(p packet) packet { return p.string(path) },
		func(r *requests, _ int64, code int32, b *body) (list []zk.ACL, err error) {
			if code != 0 {
				return nil, codeError(code)
			}
			if list, stat, err = b.acl(c.maxReply); err != nil {
				return nil, err
			}
			return list, r.behind()
		})
	return acl, stat, err
}

// Ephemerals returns the paths of the session's ephemeral nodes that begin with prefix (getEphemerals). It is for
// those nodes that the client may not read: whose they are a server tells in no other way from ZooKeeper 3.8.4 and
// 3.9.2 on. Servers before 3.6 end the connection.
//
// go-zookeeper does not have this request.
func (c *Conn) Ephemerals(ctx context.Context, prefix string) ([]string, error) {
	return ask(ctx, c, opGetEphemerals, false, func(p packet) packet { return p.string(prefix) },
		func(_ *requests, _ int64, code int32, b *body) ([]string, error) {
			if code != 0 {
				return nil, codeError(code)
			}
			names, complete := b.names(c.maxReply)
			switch {
			case b.err != nil:
				return nil, errMalformed
			case !complete:
				return nil, errReplyTooLarge
			}
			return names, nil
		})
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

// pending is a request whose answer somebody waits for.
type pending[A any] struct {
	r    *requests
	xid  int32
	done chan struct{} // closed when there is an answer: what follows

	value A
	err   error
}

// decodeFunc makes a value of an answer. The goroutine that receives calls it.
type decodeFunc[A any] func(r *requests, zxid int64, code int32, b *body) (A, error)

// ask sends a request, whose fields body adds, and waits for its answer. If catchUp is set the answer must be as new as
// what this client has seen: see catchUpLocked.
func ask[A any](ctx context.Context, c *Conn, op int32, catchUp bool, body func(packet) packet, decode decodeFunc[A]) (value A, err error) {
	p := beginAsk(c, op, catchUp, body, decode)
	if p == nil {
		return value, ErrDown
	}
	value, _, err = p.await(ctx)
	return value, err
}

// beginAsk is ask without the wait. It returns nil if the connection is not up.
func beginAsk[A any](c *Conn, op int32, catchUp bool, body func(packet) packet, decode decodeFunc[A]) *pending[A] {
	r := c.own.Load()
	if r == nil {
		return nil
	}
	r.mu.Lock()
	if !r.upLocked() {
		r.mu.Unlock()
		return nil
	}
	if catchUp {
		r.catchUpLocked()
	}
	p := askLocked(r, op, body, decode)
	r.mu.Unlock()
	r.wire.flush()
	return p
}

// askLocked asks for a caller, who is to await the answer.
func askLocked[A any](r *requests, op int32, fields func(packet) packet, decode decodeFunc[A]) *pending[A] {
	start := r.beginLocked(op)
	r.out = fields(r.out)
	p := &pending[A]{r: r, xid: r.lastXid, done: make(chan struct{})}
	r.sentLocked(start, ownRequest{op: op, purpose: forCaller, done: p.done, answer: func(zxid int64, code int32, b *body) {
		p.value, p.err = decode(r, zxid, code, b)
	}})
	return p
}

// await waits for the answer. If there is none, answered is false, and the error says why.
func (p *pending[A]) await(ctx context.Context) (value A, answered bool, err error) {
	select {
	case <-p.done:
		return p.value, true, p.err
	case <-p.r.wire.closed:
		err = zk.ErrConnectionClosed
	case <-ctx.Done():
		err = p.r.wire.conn.NoSession(context.Cause(ctx))
	}
	select {
	case <-p.done:
		return p.value, true, p.err
	default:
		return value, false, err
	}
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

// behind returns an error if the answer to a read may be too old: the sync before it has failed, and is tried again.
func (r *requests) behind() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.synced {
		return errBehind
	}
	return nil
}
