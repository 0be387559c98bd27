package zkstream_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
)

// laggingConn is a connection to a follower that is behind. While owner is not 0 it answers exists with a node of
// that session, until the client has asked for a sync on this connection.
type laggingConn struct {
	net.Conn
	owner *atomic.Int64

	mu     sync.Mutex // guards what follows
	begun  bool
	synced bool
	exists map[int32]bool // by xid

	// Used by the reading goroutine only.
	greeted bool
	out     []byte // of an answer that has not been read
}

func (c *laggingConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	if c.begun && len(p) >= 12 {
		switch zktest.Op(binary.BigEndian.Uint32(p[8:])) {
		case zktest.OpSync:
			c.synced = true
		case zktest.OpExists:
			c.exists[int32(binary.BigEndian.Uint32(p[4:]))] = c.owner.Load() != 0 && !c.synced
		}
	}
	c.begun = true
	c.mu.Unlock()
	return c.Conn.Write(p)
}

func (c *laggingConn) Read(p []byte) (int, error) {
	if len(c.out) == 0 {
		frame := make([]byte, 4)
		if _, err := io.ReadFull(c.Conn, frame); err != nil {
			return 0, err
		}
		frame = append(frame, make([]byte, binary.BigEndian.Uint32(frame))...)
		if _, err := io.ReadFull(c.Conn, frame[4:]); err != nil {
			return 0, err
		}
		c.mu.Lock()
		if c.greeted && c.exists[int32(binary.BigEndian.Uint32(frame[4:]))] {
			stat := make([]byte, 68)
			binary.BigEndian.PutUint64(stat[44:], uint64(c.owner.Load()))
			frame = append(frame[:16], append([]byte{0, 0, 0, 0}, stat...)...) // no error
			binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
		}
		c.mu.Unlock()
		c.greeted = true
		c.out = frame
	}
	n := copy(p, c.out)
	c.out = c.out[n:]
	return n, nil
}

// In a session in which nothing has been heard yet, the next server may still show the node of the session before.
// The node of this session must be deleted all the same.
func TestAWithdrawalIsNotDeceivedByAFollowerThatIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := zktest.Start(t)
		var owner atomic.Int64
		c := dialled(t, server, zkstream.WithDialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := server.Dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &laggingConn{Conn: conn, owner: &owner, exists: map[int32]bool{}}, nil
		}))
		defer c.Close()
		for range 5 {
			ctx, cancel := context.WithCancel(t.Context())
			r, err := c.Register(ctx, "/svc", addr, nil)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			old := zkstream.SessionID(c)
			var lost atomic.Bool
			server.Intercept(func(r zktest.Request) zktest.Fault {
				if r.Op == zktest.OpCreate && lost.CompareAndSwap(false, true) {
					owner.Store(old)
					cancel()
					return zktest.Fault{LoseReply: true}
				}
				return zktest.Fault{}
			})
			server.ExpireSession(old)
			<-r.Done()
			time.Sleep(time.Minute)
			if _, stat, err := server.Get(addrPath); err == nil || !lost.Load() {
				t.Fatalf("the registration has ended (%v), and the node is there, of %x; the client's session is %x", zkstream.WithdrawErr(r), stat.EphemeralOwner, zkstream.SessionID(c))
			}
			server.Intercept(nil)
			owner.Store(0)
		}
	})
}
