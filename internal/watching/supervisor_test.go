package watching

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/zkconn"
)

func TestWhatWasReadIsDeliveredAndAChangeIsReadAgain(t *testing.T) {
	b := newBench(t)
	b.clock = 1000
	f := b.follow("/a", kindData)
	b.is("/root/a", kindData, stale)
	ws := b.asked("data /root/a")
	b.is("/root/a", kindData, asked)
	if b.answer(ws[0], holding(7, "x")) {
		t.Error("the watch is to be set, although the read has set it")
	}
	f.wants(`/a "x"`)
	b.is("/root/a", kindData, armed)
	if f.watch.checkedAt != 1000 {
		t.Errorf("it was checked at step %d", f.watch.checkedAt)
	}

	// A second stream has at once what was read, and nothing is asked for.
	second := b.follow("/a", kindData)
	second.wants(`/a "x" unchanged`)
	f.wants()
	b.asked()

	b.Fired("/root/a", zk.EventNodeDataChanged)
	b.is("/root/a", kindData, stale)
	b.read(holding(8, "y"))
	f.wants(`/a "y"`)
	second.wants(`/a "y"`)

	// What is read again and found unchanged is known to be newer than it was.
	b.Fired("/root/a", zk.EventNodeDataChanged)
	b.read(&zkconn.Answer{Exists: true, Data: "y", Stat: zk.Stat{Czxid: 1, Mzxid: 8, DataLength: 1, NumChildren: 1}, Zxid: 9, Armed: true})
	f.wants(`/a "y" unchanged`)
	if w := f.watch; w.zxid != 9 || !w.confirmed || w.last.Stat().NumChildren != 0 {
		t.Errorf("the watch is %+v", *w.slot)
	}
	b.Fired("/root/a", zk.EventNodeDataChanged)
	b.read(holding(10, "z"))
	if w := f.watch; w.zxid != 10 || w.confirmed {
		t.Errorf("the watch is %+v", *w.slot)
	}
	if got := b.Stats(); got.Reads[kindData] != 4 || got.Events.DataChanged != 3 || got.Streams != 2 {
		t.Errorf("%+v", got)
	}
}

func TestAnEventBeforeTheAnswerHasTheNodeReadOnceMore(t *testing.T) {
	b := newBench(t)
	f := b.follow("/a", kindData)
	ws := b.asked("data /root/a")
	b.Fired("/root/a", zk.EventNodeDataChanged)
	b.check()
	b.is("/root/a", kindData, refired)
	b.Fired("/root/a", zk.EventNodeDataChanged)
	b.is("/root/a", kindData, refired)
	b.asked() // not before the answer
	b.Answered(ws[0], holding(7, "x"))
	b.check()
	f.wants(`/a "x"`)
	b.is("/root/a", kindData, stale)
	b.read(holding(8, "y"))
	f.wants(`/a "y"`)

	// Of nobody's watch it is not the last word, either, but nobody wants to know.
	b.Fired("/root/a", zk.EventNodeDataChanged)
	ws = b.asked("data /root/a")
	b.Fired("/root/a", zk.EventNodeDataChanged)
	f.leave()
	b.is("/root/a", kindData, refired)
	b.Answered(ws[0], holding(9, "z"))
	b.check()
	b.is("/root/a", kindData, none)
}

func TestAnEventIsForTheWatchesThatItUsesUp(t *testing.T) {
	for event, want := range map[zk.EventType][zkconn.Kinds]watchState{
		zk.EventNodeCreated:         {kindData: stale, kindChildren: stale, kindStat: stale},
		zk.EventNodeDeleted:         {kindData: stale, kindChildren: stale, kindStat: stale},
		zk.EventNodeDataChanged:     {kindData: stale, kindChildren: armed, kindStat: stale},
		zk.EventNodeChildrenChanged: {kindData: armed, kindChildren: stale, kindStat: armed},
	} {
		b := newBench(t)
		for k := range kind(zkconn.Kinds) {
			b.follow("/a", k)
			b.read(holding(7, ""))
		}
		b.Fired("/root/other", event)
		b.Fired("/root/a", event)
		b.check()
		for k, state := range want {
			b.is("/root/a", kind(k), state)
		}
	}

	// A watch that the event was for is enough: it is none of the others'.
	two := newBench(t)
	two.follow("/a", kindData)
	two.read(holding(7, ""))
	two.follow("/a", kindChildren)
	two.read(holding(7, ""))
	two.Fired("/root/a", zk.EventNodeDataChanged)
	two.is("/root/a", kindData, stale)
	two.is("/root/a", kindChildren, armed)

	// An event that fits no watch of the node is taken for one that does: ClickHouse Keeper errs so.
	for event, k := range map[zk.EventType]kind{zk.EventNodeDataChanged: kindChildren, zk.EventNodeChildrenChanged: kindData} {
		b := newBench(t)
		b.follow("/a", k)
		b.read(holding(7, ""))
		b.Fired("/root/a", event)
		b.is("/root/a", k, stale)
	}
	b := newBench(t)
	b.follow("/a", kindStat)
	b.read(holding(7, ""))
	b.Fired("/root/a", zk.EventNodeChildrenChanged)
	b.is("/root/a", kindStat, stale)
}

func TestABatchSetsItsWatchesAfterwards(t *testing.T) {
	b := newBench(t)
	f := b.follow("/a", kindData)
	ws := b.asked("data /root/a")
	if !b.answer(ws[0], unarmed(holding(7, "x"))) {
		t.Error("the watch is not to be set")
	}
	b.check()
	f.wants(`/a "x"`)
	b.is("/root/a", kindData, arming)
	second := b.follow("/a", kindData) // what was read is no older than what the client has written: nothing
	second.wants(`/a "x" unchanged`)
	b.Armed(ws, 8)
	b.check()
	b.is("/root/a", kindData, armed)
	f.wants()
	second.wants()
	if f.watch.zxid != 7 { // no round of rechecks has begun
		t.Errorf("it is as new as %d", f.watch.zxid)
	}

	// An event before that comes from a watch that was set, and the answer to the request says nothing any more.
	b.Fired("/root/a", zk.EventNodeDataChanged)
	b.read(unarmed(holding(9, "y")))
	b.Fired("/root/a", zk.EventNodeDataChanged)
	b.is("/root/a", kindData, stale)
	b.Armed(ws, 10)
	b.check()
	b.is("/root/a", kindData, stale)
	b.roundBefore = 10
	ws = b.asked("data /root/a")
	b.Armed(ws, 11)
	b.is("/root/a", kindData, asked)
	if f.watch.zxid != 9 {
		t.Errorf("what has changed is known up to %d", f.watch.zxid)
	}
}

func TestWatchesThatCannotBeSetAreReadAgain(t *testing.T) {
	b := newBench(t)
	states := map[string]watchState{"/stale": stale, "/asked": asked, "/refired": refired, "/arming": arming, "/armed": armed, "/parked": parked, "/resting": resting}
	var ws []zkconn.Watch
	for path, state := range states {
		f := b.follow(path, kindData)
		ws = append(ws, f.watch.wire())
		if state == stale {
			continue
		}
		w := b.Next(1, func(int) bool { return f.watch.state == stale })
		for _, other := range w {
			if other != f.watch.wire() { // the one that stays stale
				b.moveLocked(watchOf(other), stale)
			}
		}
		switch state {
		case refired:
			b.Fired("/root"+path, zk.EventNodeDataChanged)
		case arming:
			b.Answered(f.watch.wire(), unarmed(holding(7, "")))
		case armed:
			b.Answered(f.watch.wire(), holding(7, ""))
		case parked:
			b.Answered(f.watch.wire(), holding(7, ""))
			f.leave()
		case resting:
			b.Answered(f.watch.wire(), &zkconn.Answer{Err: zkconn.ErrThrottled})
		}
		b.is("/root"+path, kindData, state)
	}
	b.check()
	if n := b.unsettledLocked(); n != 5 { // all but the armed and the parked one
		t.Errorf("%d are unsettled", n)
	}
	b.Unarmed(ws)
	b.check()
	for path, state := range states {
		switch state {
		case asked, refired, arming, armed:
			state = stale
		}
		b.is("/root"+path, kindData, state)
	}
	b.Stop()
}

func TestTheOldestParkedWatchesAreTakenBack(t *testing.T) {
	b := newBench(t)
	b.many = true
	park := func(path string, k kind) {
		f := b.follow(path, k)
		b.read(holding(7, ""))
		f.leave()
	}
	for i := range mostParked {
		park(fmt.Sprint("/", i), kindData)
	}
	if ws := b.Evicted(1000); len(ws) != 0 {
		t.Errorf("%q are to be forgotten", named(ws))
	}
	for i := range 6 {
		park(fmt.Sprint("/more", i), kindData)
	}
	b.is("/root/0", kindData, none)
	b.is("/root/5", kindData, none)
	b.is("/root/6", kindData, parked)
	if len(b.parked) != mostParked {
		t.Errorf("%d are parked", len(b.parked))
	}
	// One is followed again, one by its metadata, which to the server is the same watch.
	b.follow("/1", kindData)
	b.follow("/2", kindStat)
	b.follow("/3", kindChildren)
	got := named(b.Evicted(2))
	if len(got) != 2 {
		t.Errorf("%q are to be forgotten, want two", got)
	}
	got = append(got, named(b.Evicted(100))...)
	if want := []string{"data /root/0", "data /root/3", "data /root/4", "data /root/5"}; !slices.Equal(got, want) {
		t.Errorf("%q are to be forgotten, want %q", got, want)
	}
	if ws := b.Evicted(100); len(ws)+len(b.evicted) > 0 {
		t.Errorf("%q are to be forgotten, and %d are left", named(ws), len(b.evicted))
	}
	b.many = false
	b.check()

	// Metadata's watch is content's, too; that of children nobody else's.
	for k, other := range map[kind]kind{kindStat: kindData, kindChildren: kindData} {
		b := newBench(t)
		b.many = true
		f := b.follow("/a", k)
		b.read(holding(7, ""))
		f.leave()
		for i := range mostParked {
			f := b.follow(fmt.Sprint("/", i), kindData)
			b.read(holding(7, ""))
			f.leave()
		}
		b.follow("/a", other)
		if got := len(b.Evicted(10)); got != map[kind]int{kindStat: 0, kindChildren: 1}[k] {
			t.Errorf("%d watches of %v are to be forgotten", got, k)
		}
	}
}

// What a recheck has said counts from where the round before it began.
func TestASetWatchProvesWhatTheRoundBeforeHadReached(t *testing.T) {
	b := newBench(t)
	f := b.follow("/a", kindData)
	b.read(holding(7, "x"))
	ws := []zkconn.Watch{f.watch.wire()}
	for _, step := range []struct {
		round, zxid, want int64
		confirmed         bool
	}{
		{0, 20, 7, false},
		{7, 20, 7, false},
		{10, 20, 10, true},
		{30, 20, 20, true},
	} {
		b.roundBefore = step.round
		b.Armed(ws, step.zxid)
		if w := f.watch; w.zxid != step.want || w.confirmed != step.confirmed || w.state != armed {
			t.Errorf("after %+v: %+v", step, *w.slot)
		}
	}
	f.wants(`/a "x"`)
}

func TestStopEndsAllStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		f := b.follow("/a", kindData)
		b.read(holding(7, "x"))
		resting := b.follow("/resting", kindData)
		b.read(&zkconn.Answer{Err: zkconn.ErrThrottled})
		registration := b.follow("/r", kindStat)
		waiting := b.follow("/b", kindData)
		parked := b.follow("/parked", kindData)
		ws := b.Next(1, func(int) bool { return true })
		b.Answered(parked.watch.wire(), holding(8, ""))
		parked.leave()
		tree := &treeFollower{}
		if err := b.JoinTree(Shape{Path: "/tree"}, tree, func(*Assembler) {}); err != nil {
			t.Fatal(err)
		}
		if got := b.Stats(); got.Streams != 4 {
			t.Errorf("%d streams", got.Streams)
		}
		b.Stop()
		b.check()
		if tree.ended != zkconn.ErrClosed {
			t.Errorf("a tree's stream ended by %v", tree.ended)
		}
		for _, f := range []*follower{f, waiting, registration, resting} {
			if f.ended != zkconn.ErrClosed {
				t.Errorf("a stream ended by %v", f.ended)
			}
		}
		if got := b.Stats(); got.Streams != 0 || got.Watches[kindData] != (WatchStats{}) {
			t.Errorf("%+v", got)
		}
		if len(b.resting[0].watches) > 0 || b.resting[0].timer.Stop() {
			t.Error("a watch still rests")
		}
		f.wants(`/a "x"`)

		// What comes afterwards does nothing.
		for _, w := range ws {
			if b.answer(w, holding(9, "y")) {
				t.Error("the watch is to be set")
			}
		}
		b.Armed(ws, 9)
		b.Unarmed(ws)
		b.Fired("/root/a", zk.EventNodeDataChanged)
		b.Attached(true)
		waiting.wants()
		b.asked()
		if err := b.Join("/c", kindData, &follower{b: b}, func(Watch) { t.Error("there is a watch") }); err != zkconn.ErrClosed {
			t.Error(err)
		}
		b.Stop()
	})
}

// What is read for registrations goes first, the rest in the order in which it became stale; nothing is taken that would not do.
func TestStaleWatchesAreTakenInOrder(t *testing.T) {
	b := newBench(t)
	b.follow("/a", kindData)
	left := b.follow("/left", kindChildren)
	b.follow("/c", kindChildren)
	b.follow("/r", kindStat)
	left.leave()
	if ws := b.Next(4, func(int) bool { t.Error("asked"); return true }); ws != nil {
		t.Errorf("%q, although there are only three", named(ws))
	}
	n := 0
	ws := b.Next(3, func(size int) bool {
		if size != 0 {
			t.Errorf("the size is %d, although nothing is known", size)
		}
		n++
		return n <= 2
	})
	if got, want := named(ws), []string{"stat /root/r", "data /root/a"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	b.check()
	b.asked("children /root/c")
	b.asked()
	if b.stale != nil || b.urgent != nil {
		t.Error("something is left")
	}

	// A registration's watch has no place among the others, nor the other way round.
	for _, k := range []kind{kindStat, kindData} {
		b := newBench(t)
		b.follow("/x", k)
		if n := len(b.urgent); n != map[kind]int{kindStat: 1, kindData: 0}[k] {
			t.Errorf("%d of %v are urgent", n, k)
		}
	}
}

// The connection may still ask after an answer that came before the end.
func TestNothingIsAssembledAfterTheEnd(t *testing.T) {
	b := newBench(t)
	tree := &treeFollower{}
	if err := b.JoinTree(Shape{Path: "/a", Depth: 9, Max: 100}, tree, func(*Assembler) {}); err != nil {
		t.Fatal(err)
	}
	answer := func() {
		for _, w := range b.Next(1, func(int) bool { return true }) {
			a := &zkconn.Answer{Exists: true, Stat: zk.Stat{Czxid: 1, NumChildren: 2}, Zxid: 7, Armed: true}
			if w.Kind == kindChildren {
				a.Names = []string{"x", "y"}
			}
			b.Answered(w, a)
		}
	}
	answer()
	b.Drained()
	answer()
	if len(b.assembling) == 0 {
		t.Error("there is nothing to assemble")
	}
	b.Stop()
	if known := b.Drained(); known != nil || b.stale != nil {
		t.Errorf("%v are to be set", known)
	}
	b.Dismantle()
	b.Recheck()
	b.check()
	if err := b.Busy(); err != nil {
		t.Error(err)
	}
}

// What a batch has read is published before its watch is set. If the node and its parent are made again in between, a tree that knows the
// new parent does not show the old child below it.
func TestATreeReadsAChildAgainThatIsOlderThanItsParent(t *testing.T) {
	made := func(czxid, zxid int64, children int32) *zkconn.Answer {
		return &zkconn.Answer{Exists: true, Stat: zk.Stat{Czxid: czxid, Mzxid: czxid, Pzxid: zxid, NumChildren: children}, Zxid: zxid, Armed: true}
	}
	b := newBench(t)
	b.follow("/s/x", kindData)
	b.read(unarmed(made(10, 10, 0)))
	var tree *Assembler
	if err := b.JoinTree(Shape{Path: "/s", Depth: 1, Max: 10}, &treeFollower{}, func(a *Assembler) { tree = a }); err != nil {
		t.Fatal(err)
	}
	b.read(made(20, 21, 1))
	b.Drained()
	list := made(20, 21, 1)
	list.Names = []string{"x"}
	b.read(list)
	b.Drained()
	if tree.last.Len() != 0 {
		t.Errorf("a tree of %d nodes was delivered", tree.last.Len())
	}
	b.read(made(21, 21, 0))
	b.Drained()
	if tree.last.Len() != 2 {
		t.Errorf("the tree has %d nodes, want 2", tree.last.Len())
	}
}

// The answer that a child has come and the one that it has gone may come together.
func TestWhatComesAndGoesBetweenTwoSnapshotsIsNone(t *testing.T) {
	at := func(czxid, mzxid, pzxid, zxid int64, names ...string) *zkconn.Answer {
		return &zkconn.Answer{Exists: true, Names: names, Zxid: zxid, Armed: true,
			Stat: zk.Stat{Czxid: czxid, Mzxid: mzxid, Pzxid: pzxid, NumChildren: int32(len(names))}}
	}
	for _, shape := range []Shape{{Path: "/s", Depth: 1, Max: 10}, {Path: "/s", Depth: 1, Max: 10, Instances: true}} {
		b := newBench(t)
		follower := &treeFollower{}
		var tree *Assembler
		if err := b.JoinTree(shape, follower, func(a *Assembler) { tree = a }); err != nil {
			t.Fatal(err)
		}
		if !shape.Instances {
			b.read(at(20, 20, 21, 21, "x")) // its content
			b.Drained()
		}
		b.read(at(20, 20, 21, 21, "x"))
		b.Drained()
		x := at(21, 21, 21, 21)
		b.read(x)
		b.Drained()
		if follower.changes != 1 || tree.last.Len() != 2 {
			t.Fatalf("%+v: %d snapshots, the last has %d nodes", shape, follower.changes, tree.last.Len())
		}
		first := tree.last
		b.Fired("/root/s", zk.EventNodeChildrenChanged)
		b.read(at(20, 20, 22, 22, "x", "y"))
		b.Drained()
		reads := b.Next(1, func(int) bool { return true })
		b.Fired("/root/s", zk.EventNodeChildrenChanged)
		reads = append(reads, b.Next(1, func(int) bool { return true })...)
		if len(reads) != 2 {
			t.Fatalf("%+v: %q is asked for", shape, named(reads))
		}
		b.answer(reads[0], at(22, 22, 22, 22))
		b.answer(reads[1], at(20, 20, 23, 23, "x"))
		b.Drained()
		if follower.changes != 1 || tree.last.Len() != 2 {
			t.Errorf("%+v: %d snapshots, the last has %d nodes", shape, follower.changes, tree.last.Len())
		}
		b.Fired("/root/s/x", zk.EventNodeDataChanged)
		b.read(at(21, 24, 21, 24))
		b.Drained()
		if follower.changes != 2 || tree.last.Len() != 2 || first.Children()[0].Node().Stat().Mzxid != 21 {
			t.Errorf("%+v: then %d snapshots, the last has %d nodes", shape, follower.changes, tree.last.Len())
		}
	}
}
