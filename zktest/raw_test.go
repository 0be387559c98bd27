package zktest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// rawClient speaks the protocol frame by frame and hides nothing.
type rawClient struct {
	nc       net.Conn
	xid      int32
	session  int64
	password []byte
	lastZxid int64
	readOnly bool // it takes a read-only server
}

// patience is how long a raw client waits for an answer. Tests that take it fail.
const patience = 20 * time.Second

func (c *rawClient) writeFrame(body []byte) error {
	frame := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	c.nc.SetWriteDeadline(time.Now().Add(patience))
	_, err := c.nc.Write(append(frame, body...))
	return err
}

func (c *rawClient) readFrame() ([]byte, error) {
	c.nc.SetReadDeadline(time.Now().Add(patience))
	var size [4]byte
	if _, err := io.ReadFull(c.nc, size[:]); err != nil {
		return nil, err
	}
	frame := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(c.nc, frame)
	return frame, err
}

// timedOut tells a connection that stays silent from one that has ended.
func timedOut(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// handshake sends a connect request, for the session that the client had before if it had one, and
// reads the answer.
func (c *rawClient) handshake(timeout time.Duration, old bool) (reply []byte, err error) {
	var e encoder
	e.int32(0)
	e.int64(c.lastZxid)
	e.int32(int32(timeout / time.Millisecond))
	e.int64(c.session)
	password := c.password
	if password == nil {
		password = make([]byte, 16)
	}
	e.bytes(password)
	if !old {
		e.bool(c.readOnly)
	}
	if err := c.writeFrame(e.buf); err != nil {
		return nil, err
	}
	reply, err = c.readFrame()
	if err != nil {
		return nil, err
	}
	d := &decoder{buf: reply}
	d.int32()
	d.int32()
	id, password := d.int64(), d.bytes()
	if id != 0 {
		c.session, c.password = id, password
	}
	return reply, nil
}

// send writes a request with the client's next xid, or -2 for a ping.
func (c *rawClient) send(op Op, body []byte) (xid int32, err error) {
	if op == OpPing {
		xid = -2
	} else {
		c.xid++
		xid = c.xid
	}
	var e encoder
	e.int32(xid)
	e.int32(int32(op))
	return xid, c.writeFrame(append(e.buf, body...))
}

// call sends a request and reads frames up to its answer; those before it are events.
func (c *rawClient) call(op Op, body []byte) (frames [][]byte, err error) {
	xid, err := c.send(op, body)
	if err != nil {
		return nil, err
	}
	for {
		frame, err := c.readFrame()
		if err != nil {
			return frames, err
		}
		frames = append(frames, frame)
		if len(frame) >= 4 && int32(binary.BigEndian.Uint32(frame)) == xid {
			return frames, nil
		}
	}
}

// rawDial opens a connection in memory without a session; the test's cleanup closes it.
func rawDial(t testing.TB, s *Server) *rawClient {
	t.Helper()
	nc, err := s.Dial(t.Context(), "tcp", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &rawClient{nc: nc}
}

// rawTCP is rawDial over TCP, to any server.
func rawTCP(t testing.TB, addr string) *rawClient {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &rawClient{nc: nc}
}

// rawSession is rawDial with a session.
func rawSession(t testing.TB, s *Server, timeout time.Duration) *rawClient {
	t.Helper()
	c := rawDial(t, s)
	if _, err := c.handshake(timeout, false); err != nil {
		t.Fatal(err)
	}
	return c
}

// rawAgain comes back to a client's session over a new connection.
func rawAgain(t testing.TB, s *Server, old *rawClient) (c *rawClient, reply []byte, err error) {
	t.Helper()
	c = rawDial(t, s)
	c.session, c.password, c.lastZxid, c.xid = old.session, old.password, old.lastZxid, old.xid
	reply, err = c.handshake(time.Minute, false)
	return c, reply, err
}

// must carries a request out that has to be answered, and gives the answer's code and body.
func (c *rawClient) must(t testing.TB, r request) (code Code, rest *decoder) {
	t.Helper()
	frames, err := c.call(r.op, r.body())
	if err != nil {
		t.Fatalf("%v: %v", r, err)
	}
	d := &decoder{buf: frames[len(frames)-1]}
	d.int32()
	d.int64()
	return Code(d.int32()), d
}

// ok is must for requests that have to succeed.
func (c *rawClient) ok(t testing.TB, r request) *decoder {
	t.Helper()
	code, rest := c.must(t, r)
	if code != 0 {
		t.Fatalf("%v: %v", r, code)
	}
	return rest
}

// event reads the next frame, which has to be an event.
func (c *rawClient) event(t testing.TB) (typ eventType, path string) {
	t.Helper()
	frame, err := c.readFrame()
	if err != nil {
		t.Fatal(err)
	}
	d := &decoder{buf: frame}
	if xid := d.int32(); xid != -1 {
		t.Fatalf("frame %x is no event", frame)
	}
	d.int64()
	d.int32()
	typ = eventType(d.int32())
	d.int32()
	path, _ = d.string()
	return typ, path
}

// closed fails the test unless the connection has been closed, or is within a while.
func (c *rawClient) closed(t testing.TB) {
	t.Helper()
	if frame, err := c.readFrame(); err == nil || timedOut(err) {
		t.Fatalf("the connection is open: frame %x, error %v", frame, err)
	}
}

// silent fails the test if anything comes within d.
func (c *rawClient) silent(t testing.TB, d time.Duration) {
	t.Helper()
	c.nc.SetReadDeadline(time.Now().Add(d))
	var b [1]byte
	if n, err := c.nc.Read(b[:]); n > 0 || !timedOut(err) {
		t.Fatalf("the connection is not silent: %d bytes, error %v", n, err)
	}
}

// body encodes a request as clients do. It is the mirror of decodeRequest, and is checked by the
// comparison with a real server.
func (r *request) body() []byte {
	var e encoder
	switch r.op {
	case OpMulti, OpMultiRead:
		for i := range r.multi {
			e.multiHeader(r.multi[i].op, false, -1)
			e.buf = append(e.buf, r.multi[i].body()...)
		}
		e.multiHeader(-1, true, -1)
	case OpSetWatches, OpSetWatches2:
		e.int64(r.watches.relativeZxid)
		lists := [][]string{r.watches.data, r.watches.exist, r.watches.child}
		if r.op == OpSetWatches2 {
			lists = append(lists, r.watches.persistent, r.watches.recursive)
		}
		for _, list := range lists {
			e.int32(int32(len(list)))
			for _, path := range list {
				e.bytes([]byte(path)) // not e.string, which writes as Java does
			}
		}
	case OpAuth:
		e.int32(0)
		e.string(r.scheme)
		e.bytes(r.data)
	case OpPing, OpCloseSession, OpWhoAmI:
	case OpReconfig:
		e.bytes(nil)
		e.bytes(nil)
		e.bytes(nil)
		e.int64(-1)
	default:
		e.bytes([]byte(r.path))
		switch r.op {
		case OpCreate, OpCreate2, OpCreateContainer, OpCreateTTL:
			e.bytes(r.data)
			e.acls(r.acl)
			e.int32(r.flags)
			if r.op == OpCreateTTL {
				e.int64(r.ttl)
			}
		case OpDelete, OpCheck:
			e.int32(r.version)
		case OpSetData:
			e.bytes(r.data)
			e.int32(r.version)
		case OpSetACL:
			e.acls(r.acl)
			e.int32(r.version)
		case OpExists, OpGetData, OpGetChildren, OpGetChildren2:
			e.bool(r.watch)
		case OpAddWatch, OpCheckWatches, OpRemoveWatches:
			e.int32(r.mode)
		}
	}
	return e.buf
}

// word asks a four-letter word over a connection of its own.
func word(nc net.Conn, w string) (string, error) {
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(nc, w); err != nil {
		return "", err
	}
	text, err := io.ReadAll(nc)
	return string(text), err
}

// wordField finds a line "name: value" in a four-letter word's answer.
func wordField(text, name string) (string, error) {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+": "); ok {
			return strings.TrimSpace(value), nil
		}
	}
	return "", fmt.Errorf("no %q in %q", name, text)
}
