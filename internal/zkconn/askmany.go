package zkconn

import (
	"context"
	"errors"
)

// mostSingly is how many nodes ReadMany reads at once from a server that has no multiRead.
const mostSingly = 16

// errNoMultiRead is of an answer that is none to a multiRead.
var errNoMultiRead = errors.New("the server does not answer a request for many nodes as it should")

// ReadMany reads nodes as Read does: the first ones of paths, at least one, and as many as ought to fit into a reply of
// a fair size. It returns their answers in the order of paths. Answer.Err says why a node could not be read; an error of
// ReadMany itself is about none of them.
func (c *Conn) ReadMany(ctx context.Context, k Kind, paths []string) ([]Answer, error) {
	if err := c.admit(ctx); err != nil {
		return nil, err
	}
	defer c.calls.Release(1)
	answers, err := c.askMany(ctx, k, paths)
	for _, a := range answers {
		if a.Err != nil && Transient(a.Err) {
			err = a.Err
		}
	}
	if err != nil {
		return nil, c.explain(err)
	}
	return answers, nil
}

func (c *Conn) askMany(ctx context.Context, k Kind, paths []string) (answers []Answer, err error) {
	r := c.own.Load()
	if r == nil {
		return nil, ErrDown
	}
	asked := r.askMany(k, paths)
	r.wire.flush()
	for _, p := range asked {
		some, _, err := p.await(ctx)
		if err != nil {
			return nil, err
		}
		answers = append(answers, some...)
	}
	if len(answers) == 0 {
		return nil, ErrDown
	}
	return answers, nil
}

// askMany asks for the first nodes of paths: by one request, or by one for each node. It asks for nothing on a connection that
// is not up.
func (r *requests) askMany(k Kind, paths []string) (asked []*pending[[]Answer]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.upLocked() {
		return nil
	}
	r.catchUpLocked()
	if !r.multiRead {
		for _, path := range paths[:min(len(paths), mostSingly)] {
			asked = append(asked, askLocked(r, k.op(), func(p packet) packet { return p.string(path).bool(false) },
				func(r *requests, zxid int64, code int32, b *body) ([]Answer, error) {
					a := Answer{Zxid: zxid}
					b.node(k, code, r.wire.conn.maxReply, &a)
					return []Answer{a}, r.behind()
				}))
		}
		return asked
	}
	n := min(len(paths), r.fullLocked())
	return append(asked, askLocked(r, opMultiRead, func(p packet) packet {
		for _, path := range paths[:n] {
			p = p.multiRead(k, path)
		}
		return p.multiEnd()
	}, func(r *requests, zxid int64, code int32, b *body) ([]Answer, error) {
		return r.many(k, n, zxid, code, b)
	}))
}

// many reads the answers for n nodes.
func (r *requests) many(k Kind, n int, zxid int64, code int32, b *body) ([]Answer, error) {
	size := b.left
	answers := make([]Answer, n)
	for i := range answers {
		a := &answers[i]
		a.Zxid = zxid
		if code == 0 && b.result(k, a, r.wire.conn.maxReply) == nil && b.err == nil {
			continue
		}
		if b.err == nil || b.err == errShort { // else the connection has ended
			r.withoutMultiRead() // so that the next try asks for each node by itself
		}
		return nil, errNoMultiRead
	}
	r.mu.Lock()
	r.sizedLocked(size, n)
	r.mu.Unlock()
	return answers, r.behind()
}
