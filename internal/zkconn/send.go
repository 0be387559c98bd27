package zkconn

import (
	"math"
	"slices"
	"time"
)

// Write sends one packet of go-zookeeper's, behind what zkconn has to send itself. A failure closes the connection
// and is not reported: the reading side sees the end, and go-zookeeper can deadlock when a write fails while it
// replays credentials.
func (w *wire) Write(p []byte) (int, error) {
	if !w.wroteFirst {
		w.wroteFirst = true
		w.send(w.rewriteConnect(p), time.Until(w.deadline))
		return len(p), nil
	}
	setsWatches := packet(p).opcode() == opSetWatches
	w.sending <- struct{}{}
	out := w.takeOut()
	n := len(p)
	p = w.outgoing(p)
	if len(out) > 0 {
		out = append(out, p...)
		w.send(out, w.timeout*2/3)
		w.giveBack(out)
	} else {
		w.send(p, w.timeout*2/3)
	}
	<-w.sending
	if setsWatches {
		w.gate.open()
	}
	w.flush()
	return n, nil
}

// send writes p, in pieces that may each take limit: a large request over a thin line takes its time, too.
func (w *wire) send(p []byte, limit time.Duration) {
	const piece = 8 << 10
	for len(p) > 0 {
		n := min(len(p), piece)
		w.Conn.SetWriteDeadline(time.Now().Add(limit))
		sent, err := w.Conn.Write(p[:n])
		w.conn.counters.sent.Add(int64(sent))
		if err != nil {
			w.conn.log.Debug("zkstream: write failed", "server", w.server, "error", err)
			w.fail(err)
			return
		}
		if p = p[n:]; len(p) > 0 && w.timeout > 0 {
			// Nothing is answered before all is sent, so the server is not dead for being silent.
			w.Conn.SetReadDeadline(time.Now().Add(w.timeout * 2 / 3))
		}
	}
}

// inline is how many bytes may be without an answer for a request to be sent by whoever has it: so many fit into
// the socket's buffer, so that he does not wait.
const inline = 16 << 10

// flush sends what zkconn has to send itself, without waiting. If somebody is sending, he takes it along.
//
// Nothing is left behind: suppose that B adds a request while A is sending. B sees that, and goes. A finishes,
// looks again, and finds what B has added, because B has added it before it looked.
func (w *wire) flush() {
	for w.own.hasUnsent() {
		select {
		case w.sending <- struct{}{}:
		default:
			return
		}
		if out, ok := w.takeFitting(inline); ok {
			w.sendOut(out)
			continue
		}
		// Ends when all is sent, or with the connection.
		if !w.conn.spawn(func() {
			w.sendOut(w.takeOut())
			w.flush()
		}) {
			<-w.sending
		}
		return
	}
}

// sendOut sends what takeOut has given, and lets others send, which the caller has kept them from.
func (w *wire) sendOut(out packet) {
	if len(out) > 0 {
		w.send(out, w.timeout*2/3)
		w.giveBack(out)
	}
	<-w.sending
}

// takeOut takes what zkconn has to send next, for the one who is sending.
func (w *wire) takeOut() packet {
	out, _ := w.takeFitting(math.MaxInt64)
	return out
}

// takeFitting is takeOut for who must not wait. It takes nothing, and ok is false, if more than most bytes are without an answer, those
// of out included. That is looked at here, with mu held: else somebody could add a large write after it was found that there is room,
// and whoever had found that would wait until the write of somebody else has left.
func (w *wire) takeFitting(most int64) (out packet, ok bool) {
	r := w.own
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.ended || len(r.out) == 0:
		return nil, true
	case w.unanswered.Load() > most:
		return nil, false
	}
	n := r.leavingLocked()
	out = r.out[:n]
	r.out = append(w.spare[:0], r.out[n:]...)
	w.spare = nil
	return out, true
}

// leavingLocked returns how many bytes of out are to leave next, and counts their requests as sent. A write that a server may
// refuse for its size leaves alone, so that it is known when it has begun to.
func (r *requests) leavingLocked() (n int) {
	now := time.Now()
	for i := len(r.waiting) - r.unsent; i < len(r.waiting); i++ {
		q := &r.waiting[i]
		large := writes(q.op) && q.size > SuspectSize
		if large && n > 0 {
			break
		}
		q.sentAt = now
		n += q.size
		r.unsent--
		if large {
			break
		}
	}
	return n
}

// withdraw takes a request back that has not begun to leave. If it has, and has no answer, withdraw returns when that was.
func (r *requests) withdraw(xid int32) (withdrawn bool, sentAt time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.waiting, func(q ownRequest) bool { return q.xid == xid })
	if i < 0 {
		return false, time.Time{}
	}
	q, first := r.waiting[i], len(r.waiting)-r.unsent
	if i < first {
		return false, q.sentAt
	}
	start := 0
	for _, before := range r.waiting[first:i] {
		start += before.size
	}
	r.out = slices.Delete(r.out, start, start+q.size)
	r.waiting = slices.Delete(r.waiting, i, i+1)
	r.unsent--
	r.wire.conn.counters.requests.Add(-1)
	r.countLocked(q, -1)
	return true, time.Time{}
}

// hasUnsent reports whether there is something to send.
func (r *requests) hasUnsent() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.out) > 0 && !r.ended
}

// giveBack keeps the memory of what has been sent for what comes next.
func (w *wire) giveBack(out []byte) {
	if cap(out) <= rearmBytes {
		w.spare = out[:0]
	}
}

// outgoing notes what the answer to p will mean, and returns p as it is to be sent.
func (w *wire) outgoing(p packet) packet {
	op := p.opcode()
	if op == 0 {
		return p
	}
	now := time.Now()
	xid := p.int32At(atRequestXid)
	if xid != xidPing {
		w.conn.counters.requests.Add(1)
	}
	w.mu.Lock()
	switch {
	case xid >= 0:
		w.outstanding = append(w.outstanding, request{xid, op, len(p), now})
		w.unanswered.Add(int64(len(p)))
	case xid == xidPing:
		w.pings = append(w.pings, now)
	}
	w.mu.Unlock()
	switch op {
	case opClose:
		w.own.end() // what comes behind it, the server answers with an error
	case opExists, opGetData, opGetChildren2:
		if p[len(p)-1] == 1 { // it sets a watch
			w.conn.watching.Store(true)
		}
	case opSetWatches:
		// It names no later zxid than zkconn's own would. The gate keeps go-zookeeper from that, unless a request
		// that it had left over opened the gate.
		if len(p) >= atRelativeZxid+8 && p.int64At(atRelativeZxid) > w.namedZxid {
			p = slices.Clone(p)
			p.setInt64At(atRelativeZxid, w.namedZxid)
		}
	}
	return p
}

// SetWriteDeadline does nothing: see send.
func (w *wire) SetWriteDeadline(time.Time) error { return nil }
