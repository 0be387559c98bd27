package simulation

import (
	"encoding/binary"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/zktest"
)

// The server of a simulation is one, and so it is never behind. A real ensemble has followers that are,
// and a client whose session is new may meet one. So some simulations have network connections that
// stand for those to a follower: reads in a new session are answered from a picture of the tree that was
// taken in the past, until the client asks for a sync, has written something, or time has passed. Then
// the follower catches up, and its watches fire.

// picture is the tree of a follower that is behind.
type picture struct {
	zxid  int64
	limit time.Duration // for which the follower is behind
	nodes map[string]pictured
}

type pictured struct {
	data     seen // as streams of content show it
	children seen
}

// takePicture has the followers of new sessions stay where the server is now.
func (s *simulation) takePicture(limit time.Duration) {
	p := &picture{limit: limit, nodes: map[string]pictured{}}
	paths := slices.Concat([]string{simRoot, simQuiet, simNever}, simData, simProps, simServices)
	for _, service := range simServices {
		for _, addr := range simAddrs {
			paths = append(paths, service+"/"+addr)
		}
	}
	for before := int64(-1); before != p.zxid; { // nothing may change meanwhile
		before = s.server.Stats().Zxid
		for _, path := range paths {
			p.nodes[path] = pictured{s.truth(kindData, path), s.truth(kindChildren, path)}
		}
		p.zxid = s.server.Stats().Zxid
	}
	s.setPicture(p)
}

// setPicture has the followers of new sessions be behind, or keep up if p is nil.
func (s *simulation) setPicture(p *picture) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behind = p
}

// simConn is the client's end of a network connection.
type simConn struct {
	net.Conn
	client *simClient
	once   sync.Once

	// Used by the reading goroutine only.
	in, out []byte // of an answer that is not complete, and of those that are
	greeted bool
	behind  *picture // nil: the follower keeps up
	until   time.Time
	watched map[question]bool // that were answered from the picture

	mu    sync.Mutex // guards what follows
	begun bool
	fresh bool               // the client has asked for a new session
	asked map[int32]question // by xid
}

// question is a read, or with an empty path a request that has the follower catch up.
type question struct {
	op    zktest.Op
	path  string
	watch bool
}

func (c *simConn) Close() error {
	c.once.Do(func() { c.client.sockets.Add(-1) })
	return c.Conn.Close()
}

// Write sends whole packets, which is what go-zookeeper and zkconn write.
func (c *simConn) Write(p []byte) (int, error) {
	if c.client.s.lagging {
		c.mu.Lock()
		for rest := p; len(rest) >= 12; {
			size := 4 + int(binary.BigEndian.Uint32(rest))
			c.askedLocked(rest[:size])
			rest = rest[size:]
		}
		c.mu.Unlock()
	}
	return c.Conn.Write(p)
}

func (c *simConn) askedLocked(packet []byte) {
	if !c.begun { // length, version, zxid, timeout, session
		c.begun = true
		c.fresh = binary.BigEndian.Uint64(packet[20:]) == 0
		return
	}
	xid, op := int32(binary.BigEndian.Uint32(packet[4:])), zktest.Op(binary.BigEndian.Uint32(packet[8:]))
	switch op {
	case zktest.OpGetData, zktest.OpExists, zktest.OpGetChildren2:
		n := binary.BigEndian.Uint32(packet[12:])
		c.asked[xid] = question{op, string(packet[16 : 16+n]), packet[len(packet)-1] == 1}
	case zktest.OpSync, zktest.OpCreate, zktest.OpDelete, zktest.OpSetData, zktest.OpMulti:
		c.asked[xid] = question{op: op}
	}
}

// Read hands over whole answers, changed where the follower is behind.
func (c *simConn) Read(p []byte) (int, error) {
	if !c.client.s.lagging {
		return c.Conn.Read(p)
	}
	for len(c.out) == 0 {
		var buf [4096]byte
		n, err := c.Conn.Read(buf[:])
		c.in = append(c.in, buf[:n]...)
		for len(c.in) >= 4 {
			size := 4 + int(binary.BigEndian.Uint32(c.in))
			if len(c.in) < size {
				break
			}
			c.answer(c.in[:size])
			c.in = c.in[size:]
		}
		if err != nil && len(c.out) == 0 {
			return 0, err
		}
	}
	n := copy(p, c.out)
	c.out = c.out[n:]
	return n, nil
}

// answer puts a frame into out: length, xid, zxid, error code, body.
func (c *simConn) answer(frame []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.greeted {
		c.greeted = true
		s := c.client.s
		s.mu.Lock()
		if c.behind = s.behind; !c.fresh {
			c.behind = nil
		}
		s.mu.Unlock()
		if c.behind != nil {
			c.until = time.Now().Add(c.behind.limit)
		}
		c.out = append(c.out, frame...)
		return
	}
	xid := int32(binary.BigEndian.Uint32(frame[4:]))
	q, ok := c.asked[xid]
	delete(c.asked, xid)
	if c.behind != nil {
		if then, known := c.behind.nodes[q.path]; known && time.Now().Before(c.until) {
			c.watched[q] = q.watch
			c.out = append(c.out, then.answer(xid, c.behind.zxid, q.op)...)
			return
		}
		if ok && q.path == "" || time.Now().After(c.until) {
			c.catchUp()
		}
	}
	c.out = append(c.out, frame...)
}

// catchUp has the watches fire that were set while the follower was behind.
func (c *simConn) catchUp() {
	for q, watch := range c.watched {
		then := c.behind.nodes[q.path]
		before, k := then.data, kindData
		if q.op == zktest.OpGetChildren2 {
			before, k = then.children, kindChildren
		}
		now := c.client.s.truth(k, q.path)
		var event uint32
		switch {
		case !watch || !before.exists && (q.op != zktest.OpExists || !now.exists) || before.exists && before.equal(now, k):
			continue
		case !before.exists:
			event = 1 // created
		case !now.exists || before.stat.Czxid != now.stat.Czxid || before.stat.Ctime != now.stat.Ctime:
			event = 2 // deleted
		case k == kindData:
			event = 3 // changed
		default:
			event = 4 // children changed
		}
		f := binary.BigEndian.AppendUint32(nil, uint32(16+12+len(q.path)))
		f = binary.BigEndian.AppendUint32(f, 0xffffffff) // xid and zxid are -1
		f = binary.BigEndian.AppendUint64(f, 0xffffffffffffffff)
		f = binary.BigEndian.AppendUint32(f, 0)
		f = binary.BigEndian.AppendUint32(f, event)
		f = binary.BigEndian.AppendUint32(f, 3) // connected
		c.out = appendText(append(c.out, f...), q.path)
	}
	c.behind, c.watched = nil, map[question]bool{}
}

// answer encodes what a follower answers that has the node as it was.
func (p pictured) answer(xid int32, zxid int64, op zktest.Op) []byte {
	n := p.data
	f := binary.BigEndian.AppendUint32(make([]byte, 4), uint32(xid))
	f = binary.BigEndian.AppendUint64(f, uint64(zxid))
	if !n.exists {
		code := zktest.ErrNoNode
		f = binary.BigEndian.AppendUint32(f, uint32(code))
	} else {
		f = binary.BigEndian.AppendUint32(f, 0)
		switch op {
		case zktest.OpGetData:
			f = appendText(f, n.text)
		case zktest.OpGetChildren2:
			names := strings.Fields(p.children.text)
			f = binary.BigEndian.AppendUint32(f, uint32(len(names)))
			for _, name := range names {
				f = appendText(f, name)
			}
		}
		f = appendStat(f, n.stat)
	}
	binary.BigEndian.PutUint32(f, uint32(len(f)-4))
	return f
}

func appendText(f []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(f, uint32(len(s))), s...)
}

func appendStat(f []byte, s zk.Stat) []byte {
	f = binary.BigEndian.AppendUint64(f, uint64(s.Czxid))
	f = binary.BigEndian.AppendUint64(f, uint64(s.Mzxid))
	f = binary.BigEndian.AppendUint64(f, uint64(s.Ctime))
	f = binary.BigEndian.AppendUint64(f, uint64(s.Mtime))
	f = binary.BigEndian.AppendUint32(f, uint32(s.Version))
	f = binary.BigEndian.AppendUint32(f, uint32(s.Cversion))
	f = binary.BigEndian.AppendUint32(f, uint32(s.Aversion))
	f = binary.BigEndian.AppendUint64(f, uint64(s.EphemeralOwner))
	f = binary.BigEndian.AppendUint32(f, uint32(s.DataLength))
	f = binary.BigEndian.AppendUint32(f, uint32(s.NumChildren))
	return binary.BigEndian.AppendUint64(f, uint64(s.Pzxid))
}
