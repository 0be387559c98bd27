package zktest

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// maxUnread is how many bytes of replies may wait for a client before its requests wait too.
	maxUnread = 1 << 20
	// maxQueued is how many bytes may wait in all, watch events above all, before the client is cut off.
	maxQueued = 64 << 20
	// flushTime is how long a connection that is being closed may take to read its last bytes.
	flushTime = time.Second
	// keepBuffer is the largest buffer that a connection keeps for the next frame.
	keepBuffer = 64 << 10
)

// lingerTime is how long a connection that has been closed goes on taking in what its client still sends. It is a
// variable for a test.
var lingerTime = 300 * time.Millisecond

// conn is a client's connection. One goroutine reads and serves its requests, another writes what is
// in out; both end when the connection is closed.
type conn struct {
	s      *Server
	addr   string        // that the client dialled
	dialer *Dialer       // that it came through; nil for none
	nc     net.Conn      // TLS, if the server speaks it
	raw    net.Conn      // what nc runs on; closing it never blocks
	dead   chan struct{} // closed with the connection
	out    outbox
	in     []byte  // the reader's frame buffer
	enc    encoder // the reader's reply buffer

	// The Server's mutex guards what follows.
	closed  bool
	leaving bool          // it has asked to close its session, and is closed when that is answered
	session int64         // 0 before the handshake
	timeout time.Duration // negotiated by this connection
	ids     []identity
	stats   connStats
}

// serve takes a connection on, which came through a Dialer unless that is nil. It is false if the server is
// not to be reached.
func (s *Server) serve(raw net.Conn, addr string, d *Dialer) bool {
	c := &conn{s: s, addr: addr, dialer: d, nc: raw, raw: raw, dead: make(chan struct{})}
	if s.cfg.tls != nil {
		c.nc = tls.Server(raw, s.cfg.tls)
	}
	c.out.cond = sync.NewCond(&c.out.mu)
	if host, _, err := net.SplitHostPort(raw.RemoteAddr().String()); err == nil {
		c.ids = []identity{{"ip", host}}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.upLocked() || s.partitioned || d != nil && d.partitioned {
		return false
	}
	if d != nil {
		d.addLocked(raw.(*pipeEnd))
	}
	s.conns[c] = struct{}{}
	c.stats.opened = time.Now()
	s.wg.Go(c.readLoop)  // ends when the connection is closed; Server.Close waits for it
	s.wg.Go(c.writeLoop) // the same
	return true
}

// How a connection is closed.
const (
	dropNow    = false // what waits to be written is lost
	flushFirst = true  // what waits is written, within flushTime
)

// closeLocked takes the connection out of the server: its session has no connection any more, and its
// watches are gone. The goroutines end by themselves.
func (c *conn) closeLocked(flush bool) {
	if c.closed {
		return
	}
	c.closed = true
	close(c.dead)
	delete(c.s.conns, c)
	c.s.dataWatches.removeConn(c)
	c.s.childWatches.removeConn(c)
	if c.s.attached[c.session] == c {
		delete(c.s.attached, c.session)
	}
	c.s.e.cond.Broadcast()
	_, tcp := c.raw.(*net.TCPConn)
	switch {
	case flush:
		c.raw.SetWriteDeadline(time.Now().Add(flushTime))
	case tcp:
		c.raw.SetWriteDeadline(time.Now()) // ends a write that is under way; hangUp does the rest
	default:
		c.raw.Close()
	}
	c.out.close(flush)
}

func (c *conn) close(flush bool) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.closeLocked(flush)
}

// readLoop serves one request after the other.
func (c *conn) readLoop() {
	var word [4]byte
	if !c.awaitThaw() { // before a TLS handshake, which would answer
		return
	}
	if _, err := io.ReadFull(c.nc, word[:]); err != nil {
		c.close(dropNow)
		return
	}
	if fourLetterWord(string(word[:])) {
		c.answerWord(string(word[:]))
		c.close(flushFirst)
		return
	}
	size := int(int32(binary.BigEndian.Uint32(word[:])))
	for serve := c.handshake; ; serve = c.serveFrame {
		frame, err := c.readFrame(size)
		if err != nil {
			c.close(dropNow)
			return
		}
		if !serve(frame) {
			return // whoever says so has closed the connection
		}
		c.out.waitBelow(maxUnread)
		if _, err := io.ReadFull(c.nc, word[:]); err != nil {
			c.close(dropNow)
			return
		}
		size = int(int32(binary.BigEndian.Uint32(word[:])))
	}
}

// readFrame reads a frame whose length has been read. Memory is taken as bytes arrive, so a length
// that is a lie costs nothing. The frame is valid until the next call.
func (c *conn) readFrame(size int) ([]byte, error) {
	if size < 0 || size > c.s.cfg.maxBuffer {
		c.s.log.Warn("zktest: packet too large", "bytes", size, "max", c.s.cfg.maxBuffer)
		return nil, errShort
	}
	if cap(c.in) > keepBuffer {
		c.in = nil
	}
	c.in = c.in[:0]
	for len(c.in) < size {
		part := min(size-len(c.in), max(len(c.in), 4<<10))
		if have := len(c.in); cap(c.in) < have+part {
			c.in = append(make([]byte, 0, have+part), c.in...)
		}
		have := len(c.in)
		c.in = c.in[:have+part]
		if _, err := io.ReadFull(c.nc, c.in[have:]); err != nil {
			return nil, err
		}
	}
	return c.in, nil
}

// send queues a frame, or cuts the client off if too much waits for it already. It needs the Server's
// mutex, which keeps events and replies in order.
func (c *conn) send(frame []byte) {
	if c.closed {
		return
	}
	c.stats.sent++
	c.s.traffic.sent++
	if !c.out.put(frame) {
		c.s.log.Warn("zktest: client does not read, dropping it", "queued bytes", maxQueued)
		c.closeLocked(dropNow)
	}
}

// sendEvent queues a watch event, with xid -1.
func (c *conn) sendEvent(ev event) {
	var e encoder
	e.buf = make([]byte, 0, 64+len(ev.path))
	e.beginFrame()
	zxid := int64(-1)
	if ev.zxid > 0 && c.s.cfg.release.tellsZxids() {
		zxid = ev.zxid
	}
	e.replyHeader(-1, zxid, 0)
	e.int32(int32(ev.typ))
	e.int32(stateConnected)
	e.string(ev.path)
	c.send(e.endFrame())
}

// writeLoop writes what is queued until the connection is closed, and closes the socket.
func (c *conn) writeLoop() {
	defer c.hangUp()
	var buf []byte
	for {
		var ok bool
		if buf, ok = c.out.take(buf); !ok {
			return
		}
		if !c.awaitThaw() {
			return
		}
		if _, err := c.nc.Write(buf); err != nil {
			c.close(dropNow)
			return
		}
		if cap(buf) > keepBuffer {
			buf = nil
		}
	}
}

// hangUp ends a closed connection as the real server does: the client reads what was sent, and then the end
// of the stream. A socket that is closed with unread bytes in it is reset instead, which can cost the client
// what it has not read, so these bytes are taken in first. A pipe has no such trait.
func (c *conn) hangUp() {
	defer c.raw.Close()
	if secure, ok := c.nc.(*tls.Conn); ok {
		secure.CloseWrite() // the alert without which the client takes the end for a truncation
	}
	tcp, ok := c.raw.(*net.TCPConn)
	if !ok || !c.s.linger(tcp) {
		return
	}
	defer c.s.endLinger(tcp)
	tcp.CloseWrite()
	tcp.SetReadDeadline(time.Now().Add(lingerTime))
	io.Copy(io.Discard, tcp)
}

// linger notes a socket that Close has to close. It is false if the server is closed.
func (s *Server) linger(socket net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.lingering[socket] = struct{}{}
	return true
}

func (s *Server) endLinger(socket net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.lingering, socket)
}

// awaitThaw waits while the server is frozen. It is false if the connection was closed meanwhile.
func (c *conn) awaitThaw() bool {
	for {
		c.s.mu.Lock()
		thawed := c.s.thawed
		c.s.mu.Unlock()
		if thawed == nil {
			return true
		}
		select {
		case <-thawed:
		case <-c.dead:
			return false
		}
	}
}

// outbox holds bytes that wait to be written.
type outbox struct {
	mu     sync.Mutex // guards all below; taken after the Server's mutex, never before
	cond   *sync.Cond // told of every change
	buf    []byte
	closed bool
}

// put is false if too much waits already.
func (o *outbox) put(frame []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return true
	}
	if len(o.buf)+len(frame) > maxQueued {
		return false
	}
	o.buf = append(o.buf, frame...)
	o.cond.Broadcast()
	return true
}

// take waits for bytes and gives all there are, in exchange for a buffer to use next. It is false
// when the connection is closed and nothing is left to write.
func (o *outbox) take(spare []byte) ([]byte, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.buf) == 0 {
		if o.closed {
			return nil, false
		}
		o.cond.Wait()
	}
	buf := o.buf
	o.buf = spare[:0]
	o.cond.Broadcast()
	return buf, true
}

// waitBelow waits until less than limit bytes are queued, or the connection is closed.
func (o *outbox) waitBelow(limit int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.buf) >= limit && !o.closed {
		o.cond.Wait()
	}
}

func (o *outbox) close(flush bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	if !flush {
		o.buf = nil
	}
	o.cond.Broadcast()
}
