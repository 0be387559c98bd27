package zkconn

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
)

// begin runs fn in a goroutine of its own, which ends with it, and returns what will have its outcome.
func begin(fn func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- fn() }()
	return done
}

// testWatch is a watch of a testTable.
type testWatch struct {
	path string
	kind Kind
	size int
}

func (w *testWatch) Path() string { return w.path }
func (w *testWatch) watch() Watch { return Watch{w, w.kind} }

// testTable has what is stale, and notes what it is told.
type testTable struct {
	mu      sync.Mutex
	stale   []*testWatch
	again   Paths // what Attached gives
	evicted []Watch
	room    int     // that Evicted was asked for last
	known   []Known // what Drained gives
	log     []string
}

func (t *testTable) note(format string, args ...any) {
	t.log = append(t.log, fmt.Sprintf(format, args...))
}

func (t *testTable) want(ws ...*testWatch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stale = append(t.stale, ws...)
}

func (t *testTable) evict(ws ...*testWatch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range ws {
		t.evicted = append(t.evicted, w.watch())
	}
}

// take returns what has been noted since the last call.
func (t *testTable) take() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	log := strings.Join(t.log, "; ")
	t.log = nil
	return log
}

func (t *testTable) Attached(resumed bool) Paths {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.note("attached %t", resumed)
	if !resumed {
		return Paths{}
	}
	return t.again
}

func (t *testTable) Next(least int, take func(size int) bool) (ws []Watch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.stale) >= least && len(t.stale) > 0 && take(t.stale[0].size) {
		ws = append(ws, t.stale[0].watch())
		t.stale = t.stale[1:]
		least = 1
	}
	return ws
}

func (t *testTable) Drained() []Known {
	t.mu.Lock()
	defer t.mu.Unlock()
	known := t.known
	t.known = nil
	return known
}

func (t *testTable) Evicted(most int) []Watch {
	t.mu.Lock()
	defer t.mu.Unlock()
	ws := t.evicted
	t.evicted, t.room = nil, most
	return ws
}

func (t *testTable) Answered(w Watch, a *Answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case a.Err != nil:
		t.note("%s: %v", w.Path(), a.Err)
		return
	case w.Kind == Children:
		t.note("%s %t %q", w.Path(), a.Exists, a.Names)
	default:
		t.note("%s %t %q", w.Path(), a.Exists, a.Data)
	}
	if a.Armed {
		return
	}
	if last := len(t.known) - 1; last < 0 || t.known[last].Zxid != a.Zxid {
		t.known = append(t.known, Known{Zxid: a.Zxid})
	}
	k := &t.known[len(t.known)-1]
	k.Watches = append(k.Watches, w)
	k.Paths.Add(w, a.Exists)
}

func (t *testTable) Armed(ws []Watch, zxid int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.note("armed %d at %d", len(ws), zxid)
}

func (t *testTable) Unarmed(ws []Watch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.note("unarmed %d", len(ws))
}

func (t *testTable) Fired(path string, event zk.EventType) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.note("%s %v", path, event)
}

// withTable returns a Conn with a session, its table, and the server's side of it.
func withTable(t *testing.T) (*fake, *client, *peer, *testTable) {
	t.Helper()
	table := &testTable{}
	f := newFake(t)
	c := f.open(Config{Watches: table, MaxReads: 64})
	p := f.peer()
	p.accept(session, 10*time.Second)
	p.probed()
	c.expect(Up)
	if got := table.take(); got != "attached false" {
		t.Fatal(got)
	}
	return f, c, p, table
}

// pump calls Pump. The pipe has no room, so that it waits until the server reads.
func (c *client) pump() {
	go c.Pump()
	synctest.Wait()
}

// noted checks what the table was told once nothing moves.
func (t *testTable) noted(tb testing.TB, want string) {
	tb.Helper()
	synctest.Wait()
	if got := t.take(); got != want {
		tb.Errorf("the table was told\n  %s\nwant\n  %s", got, want)
	}
}

func TestFewWatchesAreReadOneByOneWithTheWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, p, table := withTable(t)
		table.want(&testWatch{"/a", Data, 0}, &testWatch{"/b", Children, 0}, &testWatch{"/c", Stat, 0})
		c.pump()
		for i, op := range []int32{opGetData, opGetChildren2, opExists} {
			r := p.expect(op)
			if r.xid != firstXid-int32(i) || r.body[len(r.body)-1] != 1 {
				t.Errorf("request %+v", r)
			}
			switch op {
			case opGetData:
				p.reply(r.xid, 7, 0, str("content"), stat(1))
			case opGetChildren2:
				p.reply(r.xid, 7, 0, children("x", "y"))
			default:
				p.reply(r.xid, 7, -101)
			}
		}
		table.noted(t, `/a true "content"; /b true ["x" "y"]; /c false ""`)
		c.works(p)
	})
}

func TestAMissingNodeIsWatchedBySetWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, p, table := withTable(t)
		table.want(&testWatch{"/a", Children, 0})
		c.pump()
		p.reply(p.expect(opGetChildren2).xid, 9, -101)
		r := p.expect(opSetWatches)
		if want := slices.Concat(i64(9), i32(0), i32(1), str("/a"), i32(0)); !slices.Equal(r.body, want) {
			t.Errorf("set watches %x, want %x", r.body, want)
		}
		p.send(event(zk.EventNodeCreated, "/a")) // it is there by now
		p.reply(r.xid, 12, 0)
		table.noted(t, `/a false []; /a EventNodeCreated; armed 1 at 12`)
	})
}

// result and endOfMulti are in fuzz_reply_test.go.
func TestManyWatchesAreReadAtOnceThenArmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, p, table := withTable(t)
		table.want(&testWatch{"/a", Data, 0}, &testWatch{"/b", Children, 0}, &testWatch{"/none", Data, 0}, &testWatch{"/closed", Data, 0}, &testWatch{"/s", Stat, 0})
		c.pump()
		p.reply(p.expect(opExists).xid, 20, 0, stat(3))
		r := p.expect(opMultiRead)
		p.reply(r.xid, 21, 0, slices.Concat(
			result(opGetData, 0, str("content"), stat(1)),
			result(opGetData, 0, str("dragged along"), stat(2)), result(opGetChildren, 0, i32(2), str("x"), str("y")),
			result(opError, 0, i32(-101)), result(opError, 0, i32(-102)), endOfMulti))
		w := p.expect(opSetWatches)
		want := slices.Concat(i64(21), i32(1), str("/a"), i32(1), str("/none"), i32(1), str("/b"))
		if !slices.Equal(w.body, want) {
			t.Errorf("set watches %x, want %x", w.body, want)
		}
		p.reply(w.xid, 25, 0)
		table.noted(t, `/s true ""; /a true "content"; /b true ["x" "y"]; /none false ""; /closed: zk: not authenticated; armed 3 at 25`)
		c.works(p)
	})
}

func TestAMalformedMultiReadIsReadOneByOne(t *testing.T) {
	for name, body := range map[string][]byte{
		"empty": {}, "another operation": result(99, 0), "too short": result(opGetData, 0, i32(100)),
		"ends early": endOfMulti, "no error": result(opError, 0, i32(0)),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, c, p, table := withTable(t)
				var ws []*testWatch
				for i := range 4 {
					ws = append(ws, &testWatch{fmt.Sprint("/", i), Data, 0})
				}
				table.want(ws...)
				c.pump()
				p.reply(p.expect(opMultiRead).xid, 21, 0, body)
				table.noted(t, "unarmed 4")
				table.want(ws...)
				c.pump()
				for range 4 {
					p.reply(p.expect(opGetData).xid, 22, 0, str("x"), stat(1))
				}
				table.noted(t, `/0 true "x"; /1 true "x"; /2 true "x"; /3 true "x"`)
				c.works(p)
			})
		})
	}
}

// A server that refuses a multiRead as a whole is not asked for another on this connection; one that does not, is.
func TestAMultiReadThatIsRefused(t *testing.T) {
	ws := sized(1, 1, 1, 1)
	synctest.Test(t, func(t *testing.T) {
		_, c, p, table := withTable(t)
		for range 2 {
			table.want(ws...)
			c.pump()
			p.reply(p.expect(opMultiRead).xid, 21, 0, slices.Concat(slices.Repeat(result(opError, 0, i32(-102)), 4), endOfMulti))
			table.noted(t, "/0: zk: not authenticated; /1: zk: not authenticated; /2: zk: not authenticated; /3: zk: not authenticated")
		}
		table.want(ws...)
		c.pump()
		p.reply(p.expect(opMultiRead).xid, 21, -102)
		table.noted(t, "/0: zk: not authenticated; /1: zk: not authenticated; /2: zk: not authenticated; /3: zk: not authenticated")
		table.want(ws...)
		c.pump()
		for range ws {
			p.reply(p.expect(opGetData).xid, 22, 0, str("x"), stat(1))
		}
		table.noted(t, `/0 true "x"; /1 true "x"; /2 true "x"; /3 true "x"`)
	})
}

// How much goes into a batch depends on how large the answers for nodes have been lately, of which no size is known.
func TestSmallAnswersMakeLargerBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, p, table := withTable(t)
		for _, n := range []int{16, 21, 28} { // one batch each: 4096 bytes for a node at first, then less by a quarter each time
			table.want(sized(slices.Repeat([]int{0}, n)...)...)
			c.pump()
			r := p.expect(opMultiRead)
			if got := strings.Count(string(r.body), "/"); got != n {
				t.Errorf("a batch of %d, want %d", got, n)
			}
			p.reply(r.xid, 21, 0, slices.Concat(slices.Repeat(result(opError, 0, i32(-102)), n), endOfMulti))
			synctest.Wait()
		}
	})
}

func TestWatchesThatAreNotSetAreReadOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, p, table := withTable(t)
		ws := sized(1, 1, 1, 1)
		table.want(ws...)
		c.pump()
		p.reply(p.expect(opMultiRead).xid, 21, 0, slices.Concat(slices.Repeat(result(opGetData, 0, str("x"), stat(1)), 4), endOfMulti))
		p.reply(p.expect(opSetWatches).xid, 21, -5)
		synctest.Wait()
		if got := table.take(); !strings.HasSuffix(got, "unarmed 4") {
			t.Errorf("the table was told %q", got)
		}
		table.want(ws...)
		c.pump()
		for range ws {
			p.reply(p.expect(opGetData).xid, 22, 0, str("x"), stat(1))
		}
		synctest.Wait()
		table.take()
		table.want(&testWatch{"/missing", Data, 0})
		c.pump()
		p.reply(p.expect(opGetData).xid, 22, codeNoNode)
		p.reply(p.expect(opExists).xid, 22, codeNoNode)
		table.noted(t, `/missing false ""`)

		// On the next connection, where all are to be set again, all are read again.
		table.again = Paths{Data: []string{"/0"}, length: 6}
		p.Close()
		c.expect(Down)
		p = f.peer()
		p.accept(session, at)
		r := p.expect(opSetWatches)
		c.expect(Up)
		p.reply(r.xid, 21, -5)
		table.noted(t, "attached true; attached false")
	})
}

func TestAReplyThatIsTooLargeFailsItsWatchOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &testTable{}
		f := newFake(t)
		c := f.open(Config{Watches: table, MaxReads: 64, MaxReply: 1000})
		p := f.peer()
		p.accept(session, 10*time.Second)
		p.probed()
		c.expect(Up)
		large := strings.Repeat("x", 2000)
		table.take()
		table.want(&testWatch{"/a", Data, 0}, &testWatch{"/b", Children, 0})
		c.pump()
		p.reply(p.expect(opGetData).xid, 7, 0, str(large), stat(1))
		p.reply(p.expect(opGetChildren2).xid, 7, 0, children(large))
		table.noted(t, "/a: the reply is too large; /b: the reply is too large")
		for i := range 4 {
			table.want(&testWatch{fmt.Sprint("/", i), Data, 0})
		}
		c.pump()
		p.reply(p.expect(opMultiRead).xid, 21, 0, slices.Concat(
			result(opGetData, 0, str("0"), stat(1)), result(opGetData, 0, str(large), stat(1)),
			result(opGetData, 0, str("2"), stat(1)), result(opGetData, 0, i32(-1), stat(1)), endOfMulti))
		p.reply(p.expect(opSetWatches).xid, 22, 0)
		table.noted(t, `/0 true "0"; /1: the reply is too large; /2 true "2"; /3 true ""; armed 3 at 22`)
		c.works(p)
	})
}

// Of a lost connection, watches are set again from the zxid that it had reached, and the next one does not count
// before all are set.
func TestWatchesAreSetAgainFromTheLastConnectionsZxid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, p, table := withTable(t)
		table.want(&testWatch{"/a", Data, 0})
		c.pump()
		p.reply(p.expect(opGetData).xid, 100, 0, str(""), stat(1))
		synctest.Wait()
		var wide []string
		for i := range 3 { // three packets
			wide = append(wide, strings.Repeat(fmt.Sprint("/", i), rearmBytes/2-10))
		}
		table.again = Paths{Data: wide, length: 2 * rearmBytes * 3 / 2}
		table.take()

		p.Close()
		c.expect(Down)
		p = f.peer()
		if h := p.accept(session, 10*time.Second); h.zxid != 100 {
			t.Errorf("the connect request names %d", h.zxid)
		}
		first, second, third := p.expect(opSetWatches), p.expect(opSetWatches), p.expect(opSetWatches)
		for _, r := range []received{first, second, third} {
			if got := packet(r.body).int64At(0); got != 100 {
				t.Errorf("SetWatches since %d", got)
			}
		}
		p.reply(first.xid, 200, 0)
		p.reply(second.xid, 200, 0)
		c.expect(Up)
		c.works(p)
		p.Close() // before the third is answered
		c.expect(Down)

		p = f.peer()
		if h := p.accept(session, 10*time.Second); h.zxid != 200 {
			t.Errorf("the connect request names %d", h.zxid)
		}
		for range 3 {
			r := p.expect(opSetWatches)
			if got := packet(r.body).int64At(0); got != 100 {
				t.Errorf("SetWatches since %d, although not all were set again", got)
			}
			p.reply(r.xid, 300, 0)
		}
		c.expect(Up)
		p.Close()
		c.expect(Down)
		p = f.peer()
		p.accept(session, 10*time.Second)
		if got := packet(p.expect(opSetWatches).body).int64At(0); got != 300 {
			t.Errorf("SetWatches since %d", got)
		}
	})
}

func TestANewSessionSyncsBeforeItReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, p, table := withTable(t)
		p.Close()
		c.expect(Down)
		f.peer().accept(0, 0)
		c.expect(Expired)
		table.want(&testWatch{"/a", Data, 0})
		p = f.peer()
		p.accept(session+1, 10*time.Second)
		start := time.Now()
		for tries := range 3 {
			r := p.expect(opSync)
			c.pump()
			p.reply(r.xid, 1, -4) // for a passing reason
			if d := time.Since(start); d > time.Duration(tries)*time.Second {
				t.Errorf("try %d after %v", tries, d)
			}
		}
		c.expect(Up)
		p.reply(p.expect(opSync).xid, 1, 0, str("/"))
		p.reply(p.expect(opGetData).xid, 1, 0, str("x"), stat(1))
		table.noted(t, `attached false; /a true "x"`)

		// In this session no server shows an older state any more.
		p.Close()
		c.expect(Down)
		table.want(&testWatch{"/a", Data, 0})
		p = f.peer()
		p.accept(session+1, 10*time.Second)
		p.expect(opGetData)
	})
}

func TestWhileManyReadsAreUnderWayOnlyFullBatchesFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, p, table := withTable(t)
		for i := range eagerReads + 100 {
			table.want(&testWatch{fmt.Sprint("/", i), Data, 0})
			c.pump()
		}
		var asked []received
		asked = append(asked, p.expect(opGetData))
		for range eagerReads - 1 {
			p.expect(opMultiRead) // of one: its watch may be set together with those of the next
		}
		p.reply(asked[0].xid, 1, 0, str(""), stat(1))
		r := p.expect(opMultiRead) // of what has gathered meanwhile, and not many before it is sure that nodes are small
		if n := strings.Count(string(r.body), "/"); n != 21 {
			t.Errorf("a batch of %d", n)
		}
	})
}

// Nobody knows how large nodes are before the first was read. Many batches of nodes that are large are answers of megabytes each, for
// which the server takes its time.
func TestFewAreAskedForUntilTheSizeOfNodesIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, p, table := withTable(t)
		var all []*testWatch
		for i := range 300 {
			all = append(all, &testWatch{fmt.Sprint("/", i), Data, 0})
		}
		table.want(all...)
		c.pump()
		var first received
		for i := range eagerReads {
			r := p.expect(opMultiRead)
			if n := strings.Count(string(r.body), "/"); n != 16 {
				t.Errorf("a batch of %d", n)
			}
			if i == 0 {
				first = r
			}
		}
		large := result(opGetData, 0, str(strings.Repeat("x", 2*largeNode)), stat(1))
		p.reply(first.xid, 1, 0, bytes.Repeat(large, 16), endOfMulti)
		p.expect(opSetWatches)
		p.expect(opGetData) // alone
	})
}

// Large nodes that were opened first do not have the small ones behind them read one by one for ever.
func TestAfterLargeNodesSmallOnesAreReadInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, p, table := withTable(t)
		var all []*testWatch
		for i := range 100 {
			all = append(all, &testWatch{fmt.Sprint("/", i), Data, 0})
		}
		table.want(&testWatch{"/large", Data, 0})
		c.pump()
		p.reply(p.expect(opGetData).xid, 1, 0, str(strings.Repeat("x", 4*largeNode)), stat(1))
		synctest.Wait()
		table.want(all...)
		c.pump()
		for alone := 0; ; {
			var answers []byte // to all that has been asked for, at once: the client asks for more behind the last of them
			for len(answers) == 0 || p.r.Buffered() > 0 {
				r := p.request()
				if r.op == opMultiRead {
					return
				}
				if alone++; r.op != opGetData || alone > 30 {
					t.Fatalf("number %d alone: opcode %d", alone, r.op)
				}
				answers = append(answers, reply(r.xid, 1, 0, str("x"), stat(1))...)
			}
			p.send(answers)
		}
	})
}

// A server that has sent several large answers is asked for more before all of them have been read. Otherwise it would have nothing to
// do meanwhile.
func TestMoreIsAskedForBetweenLargeAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, p, table := withTable(t)
		for _, path := range []string{"/a", "/b", "/c", "/d"} {
			table.want(&testWatch{path, Data, maxExpected/2 + 1})
		}
		c.pump()
		a, b := p.expect(opGetData), p.expect(opGetData)
		large := strings.Repeat("x", 2*largeNode)
		second := reply(b.xid, 2, 0, str(large), stat(2))
		p.send(slices.Concat(reply(a.xid, 1, 0, str(large), stat(1)), second[:10]))
		p.expect(opGetData)
		p.send(second[10:])
		p.expect(opGetData)
	})
}

func TestLargeNodesAreReadAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, p, table := withTable(t)
		table.want(&testWatch{"/0", Data, 100}, &testWatch{"/1", Data, 100}, &testWatch{"/2", Data, 100}, &testWatch{"/3", Data, 100},
			&testWatch{"/large", Data, 100_000}, &testWatch{"/5", Data, 100})
		c.pump()
		if n := strings.Count(string(p.expect(opMultiRead).body), "/"); n != 4 {
			t.Errorf("a batch of %d", n)
		}
		p.expect(opGetData)
		p.expect(opMultiRead)
	})
}

// A connection is not cut for being slow while something arrives, nor for what waits behind that.
func TestALargeReplyMayTakeItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, p, table := withTable(t)
		table.want(&testWatch{"/a", Data, 0})
		c.pump()
		large := strings.Repeat("x", 900_000)
		b := reply(p.expect(opGetData).xid, 7, 0, str(large), stat(1))
		p.drain() // pings
		start := time.Now()
		for part := range slices.Chunk(b, 100_000) { // one each 5 s; the session timeout is 10
			time.Sleep(5 * time.Second)
			p.send(part)
		}
		synctest.Wait()
		if got := table.take(); !strings.HasPrefix(got, `/a true "xxx`) {
			t.Errorf("after %v: %.60s", time.Since(start), got)
		}
	})
}

func TestAServerWithoutMultiReadIsAskedOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &testTable{}
		f := newFake(t)
		c := f.open(Config{Watches: table, MaxReads: 64})
		p := f.peer()
		p.hello()
		p.send(welcome(session, 10*time.Second))
		p.reply(p.expect(opMultiRead).xid, -1, -6)
		p.Close()
		p = f.peer()
		if h := p.hello(); h.session != session {
			t.Errorf("the session is %d", h.session)
		}
		p.send(welcome(session, 10*time.Second))
		c.expect(Up)
		table.take()
		for i := range 6 {
			table.want(&testWatch{fmt.Sprint("/", i), Data, 0})
		}
		c.pump()
		var asked []int32
		for range 6 { // all of them first: the network between has no buffer, and whoever receives sends, too
			asked = append(asked, p.expect(opGetData).xid)
		}
		for _, xid := range asked {
			p.reply(xid, 7, 0, str("x"), stat(1))
		}
		c.works(p)
	})
}

// ClickHouse Keeper, before it knew SetWatches, closed the connection.
func TestAServerWithoutSetWatchesIsAskedByExists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, p, table := withTable(t)
		for range mostCutOff {
			table.want(&testWatch{"/a", Data, 0})
			c.pump()
			p.reply(p.expect(opGetData).xid, 7, -101)
			p.expect(opSetWatches)
			p.Close()
			c.expect(Down)
			p = f.peer()
			p.accept(session, 10*time.Second)
			c.expect(Up)
		}
		if got := table.take(); !strings.HasSuffix(got, "attached false") { // nothing can be set again
			t.Error(got)
		}
		table.want(&testWatch{"/a", Data, 0}, &testWatch{"/b", Data, 0})
		c.pump()
		first, second := p.expect(opGetData), p.expect(opGetData)
		p.reply(first.xid, 7, -101)
		first = p.expect(opExists)
		p.reply(second.xid, 7, -101)
		second = p.expect(opExists)
		p.reply(first.xid, 7, -101)
		p.reply(second.xid, 8, 0, stat(8)) // created in between
		p.reply(p.expect(opGetData).xid, 8, 0, str("x"), stat(8))
		table.noted(t, `/a false ""; /b true "x"`)
	})
}

// A server that has answered a SetWatches knows it, however often its connections end at one.
func TestAServerThatHasAnsweredSetWatchesKnowsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, p, table := withTable(t)
		for i := range 2 * mostCutOff {
			table.want(&testWatch{"/a", Data, 0})
			c.pump()
			p.reply(p.expect(opGetData).xid, 7, codeNoNode)
			if r := p.expect(opSetWatches); i == 0 {
				p.reply(r.xid, 7, 0)
				continue
			}
			p.Close()
			c.expect(Down)
			p = f.peer()
			p.accept(session, 10*time.Second)
			c.expect(Up)
		}
		if got := table.take(); strings.Contains(got, "attached false") {
			t.Error(got)
		}
	})
}

func TestWatchesAreTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, p, table := withTable(t)
		table.evict(&testWatch{"/a", Children, 0}, &testWatch{"/b", Data, 0})
		c.pump()
		for _, want := range [][]byte{slices.Concat(str("/a"), i32(1)), slices.Concat(str("/b"), i32(2))} {
			r := p.expect(opRemoveWatches)
			if !slices.Equal(r.body, want) {
				t.Errorf("%x, want %x", r.body, want)
			}
			p.reply(r.xid, 7, -121)
		}
		c.works(p)
	})
}

func TestOwnRequestsOnARealServer(t *testing.T) {
	server := zooKeeper.Server(t)
	table := &testTable{}
	c := open(t, Config{Servers: []string{server.Addr()}, Watches: table, MaxReads: 64})
	c.expect(Up)
	if err := c.Run(t.Context(), func(zc *zk.Conn) error {
		_, err := zc.Create("/there", []byte("x"), zk.FlagEphemeral, zk.WorldACL(zk.PermAll))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	table.take()
	table.want(&testWatch{"/there", Data, 0}, &testWatch{"/none", Data, 0}, &testWatch{"/there", Children, 0},
		&testWatch{"/none", Children, 0}, &testWatch{"/zookeeper", Children, 0}, &testWatch{"/made", Stat, 0})
	c.Pump()
	waitFor(t, table, `armed 5`)
	if err := c.Run(t.Context(), func(zc *zk.Conn) error {
		_, err := zc.Create("/made", nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll))
		if err == nil {
			_, err = zc.Set("/there", []byte("y"), -1)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, table, "/made EventNodeCreated; /there EventNodeDataChanged")
	table.evict(&testWatch{"/none", Data, 0})
	c.Pump()
	if err := c.Run(t.Context(), func(zc *zk.Conn) error {
		_, err := zc.Create("/none", nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if got := table.take(); got != "" {
		t.Errorf("after the watch was taken back: %s", got)
	}
}

// waitFor waits until the table has noted something that ends so.
func waitFor(t *testing.T, table *testTable, want string) {
	t.Helper()
	var all []string
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if got := table.take(); got != "" {
			all = append(all, got)
		}
		if strings.Contains(strings.Join(all, "; "), want) {
			return
		}
	}
	t.Fatalf("noted %q, want %q", all, want)
}
