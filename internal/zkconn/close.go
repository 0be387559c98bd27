package zkconn

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// How long Close waits: for an answer from the connection, or the handshake under way and then that;
// then for any server to end the session that the connection could not end. go-zookeeper's own Close may
// take two seconds when its queue is full, beside which the others run.
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
		return nil
	case <-time.After(closeLimit):
		return errors.New("zkstream: connection still closing")
	}
}

func (c *Conn) shutdown() {
	c.mu.Lock()
	c.closing = true
	wire := c.wire
	c.mu.Unlock()
	c.cancel() // dials end, hosts tells go-zookeeper to quit

	// Ends within two seconds: go-zookeeper's own limits.
	asked := make(chan struct{})
	go func() {
		c.zc.Close()
		close(asked)
	}()
	// A handshake under way is waited for too: cut off, its request could still reach the server, and
	// take the session away from the farewell.
	t := time.NewTimer(closeGrace)
	select {
	case <-asked: // the server has answered, or there is none to ask
	case <-t.C:
	}
	t.Stop()
	if wire != nil {
		wire.Close() // ends go-zookeeper's loop, wherever it is
	}
	left := c.farewell(0)
	c.running.Wait()
	c.farewell(left) // to a session that a handshake has brought since
	<-asked
}

// farewell ends the session, unless it is over or is the one given, and returns its ID. It is for what
// the session's own connection could not do: because it is down, or its server hangs. Any server of the
// ensemble can end it. All are tried at once; the first answer will do.
func (c *Conn) farewell(done int64) int64 {
	c.mu.Lock()
	id, timeout := c.identity, c.current.Timeout
	c.mu.Unlock()
	if id.session == 0 || id.session == done {
		return done
	}
	ctx, cancel := context.WithTimeout(context.Background(), farewellGrace)
	defer cancel()
	all := c.hosts.names.endpoints()
	ended := make(chan error, len(all))
	for _, e := range all {
		// Ends with ctx, and is waited for below.
		go func() {
			err := c.endSession(ctx, e, id, timeout)
			for tries := 1; err == errCutOff && tries < 5 && ctx.Err() == nil; tries++ {
				err = c.endSession(ctx, e, id, timeout)
			}
			ended <- err
		}()
	}
	for range all {
		if err := <-ended; err == nil {
			cancel()
		}
	}
	return id.session
}

// Expire ends the session behind the connection's back, over a connection of its own to any server.
// For tests: to the client it is an expiry.
func (c *Conn) Expire() { c.farewell(0) }

// errCutOff says that the server closed the connection before all was said: as it does when another
// connection attaches to the session, such as the session's own, in a handshake that was under way.
var errCutOff = errors.New("cut off")

// endSession attaches to a session at an endpoint and ends it. It returns nil if the session is over.
func (c *Conn) endSession(ctx context.Context, e endpoint, id identity, timeout time.Duration) error {
	conn, err := c.open(ctx, "tcp", e)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	// Both at once, so that there is hardly an in-between for another connection.
	if _, err := conn.Write(append(connectRequest(timeout, id), closeRequest...)); err != nil {
		return errCutOff
	}
	attached, err := readShort(conn)
	if err != nil {
		return errCutOff
	}
	if len(attached) < 16 || int64(binary.BigEndian.Uint64(attached[8:])) != id.session {
		return nil // expired
	}
	ended, err := readShort(conn)
	if err != nil {
		return errCutOff
	}
	if len(ended) < replyHeader || binary.BigEndian.Uint32(ended[12:]) != 0 {
		return fmt.Errorf("the server would not end the session: %x", ended)
	}
	return nil
}

// readShort reads one packet of limited length, without that.
func readShort(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, min(binary.BigEndian.Uint32(size[:]), maxHandshake))
	_, err := io.ReadFull(r, b)
	return b, err
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
