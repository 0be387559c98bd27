package zkconn

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
)

const session = 0x1234

// recorder is a network connection that keeps what is written.
type recorder struct {
	net.Conn
	written bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error)      { return r.written.Write(p) }
func (r *recorder) Close() error                     { return nil }
func (r *recorder) SetReadDeadline(time.Time) error  { return nil }
func (r *recorder) SetWriteDeadline(time.Time) error { return nil }
func (r *recorder) SetDeadline(time.Time) error      { return nil }

// bareConn is a Conn without go-zookeeper, for tests of a single wire.
func bareConn() *Conn {
	c := &Conn{log: slog.New(slog.DiscardHandler), maxReply: DefaultMaxReply, ctx: context.Background(), table: noTable{}}
	c.cfg.Timeout, c.cfg.Servers = 10*time.Second, []string{"server:2181"}
	c.hosts.init(c)
	return c
}

// hey is a connect request as go-zookeeper writes it.
func hey(zxid, session int64) []byte {
	return frame(i32(0), i64(zxid), i32(4000), i64(session), str("pppppppppppppppp"))
}

func TestSetWatchesNamesNoZxidThatTheLastConnectionHadNotSeen(t *testing.T) {
	for _, test := range []struct{ seen, names, sent int64 }{
		{seen: 10, names: 10, sent: 10},
		{seen: 10, names: 50, sent: 10},
		{seen: 10, names: 5, sent: 5}, // of the connection before: it never reached its server
	} {
		rec := &recorder{}
		w := newWire(bareConn(), rec, "server:2181")
		w.Write(hey(test.seen, session))
		rec.written.Reset()
		packet := frame(i32(1), i32(opSetWatches), i64(test.names), i32(0), i32(0), i32(0))
		before := bytes.Clone(packet)
		w.Write(packet)
		if got := int64(binary.BigEndian.Uint64(rec.written.Bytes()[12:])); got != test.sent {
			t.Errorf("seen %d, SetWatches says %d: sent %d, want %d", test.seen, test.names, got, test.sent)
		}
		if !bytes.Equal(packet, before) {
			t.Error("Write has changed its argument")
		}
	}
}

func TestAConnectRequestIsNotTakenForASetWatches(t *testing.T) {
	c := bareConn()
	c.watching.Store(true)
	w := newWire(c, &recorder{}, "server:2181")
	p := hey(opSetWatches<<32|7, session) // in the 101st epoch, it looks like one
	w.Write(p)
	if packet(p).opcode() != opSetWatches || w.gate.shut == nil {
		t.Error("the gate is open")
	}
}

func TestAWriteFailureDoesNotReachGoZookeeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		server.Close()
		w := newWire(bareConn(), client, "server:2181")
		p := hey(0, 0)
		if n, err := w.Write(p); n != len(p) || err != nil {
			t.Errorf("Write = %d, %v", n, err)
		}
		if _, err := w.Read(p); err == nil {
			t.Error("Read works although the connection is closed")
		}

		// go-zookeeper would now deadlock: its write fails while it replays a credential.
		f := newFake(t)
		c := f.open(Config{})
		q := f.peer()
		q.accept(session, 10*time.Second)
		c.expect(Up)
		c.addAuth(q)
		for range 3 {
			q = c.reconnect(f, q)
			synctest.Wait() // it waits in Write
		}
		q = c.reconnect(f, q)
		q.reply(q.expect(opAuth).xid, 0, 0)
		c.works(q)
	})
}

func TestARefusedSetWatchesEndsNothing(t *testing.T) {
	for name, answer := range map[string]func(xid int32) []byte{
		"refused":   func(xid int32) []byte { return reply(xid, 8, -6) },
		"too large": func(xid int32) []byte { return reply(xid, 8, 0, make([]byte, 1000)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				c := f.open(Config{MaxReply: 1000})
				p := f.peer()
				p.accept(session, 10*time.Second)
				c.expect(Up)
				c.watch(p, "/a", 7)
				p = c.reconnect(f, p)
				p.send(answer(p.expect(opSetWatches).xid))
				p = c.reconnect(f, p)
				p.reply(p.expect(opSetWatches).xid, 9, 0)
				c.quiet()
			})
		})
	}
}

func TestWhatNobodyAskedForIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, p := connected(t)
		done := c.get()
		r := p.expect(opGetData)
		p.send(reply(r.xid+1, math.MaxInt64, 0, i32(-1))) // of a request that has not been sent yet
		p.reply(r.xid, 7, 0, str("data"), stat(1))
		p.send(reply(r.xid, math.MaxInt64, 0)) // once more
		p.send(reply(xidAuth, math.MaxInt64, -115))
		p.send(reply(-5, math.MaxInt64, 0, make([]byte, 100<<10)))
		// go-zookeeper uses these types for what is no watch event.
		for _, state := range []zk.State{zk.StateHasSession, zk.StateDisconnected, zk.StateExpired} {
			p.send(reply(xidEvent, -1, 0, i32(int32(zk.EventSession)), i32(int32(state)), str("")))
		}
		p.send(event(zk.EventNotWatching, "/a"))
		p.send(event(77, "/a"))
		p.send(reply(xidPing, 0, 0, make([]byte, 100<<10)))
		if err := <-done; err != nil {
			t.Error(err)
		}
		c.quiet()
		p.send(event(zk.EventNodeCreated, "/a"))
		c.changed()
		p.Close()
		c.expect(Down)
		p = f.peer()
		if h := p.accept(session, 10*time.Second); h.zxid != 7 {
			t.Errorf("the last zxid is %#x", h.zxid)
		}
		c.expect(Up)
		c.works(p)
	})
}

func TestABrokenFrameEndsItsConnectionOnly(t *testing.T) {
	long := event(zk.EventNodeCreated, "/a")
	binary.BigEndian.PutUint32(long[28:], 3)
	negative := event(zk.EventNodeCreated, "/a")
	binary.BigEndian.PutUint32(negative[28:], math.MaxUint32)
	const never = 20 * time.Second / 3 // when go-zookeeper's patience for the rest ends
	for name, test := range map[string]struct {
		b    []byte
		when time.Duration
	}{
		"empty":                       {i32(0), 0},
		"shorter than a header":       {frame(make([]byte, replyHeader-1)), 0},
		"negative length":             {i32(-1), 0},
		"least length":                {i32(math.MinInt32), 0},
		"cut in the length":           {[]byte{0, 0}, never},
		"cut in the header":           {reply(1, 1, 0)[:10], never},
		"cut in an event":             {event(zk.EventNodeCreated, "/a")[:33], never},
		"event without a path":        {reply(xidEvent, -1, 0, make([]byte, eventSize-1)), 0},
		"event with a too long path":  {long, 0},
		"event with a negative path":  {negative, 0},
		"event that is too large":     {event(zk.EventNodeCreated, string(make([]byte, 1000))), 0},
		"endless ping":                {append(i32(math.MaxInt32), reply(xidPing, 0, 0)[4:]...), never},
		"endless frame nobody wanted": {append(i32(math.MaxInt32), reply(77, 0, 0)[4:]...), never},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				c := f.open(Config{MaxReply: 1000})
				p := f.peer()
				p.accept(session, 10*time.Second)
				c.expect(Up)
				p.drain()
				start := time.Now()
				p.send(test.b)
				c.expect(Down)
				if d := time.Since(start); d.Round(time.Millisecond) != test.when.Round(time.Millisecond) {
					t.Errorf("ended after %v, want %v", d, test.when)
				}
				p = f.peer()
				p.accept(session, 10*time.Second)
				c.expect(Up)
				c.works(p)
			})
		})
	}
}

// go-zookeeper waits for both of its loops before it connects again.
func TestAReadThatFailsEndsAWriteThatHangs(t *testing.T) {
	for name, half := range map[string][]byte{
		"between frames": nil,
		"in a header":    reply(1, 1, 0)[:10],
		"in a body":      event(zk.EventNodeCreated, "/a")[:33],
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				c := f.open(Config{Timeout: 9 * time.Second})
				p := f.peer()
				p.accept(session, 9*time.Second) // so 6 s for each read and write, and a ping every 3 s
				c.expect(Up)
				start := time.Now()
				p.send(half)
				time.Sleep(time.Second)
				p.SetReadDeadline(start.Add(4 * time.Second))
				p.read() // a ping
				time.Sleep(time.Until(start.Add(5 * time.Second)))
				c.get() // which nobody reads
				c.expect(Down)
				if d := time.Since(start); d != 6*time.Second {
					t.Errorf("the connection is given up after %v", d)
				}
			})
		})
	}
}

// replay is a network connection that reads the same bytes again and again.
type replay struct {
	recorder
	frame []byte
	at    int
}

func (r *replay) Read(p []byte) (int, error) {
	n := copy(p, r.frame[r.at:])
	r.at = (r.at + n) % len(r.frame)
	return n, nil
}

func TestAFrameCostsNoAllocation(t *testing.T) {
	for _, test := range []struct {
		op    int32
		reply []byte
		want  float64 // allocations
	}{
		{opGetData, reply(1, 7, 0, str("data"), stat(1)), 0},
		{opGetData, reply(1, 7, 0, str(string(make([]byte, 100<<10))), stat(1)), 0},
		{opGetChildren2, reply(1, 7, 0, i32(2), str("one"), str("two"), stat(1)), 0},
		{opExists, reply(1, 7, 0, stat(1)), 0},
		{opMulti, reply(1, 7, 0, i32(2), []byte{0}, i32(0), i32(-1), []byte{1}, i32(-1)), 0},
		{0, event(zk.EventNodeCreated, "/a"), 1}, // its path
		{0, reply(xidPing, 0, 0), 0},
	} {
		w := newWire(bareConn(), &replay{frame: test.reply}, "server:2181")
		w.handshakeDone = true
		w.conn.watching.Store(true) // go-zookeeper gets events, too
		request := frame(i32(1), i32(test.op), str("/a"), []byte{0})
		w.wroteFirst = true
		buf := make([]byte, 200<<10)
		allocs := testing.AllocsPerRun(100, func() {
			w.outgoing(request)
			if _, err := io.ReadFull(w, buf[:len(test.reply)]); err != nil {
				t.Fatal(err)
			}
		})
		if allocs != test.want {
			t.Errorf("opcode %d, %d bytes: %v allocations", test.op, len(test.reply), allocs)
		}
		if !bytes.Equal(buf[:len(test.reply)], test.reply) {
			t.Errorf("opcode %d: read %x", test.op, buf[:len(test.reply)])
		}
	}
}

func BenchmarkFrame(b *testing.B) {
	for _, size := range []int{100, 100 << 10} {
		b.Run(fmt.Sprintf("%d bytes", size), func(b *testing.B) {
			answer := reply(1, 7, 0, str(string(make([]byte, size))), stat(1))
			w := newWire(bareConn(), &replay{frame: answer}, "server:2181")
			w.handshakeDone, w.wroteFirst = true, true
			request := frame(i32(1), i32(opGetData), str("/a"), []byte{0})
			buf := make([]byte, len(answer))
			b.ReportAllocs()
			for b.Loop() {
				w.outgoing(request)
				io.ReadFull(w, buf)
			}
		})
	}
}
