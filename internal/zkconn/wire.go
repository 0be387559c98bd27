package zkconn

import (
	"bufio"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"
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
	heard         bool // a request has been answered since the handshake

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

	session int64 // that the handshake brought; written before any request is sent

	closeOnce sync.Once
	closeErr  error
	closed    chan struct{}

	mu          sync.Mutex  // guards what follows
	outstanding []request   // of go-zookeeper's, without an answer yet, in the order in which they were sent
	pings       []time.Time // when those without an answer were sent
	answers     int         // that have come to go-zookeeper's
	cause       error       // why the connection ended, as far as the network said; see fail
	endedAt     time.Time   // when that was found
}

func newWire(c *Conn, conn net.Conn, server string) *wire {
	w := &wire{Conn: conn, conn: c, server: server, closed: make(chan struct{}), sending: make(chan struct{}, 1)}
	w.r = bufio.NewReaderSize(arriving{w}, 16<<10)
	w.own = newRequests(w)
	return w
}

// Close closes the connection; only the first call does anything.
func (w *wire) Close() error {
	w.closeOnce.Do(func() {
		close(w.closed)
		w.own.end()
		w.closeErr = hangUp(w.Conn)
		w.gate.open()
	})
	return w.closeErr
}

// end is fail for the reading goroutine.
func (w *wire) end(cause error) {
	if w.heard {
		w.conn.hosts.lost()
	}
	w.fail(cause)
}

// hangUp closes conn at once. TLS would first take up to five seconds to say so to a server that does
// not read; ZooKeeper has its own end of a session.
func hangUp(conn net.Conn) error {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	return conn.Close()
}
