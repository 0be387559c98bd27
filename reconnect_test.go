package zkstream_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
)

func TestTheFirstSnapshotComesAlsoForAMissingNode(t *testing.T) {
	onEach(t, testTheFirstSnapshotComesAlsoForAMissingNode)
}

func testTheFirstSnapshotComesAlsoForAMissingNode(t *testing.T, f *fixture) {
	c := f.connect()
	f.create("/a", "x")
	f.create("/a/b", "")
	if got := next(t, c.Data(t.Context(), "/a")); !got.Exists() || got.String() != "x" || got.Path() != "/a" {
		t.Errorf("data: %v %q %s", got.Exists(), got, got.Path())
	}
	if got := next(t, c.Children(t.Context(), "/a")); !got.Exists() || names(got) != "b" {
		t.Errorf("children: %v", got)
	}
	if got := next(t, c.Children(t.Context(), "/")); names(got) != "a" || got.Path() != "/" {
		t.Errorf("children of the chroot: %v", got)
	}
	if got := next(t, c.Data(t.Context(), "/none")); got.Exists() || got.Path() != "/none" {
		t.Errorf("missing data: %v", got)
	}
	if got := next(t, c.Children(t.Context(), "/none/at/all")); got.Exists() || got.Len() != 0 {
		t.Errorf("missing children: %v", got)
	}
	if got := next(t, c.Properties(t.Context(), "/none").Stream); got.Exists() || got.Len() != 0 {
		t.Errorf("missing properties: %v", got)
	}
}

func TestEachChangeIsDelivered(t *testing.T) { onEach(t, testEachChangeIsDelivered) }

func testEachChangeIsDelivered(t *testing.T, f *fixture) {
	c := f.connect()
	data, children := c.Data(t.Context(), "/a"), c.Children(t.Context(), "/a")
	next(t, data)
	next(t, children)
	f.create("/a", "1")
	if got := next(t, data); got.String() != "1" {
		t.Errorf("created: %q", got)
	}
	if got := next(t, children); !got.Exists() || got.Len() != 0 {
		t.Errorf("created: %v", got)
	}
	for i := range 20 {
		f.set("/a", fmt.Sprint(i))
		if got := next(t, data); got.String() != fmt.Sprint(i) {
			t.Errorf("set: %q", got)
		}
		f.create(fmt.Sprintf("/a/%02d", i), "")
		if got := next(t, children); got.Len() != i+1 {
			t.Errorf("child added: %v", got)
		}
	}
	f.set("/a/00", "a child's content does not matter to its parent")
	for i := range 20 {
		f.delete(fmt.Sprintf("/a/%02d", i))
		if got := next(t, children); got.Len() != 19-i {
			t.Errorf("child deleted: %v", got)
		}
	}
	f.delete("/a")
	if got := next(t, data); got.Exists() {
		t.Errorf("deleted: %q", got)
	}
	if got := next(t, children); got.Exists() {
		t.Errorf("deleted: %v", got)
	}
	f.create("/a", "again")
	if got := next(t, data); got.String() != "again" {
		t.Errorf("created again: %q", got)
	}
	if got := next(t, children); !got.Exists() {
		t.Errorf("created again: %v", got)
	}
	settled(t, c)
	empty(t, data, "after the last change")
	empty(t, children, "after the last change")
}

func TestAStreamThatIsNotReadHoldsTheNewest(t *testing.T) {
	onEach(t, testAStreamThatIsNotReadHoldsTheNewest)
}

func testAStreamThatIsNotReadHoldsTheNewest(t *testing.T, f *fixture) {
	c := f.connect()
	f.create("/a", "")
	unread, read := c.Data(t.Context(), "/a"), c.Data(t.Context(), "/a")
	busy := make(chan struct{})
	slow := zkstream.Map(c.Data(t.Context(), "/a"), func(d zkstream.Data) string { <-busy; return d.String() })
	next(t, read)
	for i := range 300 {
		f.set("/a", fmt.Sprint(i))
		if got := next(t, read); got.String() != fmt.Sprint(i) { // nobody else waits
			t.Fatalf("got %q, want %d", got, i)
		}
	}
	if got := next(t, unread); got.String() != "299" {
		t.Errorf("the unread stream holds %q", got)
	}
	empty(t, unread, "after the newest")
	close(busy)
	until(t, slow, func(s string) bool { return s == "299" })
}

// Each kind of change that a disconnect, or the end of a session, can hide. Both tests use them: what
// was missed is delivered once, what did not change is silent, and the watches are set again.
var hiddenChanges = []struct {
	name          string
	before, after string // the node's content, "" for none
	change        func(f *fixture, path string)
}{
	{"unchanged", "x", "x", func(f *fixture, path string) {}},
	{"missing", "", "", func(f *fixture, path string) {}},
	{"changed", "x", "y", func(f *fixture, path string) { f.set(path, "y") }},
	{"changed twice", "x", "z", func(f *fixture, path string) { f.set(path, "y"); f.set(path, "z") }},
	{"changed and back", "x", "x", func(f *fixture, path string) { f.set(path, "y"); f.set(path, "x") }},
	{"deleted", "x", "", func(f *fixture, path string) { f.delete(path) }},
	{"created", "", "x", func(f *fixture, path string) { f.create(path, "x") }},
	{"created and deleted", "", "", func(f *fixture, path string) { f.create(path, "x"); f.delete(path) }},
	{"deleted and created the same", "x", "x", func(f *fixture, path string) { f.delete(path); f.create(path, "x") }},
}

func testHiddenChanges(t *testing.T, f *fixture, hide func(f *fixture, c *zkstream.Client, change func())) {
	const each = 6 // 54 nodes
	c := f.connect(zkstream.WithSessionTimeout(2 * time.Second))
	type watched struct {
		path     string
		row      int
		data     *zkstream.Stream[zkstream.Data]
		children *zkstream.Stream[zkstream.Children]
		before   zkstream.Data
	}
	var all []*watched
	for row, h := range hiddenChanges {
		for i := range each {
			w := &watched{path: fmt.Sprintf("/n-%d-%d", row, i), row: row}
			if h.before != "" {
				f.create(w.path, h.before)
			}
			w.data, w.children = c.Data(t.Context(), w.path), c.Children(t.Context(), w.path)
			all = append(all, w)
		}
	}
	for _, w := range all {
		w.before = next(t, w.data)
		next(t, w.children)
	}
	hide(f, c, func() {
		for _, w := range all {
			hiddenChanges[w.row].change(f, w.path)
		}
	})
	for _, w := range all {
		h := hiddenChanges[w.row]
		latest, _ := w.data.Latest()
		if latest.String() != h.after || latest.Exists() != (h.after != "") {
			t.Errorf("%s: latest is %q", h.name, latest)
		}
		unchanged := h.after == "" && h.before == "" || h.name == "unchanged"
		if unchanged {
			empty(t, w.data, "although nothing changed: "+h.name)
			empty(t, w.children, "although nothing changed: "+h.name)
			continue
		}
		if got := next(t, w.data); got.Exists() && got.Stat().Mzxid == w.before.Stat().Mzxid {
			t.Errorf("%s: delivered the same zxid again", h.name)
		}
		empty(t, w.data, "a second time: "+h.name)
		// To the children a change of content is none.
		if len(h.name) < 7 || h.name[:7] != "changed" {
			if got := next(t, w.children); got.Exists() != (h.after != "") {
				t.Errorf("%s: children: %v", h.name, got)
			}
		}
		empty(t, w.children, "a second time: "+h.name)
	}
	// Everything is watched again, not only read again.
	for _, w := range all {
		if hiddenChanges[w.row].after == "" {
			f.create(w.path, "further")
		} else {
			f.set(w.path, "further")
		}
		f.create(w.path+"/child", "")
	}
	for _, w := range all {
		if got := until(t, w.data, func(d zkstream.Data) bool { return d.Exists() }); got.String() != "further" {
			t.Errorf("%s: after a further change: %q", hiddenChanges[w.row].name, got)
		}
		until(t, w.children, func(c zkstream.Children) bool { return c.Contains("child") })
	}
}

func TestChangesWhileDisconnectedAreDeliveredOnce(t *testing.T) {
	onEach(t, testChangesWhileDisconnectedAreDeliveredOnce)
}

func testChangesWhileDisconnectedAreDeliveredOnce(t *testing.T, f *fixture) {
	testHiddenChanges(t, f, func(f *fixture, c *zkstream.Client, change func()) { f.outage(c, change) })
}

func TestChangesOverAnExpiryAreDeliveredOnce(t *testing.T) {
	onEach(t, testChangesOverAnExpiryAreDeliveredOnce)
}

func testChangesOverAnExpiryAreDeliveredOnce(t *testing.T, f *fixture) {
	testHiddenChanges(t, f, func(f *fixture, c *zkstream.Client, change func()) {
		before := zkstream.Connection(c).Generation()
		f.outage(c, func() {
			change()
			id := zkstream.SessionID(c)
			eventually(t, "the session has expired", func() bool { return !f.sessionLives(id) })
		})
		if zkstream.Connection(c).Generation() == before {
			t.Fatal("the session did not expire")
		}
	})
}

func TestChangesAroundAKilledSessionAreDelivered(t *testing.T) {
	onEach(t, testChangesAroundAKilledSessionAreDelivered)
}

func testChangesAroundAKilledSessionAreDelivered(t *testing.T, f *fixture) {
	c := f.connect()
	f.create("/a", "0")
	s := c.Data(t.Context(), "/a")
	for i := range 8 {
		done := make(chan struct{})
		go func() {
			f.admin.Set(f.root+"/a", []byte(fmt.Sprint(i)), -1)
			close(done)
		}()
		zkstream.Connection(c).Expire()
		<-done
		until(t, s, func(d zkstream.Data) bool { return d.String() == fmt.Sprint(i) })
	}
}

func TestAReconnectThatChangedNothingDeliversNothing(t *testing.T) {
	onEach(t, testAReconnectThatChangedNothingDeliversNothing)
}

func testAReconnectThatChangedNothingDeliversNothing(t *testing.T, f *fixture) {
	var requests counter
	c := f.connect(requests.option(), zkstream.WithRecheck(0))
	f.create("/a", "x")
	data, props, children := c.Data(t.Context(), "/a"), c.Properties(t.Context(), "/a"), c.Children(t.Context(), "/a")
	gone := c.Data(t.Context(), "/none")
	next(t, data)
	next(t, props.Stream)
	next(t, children)
	next(t, gone)
	for range 5 {
		settled(t, c)
		requests.take()
		f.outage(c, func() {})
		got := requests.take()
		if got[101] != 1 || sum(got) != 1 {
			t.Errorf("requests by opcode: %v, want 1 of 101 (setWatches)", got)
		}
		empty(t, data, "after a reconnect")
		empty(t, props.Stream, "after a reconnect")
		empty(t, children, "after a reconnect")
		empty(t, gone, "after a reconnect")
	}
}

func TestASecondStreamOnAWatchedNodeSendsNothing(t *testing.T) {
	onEach(t, testASecondStreamOnAWatchedNodeSendsNothing)
}

func testASecondStreamOnAWatchedNodeSendsNothing(t *testing.T, f *fixture) {
	var requests counter
	c := f.connect(requests.option(), zkstream.WithRecheck(0))
	f.create("/a", `{"x": 1}`)
	next(t, c.Data(t.Context(), "/a"))
	next(t, c.Children(t.Context(), "/a"))
	settled(t, c)
	requests.take()
	for range 100 {
		if _, ok := c.Children(t.Context(), "/a").Latest(); !ok {
			t.Fatal("a second stream of children must have its snapshot when it is returned")
		}
		s, p := c.Data(t.Context(), "/a"), c.Properties(t.Context(), "/a")
		empty(t, zkstream.Filter(c.Data(t.Context(), "/a"), func(zkstream.Data) bool { return false }), "filtered")
		select {
		case <-s.C():
		default:
			t.Fatal("a second stream must have its snapshot when it is returned")
		}
		if v, ok := p.Latest(); !ok || v.Len() != 1 {
			t.Fatal("so must one of another type on the same content")
		}
	}
	settled(t, c)
	if got := requests.take(); sum(got) != 0 {
		t.Errorf("requests by opcode: %v, want none", got)
	}
}

// A client's own write comes before what it asks for afterwards, as ZooKeeper has it; also where another
// stream has made the node known, and its next read is only under way.
func TestANewStreamHasItsClientsWrites(t *testing.T) { onEach(t, testANewStreamHasItsClientsWrites) }

func testANewStreamHasItsClientsWrites(t *testing.T, f *fixture) {
	c := f.connect()
	f.create("/a", "")
	next(t, c.Properties(t.Context(), "/a").Stream)
	next(t, c.Children(t.Context(), "/a"))
	for i := range 50 {
		if err := c.SetProperties(t.Context(), "/a", map[string]any{"n": i}); err != nil {
			t.Fatal(err)
		}
		s := c.Properties(t.Context(), "/a")
		if n, err := zkstream.Value[int](next(t, s.Stream), "n"); n != i || err != nil {
			t.Fatalf("it begins with %d, %v, after %d was set", n, err, i)
		}
		s.Close()
		name := fmt.Sprintf("c%d", i)
		if err := c.Create(t.Context(), "/a/"+name, nil); err != nil {
			t.Fatal(err)
		}
		children := c.Children(t.Context(), "/a")
		if got := next(t, children); !got.Contains(name) {
			t.Fatalf("it begins with %v, after %s was created", got, name)
		}
		children.Close()
	}
}

func TestAChangeCostsOneReadWhateverTheNumberOfStreams(t *testing.T) {
	onEach(t, testAChangeCostsOneReadWhateverTheNumberOfStreams)
}

func testAChangeCostsOneReadWhateverTheNumberOfStreams(t *testing.T, f *fixture) {
	var requests counter
	c := f.connect(requests.option(), zkstream.WithRecheck(0))
	f.create("/a", "0")
	var streams []*zkstream.Stream[zkstream.Data]
	for range 1000 {
		streams = append(streams, c.Data(t.Context(), "/a"))
	}
	for _, s := range streams {
		next(t, s)
	}
	requests.take()
	f.set("/a", "1")
	for _, s := range streams {
		if got := next(t, s); got.String() != "1" {
			t.Fatalf("got %q", got)
		}
	}
	if got := requests.take(); sum(got) != 1 || got[4] != 1 {
		t.Errorf("requests by opcode: %v, want one of 4 (getData)", got)
	}
}

func TestSubscribingAndCancellingHoldsOneWatch(t *testing.T) {
	onEachAlone(t, testSubscribingAndCancellingHoldsOneWatch)
}

func testSubscribingAndCancellingHoldsOneWatch(t *testing.T, f *fixture) {
	c := f.connect()
	f.create("/quiet", "x")
	s := c.Data(t.Context(), "/quiet")
	next(t, s)
	cycle := func(n int) {
		for i := range n {
			ctx, cancel := context.WithCancel(t.Context())
			s := c.Data(ctx, "/quiet")
			next(t, s)
			if i%2 == 0 {
				s.Close()
				cancel()
			} else {
				cancel()
				ended(t, s)
			}
		}
	}
	cycle(500)
	s.Close() // from here on the entry is parked between the streams
	cycle(500)
	goroutines, before := runtime.NumGoroutine(), heap()
	cycle(10_000)
	if grown := heap() - before; grown > 500_000 {
		t.Errorf("the heap has grown by %d bytes in 10,000 cycles", grown)
	}
	eventually(t, "the goroutines are gone", func() bool { return runtime.NumGoroutine() <= goroutines+2 })
	if n := f.watches("/quiet"); n != 1 {
		t.Errorf("%d watches on the server, want 1", n)
	}
	// The parked watch works for whoever adopts it, and goes when it fires unread.
	s = c.Data(t.Context(), "/quiet")
	next(t, s)
	f.set("/quiet", "y")
	if got := next(t, s); got.String() != "y" {
		t.Errorf("after adoption: %q", got)
	}
	s.Close()
	f.set("/quiet", "z")
	eventually(t, "the parked entry is gone", func() bool {
		s := c.Stats()
		return s.Data == zkstream.WatchStats{} && s.Children == zkstream.WatchStats{} && s.Presence == zkstream.WatchStats{}
	})
}

func TestThousandsOfStreamsRunFewGoroutines(t *testing.T) {
	onEachAlone(t, testThousandsOfStreamsRunFewGoroutines)
}

func testThousandsOfStreamsRunFewGoroutines(t *testing.T, f *fixture) {
	before := runtime.NumGoroutine()
	c := f.connect()
	for i := range 5000 {
		c.Data(t.Context(), fmt.Sprintf("/none-%d", i))
	}
	if n := runtime.NumGoroutine() - before; n >= 100 {
		t.Errorf("%d goroutines while 5,000 streams open", n)
	}
	settled(t, c)
	if n := runtime.NumGoroutine() - before; n >= 20 {
		t.Errorf("%d goroutines for 5,000 streams at rest", n)
	}
}

func TestAnUnreadableNodeEndsItsOwnStreamOnly(t *testing.T) {
	onEach(t, testAnUnreadableNodeEndsItsOwnStreamOnly)
}

func testAnUnreadableNodeEndsItsOwnStreamOnly(t *testing.T, f *fixture) {
	c := f.connect()
	if _, err := f.admin.Create(f.root+"/secret", nil, 0, zk.DigestACL(zk.PermAll, "a", "b")); err != nil {
		t.Fatal(err)
	}
	f.create("/open", "0")
	open := c.Data(t.Context(), "/open")
	next(t, open)
	for _, s := range []*zkstream.Stream[zkstream.Data]{c.Data(t.Context(), "/secret"), c.Data(t.Context(), "/secret")} {
		err := ended(t, s)
		var pe *zkstream.PathError
		if !errors.Is(err, zk.ErrNoAuth) || !errors.As(err, &pe) || pe.Path != "/secret" {
			t.Errorf("Err = %v", err)
		}
	}
	if err := ended(t, c.Children(t.Context(), "/secret")); !errors.Is(err, zk.ErrNoAuth) {
		t.Errorf("children: %v", err)
	}
	f.set("/open", "1")
	if got := next(t, open); got.String() != "1" {
		t.Errorf("the other stream got %q", got)
	}
	// A node that becomes unreadable ends its streams when that is noticed: some versions of ZooKeeper
	// tell of its changes, and others, since CVE-2024-23944, tell nothing.
	if _, err := f.admin.SetACL(f.root+"/open", zk.DigestACL(zk.PermAll, "a", "b"), -1); err != nil {
		t.Fatal(err)
	}
	if err := f.admin.AddAuth("digest", []byte("a:b")); err != nil {
		t.Fatal(err)
	}
	f.outage(c, func() { f.set("/open", "2") })
	if err := ended(t, open); !errors.Is(err, zk.ErrNoAuth) {
		t.Errorf("became unreadable: %v", err)
	}
}

func TestAnInvalidPathEndsTheStreamAtOnce(t *testing.T) {
	onEach(t, testAnInvalidPathEndsTheStreamAtOnce)
}

func testAnInvalidPathEndsTheStreamAtOnce(t *testing.T, f *fixture) {
	c := f.connect()
	for _, path := range []string{"", "a", "/a/", "//", "/a//b", "/a/./b", "/..", "/a\x00b", "/a\x7f", "/\xff"} {
		for _, err := range []error{
			ended(t, c.Data(t.Context(), path)),
			ended(t, c.Children(t.Context(), path)),
			ended(t, c.Properties(t.Context(), path).Stream),
			c.Create(t.Context(), path, nil),
			c.SetProperties(t.Context(), path, nil),
			c.UpdateProperties(t.Context(), path, nil),
			c.Delete(t.Context(), path),
		} {
			var pe *zkstream.PathError
			if !errors.Is(err, zk.ErrInvalidPath) || !errors.As(err, &pe) || pe.Path != path {
				t.Errorf("%.50q: %.200v", path, err)
			}
		}
	}
}

func TestAPathThatNoServerTakesIsInvalid(t *testing.T) {
	f := onZktest(t)
	if err := ended(t, f.connect().Data(t.Context(), "/"+strings.Repeat("x", 1<<20))); !errors.Is(err, zk.ErrInvalidPath) {
		t.Errorf("%.200v", err)
	}
}

func TestSnapshotsNeverGoBack(t *testing.T) { onEach(t, testSnapshotsNeverGoBack) }

func testSnapshotsNeverGoBack(t *testing.T, f *fixture) {
	c := f.connect()
	f.create("/n", "0")
	s := c.Data(t.Context(), "/n")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 1; ; i++ {
			select {
			case <-stop:
				return
			default:
				f.admin.Set(f.root+"/n", fmt.Append(nil, i), -1)
			}
		}
	})
	go func() {
		for range 10 {
			f.Drop()
			time.Sleep(30 * time.Millisecond)
		}
		zkstream.Connection(c).Expire()
		time.Sleep(100 * time.Millisecond)
		f.Drop()
		close(stop)
	}()
	last := zkstream.Data{}
	for open := true; open; {
		select {
		case d, ok := <-s.C():
			if !ok {
				t.Fatal(s.Err())
			}
			if d.Stat().Mzxid <= last.Stat().Mzxid {
				t.Errorf("went from zxid %d to %d", last.Stat().Mzxid, d.Stat().Mzxid)
			}
			last = d
		case <-stop:
			open = false
		}
	}
	wg.Wait()
	want := f.get("/n")
	if last.String() != want {
		until(t, s, func(d zkstream.Data) bool { return d.String() == want })
	}
}

func TestClientCloseEndsEveryStream(t *testing.T) { onEach(t, testClientCloseEndsEveryStream) }

func testClientCloseEndsEveryStream(t *testing.T, f *fixture) {
	c := f.connect()
	a, b := c.Data(t.Context(), "/a"), c.Children(t.Context(), "/b")
	m := zkstream.Map(c.Data(t.Context(), "/c"), func(d zkstream.Data) string { return d.String() })
	sessions := c.Session(t.Context())
	if got := next(t, sessions); got.State != zkstream.Connected || got.ID == 0 || got.Server != f.Addr() || got.Timeout != 8*time.Second {
		t.Errorf("session: %+v", got)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{ended(t, a), ended(t, b), ended(t, m), ended(t, c.Data(t.Context(), "/late"))} {
		if err != zkstream.ErrClosed {
			t.Errorf("Err = %v", err)
		}
	}
	if got := next(t, sessions); got.State != zkstream.Closed {
		t.Errorf("last session state: %v", got)
	}
	if err := ended(t, sessions); err != zkstream.ErrClosed {
		t.Errorf("sessions: %v", err)
	}
}
