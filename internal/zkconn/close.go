package zkconn

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// How long Close takes at most. While go-zookeeper's own Close runs, which may take two seconds when its queue
// is full, Close waits closeGrace for the server in use to end the session, then twice farewellGrace for any
// other: 2.8 s. CloseLimit is that sum; what runs on after it is somebody else's, such as a dialer.
const (
	closeGrace    = time.Second            // for an answer, or for the handshake under way and then that
	farewellGrace = 900 * time.Millisecond // for any server to end a session that its own could not
	CloseLimit    = closeGrace + 2*farewellGrace
)

// Close ends the session, then the connection. It takes under three seconds whatever the server does,
// and no goroutine, socket or timer of the connection is left when it returns nil. Calls under way end
// with ErrClosed. It may be called from anywhere, more than once; each call waits for the end.
func (c *Conn) Close() error {
	c.closeOnce.Do(func() {
		// Ends within CloseLimit, or with what it waits for.
		go func() {
			c.shutdown()
			close(c.closed)
		}()
	})
	select {
	case <-c.closed:
		return nil
	case <-time.After(CloseLimit):
		return errors.New("zkstream: connection still closing")
	}
}

func (c *Conn) shutdown() {
	c.mu.Lock()
	c.closing = true
	wire := c.wire
	c.mu.Unlock()
	c.cancel() // dials end, and hosts has go-zookeeper quit

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
			auth := c.cfg.Auth
			err := c.endSession(ctx, e, id, timeout, auth)
			for tries := 1; (err == errCutOff || err == errUnauthorized) && tries < 5 && ctx.Err() == nil; tries++ {
				if err == errUnauthorized {
					auth = nil // most servers end a session without a credential
				}
				err = c.endSession(ctx, e, id, timeout, auth)
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

// errUnauthorized says that the server refused a credential.
var errUnauthorized = errors.New("the server refused the credential")

// endSession attaches to a session at an endpoint and ends it. It returns nil if the session is over.
func (c *Conn) endSession(ctx context.Context, e endpoint, id identity, timeout time.Duration, auth []Auth) error {
	conn, err := c.open(ctx, "tcp", e)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	// All at once, so that there is hardly an in-between for another connection. The credentials are for
	// servers that take no request without one.
	request := encodeConnect(timeout, id)
	for _, a := range auth {
		request = append(request, authRequest(a)...)
	}
	if _, err := conn.Write(append(request, closeRequest...)); err != nil {
		return errCutOff
	}
	attached, err := readShort(conn)
	if err != nil {
		return errCutOff
	}
	if len(attached) < 16 || int64(binary.BigEndian.Uint64(attached[8:])) != id.session {
		return nil // expired
	}
	for range len(auth) + 1 { // answers may overtake each other
		reply, err := readShort(conn)
		if err != nil {
			return errCutOff
		}
		if len(reply) < replyHeader {
			return fmt.Errorf("the server would not end the session: %x", reply)
		}
		xid, code := int32(binary.BigEndian.Uint32(reply)), binary.BigEndian.Uint32(reply[12:])
		switch {
		case xid == xidAuth && code != 0:
			return errUnauthorized
		case code != 0:
			return fmt.Errorf("the server would not end the session: %x", reply)
		case xid == closeXid:
			return nil
		}
	}
	return errors.New("the server did not answer the end of the session")
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

// encodeConnect encodes a request to attach to a session: length, protocol version 0, last zxid seen 0,
// timeout, session ID, password, and that a read-only server will not do.
func encodeConnect(timeout time.Duration, id identity) packet {
	p := packet(nil).int32(0).int32(0).int64(0).int32(int32(timeout / time.Millisecond)).int64(id.session)
	return p.string(string(id.password)).bool(false).end(0)
}
