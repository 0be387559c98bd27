package zkconn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/go-zookeeper/zk"
)

const (
	maxHandshake = 1 << 10 // bytes of a connect reply; a real one has 36 or 37
	maxPassword  = 128     // bytes; a real one has 16, and go-zookeeper cannot send more than 224
)

// rewriteConnect reads the first packet, and returns it as it is to be sent: length, protocol version,
// last zxid seen, timeout, session ID, password, and the byte that go-zookeeper leaves out, without which
// servers log a warning of an old client: whether a read-only server would do.
//
// The timeout is the configured one; go-zookeeper would ask for what a server gave it last.
//
// If servers have been turning this session away for longer than its timeout, they do not have it or
// lag behind what it saw; the reason may be that the ensemble lost its data. A server refuses a client
// that has seen a newer zxid than itself, for ever, and go-zookeeper would try for ever. So the last
// zxid is left out: then the server says whether it knows the session.
func (w *wire) rewriteConnect(p packet) packet {
	c := w.conn
	w.connectSent = time.Now()
	w.deadline = w.connectSent.Add(c.hosts.attemptLimit())
	w.Conn.SetReadDeadline(w.deadline)
	if len(p) < connectMinimum {
		return p
	}
	if p = slices.Clone(p); len(p) == connectMinimum+int(p.int32At(connectMinimum-4)) {
		p = append(p, 0)
		p.setInt32At(0, int32(len(p)-4))
	}
	p.setInt32At(atAskedTimeout, int32(c.cfg.Timeout/time.Millisecond))
	w.requestedSession = p.int64At(atAskedSession)

	c.mu.Lock()
	known := c.identity
	if w.requestedSession == 0 && known.session != 0 {
		// A session that go-zookeeper has not heard of, because the handshake failed after the
		// server had made it: with the credentials, for example.
		p = encodeConnect(c.cfg.Timeout, known)
		w.requestedSession = known.session
	}
	if w.requestedSession != 0 { // go-zookeeper knows only the zxids of its own replies
		p.setInt64At(atLastZxid, max(p.int64At(atLastZxid), c.zxid.Load()))
	}
	w.namedZxid = p.int64At(atLastZxid)
	rewind := w.namedZxid != 0 && c.rejectedHandshakes > 0 && time.Since(c.lastGood) > c.current.Timeout
	first := rewind && !c.rewinding
	c.rewinding = c.rewinding || rewind
	c.mu.Unlock()
	if w.namedZxid != 0 && c.watching.Load() {
		w.gate.close()
	}
	if first {
		c.log.Warn("zkstream: servers keep closing the handshake; asking without the last zxid",
			"server", w.server, "session", hex(w.requestedSession))
	}
	if rewind {
		p.setInt64At(atLastZxid, 0)
		w.namedZxid = 0
		w.omittedZxid = true
	}
	return p
}

// connectReply reads the whole answer to the connect request: protocol version, timeout, session ID,
// password. It is passed on, except that a session other than the one asked for becomes what it is:
// the loss of that one. (Some servers replace an unknown session silently; go-zookeeper would keep
// watches that nobody serves.)
func (w *wire) connectReply() error {
	reply, password, err := w.readHandshake()
	if err == nil {
		err = w.greet(reply, password)
	}
	w.conn.hosts.outcome(err)
	if err != nil {
		return err
	}
	w.head, w.body = reply, 0
	return nil
}

func (w *wire) greet(reply packet, password []byte) error {
	w.Conn.SetWriteDeadline(w.deadline)
	timeout := reply.durationAt(atGivenTimeout)
	session := reply.int64At(atGivenSession)
	if session != 0 && w.requestedSession != 0 && session != w.requestedSession {
		w.conn.log.Warn("zkstream: the server replaced the session", "server", w.server,
			"old", hex(w.requestedSession), "new", hex(session))
		w.Conn.Write(closeRequest)
		clear(reply[atGivenTimeout:]) // timeout 0, session 0: expired
		session = 0
	}
	switch {
	case session == 0 && w.requestedSession == 0:
		return errors.New("the server gave no session")
	case session == 0:
		w.conn.hosts.sessionExpired()
		w.handshakeDone = true
		return nil
	case timeout <= 0:
		return fmt.Errorf("protocol error: a session timeout of %v", timeout)
	}
	w.timeout, w.session = timeout, session
	resumed := w.established(identity{session, password}, timeout)
	if err := w.authenticate(); err != nil {
		return err
	}
	if err := w.probe(); err != nil {
		return err
	}
	w.handshakeDone = true
	w.Conn.SetDeadline(time.Time{})
	w.putOff(time.Now())
	w.conn.lastAnswered.Store(int64(w.connectSent.Sub(w.conn.opened)))
	w.conn.hosts.attemptEnded(nil)
	w.attach(resumed)
	return nil
}

// readHandshake reads one frame whose parts are in bounds, and returns it and the password in it.
func (w *wire) readHandshake() (reply, password []byte, err error) {
	defer func() {
		var timeout net.Error
		switch {
		case err == nil:
			return
		case errors.As(err, &timeout) && timeout.Timeout():
			err = fmt.Errorf("no answer to the handshake within %v", w.conn.hosts.attemptLimit())
			return // it hangs: that says nothing about the session
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			err = errors.New("the server closed the connection during the handshake")
		}
		w.conn.mu.Lock()
		w.conn.rejectedHandshakes++
		w.conn.mu.Unlock()
	}()
	b, err := w.r.Peek(4)
	if err != nil {
		return nil, nil, err
	}
	size := int(binary.BigEndian.Uint32(b))
	if size < 20 || size > maxHandshake {
		return nil, nil, fmt.Errorf("protocol error: a connect reply of %d bytes; is this a ZooKeeper server?", size)
	}
	reply = make([]byte, 4+size)
	if _, err := io.ReadFull(w.r, reply); err != nil {
		return nil, nil, err
	}
	n := int(int32(binary.BigEndian.Uint32(reply[20:])))
	if n < -1 || n > min(size-20, maxPassword) { // -1 is null
		return nil, nil, fmt.Errorf("protocol error: a connect reply with a password of %d bytes", n)
	}
	return reply, slices.Clone(reply[24 : 24+max(n, 0)]), nil
}

// established notes the session that the server has given. It reports whether it is the one of before, in
// which no server shows a state older than what has been seen.
func (w *wire) established(id identity, timeout time.Duration) (resumed bool) {
	c := w.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	resumed = id.session == c.current.ID && !w.omittedZxid
	if !resumed {
		c.generation.Add(1)
		c.zxid.Store(0)
		c.rearmZxid = 0
	}
	c.identity = id
	c.current = Session{id.session, timeout, w.server, c.generation.Load()}
	return resumed
}

// authenticate sends the credentials and waits for the answers, within the limit of the handshake, and
// before go-zookeeper learns that there is a session. Done here, they are in force on each network
// connection from the start, without a moment in which a request runs without them.
func (w *wire) authenticate() error {
	for _, a := range w.conn.cfg.Auth {
		n, err := w.Conn.Write(authRequest(a))
		w.conn.counters.sent.Add(int64(n))
		if err != nil {
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
			return fmt.Errorf("the server refused the credential of scheme %q: %w", a.Scheme, zk.ErrAuthFailed)
		}
	}
	return nil
}

// authRequest encodes length, xid, opcode, type 0, scheme, credential.
func authRequest(a Auth) packet {
	return packet(nil).begin(xidAuth, opAuth).int32(0).string(a.Scheme).string(string(a.Credential)).end(0)
}

// closeRequest is a whole closeSession packet: length 8, xid closeXid, opcode -11.
var closeRequest = []byte{0, 0, 0, 8, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xf5}

const closeXid = 1

func hex(session int64) string { return fmt.Sprintf("0x%x", uint64(session)) }
