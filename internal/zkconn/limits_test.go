package zkconn

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// unsentRequests returns requests on a connection on which everything can be asked for, while somebody else is sending for ever: so
// what they ask for stays in out.
func unsentRequests() (*requests, *testTable) {
	table := &testTable{}
	c := &Conn{table: table, cfg: Config{MaxReads: 64}}
	w := &wire{conn: c, sending: make(chan struct{}, 1)}
	w.sending <- struct{}{}
	r := newRequests(w)
	w.own = r
	c.own.Store(r)
	r.attached, r.synced, r.multiRead, r.setWatches = true, true, true, true
	return r, table
}

// takeFirst takes the oldest request, as if it had been sent and answered.
func (r *requests) takeFirst(t *testing.T) {
	t.Helper()
	r.wire.takeOut()
	if _, err := r.take(r.waiting[0].xid); err != nil {
		t.Fatal(err)
	}
}

// requested returns how many watches each request without an answer is for.
func (r *requests) requested() (watches []int) {
	for _, q := range r.waiting {
		watches = append(watches, len(q.watches))
	}
	return watches
}

func sized(sizes ...int) (ws []*testWatch) {
	for i, size := range sizes {
		ws = append(ws, &testWatch{fmt.Sprint("/", i), Data, size})
	}
	return ws
}

func TestOnlySoMuchIsAskedForAtOnce(t *testing.T) {
	const large, most = largeNode + 1, maxExpected / 8
	for name, test := range map[string]struct {
		stale []*testWatch
		set   func(*requests)
		want  []int
	}{
		"few":                               {stale: sized(100, 100, 100), want: []int{1, 1, 1}},
		"more":                              {stale: sized(100, 100, 100, 100), want: []int{4}},
		"reads":                             {stale: sized(100, 100, 100, 100), set: func(r *requests) { r.max, r.multiRead = 3, false }, want: []int{1, 1, 1, 1}},
		"reads, one at a time":              {stale: sized(large, large, large, large), set: func(r *requests) { r.max = 3 }, want: []int{1, 1, 1}},
		"watches":                           {stale: sized(slices.Repeat([]int{100}, 300)...), want: []int{maxBatch, maxWatches - maxBatch}},
		"bytes":                             {stale: sized(slices.Repeat([]int{most}, 10)...), set: func(r *requests) { r.multiRead = false }, want: slices.Repeat([]int{1}, 8)},
		"a large node first":                {stale: sized(large, 100, 100, 100, 100), want: []int{1, 4}},
		"a large node later":                {stale: sized(100, 100, 100, 100, large), want: []int{4, 1}},
		"one that is just not large, first": {stale: sized(largeNode, 100, 100, 100), want: []int{4}},
		"one that is just not large, later": {stale: sized(100, 100, 100, largeNode), want: []int{4}},
		"what just fits into a batch":       {stale: sized(largeNode, 100, 100, batchBytes-largeNode-200, 100), want: []int{4, 1}},
		"not before it is attached":         {stale: sized(100), set: func(r *requests) { r.attached = false }},
		"not after its end":                 {stale: sized(100), set: func(r *requests) { r.end() }},
	} {
		t.Run(name, func(t *testing.T) {
			r, table := unsentRequests()
			table.want(test.stale...)
			if test.set != nil {
				test.set(r)
			}
			r.pump()
			if got := r.requested(); !slices.Equal(got, test.want) {
				t.Errorf("the requests are for %v watches, want %v", got, test.want)
			}
			watches, expected := 0, 0
			for i, q := range r.waiting {
				watches += len(q.watches)
				expected += q.expected
				if q.xid != firstXid-int32(i) {
					t.Errorf("request %d has xid %d", i, q.xid)
				}
			}
			if r.reads != len(r.waiting) || r.watches != watches || r.expected != expected {
				t.Errorf("counted %d reads of %d watches, %d bytes expected; it is %d, %d, %d", r.reads, r.watches, r.expected, len(r.waiting), watches, expected)
			}
			if got := r.wire.unanswered.Load(); got != int64(len(r.out)) {
				t.Errorf("%d bytes are without an answer, of %d", got, len(r.out))
			}
			if got := r.wire.conn.counters.requests.Load(); got != int64(len(r.waiting)) {
				t.Errorf("%d requests are counted, of %d", got, len(r.waiting))
			}
			for len(r.waiting) > 0 {
				r.takeFirst(t)
			}
			if got := r.wire.unanswered.Load(); r.reads != 0 || r.watches != 0 || r.expected != 0 || got != 0 {
				t.Errorf("when all is answered, there are %d reads, %d watches, %d bytes expected, %d bytes unanswered", r.reads, r.watches, r.expected, got)
			}
		})
	}
}

func TestABatchAsItIsSent(t *testing.T) {
	r, table := unsentRequests()
	table.want(&testWatch{"/a", Data, 1}, &testWatch{"/b", Children, 1}, &testWatch{"/c", Data, 1}, &testWatch{"/d", Data, 1})
	r.pump()
	op := func(op int32, path string) []byte {
		return slices.Concat(i32(op), []byte{0}, i32(-1), str(path), []byte{0})
	}
	want := frame(i32(firstXid), i32(opMultiRead), op(opGetData, "/a"), op(opGetData, "/b"), op(opGetChildren, "/b"),
		op(opGetData, "/c"), op(opGetData, "/d"), i32(-1), []byte{1}, i32(-1))
	if !slices.Equal(r.out, want) {
		t.Errorf("the batch is\n%x, want\n%x", r.out, want)
	}
}

func TestASyncAsItIsSent(t *testing.T) {
	r, table := unsentRequests()
	r.synced = false
	r.pump()
	if len(r.out) > 0 {
		t.Errorf("%x, although nothing is stale", r.out)
	}
	table.want(sized(1)...)
	r.pump()
	r.pump()
	if want := frame(i32(firstXid), i32(opSync), str("/")); !slices.Equal(r.out, want) || !r.syncing {
		t.Errorf("the sync is\n%x, want\n%x", r.out, want)
	}
}

func TestWatchesAreTakenBackWhereTheServerKnowsHow(t *testing.T) {
	evict := []*testWatch{{"/a", Data, 0}, {"/b", Children, 0}}
	for name, test := range map[string]struct {
		set  func(*requests)
		want int
	}{
		"yes":                       {func(*requests) {}, 2},
		"an old server":             {func(r *requests) { r.multiRead = false }, 0},
		"they are go-zookeeper's":   {func(r *requests) { r.wire.conn.watching.Store(true) }, 0},
		"neither":                   {func(r *requests) { r.multiRead = false; r.wire.conn.watching.Store(true) }, 0},
		"not before it is attached": {func(r *requests) { r.attached = false }, 0},
		"not after its end":         {func(r *requests) { r.end() }, 0},
	} {
		r, table := unsentRequests()
		table.evict(evict...)
		test.set(r)
		r.pump()
		if len(r.waiting) != test.want || r.removals != test.want || r.reads != 0 {
			t.Errorf("%s: %d requests, %d removals, want %d", name, len(r.waiting), r.removals, test.want)
		}
		if test.want > 0 {
			r.pump()
			if table.room != maxRemovals-test.want {
				t.Errorf("%s: there is room for %d more", name, table.room)
			}
		}
	}
}

// Watches whose nodes were read by others are only set; or read, where the server cannot.
func TestWatchesOfKnownNodesAreSet(t *testing.T) {
	for _, can := range []bool{true, false} {
		r, table := unsentRequests()
		r.setWatches = can
		w := &testWatch{"/a", Children, 0}
		k := Known{Watches: []Watch{w.watch()}, Zxid: 7}
		k.Paths.Add(w.watch(), true)
		table.known = []Known{k}
		r.pump()
		want := frame(i32(firstXid), i32(opSetWatches), i64(7), i32(0), i32(0), i32(1), str("/a"))
		if !can {
			want = nil
		}
		if !slices.Equal(r.out, want) {
			t.Errorf("%x is sent, want %x", r.out, want)
		}
		if got := table.take(); (got == "unarmed 1") == can {
			t.Errorf("the table was told %q", got)
		}
	}
}

func TestARecheckIsAsked(t *testing.T) {
	w := &testWatch{"/a", Data, 0}
	var p Paths
	p.Add(w.watch(), true)
	for name, set := range map[string]func(*requests){
		"before it is attached":   func(r *requests) { r.attached = false },
		"after its end":           func(r *requests) { r.end() },
		"without SetWatches":      func(r *requests) { r.setWatches = false },
		"without a connection":    func(r *requests) { r.wire.conn.own.Store(nil) },
		"before and without":      func(r *requests) { r.attached, r.setWatches = false, false },
		"before and after it all": func(r *requests) { r.attached = false; r.end() },
	} {
		r, _ := unsentRequests()
		set(r)
		if r.wire.conn.Recheck([]Watch{w.watch()}, p, 7) || len(r.out) > 0 {
			t.Errorf("%s: the server was asked: %x", name, r.out)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		_, c, server, table := withTable(t)
		synctest.Wait() // until the goroutine that receives waits: before it does, it sends what there is
		start := time.Now()
		asked := begin(func() error {
			if !c.Recheck([]Watch{w.watch()}, p, 7) {
				return fmt.Errorf("the server was not asked")
			}
			return nil
		})
		q := server.expect(opSetWatches)
		if want := slices.Concat(i64(7), i32(1), str("/a"), i32(0), i32(0)); !slices.Equal(q.body, want) || time.Since(start) > 0 {
			t.Errorf("after %v: %x, want %x at once", time.Since(start), q.body, want)
		}
		if err := <-asked; err != nil {
			t.Error(err)
		}
		server.reply(q.xid, 9, 0)
		table.noted(t, "armed 1 at 9")
	})
}

func TestWhenNothingIsUnderWay(t *testing.T) {
	for name, test := range map[string]struct {
		set  func(*requests, *testTable)
		want bool
	}{
		"nothing":                   {func(*requests, *testTable) {}, true},
		"nothing, and not synced":   {func(r *requests, _ *testTable) { r.synced = false }, true},
		"stale, and not synced":     {func(r *requests, table *testTable) { r.synced = false; table.want(sized(1)...) }, false},
		"stale, but all is sent":    {func(r *requests, table *testTable) { table.want(sized(1)...) }, true},
		"not attached":              {func(r *requests, _ *testTable) { r.attached = false }, false},
		"ended":                     {func(r *requests, _ *testTable) { r.end() }, false},
		"a request":                 {func(r *requests, _ *testTable) { r.waiting = make([]ownRequest, 1) }, false},
		"a request, not attached":   {func(r *requests, _ *testTable) { r.waiting = make([]ownRequest, 1); r.attached = false }, false},
		"a request, and it ended":   {func(r *requests, _ *testTable) { r.waiting = make([]ownRequest, 1); r.end() }, false},
		"not attached, but ended":   {func(r *requests, _ *testTable) { r.attached = false; r.end() }, false},
		"no connection":             {func(r *requests, _ *testTable) { r.wire.conn.own.Store(nil) }, false},
		"synced, with a request":    {func(r *requests, _ *testTable) { r.waiting = make([]ownRequest, 2) }, false},
		"not synced, not attached ": {func(r *requests, _ *testTable) { r.synced, r.attached = false, false }, false},
	} {
		r, table := unsentRequests()
		test.set(r, table)
		if got := r.wire.conn.Idle(); got != test.want {
			t.Errorf("%s: idle is %t", name, got)
		}
	}
}

func TestAllIsArmedAgainWhenEachRequestIsAnswered(t *testing.T) {
	r, _ := unsentRequests()
	for n := range 3 {
		if r.rearms != n || r.rearmed() != (n == 0) {
			t.Errorf("with %d requests: %d, %t", n, r.rearms, r.rearmed())
		}
		r.armLocked(Paths{Data: []string{"/a"}}, 7, forRearm, nil)
	}
	for range 3 {
		if r.rearmed() {
			t.Error("all is armed before the last answer")
		}
		r.takeFirst(t)
	}
	if !r.rearmed() {
		t.Error("not all is armed")
	}
	r.attached = false
	if r.rearmed() {
		t.Error("all is armed before it is known what there is")
	}
}

// It is said once, when all that a new connection has to do is done.
func TestAConnectionSettlesOnce(t *testing.T) {
	r, table := unsentRequests()
	settled := 0
	r.wire.conn.cfg.Settled = func() { settled++ }
	r.attached = false
	r.pump()
	r.attached = true
	table.want(sized(1)...)
	r.pump()
	if settled != 0 {
		t.Fatal("it has settled before the read was answered")
	}
	r.takeFirst(t)
	for range 3 {
		r.pump()
	}
	table.want(sized(1)...)
	r.pump()
	r.pump()
	if settled != 1 {
		t.Errorf("it has settled %d times", settled)
	}
	r, table = unsentRequests()
	r.wire.conn.cfg.Settled = func() { settled++ }
	table.want(sized(1)...)
	r.pump()
	for range 3 { // there is always a write under way
		askLocked(r, opDelete, func(p packet) packet { return p }, decodeDeleted)
		r.pump()
	}
	if settled != 1 {
		t.Error("it has settled before the read was answered")
	}
	r.takeFirst(t)
	r.pump()
	if settled != 2 || r.wire.conn.Idle() {
		t.Errorf("beside writes it has settled %d times, idle: %t", settled-1, r.wire.conn.Idle())
	}
	r, _ = unsentRequests()
	r.pump() // nobody wants to know
	if !r.settled {
		t.Error("it has not settled")
	}
}

func TestAnAnswerIsHeldToBeAsOldAsItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, p, table := withTable(t)
		time.Sleep(time.Second)
		table.want(&testWatch{"/a", Data, 0})
		c.pump()
		sent := time.Now()
		q := p.expect(opGetData)
		time.Sleep(2 * time.Second)
		p.reply(q.xid, 7, 0, str("x"), stat(1))
		synctest.Wait()
		if got := c.Answered(); !got.Equal(sent) {
			t.Errorf("the session counts from %v after the request", got.Sub(sent))
		}
		if got := c.Zxid(); got != 7 {
			t.Errorf("the zxid is %d", got)
		}
	})
}

func TestXidsBeginAnewBelowTheLowest(t *testing.T) {
	r, table := unsentRequests()
	r.multiRead = false
	r.lastXid = -1<<31 + 1
	table.want(sized(1, 1, 1)...)
	r.pump()
	var got []string
	for _, q := range r.waiting {
		got = append(got, fmt.Sprint(q.xid))
	}
	if want := "-2147483648 -1001 -1002"; strings.Join(got, " ") != want {
		t.Errorf("the xids are %v, want %s", got, want)
	}
}

func TestTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		begin := time.Now()
		wait := func(want bool, most time.Duration) {
			t.Helper()
			if got := g.wait(); got != want || time.Since(begin) != most {
				t.Errorf("it returns %t after %v, want %t after %v", got, time.Since(begin), want, most)
			}
		}
		wait(false, 0)
		g.open()
		g.close()
		time.AfterFunc(time.Millisecond, g.open)
		wait(true, time.Millisecond)
		wait(false, time.Millisecond)
		g.open()

		// It does not stay shut.
		g.close()
		wait(true, time.Millisecond+gateLimit)
		wait(false, time.Millisecond+gateLimit)
	})
}

// A large write that comes between a look at the room and the sending is not sent by who has looked.
func TestWhatDoesNotFitIsNotTaken(t *testing.T) {
	r, _ := unsentRequests()
	ask := func(size int) {
		askLocked(r, opSetData, func(p packet) packet { return append(p, make([]byte, size)...) }, decodeSet)
	}
	ask(inline - requestHead)
	if out, ok := r.wire.takeFitting(inline); len(out) != inline || !ok {
		t.Fatalf("%d bytes, %t", len(out), ok)
	}
	ask(0)
	if out, ok := r.wire.takeFitting(inline); len(out) != 0 || ok || !r.hasUnsent() {
		t.Errorf("%d bytes, %t", len(out), ok)
	}
	r.takeFirst(t)
	if out, ok := r.wire.takeFitting(inline); len(out) != 0 || !ok || r.hasUnsent() { // takeFirst has taken it along
		t.Errorf("%d bytes, %t", len(out), ok)
	}
}
