package zkconn

import (
	"bytes"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
)

// A reply may take ten session timeouts to arrive, however steadily it does.
func TestAReplyMayNotTakeForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, p, table := withTable(t)
		table.want(&testWatch{"/a", Data, 0})
		c.pump()
		b := reply(p.expect(opGetData).xid, 7, 0, str(strings.Repeat("x", 1000)), stat(1))
		p.drain() // pings
		p.send(b[:4])
		start := time.Now()
		p.SetWriteDeadline(time.Time{})
		hungUp := begin(func() error {
			for rest := b[4:]; ; rest = rest[1:] { // a byte each 3 s; the session timeout is 10
				time.Sleep(3 * time.Second)
				if _, err := p.Write(rest[:1]); err != nil {
					return err
				}
			}
		})
		time.Sleep(slowest*at - time.Second/2)
		c.quiet()
		c.expect(Down)
		if d := time.Since(start); d != slowest*at {
			t.Errorf("the connection is given up after %v", d)
		}
		<-hungUp
	})
}

// Its time counts for one reply, not for the next.
func TestAReplyAfterAnotherThatTookItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, p, table := withTable(t)
		table.want(&testWatch{"/a", Data, 0})
		c.pump()
		b := reply(p.expect(opGetData).xid, 7, 0, str(strings.Repeat("x", 900)), stat(1))
		p.drain() // pings
		start := time.Now()
		parts := slices.Collect(slices.Chunk(b, len(b)/20))
		pause := (slowest*at - 2*time.Second) / time.Duration(len(parts)-1)
		for i, part := range parts {
			time.Sleep(time.Until(start.Add(time.Duration(i) * pause)))
			p.send(part)
		}
		time.Sleep(3 * time.Second)
		for range 5 { // answers to pings
			b := reply(xidPing, 0, 0)
			p.send(b[:10])
			time.Sleep(3 * time.Second)
			p.send(b[10:])
			time.Sleep(3 * time.Second)
		}
		c.quiet()
		if got := table.take(); !strings.HasPrefix(got, `/a true "xxx`) {
			t.Errorf("%.60s", got)
		}
	})
}

func TestTheDeadlineForReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const patience = 6 * time.Second // of the wire's session timeout
		w, d := quietWire()
		putOff := func(when string, want time.Duration) {
			t.Helper()
			w.putOff(time.Now())
			if got := time.Until(d.read); got != want {
				t.Errorf("%s: it is in %v, want %v", when, got, want)
			}
		}
		putOff("between frames", patience)
		w.frameBegan = time.Now()
		putOff("as a frame begins", patience)
		time.Sleep(slowest*w.timeout - patience)
		putOff("as the last moments begin", patience)
		time.Sleep(time.Second)
		putOff("in its last moments", patience-time.Second)

		time.Sleep(patience)
		putOff("when its time is over", -time.Second)

		// While the gate keeps a frame back, time does not count.
		w.gate.close()
		if err := w.waitGate(); err != nil {
			t.Error(err)
		}
		if got := time.Until(d.read); got != patience {
			t.Errorf("after the gate: it is in %v", got)
		}
		putOff("after the gate", patience)
		before := d.read
		time.Sleep(time.Second)
		if err := w.waitGate(); err != nil || d.read != before {
			t.Errorf("the gate is open: %v", err)
		}

		// In the handshake it is the handshake's.
		w, d = quietWire()
		w.Conn, w.handshakeDone = &replay{frame: []byte{1}}, false
		if _, err := (arriving{w}).Read(make([]byte, 1)); err != nil || !d.read.IsZero() {
			t.Errorf("in the handshake: %v, %v", d.read, err)
		}
		if got := w.conn.counters.received.Load(); got != 1 {
			t.Errorf("%d bytes are counted, of 1", got)
		}
	})
}

// An event may be as large as a reply; its path may be empty.
func TestTheSizesOfAnEvent(t *testing.T) {
	const most = 100
	longest := strings.Repeat("x", most-replyHeader-eventSize)
	for _, test := range []struct {
		path  string
		kind  zk.EventType
		fails bool
		fired string
	}{
		{"", zk.EventNodeCreated, false, " EventNodeCreated"},
		{"/a", zk.EventNodeCreated, false, "/a EventNodeCreated"},
		{"/a", zk.EventNodeChildrenChanged, false, "/a EventNodeChildrenChanged"},
		{"/a", zk.EventNodeChildrenChanged + 1, false, ""},
		{"/a", zk.EventNodeCreated - 1, false, ""},
		{longest, zk.EventNodeCreated, false, longest + " EventNodeCreated"},
		{longest + "x", zk.EventNodeCreated, true, ""},
	} {
		c := bareConn()
		table := &testTable{}
		c.table, c.maxReply = table, most
		sent := event(test.kind, test.path)
		w := newWire(c, &once{bytes: slices.Concat(sent, reply(xidPing, 0, 0)), piece: len(sent)}, "server:2181")
		w.wroteFirst, w.handshakeDone, w.timeout = true, true, time.Second
		c.watching.Store(true) // go-zookeeper is to get it, too
		got, err := readFrame(w, most)
		want := sent
		if test.fired == "" {
			want = reply(xidPing, 0, 0)
		}
		if (err != nil) != test.fails || err == nil && !bytes.Equal(got, want) {
			t.Errorf("a path of %d bytes, type %d: %v, %x", len(test.path), test.kind, err, got)
		}
		if got := table.take(); got != test.fired {
			t.Errorf("a path of %d bytes, type %d: the table was told %q", len(test.path), test.kind, got)
		}
	}
}

func TestAnsweredPingsKeepTheSessionYoung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, p := connected(t)
		p.answerPings()
		for range 20 {
			time.Sleep(at)
			if age := time.Since(c.Answered()); age > at/2 {
				t.Fatalf("the last request that was answered is %v old", age)
			}
		}
		c.quiet()
	})
}

// go-zookeeper waits for a write that is under way before it connects again.
func TestAReadThatFailsWithinABodyEndsTheConnection(t *testing.T) {
	w := newWire(bareConn(), &once{bytes: []byte("abc"), piece: 100}, "server:2181")
	w.handshakeDone, w.body = true, 10
	n, err := io.ReadFull(w, make([]byte, 10))
	if n != 3 || err == nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	select {
	case <-w.closed:
	default:
		t.Error("the connection is not closed")
	}
}

func TestAServerThatStallsIsLeftWhenThatIsSure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, young := -9*time.Second-1, -9*time.Second // the wire's session timeout
		for name, test := range map[string]struct {
			own, zks, auth time.Duration // before now; 0 means none
			want           bool
		}{
			"nothing": {}, "young": {own: young, zks: young, auth: young}, "an old credential": {auth: old},
			"one of its own": {own: old, want: true}, "one of go-zookeeper's": {zks: old, want: true},
			"behind a credential": {auth: young, zks: old, want: true},
		} {
			w, _ := quietWire()
			if test.own != 0 {
				w.own.waiting = []ownRequest{{sentAt: time.Now().Add(test.own)}}
			}
			if test.auth != 0 {
				w.outstanding = append(w.outstanding, request{op: opAuth, sentAt: time.Now().Add(test.auth)})
			}
			if test.zks != 0 {
				w.outstanding = append(w.outstanding, request{op: opGetData, sentAt: time.Now().Add(test.zks)})
			}
			if err := w.stalled(); (err != nil) != test.want {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// A server answers in order, but for credentials. The answer to the session's end may come at once.
func TestTheOrderOfAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		before, found int32 // opcodes
		want          bool  // it is in order
	}{
		"a request before a request":    {opGetData, opGetData, false},
		"a credential before a request": {opAuth, opGetData, true},
		"a request before a credential": {opGetData, opAuth, true},
		"two credentials":               {opAuth, opAuth, true},
		"a request before the end":      {opGetData, opClose, true},
		"a credential before the end":   {opAuth, opClose, true},
	} {
		w, _ := quietWire()
		w.outstanding = []request{{xid: 1, op: test.before}, {xid: 2, op: test.found}, {xid: 3, op: opGetData}}
		r, asked, err := w.take(2)
		if r.xid != 2 || !asked || (err == nil) != test.want {
			t.Errorf("%s: %+v, %t, %v", name, r, asked, err)
		}
		if test.want && (len(w.outstanding) != 2 || w.outstanding[0].xid != 1 || w.outstanding[1].xid != 3) {
			t.Errorf("%s: %+v are left", name, w.outstanding)
		}
		if _, asked, err := w.take(7); asked || err != nil {
			t.Errorf("%s: one that there is not: %t, %v", name, asked, err)
		}
	}
}

// What a server has answered counts, whosever the request was. An answer to a credential moves no zxid.
func TestEachAnswerCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, p, table := withTable(t)
		table.want(&testWatch{"/a", Data, 0})
		c.pump()
		p.reply(p.expect(opGetData).xid, 7, 0, str("x"), stat(1))
		c.works(p)
		synctest.Wait()
		c.mu.Lock()
		w := c.wire
		c.mu.Unlock()
		w.mu.Lock()
		if w.answers != 2 {
			t.Errorf("%d answers are counted, of 2", w.answers)
		}
		w.mu.Unlock()
		done := begin(func() error { return c.Handle().AddAuth("digest", []byte("user:password")) })
		p.reply(p.expect(opAuth).xid, math.MaxInt64, 0)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := c.Zxid(); got != 7 {
			t.Errorf("the zxid is %d", got)
		}
	})
}

func TestWhatAnAnswerToGoZooKeeperProves(t *testing.T) {
	for _, test := range []struct {
		op, code int32
		zxid     int64
		wrote    int64
		ended    bool
	}{
		{opSetData, 0, 9, 9, false}, {opSetData, 0, 5, 7, false}, {opSetData, -101, 9, 7, false}, {opSync, 0, 9, 9, false},
		{opGetData, 0, 9, 7, false}, {opClose, 0, 9, 7, true}, {opClose, -1, 9, 7, false}, {opGetData, -101, 9, 7, false},
	} {
		w, _ := quietWire()
		w.conn.wrote.Store(7)
		w.conn.identity = identity{session: session}
		w.answered(test.op, test.zxid, test.code)
		if got := w.conn.Wrote(); got != test.wrote {
			t.Errorf("%+v: all is known up to %d", test, got)
		}
		if ended := w.conn.identity.session == 0; ended != test.ended {
			t.Errorf("%+v: the session has ended: %t", test, ended)
		}
	}
}
