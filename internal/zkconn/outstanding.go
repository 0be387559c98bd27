package zkconn

import (
	"fmt"
	"slices"
	"time"
)

// request is what wire remembers of one of go-zookeeper's.
type request struct {
	xid, op int32
	size    int // bytes
	sentAt  time.Time
}

// reply looks at the current frame, which answers the request xid. A reply that go-zookeeper cannot
// take becomes an error of its request: with the connection dropped, as go-zookeeper does, the next
// try would end the same way, for ever.
func (w *wire) reply(xid int32) (wanted bool, err error) {
	r, asked, err := w.take(xid)
	if err != nil || !asked {
		return false, err
	}
	op := r.op
	if op != opAuth { // which comes before SetWatches, and moves no zxid
		if err := w.waitGate(); err != nil {
			return false, err
		}
	}
	head := packet(w.headSpace[:])
	code := head.int32At(atReplyCode)
	wrong := int32(0)
	if size := w.body + replyHeader; size > w.conn.maxReply {
		w.conn.log.Warn("zkstream: a reply is too large", "server", w.server, "bytes", size, "limit", w.conn.maxReply)
		wrong = codeTooLarge
	} else if code == 0 {
		good, err := w.wellFormed(op, r.size)
		if err != nil {
			return false, err
		}
		if !good {
			w.conn.log.Warn("zkstream: a reply is malformed", "server", w.server, "opcode", op)
			wrong = codeMalformed
		}
	}
	if wrong != 0 {
		if err := w.discardBody(); err != nil {
			return false, err
		}
		head.setInt32At(atReplyCode, wrong)
		code = wrong
	}
	w.answered(op, head.int64At(atReplyZxid), code)
	if op != opAuth {
		w.handled(head.int64At(atReplyZxid), r.sentAt)
	}
	return true, nil
}

// take removes the request that a reply answers. Servers answer in order, credentials excepted. So a request that is skipped
// has lost its answer, and its caller would block for ever: that is an error, which drops the connection. A reply to
// closeSession may skip requests, since their callers end with the session.
func (w *wire) take(xid int32) (found request, asked bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.outstanding, func(r request) bool { return r.xid == xid })
	if i < 0 {
		return request{}, false, nil
	}
	found = w.outstanding[i]
	w.answers++
	for _, r := range w.outstanding[:i] {
		if r.op != opAuth && found.op != opAuth && found.op != opClose {
			return found, true, fmt.Errorf("protocol error: an answer to request %d before that to %d", xid, r.xid)
		}
	}
	w.outstanding = slices.Delete(w.outstanding, i, i+1)
	w.unanswered.Add(-int64(found.size))
	return found, true, nil
}

// stalled returns an error if a request has had no answer for the session timeout, while pings had.
func (w *wire) stalled() error {
	if sent, op, found := w.own.oldest(); found && time.Since(sent) > w.timeout {
		return fmt.Errorf("no answer to a request of zkstream's (opcode %d) for %v", op, time.Since(sent).Round(time.Millisecond))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.outstanding {
		if age := time.Since(r.sentAt); r.op != opAuth && age > w.timeout {
			return fmt.Errorf("no answer to request %d (opcode %d) for %v", r.xid, r.op, age.Round(time.Millisecond))
		}
	}
	return nil
}

// answered draws the conclusions that go-zookeeper does not: when the session has ended as asked, and
// when a SetWatches was refused. That concerns only watches of go-zookeeper's, set through the handle.
func (w *wire) answered(op int32, zxid int64, code int32) {
	switch {
	case code == 0 && writes(op):
		w.conn.acknowledged(zxid)
	case op == opClose && code == 0:
		w.conn.mu.Lock()
		w.conn.identity = identity{}
		w.conn.mu.Unlock()
	case op == opSetWatches && code != 0:
		w.conn.log.Warn("zkstream: the server refused to re-arm watches", "server", w.server, "code", code)
	}
}

// acknowledged notes that all that was written up to zxid is visible to this client, or has been written by it. The goroutine
// that receives calls it, before the caller gets the answer.
func (c *Conn) acknowledged(zxid int64) { c.wrote.Store(max(c.wrote.Load(), zxid)) }

// writes reports whether the answer to op says that something has been written, or that all writes before it are visible.
func writes(op int32) bool {
	switch op {
	case opCreate, opCreateContainer, opCreateTTL, opDelete, opSetData, opSetACL, opMulti, opSync:
		return true
	}
	return false
}
