package zkconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"
)

// dial is go-zookeeper's Dialer: it does what hosts.Next has decided. The network connection of the previous
// attempt is closed here, since go-zookeeper leaves it open when a session has expired.
func (c *Conn) dial(network, _ string, _ time.Duration) (net.Conn, error) {
	c.mu.Lock()
	previous := c.wire
	c.mu.Unlock()
	if previous != nil {
		previous.Close()
	}
	step, e := c.hosts.next()
	switch step {
	case waitForCalls:
		return nil, errMustWait
	case beginRound:
		c.hosts.beginRound()
		return nil, errNextRound
	}
	c.hosts.attempt()
	ctx, cancel := context.WithTimeout(c.ctx, c.hosts.attemptLimit())
	defer cancel()
	conn, err := c.open(ctx, network, e)
	if err != nil {
		c.hosts.outcome(err)
		return nil, err
	}
	c.hosts.reached(stageHandshake)
	w := newWire(c, conn, e.server)
	w.addr = e.addr
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

// open dials an endpoint and, if asked to, shakes hands for TLS, with the server's name.
func (c *Conn) open(ctx context.Context, network string, e endpoint) (net.Conn, error) {
	dial := c.cfg.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, network, e.addr)
	if err == nil && conn == nil {
		err = errors.New("the dialer returned neither a connection nor an error")
	}
	if err != nil || c.cfg.TLS == nil {
		return conn, err
	}
	cfg := c.cfg.TLS.Clone()
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = net.SplitHostPort(e.server)
	}
	c.hosts.reached(stageTLS)
	t := tls.Client(conn, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return t, nil
}
