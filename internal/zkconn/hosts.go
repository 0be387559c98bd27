package zkconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// hosts is the list of servers: go-zookeeper's HostProvider, and a memory of why each could not be
// reached. It holds names, which are resolved at each dial, so one bad name harms no other server and
// a name may move.
type hosts struct {
	conn *Conn

	mu       sync.Mutex // guards what follows
	list     []string
	next     int
	dials    int       // in the second that began at since
	since    time.Time // of the first of dials
	failures map[string]error
	ended    bool // the last session is over, and calls made in it may still be under way
	weary    bool // the servers could not be reached at once
}

func (h *hosts) init(c *Conn, servers []string) {
	h.conn = c
	h.list = slices.Clone(servers)
	rand.Shuffle(len(h.list), func(i, j int) { h.list[i], h.list[j] = h.list[j], h.list[i] })
	h.failures = map[string]error{}
}

// Init is called by go-zookeeper with the list that it was given; hosts has its own.
func (h *hosts) Init([]string) error { return nil }

// Len returns the number of servers.
func (h *hosts) Len() int { return len(h.list) }

// Next returns the server to try. With retryStart go-zookeeper fails the requests that wait to be
// sent, and sleeps for a second, or ends if it is to close. It is said
//
//   - when closing;
//   - when a second has seen a round of the list; at first with three dials more, because a lost
//     connection should be replaced without a pause, also with one server in the list;
//   - after an expiry, while calls made in the old session are under way: their requests must not run in
//     the next one.
func (h *hosts) Next() (server string, retryStart bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	server = h.list[h.next%len(h.list)]
	h.next++
	now := time.Now()
	if now.Sub(h.since) > time.Second {
		h.since, h.dials = now, 0
	}
	h.dials++
	limit := len(h.list)
	if !h.weary {
		limit += 3
	}
	retryStart = h.dials > limit || h.conn.ctx.Err() != nil || h.heldLocked()
	if retryStart {
		h.since = time.Time{} // go-zookeeper sleeps; the next dial begins a new second
		h.weary = true
	}
	return server, retryStart
}

// heldLocked reports whether the next session must wait for calls made in the last one. None can begin
// meanwhile, and go-zookeeper fails their requests, so they end soon.
func (h *hosts) heldLocked() bool { return h.ended && h.conn.pending.Load() > 0 }

func (h *hosts) held() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.heldLocked()
}

// Connected is called by go-zookeeper when there is a session.
func (h *hosts) Connected() {
	h.mu.Lock()
	h.ended, h.weary = false, false
	h.mu.Unlock()
}

func (h *hosts) expired() {
	h.mu.Lock()
	h.ended = true
	h.mu.Unlock()
}

// failed remembers why server could not be used; nil forgets.
func (h *hosts) failed(server string, err error) {
	h.mu.Lock()
	h.failures[server] = err
	h.mu.Unlock()
}

// Failures describes, in the order of Config.Servers, why each server could not be used at the last
// attempt. It is empty if all could.
func (c *Conn) Failures() string {
	h := &c.hosts
	h.mu.Lock()
	defer h.mu.Unlock()
	var parts []string
	for _, s := range c.cfg.Servers {
		err, tried := h.failures[s]
		switch {
		case err != nil:
			parts = append(parts, fmt.Sprintf("%s: %v", s, err))
		case !tried:
			parts = append(parts, s+": not reached yet")
		}
	}
	return strings.Join(parts, "; ")
}

// dial is go-zookeeper's Dialer. The network connection of the previous attempt is closed here, since
// go-zookeeper leaves it open when a session has expired.
func (c *Conn) dial(network, server string, _ time.Duration) (net.Conn, error) {
	c.mu.Lock()
	previous := c.wire
	c.mu.Unlock()
	if previous != nil {
		previous.Close()
	}
	if c.hosts.held() {
		return nil, errors.New("not before the calls of the expired session have ended")
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.attempt)
	defer cancel()
	conn, err := c.open(ctx, network, server)
	if err != nil {
		c.hosts.failed(server, err)
		return nil, err
	}
	w := newWire(c, conn, server)
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		hangUp(conn)
		return nil, ErrClosed
	}
	c.wire = w
	c.mu.Unlock()
	return w, nil
}

// open dials server and, if asked to, shakes hands for TLS.
func (c *Conn) open(ctx context.Context, network, server string) (net.Conn, error) {
	dial := c.cfg.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, network, server)
	if err != nil || c.cfg.TLS == nil {
		return conn, err
	}
	cfg := c.cfg.TLS.Clone()
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = net.SplitHostPort(server)
	}
	t := tls.Client(conn, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return t, nil
}
