package zkconn

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
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
	Addr   string        // that was dialled; empty if the lookup of Server failed
	Took   time.Duration // from dialling to the end of the handshake
	Stage  string        // where it failed: resolve, dial, tls, handshake or auth; empty if a server has answered the handshake
	Err    error         // nil: there is a session; zk.ErrSessionExpired: the server does not know the session any more
}

// Where an attempt fails.
const (
	stageResolve   = "resolve"
	stageDial      = "dial"
	stageTLS       = "tls"
	stageHandshake = "handshake"
	stageAuth      = "auth"
)

// attempt notes that an attempt begins.
func (h *hosts) attempt() {
	h.mu.Lock()
	h.attemptedAt, h.stage = time.Now(), stageDial
	h.mu.Unlock()
}

// reached notes that the attempt under way is at that stage now.
func (h *hosts) reached(stage string) {
	h.mu.Lock()
	h.stage = stage
	h.mu.Unlock()
}

// attemptEnded passes the outcome of the attempt under way to Config.Attempted, if there is one.
func (h *hosts) attemptEnded(err error) {
	h.mu.Lock()
	began, e, stage := h.attemptedAt, h.current, h.stage
	h.attemptedAt = time.Time{}
	h.mu.Unlock()
	switch {
	case err == nil || errors.Is(err, zk.ErrSessionExpired):
		stage = ""
	case errors.Is(err, zk.ErrAuthFailed):
		stage = stageAuth
	}
	if attempted := h.conn.cfg.Attempted; attempted != nil && !began.IsZero() {
		attempted(Attempt{e.server, e.addr, time.Since(began), stage, err})
	}
}
