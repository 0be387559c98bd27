package zktest

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipeBuffer is how many bytes one direction of an in-memory connection holds before Write blocks,
// as a socket's buffers do.
const pipeBuffer = 1 << 20

// newPipe gives the two ends of an in-memory connection. Unlike net.Pipe it is buffered, so that
// a write does not wait for the other side's read. Everything blocks on condition variables, which a
// synctest bubble can wait for.
func newPipe(client, server net.Addr) (*pipeEnd, *pipeEnd) {
	up, down := newHalf(), newHalf()
	return &pipeEnd{in: down, out: up, local: client, remote: server},
		&pipeEnd{in: up, out: down, local: server, remote: client}
}

// pipeEnd reads from one half and writes to the other.
type pipeEnd struct {
	in, out       *half
	local, remote net.Addr
}

func (p *pipeEnd) Read(b []byte) (int, error) {
	n, err := p.in.read(b)
	return n, p.wrap("read", err)
}

func (p *pipeEnd) Write(b []byte) (int, error) {
	n, err := p.out.write(b)
	return n, p.wrap("write", err)
}

func (p *pipeEnd) wrap(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: p.local, Addr: p.remote, Err: err}
}

// Close ends both directions. The other side still reads what was written before.
func (p *pipeEnd) Close() error {
	p.in.closeReader()
	p.out.closeWriter()
	return nil
}

func (p *pipeEnd) LocalAddr() net.Addr                { return p.local }
func (p *pipeEnd) RemoteAddr() net.Addr               { return p.remote }
func (p *pipeEnd) SetReadDeadline(t time.Time) error  { return p.in.setDeadline(&p.in.readBy, t) }
func (p *pipeEnd) SetWriteDeadline(t time.Time) error { return p.out.setDeadline(&p.out.writeBy, t) }

func (p *pipeEnd) SetDeadline(t time.Time) error {
	if err := p.SetReadDeadline(t); err != nil {
		return err
	}
	return p.SetWriteDeadline(t)
}

// freeze holds up what is on the way in both directions while on.
func (p *pipeEnd) freeze(on bool) {
	for _, h := range []*half{p.in, p.out} {
		h.mu.Lock()
		h.frozen = on
		h.cond.Broadcast()
		h.mu.Unlock()
	}
}

// ended tells whether both sides have closed.
func (p *pipeEnd) ended() bool {
	p.in.mu.Lock()
	defer p.in.mu.Unlock()
	return p.in.noReader && p.in.noWriter
}

// half is one direction: bytes that have been written and not read yet.
type half struct {
	mu       sync.Mutex // guards all below
	cond     *sync.Cond // told of every change
	buf      []byte
	start    int // of the unread bytes in buf
	noWriter bool
	noReader bool
	frozen   bool // on the way, for as long as that lasts: the reader sees neither bytes nor the end
	readBy   deadline
	writeBy  deadline
}

type deadline struct {
	at    time.Time // zero for none
	fired bool
	timer *time.Timer // wakes those who wait
	set   int         // counts settings, so that an old timer that fires late does nothing
}

// passed does not rely on the timer alone, whose function may be a little late.
func (d *deadline) passed() bool {
	return d.fired || !d.at.IsZero() && time.Until(d.at) <= 0
}

func newHalf() *half {
	h := &half{}
	h.cond = sync.NewCond(&h.mu)
	return h
}

func (h *half) read(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.noReader:
			return 0, net.ErrClosed
		case h.readBy.passed():
			return 0, os.ErrDeadlineExceeded
		case len(b) == 0:
			return 0, nil
		case h.frozen:
		case h.start < len(h.buf):
			n := copy(b, h.buf[h.start:])
			h.start += n
			if h.start == len(h.buf) {
				h.buf, h.start = h.buf[:0], 0
				if cap(h.buf) > keepBuffer {
					h.buf = nil
				}
			}
			h.cond.Broadcast()
			return n, nil
		case h.noWriter:
			return 0, io.EOF
		}
		h.cond.Wait()
	}
}

func (h *half) write(b []byte) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.noWriter:
			return n, net.ErrClosed
		case h.noReader && h.frozen:
			return n + len(b), nil // the writer cannot know, and nobody will read it
		case h.noReader:
			return n, io.ErrClosedPipe
		case h.writeBy.passed():
			return n, os.ErrDeadlineExceeded
		case len(b) == 0:
			return n, nil
		}
		if room := pipeBuffer - (len(h.buf) - h.start); room > 0 {
			if h.start > 0 && len(h.buf)+len(b) > cap(h.buf) {
				h.buf = h.buf[:copy(h.buf, h.buf[h.start:])]
				h.start = 0
			}
			part := b[:min(room, len(b))]
			h.buf = append(h.buf, part...)
			b = b[len(part):]
			n += len(part)
			h.cond.Broadcast()
			continue
		}
		h.cond.Wait()
	}
}

func (h *half) closeReader() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.noReader = true
	h.buf, h.start = nil, 0
	h.endLocked()
}

func (h *half) closeWriter() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.noWriter = true
	h.endLocked()
}

func (h *half) endLocked() {
	if h.noReader && h.noWriter {
		for _, d := range []*deadline{&h.readBy, &h.writeBy} {
			if d.timer != nil {
				d.timer.Stop()
			}
		}
	}
	h.cond.Broadcast()
}

func (h *half) setDeadline(d *deadline, t time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.noReader && h.noWriter {
		return net.ErrClosed
	}
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at, d.fired = t, false
	d.set++
	set := d.set
	if wait := time.Until(t); wait > 0 {
		d.timer = time.AfterFunc(wait, func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			if d.set == set {
				d.fired = true
				h.cond.Broadcast()
			}
		})
	}
	h.cond.Broadcast()
	return nil
}
