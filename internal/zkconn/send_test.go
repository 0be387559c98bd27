package zkconn

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
)

// quietWire is a wire whose handshake is over, on a network connection that keeps what is written and the deadlines.
func quietWire() (*wire, *deadlines) {
	d := &deadlines{}
	w := newWire(bareConn(), d, "server:2181")
	w.wroteFirst, w.handshakeDone, w.timeout = true, true, 9*time.Second
	return w, d
}

// deadlines is a recorder that keeps the deadlines, too.
type deadlines struct {
	recorder
	read, write time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error  { d.read = t; return nil }
func (d *deadlines) SetWriteDeadline(t time.Time) error { d.write = t; return nil }

// add adds a request to what is to be sent.
func (r *requests) add(op int32, body string) {
	start := r.beginLocked(op)
	r.out = r.out.string(body)
	r.sentLocked(start, ownRequest{op: op, purpose: forRemoval})
}

// The memory of what has been sent is used again, and never while it is being sent.
func TestTheMemoryOfWhatIsSent(t *testing.T) {
	w, _ := quietWire()
	r := w.own
	if out := w.takeOut(); out != nil {
		t.Errorf("there is %q to send", out)
	}
	r.add(opSync, "first")
	first := w.takeOut()
	w.giveBack(first)
	r.add(opSync, strings.Repeat("x", rearmBytes+1))
	w.giveBack(w.takeOut()) // which is too large to be kept
	r.add(opSync, "third")
	third := w.takeOut()
	if &third[0] != &first[0] {
		t.Error("the memory of the first packet is not used again")
	}
	r.add(opSync, "other") // while the third is being sent
	if !strings.HasSuffix(string(third), "third") || !strings.HasSuffix(string(r.out), "other") {
		t.Errorf("%q is being sent, and %q is next", third, r.out)
	}

	// Whoever sends gives it back.
	packet := frame(i32(7), i32(opGetData), str("/x"), []byte{0})
	for name, test := range map[string]struct {
		send func(w *wire)
		then []byte // what is sent behind it
	}{
		"by itself":             {func(w *wire) { w.flush() }, nil},
		"with a packet of zk's": {func(w *wire) { w.Write(packet) }, packet},
	} {
		w, d := quietWire()
		w.own.add(opSync, "own")
		want := slices.Concat(w.own.out, test.then)
		test.send(w)
		if cap(w.spare) == 0 {
			t.Errorf("%s: it is not kept", name)
		}
		if got := d.written.Bytes(); !bytes.Equal(got, want) {
			t.Errorf("%s: %x is sent, want %x", name, got, want)
		}
	}
}

// A write that a server may refuse for its size leaves alone, and all that leaves counts as sent when it does.
func TestWhatLeavesTogether(t *testing.T) {
	small, just, large := "x", strings.Repeat("x", SuspectSize-requestHead-4), strings.Repeat("x", SuspectSize-requestHead-3)
	synctest.Test(t, func(t *testing.T) {
		for name, test := range map[string]struct {
			op    int32 // of each
			sizes []string
			want  []int // requests that leave together
		}{
			"nothing":                           {opSetData, nil, nil},
			"small writes":                      {opSetData, []string{small, small, small}, []int{3}},
			"writes that are just not large":    {opSetData, []string{just, just}, []int{2}},
			"large writes":                      {opSetData, []string{large, large}, []int{1, 1}},
			"a large write among small ones":    {opSetData, []string{small, small, large, small}, []int{2, 1, 1}},
			"a large write before small ones":   {opSetData, []string{large, small, small}, []int{1, 2}},
			"large requests that write nothing": {opGetData, []string{large, small, large}, []int{3}},
		} {
			w, d := quietWire()
			for _, body := range test.sizes {
				w.own.add(test.op, body)
			}
			all := string(w.own.out)
			time.Sleep(time.Second)
			sent, left := 0, ""
			for _, n := range test.want {
				out := w.takeOut()
				left += string(out)
				sent += n
				for i, q := range w.own.waiting {
					if gone := i < sent; gone != q.sentAt.Equal(time.Now()) {
						t.Errorf("%s: when %d have left, request %d is from %v", name, sent, i, q.sentAt)
					}
				}
				if w.own.unsent != len(test.sizes)-sent || len(left)+len(w.own.out) != len(all) {
					t.Errorf("%s: when %d have left, %d have not, and %d bytes of %d", name, sent, w.own.unsent, len(w.own.out), len(all))
				}
				time.Sleep(time.Second)
				w.own.waiting = w.own.waiting[n:]
				test.sizes, sent = test.sizes[n:], 0
			}
			if out := w.takeOut(); out != nil || left != all {
				t.Errorf("%s: %d bytes have left, want %d, and then nothing; then %d", name, len(left), len(all), len(out))
			}
			w.own.add(test.op, small)
			w.own.end()
			if out := w.takeOut(); out != nil || d.written.Len() > 0 {
				t.Errorf("%s: after the end, %q leaves", name, out)
			}
		}
	})
}

func TestARequestIsTakenBackBeforeItLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := quietWire()
		r := w.own
		r.add(opSync, "left")
		w.takeOut()
		sent := time.Now()
		time.Sleep(time.Second)
		var packets []string
		for _, body := range []string{"first", "the second", "the third one"} {
			n := len(r.out)
			r.add(opSync, body)
			packets = append(packets, string(r.out[n:]))
		}
		first := r.waiting[0].xid
		is := func(when string, want ...int) {
			t.Helper()
			text, size := "", int64(r.waiting[0].size)
			for _, i := range want {
				text += packets[i]
				size += int64(len(packets[i]))
			}
			if string(r.out) != text || r.unsent != len(want) || len(r.waiting) != 1+len(want) || r.removals != 1+len(want) {
				t.Errorf("%s: %q is to be sent, of %d requests; %d wait, %d are counted", when, r.out, r.unsent, len(r.waiting), r.removals)
			}
			if got := w.unanswered.Load(); got != size {
				t.Errorf("%s: %d bytes are without an answer, want %d", when, got, size)
			}
			if got := w.conn.counters.requests.Load(); got != int64(len(r.waiting)) {
				t.Errorf("%s: %d requests are counted, want %d", when, got, len(r.waiting))
			}
		}
		for _, test := range []struct {
			when      string
			xid       int32
			withdrawn bool
			sentAt    time.Time
			left      []int
		}{
			{"one that has left", first, false, sent, []int{0, 1, 2}},
			{"one that there is not", first + 1, false, time.Time{}, []int{0, 1, 2}},
			{"the second", first - 2, true, time.Time{}, []int{0, 2}},
			{"the second once more", first - 2, false, time.Time{}, []int{0, 2}},
			{"the last", first - 3, true, time.Time{}, []int{0}},
			{"the first", first - 1, true, time.Time{}, nil},
		} {
			if withdrawn, sentAt := r.withdraw(test.xid); withdrawn != test.withdrawn || !sentAt.Equal(test.sentAt) {
				t.Errorf("%s: %t, %v", test.when, withdrawn, sentAt)
			}
			is(test.when, test.left...)
		}
		if r.hasUnsent() {
			t.Error("there is something to send")
		}
	})
}

func TestWhatIsAddedWhileSomebodySendsIsSentByHim(t *testing.T) {
	for name, size := range map[string]int{"by the one who has it": 0, "by a goroutine of its own": inline} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, c, p, table := withTable(t)
				table.want(&testWatch{"/" + strings.Repeat("a", size+1), Data, 0})
				c.pump() // which waits, since nobody reads
				table.want(&testWatch{"/b", Data, 0})
				c.pump()
				start := time.Now()
				p.expect(opGetData)
				for range 3 { // a batch of one
					if r := p.request(); bytes.Contains(r.body, []byte("/b")) {
						break
					}
				}
				if d := time.Since(start); d > 0 {
					t.Errorf("it comes after %v, with the next that is sent", d)
				}
			})
		})
	}
}

// What does not fit into the socket's buffer is sent by a goroutine of its own.
func TestPumpDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, p, table := withTable(t)
		synctest.Wait()
		table.want(&testWatch{"/" + strings.Repeat("a", inline), Data, 0})
		start := time.Now()
		c.Pump()
		if d := time.Since(start); d > 0 {
			t.Errorf("it has waited for %v", d)
		}
		p.expect(opGetData)
	})
	w, _ := quietWire()
	w.conn.closing = true // so that no goroutine begins any more
	w.own.out = make(packet, 8)
	w.unanswered.Store(inline + 1)
	w.flush()
	if len(w.sending) > 0 {
		t.Error("nobody else can send")
	}
}

// A server that sends, and reads nothing, is given up like one that is silent.
func TestAServerThatReadsNothingIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, p := connected(t)
		ticks := time.NewTicker(time.Second)
		defer ticks.Stop()
		done := make(chan struct{})
		go func() { // ends when the client hangs up
			defer close(done)
			for range ticks.C {
				if _, err := p.Write(event(zk.EventNodeCreated, "/a")); err != nil {
					return
				}
			}
		}()
		start := time.Now()
		c.get()
		c.expect(Down)
		if d := time.Since(start).Round(time.Second / 10); d != (at * 2 / 3).Round(time.Second/10) {
			t.Errorf("left after %v", d)
		}
		<-done
	})
}

// Nothing is answered before all of a request is sent, so a server is not dead for being silent meanwhile.
func TestALargeRequestMayTakeItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, p := connected(t)
		done := c.try(t.Context(), c.change(&zk.SetDataRequest{Path: "/x", Data: make([]byte, 64<<10), Version: -1}))
		p.SetReadDeadline(time.Time{})
		buf := make([]byte, 4<<10)
		for left := 64 << 10; left > 0; { // 4 KB each 2 s, with a session timeout of 10 s
			time.Sleep(2 * time.Second)
			n, err := p.r.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			left -= n
		}
		c.quiet()
		p.Close()
		<-done
		c.expect(Down)
	})
}

// The deadline for reading is put off between the pieces of a request, and not behind the last: pings would put it off for ever.
func TestSmallRequestsDoNotPutTheDeadlineForReadingOff(t *testing.T) {
	for size, want := range map[int]bool{0: false, 100: false, 8 << 10: false, 8<<10 + 1: true} {
		w, d := quietWire()
		w.send(make([]byte, size), time.Second)
		if got := !d.read.IsZero(); got != want {
			t.Errorf("%d bytes: it is put off: %t", size, got)
		}
		if sent := w.conn.counters.sent.Load(); sent != int64(size) || d.written.Len() != size {
			t.Errorf("%d bytes: %d are counted, %d written", size, sent, d.written.Len())
		}
	}
}

func TestWhatIsNotedOfARequestOfGoZooKeepers(t *testing.T) {
	request := func(xid, op int32) packet { return frame(i32(xid), i32(op), str("/x"), []byte{0}) }
	for name, test := range map[string]struct {
		packet      packet
		outstanding int
		pings       int
		requests    int64
	}{
		"a request":          {request(7, opGetData), 1, 0, 1},
		"the xid 0":          {request(0, opGetData), 1, 0, 1}, // it comes after the highest
		"a credential":       {request(xidAuth, opAuth), 0, 0, 1},
		"a ping":             {frame(i32(xidPing), i32(11)), 0, 1, 0},
		"no request":         {frame(i32(7)), 0, 0, 0},
		"the session's end":  {frame(i32(8), i32(opClose)), 1, 0, 1},
		"watches, set again": {frame(i32(8), i32(opSetWatches), i64(7), i32(0), i32(0), i32(0)), 1, 0, 1},
	} {
		w, d := quietWire()
		w.gate.close()
		if n, err := w.Write(test.packet); n != len(test.packet) || err != nil {
			t.Errorf("%s: %d, %v", name, n, err)
		}
		if len(w.outstanding) != test.outstanding || len(w.pings) != test.pings || w.conn.counters.requests.Load() != test.requests {
			t.Errorf("%s: %d outstanding, %d pings, %d requests", name, len(w.outstanding), len(w.pings), w.conn.counters.requests.Load())
		}
		want := int64(len(test.packet) * test.outstanding)
		if got := w.unanswered.Load(); got != want {
			t.Errorf("%s: %d bytes are without an answer, of %d", name, got, want)
		}
		for _, q := range w.outstanding {
			if _, asked, err := w.take(q.xid); !asked || err != nil {
				t.Errorf("%s: taken: %t, %v", name, asked, err)
			}
		}
		if got := w.unanswered.Load(); got != 0 || len(w.outstanding) > 0 {
			t.Errorf("%s: when it is answered, %d bytes are without an answer", name, got)
		}
		if open := w.gate.shut == nil; open != (test.packet.opcode() == opSetWatches) {
			t.Errorf("%s: the gate is open: %t", name, open)
		}
		if ended := w.own.ended; ended != (test.packet.opcode() == opClose) {
			t.Errorf("%s: zkconn's own requests have ended: %t", name, ended)
		}
		if test.packet.opcode() != opSetWatches && !bytes.Equal(d.written.Bytes(), test.packet) {
			t.Errorf("%s: %x is written", name, d.written.Bytes())
		}
	}
}

func TestWhetherGoZooKeeperHasWatches(t *testing.T) {
	for op, can := range map[int32]bool{opExists: true, opGetData: true, opGetChildren2: true, opGetACL: false} {
		for _, watch := range []byte{0, 1} {
			w, _ := quietWire()
			w.Write(frame(i32(7), i32(op), str("/x"), []byte{watch}))
			if got := w.conn.watching.Load(); got != (can && watch == 1) {
				t.Errorf("opcode %d with %d: %t", op, watch, got)
			}
		}
	}
}
