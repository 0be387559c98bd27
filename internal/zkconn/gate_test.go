package zkconn

import (
	"bytes"
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
)

// watch sets a data watch of go-zookeeper's on path, and returns where its event goes; the reply has zxid.
func (c *client) watch(p *peer, path string, zxid int64) (fired <-chan zk.Event) {
	c.t.Helper()
	done := make(chan error)
	// Ends with the call, which is answered below.
	go func() {
		done <- c.Run(c.t.Context(), func(zc *zk.Conn) error {
			var err error
			_, _, fired, err = zc.GetW(path)
			return err
		})
	}()
	p.reply(p.expect(opGetData).xid, zxid, 0, str(""), stat(1))
	if err := <-done; err != nil {
		c.t.Fatal(err)
	}
	return fired
}

// held checks that go-zookeeper does not get an event that the server has sent, although the table does.
func (c *client) held(fired <-chan zk.Event) {
	c.t.Helper()
	synctest.Wait()
	c.changed()
	select {
	case ev := <-fired:
		c.t.Fatalf("go-zookeeper has got %+v", ev)
	default:
	}
}

// reconnect drops the connection and takes the next, in the same session.
func (c *client) reconnect(f *fake, p *peer) *peer {
	c.t.Helper()
	p.Close()
	c.expect(Down)
	p = f.peer()
	if h := p.accept(session, 10*time.Second); h.session != session {
		c.t.Fatalf("the client asks for session %#x", h.session)
	}
	c.expect(Up)
	return p
}

func TestNoReplyPassesBeforeSetWatchesOnAReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, p := connected(t)
		fired := c.watch(p, "/a", 7)
		p = c.reconnect(f, p)

		p.send(event(zk.EventNodeDataChanged, "/a"))
		c.held(fired)
		if r := p.expect(opSetWatches); int64(binary.BigEndian.Uint64(r.body)) != 7 || !bytes.Contains(r.body, []byte("/a")) {
			t.Errorf("SetWatches is %x", r.body)
		}
		if ev := <-fired; ev.Path != "/a" || ev.Type != zk.EventNodeDataChanged {
			t.Errorf("event %+v", ev)
		}
	})
}

func TestTheGateOpensByItselfWhereNoWatchIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, p := connected(t)
		c.watch(p, "/a", 7)
		p.send(event(zk.EventNodeDataChanged, "/a")) // the watch is used up
		c.changed()
		p = c.reconnect(f, p)

		start := time.Now()
		done := c.get()
		p.reply(p.expect(opGetData).xid, 8, 0, str("data"), stat(1))
		if err := <-done; err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d != gateLimit {
			t.Errorf("the reply passed after %v, want %v", d, gateLimit)
		}
		c.works(p)
	})
}

func TestThereIsNoGateWhereThereWasNoWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, p := connected(t)
		c.works(p)
		p = c.reconnect(f, p)
		start := time.Now()
		c.works(p)
		if d := time.Since(start); d != 0 {
			t.Errorf("a request took %v", d)
		}

		// Nor where all watches went with an earlier session.
		c.watch(p, "/a", 7)
		p.Close()
		c.expect(Down)
		f.peer().accept(0, 0)
		c.expect(Expired)
		p = f.peer()
		p.accept(session, 10*time.Second)
		c.expect(Up)
		c.works(p)
		p = c.reconnect(f, p)
		start = time.Now()
		c.works(p)
		if d := time.Since(start); d != 0 {
			t.Errorf("a request in the next session took %v", d)
		}
	})
}

func TestTheGateLeavesTimeForTheFrameThatItHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = 600 * time.Millisecond // go-zookeeper allows a frame 400 ms, less than the gate
		f := newFake(t)
		c := f.open(Config{Timeout: timeout})
		p := f.peer()
		p.accept(session, timeout)
		c.expect(Up)
		c.watch(p, "/a", 7)
		p.send(event(zk.EventNodeDataChanged, "/a"))
		c.changed()
		p.Close()
		c.expect(Down)
		p = f.peer()
		p.accept(session, timeout)
		c.expect(Up)

		done := c.get()
		b := reply(p.expect(opGetData).xid, 8, 0, str("data"), stat(1))
		p.drain() // pings; their answers would have to wait too
		p.send(b[:30])
		time.Sleep(gateLimit + 50*time.Millisecond)
		p.send(b[30:])
		if err := <-done; err != nil {
			t.Error(err)
		}
		c.quiet()
	})
}

func TestTheAnswerToACredentialOfTheHandlePassesTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, p := connected(t)
		c.addAuth(p)
		c.watch(p, "/a", 7)
		p = c.reconnect(f, p)
		start := time.Now()
		p.reply(p.expect(opAuth).xid, 0, 0) // go-zookeeper sends nothing else before it has this
		p.expect(opSetWatches)
		if d := time.Since(start); d != 0 {
			t.Errorf("SetWatches came after %v", d)
		}
	})
}

// addAuth adds a credential to the low-level handle.
func (c *client) addAuth(p *peer) {
	c.t.Helper()
	done := make(chan error)
	// Ends with the answer, which comes at once.
	go func() { done <- c.Handle().AddAuth("digest", []byte("user:password")) }()
	p.reply(p.expect(opAuth).xid, 0, 0)
	if err := <-done; err != nil {
		c.t.Fatal(err)
	}
}
