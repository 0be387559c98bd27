package zkconn

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

// Opcodes and transaction IDs of ZooKeeper's protocol that wire looks at.
const (
	opExists      = 3
	opGetData     = 4
	opGetChildren = 12
	opAuth        = 100
	opSetWatches  = 101
	opClose       = -11

	xidAuth = -4
)

const (
	maxHandshake = 1 << 10         // bytes of a connect reply; a real one has 36 or 37
	replyHeader  = 16              // xid, zxid, error code
	gateLimit    = time.Second / 2 // how long the gate may stay shut
	codeTooLarge = -32768          // an error code of our own, which no server sends
)

// wire is the network connection that go-zookeeper gets. It knows the frames of the protocol, and
// that is what makes go-zookeeper safe to stand on: what cannot be set right from above is set right
// here, in the bytes.
//
// go-zookeeper writes one whole packet per Write, and reads from one goroutine.
type wire struct {
	net.Conn
	conn   *Conn
	server string
	r      *bufio.Reader

	// Used by the reading goroutine only.
	head      []byte // of the current frame, still to be handed over
	body      int    // bytes of the current frame that follow head, still in r
	greeted   bool   // the connect reply has been read
	headSpace [4 + replyHeader]byte

	// Used by the writing goroutine before the reading one gets its first byte.
	asked    identity  // what the connect request named
	seen     int64     // the last zxid that it named, before any rewinding
	rewound  bool      // the connect request was sent without it
	deadline time.Time // for the handshake

	closeOnce sync.Once
	closeErr  error
	closed    chan struct{}

	mu         sync.Mutex // guards what follows
	begun      bool       // the connect request has been written
	gate       chan struct{}
	gateTimer  *time.Timer
	setWatches map[int32]bool // xids of SetWatches requests without an answer yet
	farewell   int32          // xid of the request to end the session, 0 before it
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
		w.closeErr = w.Conn.Close()
		w.openGate() // stops its timer
	})
	return w.closeErr
}

// Write sends one packet. A failure closes the connection and is not reported: the reading side sees
// the end, and go-zookeeper can deadlock when a write fails while it replays credentials.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	begun := w.begun
	w.begun = true
	w.mu.Unlock()
	if !begun {
		p = w.connectRequest(p)
	}
	w.outgoing(begun, p)
	if _, err := w.Conn.Write(p); err != nil {
		w.conn.log.Debug("zkstream: write failed", "server", w.server, "error", err)
		w.Close()
		return len(p), nil
	}
	if begun && opcode(p) == opSetWatches {
		w.openGate()
	}
	return len(p), nil
}

func opcode(p []byte) int32 {
	if len(p) < 12 {
		return 0
	}
	return int32(binary.BigEndian.Uint32(p[8:]))
}

// outgoing notes what the answer to p will mean. It runs before p is sent.
func (w *wire) outgoing(begun bool, p []byte) {
	if !begun {
		return
	}
	switch opcode(p) {
	case opExists, opGetData, opGetChildren:
		if p[len(p)-1] == 1 { // with a watch
			w.conn.mu.Lock()
			w.conn.watching = true
			w.conn.mu.Unlock()
		}
	case opSetWatches:
		w.mu.Lock()
		if w.setWatches == nil {
			w.setWatches = map[int32]bool{}
		}
		w.setWatches[int32(binary.BigEndian.Uint32(p[4:]))] = true
		w.mu.Unlock()
	case opClose:
		w.mu.Lock()
		w.farewell = int32(binary.BigEndian.Uint32(p[4:]))
		w.mu.Unlock()
	}
}

// connectRequest reads, and returns, the first packet: length, protocol version, last zxid seen,
// timeout, session ID, password.
//
// If servers have been turning this session away for longer than its timeout, they do not have it or
// lag behind what it saw; the reason may be that the ensemble lost its data. A server refuses a client
// that has seen a newer zxid than itself, for ever, and go-zookeeper would try for ever. So the last
// zxid is left out: then the server says whether it knows the session.
func (w *wire) connectRequest(p []byte) []byte {
	c := w.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	w.deadline = time.Now().Add(c.attempt)
	if len(p) < 32 {
		return p
	}
	w.seen = int64(binary.BigEndian.Uint64(p[8:]))
	w.asked.session = int64(binary.BigEndian.Uint64(p[20:]))
	if w.seen != 0 && c.turned > 0 && time.Since(c.lastGood) > c.current.Timeout {
		c.log.Warn("zkstream: servers keep closing the handshake; asking without the last zxid",
			"server", w.server, "session", hex(w.asked.session))
		p = append([]byte(nil), p...)
		binary.BigEndian.PutUint64(p[8:], 0)
		w.rewound = true
	}
	if w.seen != 0 && c.watching {
		w.gate = make(chan struct{})
	}
	return p
}

// The gate. On a reconnect go-zookeeper asks for its watches again, from the last zxid that it saw;
// but its receive loop already moves that zxid while the request is being built, and events between
// the two are lost. So no reply after the connect reply passes until the first SetWatches has been
// written. Where no watch is left, none is written: then the gate opens by itself.

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
		return nil
	}
}

// SetReadDeadline keeps the handshake within its limit; go-zookeeper allows it six times the session
// timeout, and no limit once the first bytes have come.
func (w *wire) SetReadDeadline(t time.Time) error {
	if !w.greeted && (t.IsZero() || t.After(w.deadline)) {
		t = w.deadline
	}
	return w.Conn.SetReadDeadline(t)
}

// Read hands over the frames that arrive.
func (w *wire) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(w.head) == 0 && w.body == 0 {
		if err := w.nextFrame(); err != nil {
			w.Close()
			return 0, err
		}
	}
	if len(w.head) > 0 {
		n := copy(p, w.head)
		w.head = w.head[n:]
		return n, nil
	}
	n, err := w.r.Read(p[:min(len(p), w.body)])
	w.body -= n
	return n, err
}

// nextFrame reads the beginning of the next frame for go-zookeeper into head, and sets body.
func (w *wire) nextFrame() error {
	if !w.greeted {
		return w.connectReply()
	}
	b, err := w.r.Peek(4)
	if err != nil {
		return err
	}
	size := int(binary.BigEndian.Uint32(b))
	if size < replyHeader {
		return fmt.Errorf("protocol error: a reply of %d bytes", size)
	}
	if _, err := io.ReadFull(w.r, w.headSpace[:]); err != nil {
		return err
	}
	if err := w.waitGate(); err != nil {
		return err
	}
	w.head, w.body = w.headSpace[:], size-replyHeader
	xid := int32(binary.BigEndian.Uint32(w.head[4:]))
	w.answered(xid, int32(binary.BigEndian.Uint32(w.head[16:])))
	if size <= w.conn.maxReply {
		return nil
	}
	if xid == -1 {
		return fmt.Errorf("protocol error: a watch event of %d bytes", size)
	}
	// It becomes an error of this one request. go-zookeeper would drop the connection, and so would the
	// next try, for ever.
	w.conn.log.Warn("zkstream: a reply is too large", "server", w.server, "bytes", size, "limit", w.conn.maxReply)
	if _, err := w.r.Discard(w.body); err != nil {
		return err
	}
	w.body = 0
	code := int32(codeTooLarge)
	binary.BigEndian.PutUint32(w.headSpace[0:], replyHeader)
	binary.BigEndian.PutUint32(w.headSpace[16:], uint32(code))
	return nil
}

// answered looks whether a reply is the refusal of a SetWatches, which go-zookeeper only logs, or the
// end of the session.
func (w *wire) answered(xid, code int32) {
	w.mu.Lock()
	watches := w.setWatches[xid]
	delete(w.setWatches, xid)
	ended := xid == w.farewell && xid > 0
	w.mu.Unlock()
	if ended {
		w.conn.mu.Lock()
		w.conn.identity = identity{}
		w.conn.mu.Unlock()
	}
	if watches && code != 0 {
		w.conn.log.Warn("zkstream: the server refused to re-arm watches", "server", w.server, "code", code)
		w.conn.emit(Event{Kind: WatchesLost})
	}
}

// connectReply reads the whole answer to the connect request: protocol version, timeout, session ID,
// password. It is passed on, except that a session other than the one asked for becomes what it is:
// the loss of that one. (Some servers replace an unknown session silently; go-zookeeper would keep
// watches that nobody serves.)
func (w *wire) connectReply() error {
	reply, err := w.readHandshake()
	if err != nil {
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout():
			err = fmt.Errorf("no answer to the handshake within %v", w.conn.attempt)
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			err = errors.New("the server closed the connection during the handshake")
			w.turnedAway()
		default:
			w.turnedAway()
		}
		w.conn.hosts.failed(w.server, err)
		return err
	}
	w.greeted = true
	timeout := time.Duration(int32(binary.BigEndian.Uint32(reply[8:]))) * time.Millisecond
	session := int64(binary.BigEndian.Uint64(reply[12:]))
	password := append([]byte(nil), reply[24:24+binary.BigEndian.Uint32(reply[20:])]...)
	if session != 0 && w.asked.session != 0 && session != w.asked.session {
		w.conn.log.Warn("zkstream: the server replaced the session", "server", w.server,
			"old", hex(w.asked.session), "new", hex(session))
		w.Conn.Write(closeRequest)
		clear(reply[8:]) // timeout 0, session 0: expired
		session = 0
	}
	if session == 0 {
		w.conn.hosts.expired()
	} else {
		if timeout <= 0 {
			return fmt.Errorf("protocol error: a session timeout of %v", timeout)
		}
		w.established(identity{session, password}, timeout)
		if err := w.authenticate(); err != nil {
			w.conn.hosts.failed(w.server, err)
			return err
		}
		// From here on the deadline is go-zookeeper's again.
		w.Conn.SetReadDeadline(time.Time{})
	}
	w.head, w.body = reply, 0
	return nil
}

// readHandshake reads one frame whose parts are in bounds.
func (w *wire) readHandshake() ([]byte, error) {
	b, err := w.r.Peek(4)
	if err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint32(b))
	if size < 20 || size > maxHandshake {
		return nil, fmt.Errorf("protocol error: a connect reply of %d bytes; is this a ZooKeeper server?", size)
	}
	reply := make([]byte, 4+size)
	if _, err := io.ReadFull(w.r, reply); err != nil {
		return nil, err
	}
	if n := int(int32(binary.BigEndian.Uint32(reply[20:]))); n < 0 || n > size-20 {
		return nil, errors.New("protocol error: a connect reply with a wrong length inside")
	}
	return reply, nil
}

func (w *wire) turnedAway() {
	w.conn.mu.Lock()
	w.conn.turned++
	w.conn.mu.Unlock()
}

func (w *wire) established(id identity, timeout time.Duration) {
	c := w.conn
	c.hosts.failed(w.server, nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	if id.session != c.current.ID || w.rewound {
		c.generation.Add(1)
	}
	c.identity = id
	c.current = Session{id.session, timeout, w.server, c.generation.Load()}
}

// authenticate sends the credentials and waits for the answers, within the limit of the handshake, and
// before go-zookeeper learns that there is a session. Done here, they are in force on each network
// connection from the start, without a moment in which a request runs without them.
func (w *wire) authenticate() error {
	for _, a := range w.conn.cfg.Auth {
		if _, err := w.Conn.Write(authRequest(a)); err != nil {
			return err
		}
		var reply [4 + replyHeader]byte
		if _, err := io.ReadFull(w.r, reply[:]); err != nil {
			return fmt.Errorf("credential of scheme %q: %w", a.Scheme, err)
		}
		size := binary.BigEndian.Uint32(reply[0:])
		xid := int32(binary.BigEndian.Uint32(reply[4:]))
		code := int32(binary.BigEndian.Uint32(reply[16:]))
		if size != replyHeader || xid != xidAuth {
			return fmt.Errorf("protocol error: %d bytes with xid %d in answer to a credential", size, xid)
		}
		if code != 0 {
			err := fmt.Errorf("the server refused the credential of scheme %q: %w", a.Scheme, zk.ErrAuthFailed)
			w.conn.emit(Event{Kind: AuthFailed, Err: err})
			return err
		}
	}
	return nil
}

// authRequest encodes length, xid, opcode, type 0, scheme, credential.
func authRequest(a Auth) []byte {
	b := make([]byte, 4, 24+len(a.Scheme)+len(a.Credential))
	b = binary.BigEndian.AppendUint32(b, 0xfffffffc) // xid -4
	b = binary.BigEndian.AppendUint32(b, opAuth)
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(len(a.Scheme)))
	b = append(b, a.Scheme...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(a.Credential)))
	b = append(b, a.Credential...)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// closeRequest is a whole closeSession packet: length 8, xid 1, opcode -11.
var closeRequest = []byte{0, 0, 0, 8, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xf5}

func hex(session int64) string { return fmt.Sprintf("0x%x", uint64(session)) }
