package simulation

import (
	"encoding/binary"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zkstream/zkstream/zktest"
)

// line is a client's end of a network connection. It sees each packet, and can be slow or lose watch events.
type line struct {
	net.Conn
	client  *simClient
	once    sync.Once
	closed  chan struct{}
	readBy  atomic.Int64 // deadlines in nanoseconds since 1970; 0: none
	sendBy  atomic.Int64
	unheard atomic.Bool // it ends before the client hears anything in its new session

	// Used by the reading goroutine only.
	in      []byte   // of a packet that is not complete
	out     []packet // that are, and have not been read yet
	greeted bool

	mu       sync.Mutex // guards what follows
	sending  []byte     // of a packet that has not been written completely
	idleAt   time.Time  // when all that has been written is sent
	begun    bool
	fresh    bool                // the client has asked for a new session
	catching int                 // requests under way that are answered with the events that were missed: these do not get lost
	asked    map[int32][]request // that have no answer yet, by xid, in their order
}

// packet is one that arrives.
type packet struct {
	data []byte
	sent time.Time // when the request was sent that it answers; zero: it answers none
}

// request is one that has been sent.
type request struct {
	sent time.Time
	op   zktest.Op
}

func newLine(c *simClient, conn net.Conn) *line {
	c.sockets.Add(1)
	return &line{Conn: conn, client: c, closed: make(chan struct{}), asked: map[int32][]request{}}
}

func (l *line) Close() error {
	l.once.Do(func() {
		l.client.sockets.Add(-1)
		close(l.closed)
	})
	return l.Conn.Close()
}

func (l *line) SetReadDeadline(t time.Time) error {
	l.readBy.Store(nanoseconds(t))
	return l.Conn.SetReadDeadline(t)
}

func (l *line) SetWriteDeadline(t time.Time) error {
	l.sendBy.Store(nanoseconds(t))
	return l.Conn.SetWriteDeadline(t)
}

func (l *line) SetDeadline(t time.Time) error {
	l.readBy.Store(nanoseconds(t))
	l.sendBy.Store(nanoseconds(t))
	return l.Conn.SetDeadline(t)
}

func nanoseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// piece is how much of n bytes the line carries at once, and how long that takes.
func (l *line) piece(n int) (bytes int, takes time.Duration) {
	speed := int(l.client.speed.Load())
	if speed == 0 {
		return n, 0
	}
	bytes = min(n, speed/20)
	return bytes, time.Duration(bytes) * time.Second / time.Duration(speed)
}

// socket is how many bytes a socket takes before the one who writes has to wait.
const socket = 64 << 10

// queued adds what takes so long to what is being sent, and says how long the one who writes has to wait for that.
func (l *line) queued(takes time.Duration) time.Duration {
	speed := l.client.speed.Load()
	if speed == 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.idleAt.Before(now) {
		l.idleAt = now
	}
	l.idleAt = l.idleAt.Add(takes)
	return max(0, l.idleAt.Sub(now)-socket*time.Second/time.Duration(speed))
}

// wait lets time pass in which a slow line carries something.
func (l *line) wait(d time.Duration, deadline *atomic.Int64) error {
	if d == 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-l.closed:
		return net.ErrClosed
	case <-timer.C:
	}
	if by := deadline.Load(); by != 0 && time.Now().UnixNano() >= by {
		return os.ErrDeadlineExceeded
	}
	return nil
}

func (l *line) Write(p []byte) (written int, err error) {
	if l.unheard.Load() {
		l.Close()
		return 0, net.ErrClosed
	}
	for written < len(p) {
		n, takes := l.piece(len(p) - written)
		l.feed(p[written : written+n])
		n, err = l.Conn.Write(p[written : written+n])
		written += n
		if err == nil {
			err = l.wait(l.queued(takes), &l.sendBy)
		}
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// feed takes what is written apart.
func (l *line) feed(p []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sending = append(l.sending, p...)
	for len(l.sending) >= 4 {
		size := 4 + int(binary.BigEndian.Uint32(l.sending))
		if len(l.sending) < size {
			break
		}
		l.askedLocked(l.sending[:size])
		l.sending = l.sending[size:]
	}
	if len(l.sending) == 0 {
		l.sending = nil
	}
}

func (l *line) askedLocked(packet []byte) {
	if !l.begun { // a connect request has no xid
		l.begun = true
		l.fresh = binary.BigEndian.Uint64(packet[20:]) == 0 // length, version, zxid, timeout, session
		l.asked[0] = []request{{sent: time.Now()}}
		return
	}
	xid := int32(binary.BigEndian.Uint32(packet[4:]))
	op := zktest.Op(binary.BigEndian.Uint32(packet[8:]))
	l.asked[xid] = append(l.asked[xid], request{time.Now(), op})
	switch op {
	case zktest.OpSetWatches, zktest.OpSetWatches2:
		l.catching++
	case zktest.OpSetData, zktest.OpCreate:
		l.client.s.checkSent(l.client, packet)
	}
}

// Read hands over what has arrived, by whole packets.
func (l *line) Read(p []byte) (int, error) {
	for len(l.out) == 0 {
		var buf [4096]byte
		n, err := l.Conn.Read(buf[:])
		l.in = append(l.in, buf[:n]...)
		for len(l.in) >= 4 {
			size := 4 + int(binary.BigEndian.Uint32(l.in))
			if len(l.in) < size {
				break
			}
			l.arrived(l.in[:size:size])
			l.in = l.in[size:]
		}
		if err != nil && len(l.out) == 0 {
			return 0, err
		}
	}
	first := &l.out[0]
	n, takes := l.piece(min(len(p), len(first.data)))
	if err := l.wait(takes, &l.readBy); err != nil {
		return 0, err
	}
	n = copy(p, first.data[:n])
	if !first.sent.IsZero() { // its beginning says that the server has received the request
		l.client.answered(first.sent)
		first.sent = time.Time{}
	}
	if first.data = first.data[n:]; len(first.data) == 0 {
		l.out = l.out[1:]
	}
	return n, nil
}

// arrived puts a packet into out: length, xid, zxid, error code, body.
func (l *line) arrived(data []byte) {
	s := l.client.s
	if !l.greeted {
		l.greeted = true
		l.greet(int64(binary.BigEndian.Uint64(data[12:]))) // length, version, timeout, session
		l.out = append(l.out, packet{data, l.sent(0)})
		return
	}
	xid := int32(binary.BigEndian.Uint32(data[4:]))
	if xid != -1 {
		l.out = append(l.out, packet{data, l.sent(xid)})
		return
	}
	s.mu.Lock()
	lost := s.swallow
	s.mu.Unlock()
	l.mu.Lock()
	lost = lost && l.catching == 0
	l.mu.Unlock()
	if !lost {
		l.out = append(l.out, packet{data: data})
	}
}

// greet notes which session the server has given.
func (l *line) greet(session int64) {
	l.mu.Lock()
	fresh := l.fresh
	l.mu.Unlock()
	s := l.client.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if session == 0 {
		return
	}
	s.owners[session] = l.client
	if fresh && s.unheard > 0 {
		s.unheard--
		l.unheard.Store(true)
	}
}

// sent gives the time when the request was sent that an answer is for.
func (l *line) sent(xid int32) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	waiting := l.asked[xid]
	if len(waiting) == 0 {
		return time.Time{}
	}
	if l.asked[xid] = waiting[1:]; len(waiting) == 1 {
		delete(l.asked, xid)
	}
	if op := waiting[0].op; op == zktest.OpSetWatches || op == zktest.OpSetWatches2 {
		l.catching--
	}
	return waiting[0].sent
}
