package zkconn

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
)

// Transaction IDs that ZooKeeper's protocol has a meaning for.
const (
	xidEvent = -1
	xidPing  = -2
	xidAuth  = -4
)

// Error codes of our own, which no server sends.
const (
	codeTooLarge  = -32768
	codeMalformed = -32767
	codeWithdrawn = -32766

	codeAuthRequired = -124 // of a server that enforces authentication, in answer to any request, even a ping
)

// slowest is how many session timeouts one reply may take to arrive, while some of it keeps arriving.
const slowest = 10

// wire is the network connection that go-zookeeper gets. It knows the frames of the protocol, and
// that is what makes go-zookeeper safe to stand on: what cannot be set right from above is set right
// here, in the bytes.
//
// go-zookeeper writes one whole packet per Write, from one goroutine at a time, and reads from one.
type wire struct {
	net.Conn
	conn   *Conn
	server string
	addr   string    // that was dialled: a name may stand for several servers
	own    *requests // zkconn's own, which go-zookeeper knows nothing of
	gate   gate

	// Used by the reading goroutine only.
	r             *bufio.Reader
	head          []byte        // of the current frame, still to be handed over
	body          int           // bytes of the current frame that follow head, still in r
	handshakeDone bool          // the handshake is over
	timeout       time.Duration // of the session
	frameBegan    time.Time     // when the current frame began to arrive
	headSpace     [4 + replyHeader]byte

	// Written by the writing goroutine, with the connect request, before anybody else looks.
	wroteFirst       bool      // there has been a first packet
	connectSent      time.Time // when that was sent
	requestedSession int64     // the session that was asked for, 0 for a new one
	namedZxid        int64     // the last zxid that was named
	omittedZxid      bool      // a later one had been seen
	deadline         time.Time // for the handshake

	sending    chan struct{} // capacity 1: has an element while something is being sent
	unanswered atomic.Int64  // bytes of requests without an answer
	spare      []byte        // for requests.out; used by the one who is sending
	scratch    packet        // a packet that is sent instead of go-zookeeper's; likewise

	session int64 // that the handshake brought; written before any request is sent

	closeOnce sync.Once
	closeErr  error
	closed    chan struct{}

	mu          sync.Mutex  // guards what follows
	outstanding []request   // of go-zookeeper's, without an answer yet, in the order in which they were sent
	pings       []time.Time // when those without an answer were sent
	answers     int         // that have come to go-zookeeper's
	cause       error       // why the connection ended, as far as the network said; see fail
}

// request is what wire remembers of one of go-zookeeper's.
type request struct {
	xid, op int32
	size    int // bytes
	sent    time.Time

	withdrawn bool // stands for one that was not sent
}

func newWire(c *Conn, conn net.Conn, server string) *wire {
	w := &wire{Conn: conn, conn: c, server: server, closed: make(chan struct{}), sending: make(chan struct{}, 1)}
	w.r = bufio.NewReaderSize(arriving{w}, 16<<10)
	w.own = newRequests(w)
	return w
}

// arriving is the network connection as it is read. What arrives puts off the time at which the connection
// counts as dead: a large reply over a thin line takes its time. go-zookeeper has one deadline for a whole reply.
type arriving struct{ w *wire }

func (a arriving) Read(p []byte) (int, error) {
	n, err := a.w.Conn.Read(p)
	a.w.conn.counters.received.Add(int64(n))
	if n > 0 && a.w.handshakeDone {
		a.w.putOff(time.Now())
	}
	return n, err
}

// putOff sets the deadline for reading anew.
func (w *wire) putOff(now time.Time) {
	deadline := now.Add(w.timeout * 2 / 3)
	if last := w.frameBegan.Add(slowest * w.timeout); w.r.Buffered() == 0 && last.Before(deadline) && !w.frameBegan.IsZero() {
		deadline = last
	}
	w.Conn.SetReadDeadline(deadline)
}

// Close closes the connection; only the first call does anything.
func (w *wire) Close() error {
	w.closeOnce.Do(func() {
		close(w.closed)
		w.own.end()
		w.closeErr = hangUp(w.Conn)
		w.gate.open() // stops its timer
	})
	return w.closeErr
}

// hangUp closes conn at once. TLS would first take up to five seconds to say so to a server that does
// not read; ZooKeeper has its own end of a session.
func hangUp(conn net.Conn) error {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	return conn.Close()
}

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
	for w.own.unsent() {
		select {
		case w.sending <- struct{}{}:
		default:
			return
		}
		if w.unanswered.Load() <= inline {
			w.sendOut()
			continue
		}
		// Ends when all is sent, or with the connection.
		if !w.conn.spawn(func() {
			w.sendOut()
			w.flush()
		}) {
			<-w.sending
		}
		return
	}
}

// sendOut sends what there is, and lets others send, which the caller has kept them from.
func (w *wire) sendOut() {
	if out := w.takeOut(); len(out) > 0 {
		w.send(out, w.timeout*2/3)
		w.giveBack(out)
	}
	<-w.sending
}

// takeOut takes what zkconn has to send itself, for the one who is sending.
func (w *wire) takeOut() packet {
	r := w.own
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.out) == 0 {
		return nil
	}
	out := r.out
	r.out = w.spare[:0]
	w.spare = nil
	return out
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
	withdrawn := !w.conn.changes.pass(w, op, p)
	if withdrawn {
		// go-zookeeper wants an answer, so the server is asked for something. See reply.
		w.scratch = append(w.scratch[:0], p[:atOpcode]...)
		w.scratch = w.scratch.int32(opExists).string("/").bool(false).end(0)
		p, op = w.scratch, opExists
	}
	now := time.Now()
	xid := p.int32At(atRequestXid)
	if xid != xidPing {
		w.conn.counters.requests.Add(1)
	}
	w.mu.Lock()
	switch {
	case xid >= 0:
		w.outstanding = append(w.outstanding, request{xid, op, len(p), now, withdrawn})
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

// waitGate holds the current frame back until the gate is open.
func (w *wire) waitGate() error {
	if !w.gate.wait() {
		return nil
	}
	select {
	case <-w.closed:
		return net.ErrClosed
	default:
	}
	w.putOff(time.Now()) // the wait has taken its part
	return nil
}

// SetReadDeadline does nothing: the deadlines are zkconn's, see arriving. go-zookeeper allows a handshake six
// times the session timeout, which may be very long or very short, and no limit once the first bytes have come.
func (w *wire) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing: see send.
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// Read hands over the frames that arrive.
func (w *wire) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(w.head) == 0 && w.body == 0 {
		if w.handshakeDone {
			err = w.nextFrame()
		} else {
			err = w.connectReply()
		}
		if err != nil {
			w.lost(err)
			return 0, err
		}
	}
	if len(w.head) > 0 {
		n = copy(p, w.head)
		w.head = w.head[n:]
		return n, nil
	}
	n, err = w.r.Read(p[:min(len(p), w.body)])
	w.body -= n
	if err != nil {
		w.fail(err) // which ends a write that may be under way
	}
	return n, err
}

// nextFrame reads the beginning of the next frame for go-zookeeper into head, and sets body. What
// nobody asked for is dropped: it could only do harm.
func (w *wire) nextFrame() error {
	for {
		if w.r.Buffered() < 4 {
			// Before this goroutine waits, all that has become stale is asked for.
			w.own.pump()
			w.frameBegan = time.Time{}
		}
		b, err := w.r.Peek(4)
		if err != nil {
			return err
		}
		w.frameBegan = time.Now()
		size := int(packet(b).int32At(0))
		if size < replyHeader {
			return fmt.Errorf("protocol error: a reply of %d bytes", size)
		}
		if _, err := io.ReadFull(w.r, w.headSpace[:]); err != nil {
			return err
		}
		w.head, w.body = w.headSpace[:], size-replyHeader
		head := packet(w.headSpace[:])
		if head.int32At(atReplyCode) == codeAuthRequired {
			w.conn.hosts.outcome(ErrAuthRequired) // and the server hangs up
		}
		var wanted bool
		switch xid := head.int32At(atReplyXid); {
		case xid <= firstXid:
			err := w.own.answered(xid, head.int64At(atReplyZxid), head.int32At(atReplyCode), w.body)
			w.head, w.body = nil, 0
			if err != nil {
				return err
			}
			continue
		case xid == xidEvent:
			if wanted, err = w.event(); err == nil && !wanted {
				if err = w.discardBody(); err == nil {
					continue
				}
			}
		case xid == xidPing:
			if err := w.stalled(); err != nil {
				return err
			}
			w.pong(head.int64At(atReplyZxid))
			wanted, err = true, w.discardBody()
		default:
			wanted, err = w.reply(xid)
		}
		if err != nil || wanted {
			return err
		}
		w.conn.log.Debug("zkstream: dropped what nobody asked for", "server", w.server, "bytes", size)
		if err := w.discardBody(); err != nil {
			return err
		}
	}
}

// discardBody leaves nothing of the current frame but its header.
func (w *wire) discardBody() error {
	_, err := w.r.Discard(w.body)
	w.head, w.body = w.headSpace[:], 0
	packet(w.head).setInt32At(0, replyHeader)
	return err
}

// event handles the current frame, which is a watch event. It is go-zookeeper's, too, if that has set watches. It
// would take one of a type that it uses inside for its own.
func (w *wire) event() (wanted bool, err error) {
	if w.body < eventSize || w.body+replyHeader > w.conn.maxReply {
		return false, fmt.Errorf("protocol error: a watch event of %d bytes", w.body)
	}
	b, err := w.wholeBody()
	if err != nil {
		return false, err
	}
	t, n := packet(b).int32At(0), int(packet(b).int32At(8))
	if n < 0 || n > len(b)-eventSize {
		return false, fmt.Errorf("protocol error: a watch event with a path of %d bytes", n)
	}
	if t < eventCreated || t > eventChildrenChanged {
		return false, nil
	}
	w.conn.table.Fired(string(b[eventSize:eventSize+n]), zk.EventType(t))
	return w.conn.watching.Load(), w.waitGate()
}

// pong handles the answer to a ping.
func (w *wire) pong(zxid int64) {
	w.mu.Lock()
	var sent time.Time
	if len(w.pings) > 0 {
		sent = w.pings[0]
		w.pings = w.pings[1:]
	}
	w.mu.Unlock()
	if !sent.IsZero() {
		w.handled(zxid, sent)
	}
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
	if r.withdrawn {
		wrong = codeWithdrawn
	} else if size := w.body + replyHeader; size > w.conn.maxReply {
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
	w.answered(op, code)
	if op != opAuth {
		w.handled(head.int64At(atReplyZxid), r.sent)
	}
	return true, nil
}

// take finds the request that a reply answers, and forgets it. A server answers in order, but for
// credentials; so a gap means that an answer was lost, and its caller would wait for ever. After the end
// of the session nobody waits.
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
		if age := time.Since(r.sent); r.op != opAuth && age > w.timeout {
			return fmt.Errorf("no answer to request %d (opcode %d) for %v", r.xid, r.op, age.Round(time.Millisecond))
		}
	}
	return nil
}

// answered draws the conclusions that go-zookeeper does not: when the session has ended as asked, and
// when a SetWatches was refused. That concerns only watches of go-zookeeper's, set through the handle.
func (w *wire) answered(op, code int32) {
	switch {
	case op == opClose && code == 0:
		w.conn.mu.Lock()
		w.conn.identity = identity{}
		w.conn.mu.Unlock()
	case op == opSetWatches && code != 0:
		w.conn.log.Warn("zkstream: the server refused to re-arm watches", "server", w.server, "code", code)
	}
}
