package ensemble

import (
	"bytes"
	"net"
	"sync/atomic"
	"time"
)

const (
	// bufferSize is how much is read from a connection at a time.
	bufferSize = 32 << 10

	// queueLength is how many pieces of one direction can be under way when the
	// proxy delays them.
	queueLength = 1024
)

// link is one connection through a Proxy: the client's, and the one to the target
// that belongs to it.
type link struct {
	proxy           *Proxy
	client          net.Conn
	closesHandshake bool          // decided when it was accepted
	done            chan struct{} // closed by closeLocked

	// Guarded by Proxy.mu.
	server net.Conn // nil until the target was dialed
	hung   bool     // what arrives is swallowed until the link is closed
	closed bool
}

// piece is what was read at once from one side.
type piece struct {
	data []byte
	due  time.Time // when to pass it on
}

// serve runs a link until both its connections are closed.
func (l *link) serve() {
	defer l.close()
	hung, open := l.wait()
	switch {
	case !open:
		return
	case hung:
		l.swallow()
		return
	case l.closesHandshake:
		l.swallowOnce()
		return
	}
	var d net.Dialer
	server, err := d.DialContext(l.proxy.ctx, "tcp", l.proxy.target)
	if err != nil {
		return
	}
	if !l.attach(server) {
		_ = server.Close()
		return
	}
	toServer, toClient := make(chan piece, queueLength), make(chan piece, queueLength)
	// The three end when the link is closed, by the first of them that is through,
	// or as the link is; Proxy.Close waits for them.
	l.proxy.wg.Go(func() { l.read(l.client, toServer, &l.proxy.toServer) })
	l.proxy.wg.Go(func() { l.read(server, toClient, &l.proxy.toClient) })
	l.proxy.wg.Go(func() {
		defer l.close()
		l.write(server, toServer, func() {})
	})
	l.write(l.client, toClient, func() { l.proxy.answered.Store(time.Now().UnixNano()) })
	// A server that hangs does not close either.
	if hung, _ := l.wait(); hung {
		<-l.done
	}
}

// swallow reads what the client sends until the client or Heal closes the link.
func (l *link) swallow() {
	for l.swallowOnce() {
	}
}

// swallowOnce reads once from the client and reports whether there can be more.
func (l *link) swallowOnce() bool {
	n, err := l.client.Read(make([]byte, bufferSize))
	_, open := l.wait()
	l.proxy.toServer.Add(int64(n))
	return err == nil && open
}

// read queues what one side sends and counts it. It closes the queue at the end.
func (l *link) read(src net.Conn, queue chan<- piece, count *atomic.Int64) {
	defer close(queue)
	buf := make([]byte, bufferSize)
	for {
		n, err := src.Read(buf)
		hung, open := l.wait()
		if !open {
			return
		}
		count.Add(int64(n))
		if !hung {
			// The end of the connection is a piece too, an empty one: it takes as
			// long as the bytes before it.
			p := piece{bytes.Clone(buf[:n]), time.Now().Add(time.Duration(l.proxy.delay.Load()))}
			select {
			case queue <- p:
			case <-l.done:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// write passes the queue on to one side when it is time, until the queue is
// closed and empty, the write fails or the link is closed. It calls passed after each piece.
func (l *link) write(dst net.Conn, queue <-chan piece, passed func()) {
	for p := range queue {
		if !l.pause(time.Until(p.due)) {
			return
		}
		hung, open := l.wait()
		if !open {
			return
		}
		if hung {
			continue
		}
		if _, err := dst.Write(p.data); err != nil {
			return
		}
		passed()
		if rate := l.proxy.rate.Load(); rate > 0 && !l.pause(time.Duration(len(p.data))*time.Second/time.Duration(rate)) {
			return
		}
	}
}

// pause waits, and reports whether the link is still open then.
func (l *link) pause(d time.Duration) (open bool) {
	if d <= 0 {
		return true
	}
	select {
	case <-time.After(d):
		return true
	case <-l.done:
		return false
	}
}

// wait returns when the proxy does not hold, and reports whether the link hangs
// and whether it is open.
func (l *link) wait() (hung, open bool) {
	for {
		p := l.proxy
		p.mu.Lock()
		held, changed := p.fault == hold, p.changed
		hung, open = l.hung, !l.closed
		p.mu.Unlock()
		if !held || !open {
			return hung, open
		}
		select {
		case <-changed:
		case <-l.done:
		}
	}
}

// attach makes the connection to the target part of the link, unless the link
// has been closed.
func (l *link) attach(server net.Conn) bool {
	l.proxy.mu.Lock()
	defer l.proxy.mu.Unlock()
	if l.closed {
		return false
	}
	l.server = server
	return true
}

func (l *link) close() {
	l.proxy.mu.Lock()
	defer l.proxy.mu.Unlock()
	l.closeLocked()
}

// closeLocked closes both connections. It needs Proxy.mu.
func (l *link) closeLocked() {
	if l.closed {
		return
	}
	l.closed = true
	close(l.done)
	_ = l.client.Close()
	if l.server != nil {
		_ = l.server.Close()
	}
	delete(l.proxy.links, l)
}
