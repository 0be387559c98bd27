package zkconn

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"time"
)

// How long Close waits: for an answer from the connection, then for any server to end the session
// that the connection could not end. go-zookeeper's own Close may take two seconds when its queue is
// full, beside which the others run.
const (
	closeGrace    = time.Second
	farewellGrace = 900 * time.Millisecond
	closeLimit    = 2800 * time.Millisecond
)

// Close ends the session, then the connection. It takes under three seconds whatever the server does,
// and no goroutine, socket or timer of the connection is left when it returns nil. Calls under way end
// with ErrClosed. It may be called from anywhere, more than once; each call waits for the end.
func (c *Conn) Close() error {
	c.closeOnce.Do(func() {
		// Ends within closeLimit, or with what it waits for.
		go func() {
			c.shutdown()
			close(c.closed)
		}()
	})
	select {
	case <-c.closed:
		return c.closeErr
	case <-time.After(closeLimit):
		return errors.New("zkstream: connection still closing")
	}
}

func (c *Conn) shutdown() {
	c.mu.Lock()
	c.closing = true
	isUp, wire := c.isUp.Load(), c.wire
	c.mu.Unlock()
	c.cancel() // dials end, hosts tells go-zookeeper to quit

	// Ends within two seconds: go-zookeeper's own limits.
	asked := make(chan struct{})
	go func() {
		c.zc.Close()
		close(asked)
	}()
	if isUp {
		t := time.NewTimer(closeGrace)
		select {
		case <-asked: // the server has answered
		case <-t.C:
		}
		t.Stop()
	}
	if wire != nil {
		wire.Close() // ends go-zookeeper's loop, wherever it is
	}
	c.mu.Lock()
	left, timeout := c.identity, c.current.Timeout
	c.mu.Unlock()
	if left.session != 0 {
		c.farewell(left, timeout)
	}
	<-asked
	c.running.Wait()
}

// farewell ends a session that its own connection could not end: because it is down, or its server
// hangs. Any server of the ensemble can do it. All are tried at once; the first answer will do.
func (c *Conn) farewell(id identity, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), farewellGrace)
	defer cancel()
	done := make(chan error, len(c.cfg.Servers))
	for _, server := range c.cfg.Servers {
		// Ends with ctx, and is waited for below.
		go func() { done <- c.endSession(ctx, server, id, timeout) }()
	}
	for range c.cfg.Servers {
		if err := <-done; err == nil {
			cancel()
		}
	}
}

// Expire ends the session behind the connection's back, over a connection of its own to any server.
// For tests: to the client it is an expiry.
func (c *Conn) Expire() {
	c.mu.Lock()
	id, timeout := c.identity, c.current.Timeout
	c.mu.Unlock()
	c.farewell(id, timeout)
}

func (c *Conn) endSession(ctx context.Context, server string, id identity, timeout time.Duration) error {
	conn, err := c.open(ctx, "tcp", server)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	// Both at once, so that nobody can take the session over in between.
	if _, err := conn.Write(append(connectRequest(timeout, id), closeRequest...)); err != nil {
		return err
	}
	// It answers to one or both and closes; without an answer it is not serving.
	if n, err := io.Copy(io.Discard, io.LimitReader(conn, 2*maxHandshake)); err != nil || n == 0 {
		return errors.Join(errors.New("no answer"), err)
	}
	return nil
}

// connectRequest encodes a request to attach to a session: length, protocol version 0, last zxid seen
// 0, timeout, session ID, password.
func connectRequest(timeout time.Duration, id identity) []byte {
	b := make([]byte, 16, 64)
	b = binary.BigEndian.AppendUint32(b, uint32(timeout/time.Millisecond))
	b = binary.BigEndian.AppendUint64(b, uint64(id.session))
	b = binary.BigEndian.AppendUint32(b, uint32(len(id.password)))
	b = append(b, id.password...)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}
