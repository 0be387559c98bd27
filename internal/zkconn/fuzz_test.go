package zkconn

import (
	"bytes"
	"log/slog"
	"math"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
)

// fuzzReply is Config.MaxReply of the fuzz tests.
const fuzzReply = 1 << 20

// ownCalls has a request of each shape that zkconn makes itself for a caller, with a good answer to it and others.
var ownCalls = []struct {
	fn     func(c *client) error
	bodies [][]byte
}{
	{func(c *client) error { return c.look(Data) }, [][]byte{append(str("data"), stat(1)...), append(i32(math.MaxInt32), stat(1)...)}},
	{func(c *client) error { return c.look(Children) }, [][]byte{children("one", "two"), append(i32(math.MaxInt32), stat(1)...)}},
	{func(c *client) error { return c.look(Stat) }, [][]byte{stat(1), nil}},
	{func(c *client) error { return c.Sync(c.t.Context(), "/x") }, [][]byte{str("/x"), nil}},
	{func(c *client) error { _, _, err := c.ACL(c.t.Context(), "/x"); return err }, [][]byte{
		bytes.Join([][]byte{i32(1), i32(31), str("world"), str("anyone"), stat(5)}, nil), i32(math.MaxInt32), i32(1),
	}},
	{func(c *client) error { _, err := c.Ephemerals(c.t.Context(), "/x"); return err }, [][]byte{
		append(i32(1), str("/x")...), i32(math.MaxInt32),
	}},
	{func(c *client) error { return c.single(&zk.CreateRequest{Path: "/x"}) }, [][]byte{str("/x"), i32(math.MaxInt32), nil}},
	{func(c *client) error { return c.single(&zk.SetDataRequest{Path: "/x"}) }, [][]byte{stat(1), nil}},
	{func(c *client) error { return c.single(&zk.DeleteRequest{Path: "/x"}) }, [][]byte{nil}},
	{func(c *client) error {
		ch, err := c.NewTransaction(&zk.CreateRequest{Path: "/x"}, &zk.SetDataRequest{Path: "/x"})
		if err == nil {
			_, err = c.Send(c.t.Context(), ch)
		}
		return err
	}, [][]byte{
		bytes.Join([][]byte{result(opCreate, 0, str("/a")), result(opSetData, 0, stat(1)), endOfMulti}, nil),
		result(opCreate, 0, i32(math.MaxInt32)), result(opSetData, 0), result(opError, 0),
	}},
}

func (c *client) look(k Kind) error {
	_, err := c.Look(c.t.Context(), k, "/x")
	return err
}

func (c *client) single(op any) error {
	_, err := c.Send(c.t.Context(), c.change(op))
	return err
}

// FuzzServer has a server say data. With greet it says so after a good handshake, while a call of each kind waits for
// its answer, in the order of calls, xids 1, 2 and so on, and of ownCalls, xids -1001, -1002 and so on; else instead of the handshake.
// Then it closes the connection, and serves the next one properly. Nothing may panic, hang, or
// allocate much more than the largest reply.
func FuzzServer(f *testing.F) {
	f.Add(false, []byte{})
	f.Add(false, welcome(session, time.Second))
	f.Add(false, welcome(session, time.Millisecond))
	f.Add(false, welcome(0, 0))
	f.Add(false, append(welcome(session, time.Second), event(zk.EventNodeCreated, "/a")...))
	f.Add(false, frame(i32(0), i32(1000), i64(1), i32(math.MaxInt32), make([]byte, 16)))
	f.Add(false, i32(-1))
	for i, call := range calls {
		xid := int32(i + 1)
		var bodies [][]byte
		switch call.op {
		case opGetData, opReconfig:
			bodies = [][]byte{append(str("data"), stat(1)...), append(i32(math.MaxInt32), stat(1)...)}
		case opGetChildren2:
			bodies = [][]byte{children("one", "two"), append(i32(math.MaxInt32), stat(1)...), append(i32(-1), stat(1)...)}
		case opGetACL:
			bodies = [][]byte{append(append(append(append(i32(1), i32(31)...), str("world")...), str("anyone")...), stat(1)...), append(i32(math.MaxInt32), stat(1)...)}
		case opMulti:
			bodies = [][]byte{append(append(result(opCreate, 0, str("/a")), result(opSetData, 0, stat(1))...), endOfMulti...), i32(-1), result(opError, 0)}
		case opExists, opSetData, opSetACL:
			bodies = [][]byte{stat(1), nil}
		default:
			bodies = [][]byte{str("/a"), i32(-1), nil}
		}
		for _, body := range bodies {
			f.Add(true, reply(xid, 1, 0, body))
			f.Add(true, append(reply(xid, 1, -101), reply(xid, 1, 0, body)...))
		}
	}
	var good []byte
	for i, call := range ownCalls {
		xid := int32(firstXid - i)
		for _, body := range call.bodies {
			f.Add(true, slices.Concat(good, reply(xid, 1, 0, body)))
		}
		f.Add(true, slices.Concat(good, reply(xid, 1, -101)))
		f.Add(true, slices.Concat(good, reply(xid, 1, 0, call.bodies[0])[:20]))
		good = slices.Concat(good, reply(xid, 1, 0, call.bodies[0]))
	}
	f.Add(true, reply(xidPing, 0, 0))
	f.Add(true, event(zk.EventNodeDeleted, "/a"))
	f.Add(true, reply(xidEvent, -1, 0, i32(int32(zk.EventSession)), i32(int32(zk.StateHasSession)), str("")))
	for _, xid := range []int32{1, 2, 77, xidEvent, xidPing, xidAuth} { // that announces 2 GB
		f.Add(true, append(i32(math.MaxInt32), reply(xid, 1, 0)[4:]...))
	}
	f.Add(true, append(i32(fuzzReply), reply(2, 1, 0, i32(fuzzReply/4-100))[4:]...))
	f.Add(true, i32(-1))
	f.Fuzz(func(t *testing.T, greet bool, data []byte) {
		synctest.Test(t, func(t *testing.T) { converse(t, greet, data) })
	})
}

func converse(t *testing.T, greet bool, data []byte) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f := newFake(t)
	c := f.open(Config{Timeout: time.Second, MaxReply: fuzzReply, Logger: slog.New(slog.DiscardHandler)})
	bad := f.peer()
	packets := make(chan []byte, 100)
	// Ends with the connection.
	go func() {
		defer close(packets)
		for b, err := bad.read(); err == nil; b, err = bad.read() {
			packets <- b
		}
	}()
	<-packets
	done := make(chan error, len(calls)+len(ownCalls))
	if greet {
		bad.Write(welcome(session, time.Second))
		synctest.Wait()
		for _, call := range calls {
			// Ends with the call, at the latest when the connection is lost.
			go func() {
				done <- c.Run(t.Context(), func(zc *zk.Conn) error {
					_, err := call.fn(zc)
					return err
				})
			}()
			<-packets
		}
		for _, call := range ownCalls {
			// Ends likewise.
			go func() { done <- c.Do(t.Context(), func() error { return call.fn(c) }) }()
			<-packets
		}
	}
	bad.SetWriteDeadline(time.Now().Add(minute))
	bad.Write(data)
	synctest.Wait()
	bad.Close()
	if greet {
		for range len(calls) + len(ownCalls) {
			<-done
		}
	}
	const next = 77
	p := f.peer()
	h := p.hello()
	for ; h.session != 0; h = p.hello() { // which data has named
		p.send(welcome(0, 0))
		p = f.peer()
	}
	f.serve(func(p *peer) { p.Close() })
	p.send(welcome(next, time.Second))
	p.drain()
	for ev := c.next(); ev.Kind != Up || ev.Session.ID != next; ev = c.next() {
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	runtime.ReadMemStats(&after)
	// go-zookeeper takes 1.5 MB for itself and as much for each connection that has a session.
	if n := after.TotalAlloc - before.TotalAlloc; n > fuzzReply+8<<20+uint64(20*len(data)) {
		t.Errorf("%d bytes of the server's made the client allocate %d", len(data), n)
	}
}
