package zkconn

import (
	"context"
	"errors"

	"github.com/go-zookeeper/zk"
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
	many, singly := r.askMany(k, paths)
	if many == nil && singly == nil {
		return nil, ErrDown
	}
	r.wire.flush()
	if many != nil {
		return await(ctx, c, r.wire, many)
	}
	for _, answer := range singly {
		a, err := await(ctx, c, r.wire, answer)
		if err != nil {
			return nil, err
		}
		answers = append(answers, a)
	}
	return answers, nil
}

// askMany asks for the first nodes of paths: by one request, whose answers come together, or by one for each node. It asks
// for nothing on a connection that is not up.
func (r *requests) askMany(k Kind, paths []string) (many chan []Answer, singly []chan Answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.upLocked() {
		return nil, nil
	}
	r.catchUpLocked()
	if !r.multiRead {
		for _, path := range paths[:min(len(paths), mostSingly)] {
			answer := make(chan Answer, 1)
			start := r.beginLocked(k.op())
			r.out = r.out.string(path).bool(false)
			r.sentLocked(start, ownRequest{op: k.op(), purpose: forCall, kind: k, answer: answer})
			singly = append(singly, answer)
		}
		return nil, singly
	}
	n := min(len(paths), maxBatch, max(1, batchBytes/r.typical))
	many = make(chan []Answer, 1)
	start := r.beginLocked(opMultiRead)
	for _, path := range paths[:n] {
		r.out = r.out.multiRead(k, path)
	}
	r.out = r.out.multiEnd()
	r.sentLocked(start, ownRequest{op: opMultiRead, purpose: forCalls, kind: k, nodes: n, answers: many})
	return many, nil
}

// calledAll handles the answers to a ReadMany.
func (r *requests) calledAll(q ownRequest, zxid int64, code int32, b *body) {
	size := b.left
	answers := make([]Answer, q.nodes)
	for i := range answers {
		a := &answers[i]
		a.Zxid = zxid
		if code == 0 && b.result(q.kind, a, r.wire.conn.maxReply) == nil && b.err == nil {
			continue
		}
		if b.err != nil && b.err != errShort {
			return // the connection has ended
		}
		r.withoutMultiRead() // so that the next try asks for each node by itself
		answers = []Answer{{Err: errNoMultiRead}}
		break
	}
	r.mu.Lock()
	r.sizedLocked(size, q.nodes)
	if !r.synced { // as in called
		answers = []Answer{{Err: errBehind}}
	}
	r.mu.Unlock()
	q.answers <- answers // there is room
}

// await waits for an answer that comes on w.
func await[A any](ctx context.Context, c *Conn, w *wire, answer <-chan A) (a A, err error) {
	select {
	case a := <-answer:
		return a, nil
	case <-w.closed:
		return a, zk.ErrConnectionClosed
	case <-ctx.Done():
		return a, left{c.NoSession(context.Cause(ctx))}
	}
}
