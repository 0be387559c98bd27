package watching

import (
	"testing"

	"github.com/go-zookeeper/zk"
)

// The zxid of an answer is below what the client has written: -1 stands for that, since this client has written nothing, or 0.
func TestAStreamWaitsForTheWatchWhereABatchMayBeOlderThanAWrite(t *testing.T) {
	b := newBench(t)
	b.follow("/a", kindData)
	ws := b.asked("data /root/a")
	b.Answered(ws[0], unarmed(holding(-1, "x")))
	f := b.follow("/a", kindData)
	f.wants()
	b.Armed(ws, 8)
	b.check()
	f.wants(`/a "x" unchanged`)
	b.Armed(ws, 9) // of a recheck
	f.wants()

	// As old as what has been written is new enough.
	b.Fired("/root/a", zk.EventNodeDataChanged)
	ws = b.asked("data /root/a")
	b.Answered(ws[0], unarmed(holding(0, "w")))
	b.follow("/a", kindData).wants(`/a "w" unchanged`)
	b.Armed(ws, 9)

	// An event that comes instead has it read, and the next answer is the stream's, which no longer waits for anything.
	b.Fired("/root/a", zk.EventNodeDataChanged)
	ws = b.asked("data /root/a")
	b.Answered(ws[0], unarmed(holding(-1, "y")))
	late := b.follow("/a", kindData)
	b.Fired("/root/a", zk.EventNodeDataChanged)
	b.read(unarmed(holding(9, "z")))
	late.wants(`/a "z"`)
	b.Armed(ws, 10)
	late.wants()
}

func TestTheLastStreamThatLeavesParksTheWatch(t *testing.T) {
	b := newBench(t)
	f, second := b.follow("/a", kindData), b.follow("/a", kindData)
	f.leave()
	b.is("/root/a", kindData, stale)
	second.leave()
	b.is("/root/a", kindData, none)
	b.asked()
	if len(b.nodes) != 0 {
		t.Errorf("%d nodes are known", len(b.nodes))
	}

	f = b.follow("/a", kindData)
	b.read(holding(7, "x"))
	f.leave()
	b.is("/root/a", kindData, parked)
	if f.watch.last != nil {
		t.Error("a parked watch has content")
	}
	f.wants(`/a "x"`)

	// Who comes back has it read, which sets no watch anew.
	f = b.follow("/a", kindData)
	b.is("/root/a", kindData, stale)
	ws := b.asked("data /root/a")
	f.leave()
	b.is("/root/a", kindData, asked)
	b.Answered(ws[0], holding(8, "y"))
	b.check()
	b.is("/root/a", kindData, parked)
	f.wants()
	b.Fired("/root/a", zk.EventNodeDataChanged)
	b.is("/root/a", kindData, none)

	// Of a batch nobody sets the watch.
	f = b.follow("/a", kindData)
	ws = b.asked("data /root/a")
	f.leave()
	if b.answer(ws[0], unarmed(holding(9, "z"))) {
		t.Error("the watch of nobody is to be set")
	}
	b.check()
	b.is("/root/a", kindData, none)

	// But one that is being set is set.
	f = b.follow("/a", kindData)
	ws = b.asked("data /root/a")
	b.Answered(ws[0], unarmed(holding(10, "z")))
	f.leave()
	b.is("/root/a", kindData, arming)
	b.Armed(ws, 11)
	b.check()
	b.is("/root/a", kindData, parked)
	if got := b.Stats(); got.Streams != 0 {
		t.Errorf("%d streams", got.Streams)
	}
}

// Nobody has to ask for anything where what was read is up to date.
func TestWhoJoinsIsToldWhetherSomethingIsToBeRead(t *testing.T) {
	b := newBench(t)
	join := func(path string) bool {
		return b.joinLocked(path, kindData, &follower{b: b}, func(Watch) {})
	}
	if join("/root/a") {
		t.Error("what was never read is known")
	}
	ws := b.asked("data /root/a")
	if join("/root/a") {
		t.Error("what is being read is known")
	}
	b.Answered(ws[0], unarmed(holding(-1, "x")))
	if join("/root/a") {
		t.Error("what may be older than a write is known")
	}
	b.Armed(ws, 8)
	if !join("/root/a") {
		t.Error("what is watched is not known")
	}
}
