package zkconn

import (
	"sync/atomic"
	"time"
)

// Stats are what a Conn has counted since it was opened.
type Stats struct {
	Connects      int64 // connections with a session
	Failures      int64 // attempts that brought none, and lookups of names that failed
	Requests      int64 // sent, without handshakes and pings
	BytesSent     int64 // of packets, with their lengths, as they are before TLS
	BytesReceived int64 // likewise
}

// counters are Stats that grow.
type counters struct{ connects, failures, requests, sent, received atomic.Int64 }

// Stats returns what has been counted.
func (c *Conn) Stats() Stats {
	n := &c.counters
	return Stats{n.connects.Load(), n.failures.Load(), n.requests.Load(), n.sent.Load(), n.received.Load()}
}

// An Attempt is one try to get a session from a server.
type Attempt struct {
	Server string        // as in Config.Servers
	Addr   string        // that was dialled
	Took   time.Duration // from dialling to the end of the handshake
	Err    error         // nil: there is a session; zk.ErrSessionExpired: the server does not know the session any more
}

// attempt notes that an attempt begins.
func (h *hosts) attempt() {
	h.mu.Lock()
	h.attempted = time.Now()
	h.mu.Unlock()
}

// attemptEnded tells Config.Attempted how the attempt under way has ended, if there is one.
func (h *hosts) attemptEnded(err error) {
	h.mu.Lock()
	began, e := h.attempted, h.current
	h.attempted = time.Time{}
	h.mu.Unlock()
	if attempted := h.conn.cfg.Attempted; attempted != nil && !began.IsZero() {
		attempted(Attempt{e.server, e.addr, time.Since(began), err})
	}
}
