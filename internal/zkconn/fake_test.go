package zkconn

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
)

// minute is more than anything takes that must happen, in the virtual time of a bubble.
const minute = time.Minute

var errRefused = errors.New("connection refused")

// fake is an ensemble in memory whose servers do what a test has them do. Use it in a synctest bubble.
type fake struct {
	t      *testing.T
	dialed chan *peer

	mu        sync.Mutex // guards what follows
	refused   map[string]bool
	multiRead map[string]bool // addresses that have been asked whether they know multiRead
	answers   func(*peer)     // serves each connection, instead of handing it to the test
	peers     []*peer
	dials     []string // addresses, the refused ones too
	closed    []int64  // sessions that clients have ended
}

func newFake(t *testing.T) *fake {
	return &fake{t: t, dialed: make(chan *peer, 1000), refused: map[string]bool{}, multiRead: map[string]bool{}}
}

// dial is a DialFunc. Connections are not buffered: a write waits for the other side's read.
func (f *fake) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dials = append(f.dials, addr)
	if f.refused[addr] {
		return nil, errRefused
	}
	client, server := net.Pipe()
	p := &peer{Conn: server, f: f, addr: addr, r: bufio.NewReader(server)}
	f.peers = append(f.peers, p)
	if f.answers != nil {
		go f.answers(p) // ends when the client hangs up
	} else {
		f.dialed <- p
	}
	return client, nil
}

func (f *fake) refuse(on bool, addrs ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range addrs {
		f.refused[a] = on
	}
}

// serve has every connection from now on served by fn, in a goroutine of its own.
func (f *fake) serve(fn func(*peer)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers = fn
}

func (f *fake) dialCount() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.dials)
}

func (f *fake) ended(session int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.closed, session)
}

// peer waits for the next connection.
func (f *fake) peer() *peer {
	f.t.Helper()
	select {
	case p := <-f.dialed:
		return p
	case <-time.After(minute):
		f.t.Fatal("nobody has dialed")
		return nil
	}
}

// checkHungUp checks that no connection is open on the client's side.
func (f *fake) checkHungUp() {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, p := range f.peers {
		p.SetReadDeadline(time.Now().Add(time.Second))
		_, err := io.Copy(io.Discard, p.Conn)
		if err != nil && !errors.Is(err, io.ErrClosedPipe) {
			f.t.Errorf("connection %d to %s is still open: %v", i, p.addr, err)
		}
		p.Close()
	}
}

// client is a Conn whose events a test expects one by one.
type client struct {
	*Conn
	t       *testing.T
	events  []Event
	changes chan change // watches that have fired
}

// setServers replaces the list of servers, for the rounds to come and for the farewell.
func (c *client) setServers(servers ...string) {
	n := c.hosts.names
	n.mu.Lock()
	defer n.mu.Unlock()
	n.names = nil
	for _, s := range servers {
		n.names = append(n.names, &name{server: s, fixed: true, addrs: []string{s}})
	}
}

type change struct {
	path string
	kind zk.EventType
}

// open opens a Conn to the fake; what cfg leaves out is filled in. It is closed with the test.
func (f *fake) open(cfg Config) *client {
	f.t.Helper()
	if cfg.Servers == nil {
		cfg.Servers = []string{"server:2181"}
	}
	if cfg.Dial == nil {
		cfg.Dial = f.dial
	}
	return open(f.t, cfg)
}

func open(t *testing.T, cfg Config) *client {
	t.Helper()
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.MaxCalls == 0 {
		cfg.MaxCalls = 64
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
		if testing.Verbose() {
			cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
		}
	}
	changes := make(chan change, 20_000) // more than a test lets fire
	if cfg.Watches == nil {
		cfg.Watches = &eventTable{changes: changes}
		cfg.noProbe = true
	}
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return &client{Conn: c, t: t, changes: changes}
}

// connected returns a Conn with a session, and the server's side of it.
func connected(t *testing.T) (*fake, *client, *peer) {
	t.Helper()
	f := newFake(t)
	c := f.open(Config{})
	p := f.peer()
	p.accept(session, 10*time.Second)
	c.expect(Up)
	return f, c, p
}

// next waits for the next event.
func (c *client) next() Event {
	c.t.Helper()
	for len(c.events) == 0 {
		select {
		case <-c.Ready():
			c.events = append(c.events, c.Take(nil)...)
		case <-time.After(minute):
			c.t.Fatal("no event has come")
		}
	}
	ev := c.events[0]
	c.events = c.events[1:]
	return ev
}

// expect checks that these are the next events, and returns the last.
func (c *client) expect(kinds ...EventKind) (ev Event) {
	c.t.Helper()
	for _, kind := range kinds {
		if ev = c.next(); ev.Kind != kind {
			c.t.Fatalf("the next event is %+v, want one of kind %d", ev, kind)
		}
	}
	return ev
}

// changed waits until a watch has fired.
func (c *client) changed() change {
	c.t.Helper()
	select {
	case ch := <-c.changes:
		return ch
	case <-time.After(minute):
		c.t.Fatal("no watch has fired")
		return change{}
	}
}

// quiet checks that there is no event when all goroutines of the bubble wait.
func (c *client) quiet() {
	c.t.Helper()
	synctest.Wait()
	if c.events = append(c.events, c.Take(nil)...); len(c.events) > 0 {
		c.t.Fatalf("unexpected: %+v", c.events)
	}
	if n := len(c.changes); n > 0 {
		c.t.Fatalf("%d watches have fired, the first is %+v", n, <-c.changes)
	}
}

// get begins to read /x, and returns what will have its outcome.
func (c *client) get() <-chan error {
	done := make(chan error, 1)
	// Ends with the call, at the latest when the test closes the Conn.
	go func() {
		done <- c.Run(c.t.Context(), func(zc *zk.Conn) error {
			_, _, err := zc.Get("/x")
			return err
		})
	}()
	return done
}

// works checks that a request gets its answer.
func (c *client) works(p *peer) {
	c.t.Helper()
	done := c.get()
	p.reply(p.expect(opGetData).xid, 1, 0, str("data"), stat(1))
	if err := <-done; err != nil {
		c.t.Errorf("a request after that: %v", err)
	}
}

// peer is a server's end of a connection. Unless it says otherwise, a method ends the test when the
// connection fails, so it is for the test's goroutine.
type peer struct {
	net.Conn
	f    *fake
	addr string
	r    *bufio.Reader
}

// received is a request of a client.
type received struct {
	xid, op int32
	body    []byte
}

// read reads a packet without its length. It may be called from any goroutine.
func (p *peer) read() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(p.r, head[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err := io.ReadFull(p.r, b)
	return b, err
}

// hello is a connect request.
type hello struct {
	zxid    int64
	timeout time.Duration
	session int64
}

func parseHello(b []byte) hello {
	return hello{
		zxid:    int64(binary.BigEndian.Uint64(b[4:])),
		timeout: time.Duration(int32(binary.BigEndian.Uint32(b[12:]))) * time.Millisecond,
		session: int64(binary.BigEndian.Uint64(b[16:])),
	}
}

// hello reads the connect request.
func (p *peer) hello() hello {
	p.f.t.Helper()
	p.SetReadDeadline(time.Now().Add(minute))
	b, err := p.read()
	if err != nil || len(b) < 28 {
		p.f.t.Fatalf("connect request: %x, %v", b, err)
	}
	return parseHello(b)
}

// accept answers the connect request. Session 0 says that it has expired.
func (p *peer) accept(session int64, timeout time.Duration) hello {
	p.f.t.Helper()
	h := p.hello()
	p.send(welcome(session, timeout))
	return h
}

// probed answers the question whether the server knows multiRead, which comes once for each address.
func (p *peer) probed() {
	p.f.t.Helper()
	p.f.mu.Lock()
	known := p.f.multiRead[p.addr]
	p.f.multiRead[p.addr] = true
	p.f.mu.Unlock()
	if !known {
		p.reply(p.expect(opMultiRead).xid, 0, 0, i32(-1), []byte{1}, i32(-1))
	}
}

// eventTable is a table without watches, which notes the events.
type eventTable struct {
	noTable
	changes chan<- change
}

func (e *eventTable) Fired(path string, kind zk.EventType) { e.changes <- change{path, kind} }

// request reads the next request. Pings are answered.
func (p *peer) request() received {
	p.f.t.Helper()
	p.SetReadDeadline(time.Now().Add(minute))
	for {
		b, err := p.read()
		if err != nil || len(b) < 8 {
			p.f.t.Fatalf("request: %x, %v", b, err)
		}
		r := parsePacket(b)
		if r.xid != xidPing {
			return r
		}
		p.reply(xidPing, 0, 0)
	}
}

func parsePacket(b []byte) received {
	return received{int32(binary.BigEndian.Uint32(b)), int32(binary.BigEndian.Uint32(b[4:])), b[8:]}
}

// expect reads the next request, which must be op.
func (p *peer) expect(op int32) received {
	p.f.t.Helper()
	r := p.request()
	if r.op != op {
		p.f.t.Fatalf("the next request is %+v, want opcode %d", r, op)
	}
	return r
}

func (p *peer) send(b []byte) {
	p.f.t.Helper()
	p.SetWriteDeadline(time.Now().Add(minute))
	if _, err := p.Write(b); err != nil {
		p.f.t.Fatalf("send: %v", err)
	}
}

func (p *peer) reply(xid int32, zxid int64, code int32, body ...[]byte) {
	p.f.t.Helper()
	p.send(reply(xid, zxid, code, body...))
}

// drain reads and drops what comes, until the client hangs up.
func (p *peer) drain() {
	p.SetReadDeadline(time.Time{})
	go io.Copy(io.Discard, p.r) // ends when the client hangs up
}

// serve answers, until the client hangs up, the connect request with session and each other request
// with answer; nil means success with nothing. Pings and the end of the session it knows itself. It may
// be called in any goroutine.
func (p *peer) serve(session int64, timeout time.Duration, answer func(received) []byte) {
	defer p.Close()
	if _, err := p.read(); err != nil {
		return
	}
	// Read apart, so that a client may write before it reads. Ends when the client hangs up, or the
	// deferred Close.
	packets := make(chan received, 100)
	go func() {
		defer close(packets)
		for b, err := p.read(); err == nil; b, err = p.read() {
			packets <- parsePacket(b)
		}
	}()
	p.Write(welcome(session, timeout))
	for r := range packets {
		switch {
		case r.op == opClose:
			p.f.mu.Lock()
			p.f.closed = append(p.f.closed, session)
			p.f.mu.Unlock()
			p.Write(reply(r.xid, 0, 0))
			p.Close()
		case r.xid < 0 || answer == nil:
			p.Write(reply(r.xid, 0, 0))
		default:
			p.Write(answer(r))
		}
	}
}

// The protocol's encoding.

func i32(n int32) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

func i64(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

func str(s string) []byte { return append(i32(int32(len(s))), s...) }

// stat is a node's metadata, of the same zxid throughout.
func stat(zxid int64) []byte {
	b := bytes.Join([][]byte{i64(zxid), i64(zxid), i64(0), i64(0), i32(0), i32(0), i32(0), i64(0), i32(0), i32(0), i64(zxid)}, nil)
	if len(b) != statSize {
		panic("stat has another size")
	}
	return b
}

func frame(parts ...[]byte) []byte {
	b := bytes.Join(parts, nil)
	return append(i32(int32(len(b))), b...)
}

func reply(xid int32, zxid int64, code int32, body ...[]byte) []byte {
	return frame(append([][]byte{i32(xid), i64(zxid), i32(code)}, body...)...)
}

func event(t zk.EventType, path string) []byte {
	return reply(xidEvent, -1, 0, i32(int32(t)), i32(int32(zk.StateSyncConnected)), str(path))
}

func welcome(session int64, timeout time.Duration) []byte {
	return frame(i32(0), i32(int32(timeout/time.Millisecond)), i64(session), str(strings.Repeat("p", 16)))
}
