package zkconn

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// Transaction IDs that ZooKeeper's protocol has a meaning for.
const (
	xidEvent = -1
	xidPing  = -2
	xidAuth  = -4
)

const (
	replyHeader   = 16              // bytes: xid, zxid, error code
	gateLimit     = time.Second / 2 // how long the gate may stay shut
	codeTooLarge  = -32768          // error codes of our own, which no server sends
	codeMalformed = -32767
	codeWithdrawn = -32766

	codeAuthRequired = -124 // of a server that enforces authentication, in answer to any request, even a ping
)

// wire is the network connection that go-zookeeper gets. It knows the frames of the protocol, and
// that is what makes go-zookeeper safe to stand on: what cannot be set right from above is set right
// here, in the bytes.
//
// go-zookeeper writes one whole packet per Write, from one goroutine at a time, and reads from one.
type wire struct {
	net.Conn
	conn   *Conn
	server string
	r      *bufio.Reader

	// Used by the reading goroutine only.
	head      []byte        // of the current frame, still to be handed over
	body      int           // bytes of the current frame that follow head, still in r
	greeted   bool          // the handshake is over
	timeout   time.Duration // of the session
	headSpace [4 + replyHeader]byte

	scratch []byte // of the writing goroutine: a packet that is sent changed

	// Written by the writing goroutine, with the connect request, before anybody else looks.
	begun    bool      // there has been a first packet
	asked    int64     // the session that was asked for, 0 for a new one
	seen     int64     // the last zxid that was named
	rewound  bool      // go-zookeeper had named a later one
	deadline time.Time // for the handshake

	session int64 // that the handshake brought; written before any request is sent

	closeOnce sync.Once
	closeErr  error
	closed    chan struct{}

	mu          sync.Mutex // guards what follows
	gate        chan struct{}
	gateTimer   *time.Timer
	outstanding []request // without an answer yet, in the order in which they were sent
	answers     int       // that have come
	cause       error     // why the connection ended, as far as the network said; see fail
}

// request is what wire remembers of one that was sent.
type request struct {
	xid, op int32
	size    int // bytes
	sent    time.Time

	withdrawn bool // stands for one that was not sent
}

func newWire(c *Conn, conn net.Conn, server string) *wire {
	return &wire{
		Conn: conn, conn: c, server: server,
		r:      bufio.NewReaderSize(conn, 16<<10),
		closed: make(chan struct{}),
	}
}

// Close closes the connection; only the first call does anything.
func (w *wire) Close() error {
	w.closeOnce.Do(func() {
		close(w.closed)
		w.closeErr = hangUp(w.Conn)
		w.openGate() // stops its timer
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

// Write sends one packet. A failure closes the connection and is not reported: the reading side sees
// the end, and go-zookeeper can deadlock when a write fails while it replays credentials.
func (w *wire) Write(p []byte) (int, error) {
	sent, first := p, !w.begun
	w.begun = true
	if first {
		sent = w.rewriteConnect(p)
	} else {
		sent = w.outgoing(p)
	}
	if _, err := w.Conn.Write(sent); err != nil {
		w.conn.log.Debug("zkstream: write failed", "server", w.server, "error", err)
		w.fail(err)
	} else if !first && opcode(p) == opSetWatches {
		w.openGate()
	}
	return len(p), nil
}

// opcode returns the opcode of a request. A connect request has its last zxid there.
func opcode(p []byte) int32 {
	if len(p) < 12 {
		return 0
	}
	return int32(binary.BigEndian.Uint32(p[8:]))
}

// outgoing notes what the answer to p, which is not the first packet, will mean. It returns p as it is
// to be sent.
func (w *wire) outgoing(p []byte) []byte {
	op := opcode(p)
	if op == 0 {
		return p
	}
	withdrawn := !w.conn.changes.pass(w, op, p)
	if withdrawn {
		// go-zookeeper wants an answer, so the server is asked for something. See reply.
		w.scratch = append(w.scratch[:0], p[:8]...) // length, xid
		w.scratch = append(w.scratch, 0, 0, 0, opExists, 0, 0, 0, 1, '/', 0)
		binary.BigEndian.PutUint32(w.scratch, uint32(len(w.scratch)-4))
		p, op = w.scratch, opExists
	}
	if xid := int32(binary.BigEndian.Uint32(p[4:])); xid >= 0 {
		w.mu.Lock()
		w.outstanding = append(w.outstanding, request{xid, op, len(p), time.Now(), withdrawn})
		w.mu.Unlock()
	}
	if withdrawn {
		return p
	}
	switch op {
	case opExists, opGetData, opGetChildren2: // path, and whether to set a watch
		w.conn.mu.Lock()
		defer w.conn.mu.Unlock()
		if p[len(p)-1] == 1 {
			w.conn.watching = true
		} else if w.conn.arming[string(p[16:len(p)-1])] > 0 {
			w.scratch = append(w.scratch[:0], p...)
			p = w.scratch
			p[len(p)-1] = 1
		}
	case opSetWatches:
		// From the last zxid that was seen before this connection, at most: the gate keeps
		// go-zookeeper from naming a later one, unless a request that it had left over opened it.
		if len(p) >= 20 && int64(binary.BigEndian.Uint64(p[12:])) > w.seen {
			p = slices.Clone(p)
			binary.BigEndian.PutUint64(p[12:], uint64(w.seen))
		}
	}
	return p
}

// The gate. On a reconnect go-zookeeper asks for its watches again, from the last zxid that it saw;
// but its receive loop already moves that zxid while the request is being built, and events between
// the two are lost. So no reply after the connect reply passes until the first SetWatches has been
// written. Where no watch is left, none is written: then the gate opens by itself.

func (w *wire) shutGate() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gate = make(chan struct{})
}

func (w *wire) openGate() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gateTimer != nil {
		w.gateTimer.Stop()
	}
	if w.gate != nil {
		close(w.gate)
		w.gate = nil
	}
}

func (w *wire) waitGate() error {
	w.mu.Lock()
	gate := w.gate
	if gate != nil && w.gateTimer == nil {
		w.gateTimer = time.AfterFunc(gateLimit, w.openGate)
	}
	w.mu.Unlock()
	if gate == nil {
		return nil
	}
	<-gate // Close opens it too
	select {
	case <-w.closed:
		return net.ErrClosed
	default:
	}
	// Of the time that go-zookeeper allows a frame, the wait has taken its part.
	return w.Conn.SetReadDeadline(time.Now().Add(w.timeout * 2 / 3))
}

// SetReadDeadline keeps the handshake to its own limit. go-zookeeper allows it six times the session
// timeout, which may be very long or very short, and no limit once the first bytes have come.
func (w *wire) SetReadDeadline(t time.Time) error {
	if !w.greeted {
		t = w.deadline
	}
	err := w.Conn.SetReadDeadline(t)
	if errors.Is(err, net.ErrClosed) {
		err = nil // the read that follows says so; go-zookeeper would log both, for each frame
	}
	return err
}

// Read hands over the frames that arrive.
func (w *wire) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(w.head) == 0 && w.body == 0 {
		if w.greeted {
			err = w.nextFrame()
		} else {
			err = w.connectReply()
		}
		if err != nil {
			w.fail(err)
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
		b, err := w.r.Peek(4)
		if err != nil {
			return err
		}
		size := int(int32(binary.BigEndian.Uint32(b)))
		if size < replyHeader {
			return fmt.Errorf("protocol error: a reply of %d bytes", size)
		}
		if _, err := io.ReadFull(w.r, w.headSpace[:]); err != nil {
			return err
		}
		w.head, w.body = w.headSpace[:], size-replyHeader
		if int32(binary.BigEndian.Uint32(w.headSpace[16:])) == codeAuthRequired {
			w.conn.hosts.outcome(ErrAuthRequired) // and the server hangs up
		}
		if zxid := int64(binary.BigEndian.Uint64(w.headSpace[8:])); zxid > w.conn.zxid.Load() {
			w.conn.zxid.Store(zxid) // only here, and by one goroutine at a time
		}
		var wanted bool
		switch xid := int32(binary.BigEndian.Uint32(w.headSpace[4:])); xid {
		case xidEvent:
			wanted, err = w.event()
		case xidPing:
			if err := w.stalled(); err != nil {
				return err
			}
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
	binary.BigEndian.PutUint32(w.headSpace[0:], replyHeader)
	return err
}

// event looks at the current frame, which is a watch event. go-zookeeper would take one of a type that
// it uses inside for its own.
func (w *wire) event() (wanted bool, err error) {
	if err := w.waitGate(); err != nil {
		return false, err
	}
	if w.body < eventSize || w.body+replyHeader > w.conn.maxReply {
		return false, fmt.Errorf("protocol error: a watch event of %d bytes", w.body)
	}
	b, err := w.r.Peek(eventSize)
	if err != nil {
		return false, err
	}
	if n := int(int32(binary.BigEndian.Uint32(b[8:]))); n < 0 || n > w.body-eventSize {
		return false, fmt.Errorf("protocol error: a watch event with a path of %d bytes", n)
	}
	t := binary.BigEndian.Uint32(b)
	return t >= eventCreated && t <= eventChildrenChanged, nil
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
	code := int32(binary.BigEndian.Uint32(w.headSpace[16:]))
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
		binary.BigEndian.PutUint32(w.headSpace[16:], uint32(wrong))
		code = wrong
	}
	w.answered(op, code)
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
	return found, true, nil
}

// stalled tells of a request that has had no answer for the session timeout, while pings had.
func (w *wire) stalled() error {
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
