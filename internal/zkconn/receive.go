package zkconn

import (
	"fmt"
	"io"
	"net"
	"time"

	"github.com/go-zookeeper/zk"
)

// slowest is how many session timeouts one reply may take to arrive, while some of it keeps arriving.
const slowest = 10

// arriving is the network connection as it is read. What arrives puts off the time at which the connection
// counts as dead: a large reply over a thin line takes its time. go-zookeeper has one deadline for a whole reply.
type arriving struct{ w *wire }

func (a arriving) Read(p []byte) (int, error) {
	n, err := a.w.Conn.Read(p)
	a.w.conn.counters.received.Add(int64(n))
	if n > 0 && a.w.handshakeDone {
		a.w.putOff(time.Now())
	}
	return n, err
}

// putOff sets the deadline for reading anew.
func (w *wire) putOff(now time.Time) {
	deadline := now.Add(w.timeout * 2 / 3)
	if last := w.frameBegan.Add(slowest * w.timeout); last.Before(deadline) && !w.frameBegan.IsZero() {
		deadline = last
	}
	w.Conn.SetReadDeadline(deadline)
}

// waitGate holds the current frame back until the gate is open.
func (w *wire) waitGate() error {
	if !w.gate.wait() {
		return nil
	}
	select {
	case <-w.closed:
		return net.ErrClosed
	default:
	}
	w.frameBegan = time.Now() // the wait does not count
	w.putOff(w.frameBegan)
	return nil
}

// SetReadDeadline does nothing: the deadlines are zkconn's, see arriving. go-zookeeper allows a handshake six
// times the session timeout, which may be very long or very short, and no limit once the first bytes have come.
func (w *wire) SetReadDeadline(time.Time) error { return nil }

// Read hands over the frames that arrive.
func (w *wire) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(w.head) == 0 && w.body == 0 {
		if w.handshakeDone {
			err = w.nextFrame()
		} else {
			err = w.connectReply()
		}
		if err != nil {
			w.lost(err)
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
		w.end(err) // and with it a write that may be under way
	}
	return n, err
}

// nextFrame reads the beginning of the next frame for go-zookeeper into head, and sets body. What
// nobody asked for is dropped: it could only do harm.
func (w *wire) nextFrame() error {
	for {
		if w.r.Buffered() < 4 {
			// Before this goroutine waits, all that has become stale is asked for.
			w.own.pump()
			tookLong := !w.frameBegan.IsZero() && time.Since(w.frameBegan) > w.timeout
			w.frameBegan = time.Time{}
			if tookLong { // what is left of its time is not the next one's
				w.putOff(time.Now())
			}
		}
		b, err := w.r.Peek(4)
		if err != nil {
			return err
		}
		w.frameBegan = time.Now()
		size := int(packet(b).int32At(0))
		if size < replyHeader {
			return fmt.Errorf("protocol error: a reply of %d bytes", size)
		}
		if _, err := io.ReadFull(w.r, w.headSpace[:]); err != nil {
			return err
		}
		w.head, w.body = w.headSpace[:], size-replyHeader
		head := packet(w.headSpace[:])
		if head.int32At(atReplyCode) == codeAuthRequired {
			w.conn.hosts.outcome(ErrAuthRequired) // and the server hangs up
		}
		var wanted bool
		switch xid := head.int32At(atReplyXid); {
		case xid <= firstXid:
			err := w.own.answered(xid, head.int64At(atReplyZxid), head.int32At(atReplyCode), w.body)
			w.head, w.body = nil, 0
			if err != nil {
				return err
			}
			if size > largeNode && w.r.Buffered() >= 4 { // else pump comes next
				w.own.refill()
			}
			continue
		case xid == xidEvent:
			if wanted, err = w.event(); err == nil && !wanted {
				if err = w.discardBody(); err == nil {
					continue
				}
			}
		case xid == xidPing:
			if err := w.stalled(); err != nil {
				return err
			}
			w.pong(head.int64At(atReplyZxid))
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
	packet(w.head).setInt32At(0, replyHeader)
	return err
}

// event handles the current frame, which is a watch event. It is go-zookeeper's, too, if that has set watches. It
// would take one of a type that it uses inside for its own.
func (w *wire) event() (wanted bool, err error) {
	if w.body < eventSize || w.body+replyHeader > w.conn.maxReply {
		return false, fmt.Errorf("protocol error: a watch event of %d bytes", w.body)
	}
	b, err := w.wholeBody()
	if err != nil {
		return false, err
	}
	t, n := packet(b).int32At(0), int(packet(b).int32At(8))
	if n < 0 || n > len(b)-eventSize {
		return false, fmt.Errorf("protocol error: a watch event with a path of %d bytes", n)
	}
	if t < eventCreated || t > eventChildrenChanged {
		return false, nil
	}
	w.conn.table.Fired(string(b[eventSize:eventSize+n]), zk.EventType(t))
	return w.conn.watching.Load(), w.waitGate()
}

// pong handles the answer to a ping.
func (w *wire) pong(zxid int64) {
	w.mu.Lock()
	var sent time.Time
	if len(w.pings) > 0 {
		sent = w.pings[0]
		w.pings = w.pings[1:]
	}
	w.mu.Unlock()
	if !sent.IsZero() {
		w.handled(zxid, sent)
	}
}
