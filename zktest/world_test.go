package zktest

import (
	"fmt"
	"net"
	"strings"
	"time"
)

// A world is one server under comparison, with clients that carry out steps on it. Two worlds that are
// given the same steps must write down the same lines. Whatever differs between two servers that
// behave alike is given a name before it is written: zxids are counted from where the world began,
// sessions are numbered, times are left out, lists whose order is a hash's are sorted.
type world struct {
	dial     func() (net.Conn, error)
	root     string // the node that all steps work below, "~" when written
	clients  []*peer
	left     []rawClient // sessions that a client has left behind for a new one
	sessions map[int64]int
	zxid     int64 // where the world began
	rootStat Stat  // of "/", then
}

// peer is one client of a world.
type peer struct {
	rawClient
	up bool
}

// step is one thing that one client does.
type step struct {
	who       int
	act       string // "" for a request; "open", "drop", "attach", "steal", "raw"
	req       request
	raw       []byte // of a "raw" step; a request's body is cut to its length
	mutations []mutation
}

// mutation overwrites a byte of a request's body. The position wraps around.
type mutation struct {
	at    int
	value byte
}

const worldClients = 3

// newWorld makes the world's root node and one session for each client.
func newWorld(dial func() (net.Conn, error), name string) (*world, error) {
	w := &world{dial: dial, root: "/" + name, sessions: map[int64]int{}}
	for range worldClients {
		w.clients = append(w.clients, &peer{})
	}
	c := w.clients[0]
	if err := w.open(c); err != nil {
		return nil, err
	}
	req := request{op: OpCreate, path: w.root, acl: openACL}
	if _, err := c.call(OpCreate, req.body()); err != nil {
		return nil, err
	}
	frames, err := c.call(OpExists, (&request{op: OpExists, path: "/"}).body())
	if err != nil {
		return nil, err
	}
	d := &decoder{buf: frames[0]}
	d.int32()
	w.zxid = d.int64()
	d.int32()
	w.rootStat = readStat(d)
	for _, c := range w.clients[1:] {
		if err := w.open(c); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// close ends all sessions of the world, so that none expires in the next one.
func (w *world) close() error {
	for _, c := range w.clients {
		w.left = append(w.left, c.rawClient)
		if c.up {
			c.nc.Close()
		}
	}
	for _, old := range w.left {
		c := &peer{rawClient: old}
		if _, err := w.connect(c, false); err != nil {
			return err
		}
		_, err := c.call(OpCloseSession, nil)
		c.nc.Close()
		if err != nil && timedOut(err) {
			return err
		}
	}
	for _, c := range w.clients {
		c.up = false
	}
	return w.awaitConnections()
}

func (w *world) open(c *peer) error {
	_, err := w.connect(c, false)
	if err == nil {
		w.number(c.session)
	}
	return err
}

func (w *world) connect(c *peer, old bool) ([]byte, error) {
	nc, err := w.dial()
	if err != nil {
		return nil, err
	}
	c.nc = nc
	reply, err := c.handshake(worldTimeout, old)
	c.up = err == nil
	if err != nil {
		nc.Close()
	}
	return reply, err
}

// worldTimeout is long enough to be clamped to the servers' longest.
const worldTimeout = time.Minute

func (w *world) number(session int64) string {
	if session == 0 {
		return "0"
	}
	n, ok := w.sessions[session]
	if !ok {
		n = len(w.sessions) + 1
		w.sessions[session] = n
	}
	return fmt.Sprintf("session%d", n)
}

// do carries a step out and writes down all that the clients receive because of it.
func (w *world) do(st step) (lines []string, err error) {
	if st.act == "" {
		st.who = w.someoneUp(st.who)
	}
	c := w.clients[st.who]
	note := func(who int, format string, args ...any) {
		lines = append(lines, fmt.Sprintf("client%d ", who)+fmt.Sprintf(format, args...))
	}
	switch st.act {
	case "drop":
		if c.up {
			c.nc.Close()
			c.up = false
			err = w.awaitConnections()
		}
	case "open", "attach", "steal":
		if c.up && st.act != "steal" {
			break
		}
		err = w.reconnect(c, st, note)
	case "raw":
		if c.up {
			c.writeFrame(st.raw) // fails if the server closes the connection before it has read all
			err = w.readUntilClosed(c, st, note)
		}
	default:
		if c.up {
			err = w.request(c, st, note)
		}
	}
	if err != nil {
		return lines, err
	}
	return lines, w.barrier(note)
}

// accounts is what the four-letter words tell of the state of the server.
func (w *world) accounts() (text string, err error) {
	for _, ask := range []string{"mntr", "wchs"} {
		nc, err := w.dial()
		if err != nil {
			return "", err
		}
		answer, err := word(nc, ask)
		if err != nil {
			return "", err
		}
		for line := range strings.Lines(answer) {
			name, _, found := strings.Cut(line, "\t")
			switch name {
			case "zk_znode_count", "zk_ephemerals_count", "zk_watch_count", "zk_global_sessions", "zk_approximate_data_size":
				text += line
			default:
				if !found {
					text += line
				}
			}
		}
	}
	return text, nil
}

// someoneUp gives the client who, or the next one that has a connection.
func (w *world) someoneUp(who int) int {
	for i := range w.clients {
		if next := (who + i) % len(w.clients); w.clients[next].up {
			return next
		}
	}
	return who
}

// reconnect opens a new session, comes back to the old one, or steals that of the next client with a
// wrong password.
func (w *world) reconnect(c *peer, st step, note func(int, string, ...any)) error {
	fresh := &peer{}
	var victim *peer
	switch st.act {
	case "attach":
		fresh.session, fresh.password, fresh.lastZxid, fresh.xid = c.session, c.password, c.lastZxid, c.xid
		if st.req.version == 1 {
			fresh.lastZxid += 1 << 40 // ahead of the server
		}
	case "steal":
		victim = w.clients[(st.who+1)%len(w.clients)]
		fresh.session = victim.session
	}
	reply, err := w.connect(fresh, st.req.watch)
	if victim != nil && victim.up && victim.session != 0 {
		// Even a wrong password ends the connection of the session's owner.
		if _, err := victim.readFrame(); err == nil || timedOut(err) {
			return fmt.Errorf("the owner's connection is still there: %v", err)
		}
		victim.up = false
		victim.nc.Close()
	}
	if err != nil {
		if timedOut(err) {
			return err
		}
		note(st.who, "%s: closed", st.act)
		return w.awaitConnections()
	}
	d := &decoder{buf: reply}
	version, timeout, id, password := d.int32(), d.int32(), d.int64(), d.bytes()
	note(st.who, "%s: version %d timeout %d %s password %d rest %x", st.act, version, timeout, w.number(id), len(password), d.buf)
	switch {
	case id == 0:
		fresh.up = false
		if _, err := fresh.readFrame(); timedOut(err) {
			note(st.who, "is not closed")
		}
		fresh.nc.Close()
		if st.act == "attach" {
			c.session = 0
		}
	default:
		if c.session != id {
			w.left = append(w.left, c.rawClient)
		}
		if c.up {
			c.nc.Close()
		}
		w.clients[st.who] = fresh
	}
	return w.awaitConnections()
}

// request sends a request and reads up to its answer, or to the end of the connection.
func (w *world) request(c *peer, st step, note func(int, string, ...any)) error {
	req := w.place(st.req, c.lastZxid)
	body := req.body()
	if st.raw != nil {
		body = body[:min(len(body), len(st.raw))] // a truncated packet
	}
	for _, m := range st.mutations {
		if len(body) > 0 {
			body[m.at%len(body)] = m.value
		}
	}
	frames, err := c.call(req.op, body)
	for _, frame := range frames {
		note(st.who, "%s", w.describe(c, req, frame))
	}
	if err == nil && len(frames) > 0 && endsConnection(req.op, frames[len(frames)-1]) {
		err = w.readUntilClosed(c, st, note)
	}
	if err == nil {
		return nil
	}
	if timedOut(err) {
		return err
	}
	note(st.who, "is closed")
	c.up = false
	c.nc.Close()
	return w.awaitConnections()
}

// endsConnection tells the answers after which the server closes the connection.
func endsConnection(op Op, frame []byte) bool {
	d := &decoder{buf: frame}
	d.int32()
	zxid, code := d.int64(), Code(d.int32())
	unknown := code == ErrUnimplemented && zxid == -1 // not a TTL node, which is refused with the same code
	return unknown || code == ErrAuthFailed || op == OpCloseSession
}

func (w *world) readUntilClosed(c *peer, st step, note func(int, string, ...any)) error {
	for {
		frame, err := c.readFrame()
		if timedOut(err) {
			return err
		}
		if err != nil {
			if st.act == "raw" {
				note(st.who, "is closed")
				c.up = false
				c.nc.Close()
				return w.awaitConnections()
			}
			return err
		}
		note(st.who, "then %s", w.describe(c, st.req, frame))
	}
}

// barrier pings on every connection, so that all events that the step caused have come.
func (w *world) barrier(note func(int, string, ...any)) error {
	for _, c := range w.clients {
		if c.up {
			c.send(OpPing, nil) // if it fails, the read below fails too
		}
	}
	for who, c := range w.clients {
		for c.up {
			frame, err := c.readFrame()
			if timedOut(err) {
				return err
			}
			if err != nil {
				note(who, "is closed")
				c.up = false
				c.nc.Close()
				if err := w.awaitConnections(); err != nil {
					return err
				}
				break
			}
			note(who, "%s", w.describe(c, request{op: OpPing}, frame))
			if xid := (&decoder{buf: frame}).int32(); xid == -2 {
				break
			}
		}
	}
	return nil
}

// awaitConnections waits until the server has as many connections as this world believes: until then
// a dropped connection's watches may still be there.
func (w *world) awaitConnections() error {
	want := 1 // the one that asks
	for _, c := range w.clients {
		if c.up {
			want++
		}
	}
	var text string
	for range 1000 {
		nc, err := w.dial()
		if err != nil {
			return err
		}
		if text, err = word(nc, "srvr"); err != nil {
			return err
		}
		if got, _ := wordField(text, "Connections"); got == fmt.Sprint(want) {
			return nil
		}
		time.Sleep(2 * time.Millisecond)
	}
	return fmt.Errorf("%d connections expected: %s", want, text)
}
