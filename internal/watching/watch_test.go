package watching

import (
	"errors"
	"fmt"
	"testing"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/zkconn"
)

func TestAFinalErrorEndsTheStreams(t *testing.T) {
	b := newBench(t)
	f, second, other := b.follow("/a", kindChildren), b.follow("/a", kindChildren), b.follow("/a", kindData)
	ws := b.asked("children /root/a", "data /root/a")
	if b.answer(ws[0], &zkconn.Answer{Err: zk.ErrNoAuth}) {
		t.Error("its watch is to be set")
	}
	b.check()
	b.is("/root/a", kindChildren, none)
	b.is("/root/a", kindData, asked)
	for _, f := range []*follower{f, second} {
		var failed *PathError
		if !errors.As(f.ended, &failed) || failed.Op != "children" || failed.Path != "/a" || failed.Err != zk.ErrNoAuth {
			t.Errorf("the stream has ended by %v", f.ended)
		}
		f.wants()
	}
	if other.ended != nil || b.Stats().Streams != 1 {
		t.Errorf("another stream ended by %v, there are %d", other.ended, b.Stats().Streams)
	}
	if b.answer(ws[0], holding(7, "")) {
		t.Error("what is left of it is to be set")
	}
	b.check()
}

func TestTheExpectedSizeIsThatOfTheLastAnswer(t *testing.T) {
	b := newBench(t)
	sizes := map[kind]int{kindData: 81 + 100, kindChildren: 81 + 100 + 32*3, kindStat: 81 + 100}
	for k := range sizes {
		f := b.follow("/a", k)
		b.read(&zkconn.Answer{Exists: true, Stat: zk.Stat{DataLength: 100, NumChildren: 3}, Armed: true})
		if got := f.watch.size(); got != sizes[k] {
			t.Errorf("%v: %d bytes are expected, want %d", k, got, sizes[k])
		}
	}
}

// Without a connection nobody takes what is stale, and streams come and go.
func TestTheBacklogDoesNotGrowWithoutAConnection(t *testing.T) {
	for _, k := range []kind{kindData, kindStat} {
		b := newBench(t)
		b.follow("/first", k)
		kept := 0
		for i := range 1000 {
			f := b.follow(fmt.Sprint("/", i), k)
			if i%100 == 99 {
				kept++
			} else {
				f.leave()
			}
			if n := len(b.stale) + len(b.urgent); n > 2*(kept+2)+64+1 {
				t.Fatalf("%d entries for %d stale watches", n, kept)
			}
		}
		if ws := b.Next(1, func(int) bool { return true }); len(ws) != kept+1 || ws[0].Path() != "/root/first" {
			t.Errorf("%d are stale, the first is %s", len(ws), ws[0].Path())
		}
		b.check()
	}

	// One that is stale again before its turn keeps its place, and has one.
	b := newBench(t)
	b.follow("/a", kindChildren) // which keeps the entry
	b.asked("children /root/a")
	f := b.follow("/a", kindData)
	b.follow("/b", kindData)
	f.leave()
	b.follow("/a", kindData)
	b.asked("data /root/a", "data /root/b")
	b.asked()
}

func TestAnEntryIsForgottenWithItsLastWatch(t *testing.T) {
	b := newBench(t)
	data, list, stat := b.follow("/a", kindData), b.follow("/a", kindChildren), b.follow("/a", kindStat)
	if len(b.nodes) != 1 || len(b.presence) != 1 || b.nodes["/root/a"] != data.watch.entry || b.presence["/root/a"] != stat.watch.entry {
		t.Errorf("%d and %d entries", len(b.nodes), len(b.presence))
	}
	data.leave()
	if len(b.nodes) != 1 {
		t.Error("the entry is gone before its last watch")
	}
	// Nothing of the first watch is left for the next.
	b.asked("stat /root/a", "children /root/a")
	data = b.follow("/a", kindData)
	b.read(holding(7, "x"))
	data.leave()
	b.Fired("/root/a", zk.EventNodeDataChanged)
	data = b.follow("/a", kindData)
	b.read(&zkconn.Answer{Err: zkconn.ErrThrottled})
	data.leave()
	if left := *b.nodes["/root/a"].watch(kindData).slot; left != (slot{}) {
		t.Errorf("%+v is left", left)
	}
	data = b.follow("/a", kindData)
	b.read(holding(7, "x"))
	data.wants(`/a "x"`)
	data.leave()
	b.Fired("/root/a", zk.EventNodeDataChanged)

	b.Answered(list.watch.wire(), holding(8, ""))
	b.Answered(stat.watch.wire(), holding(8, ""))
	list.leave()
	stat.leave()
	b.Fired("/root/a", zk.EventNodeDeleted)
	if len(b.nodes)+len(b.presence) != 0 {
		t.Errorf("%d and %d entries are left", len(b.nodes), len(b.presence))
	}
	if err := b.Busy(); err != nil {
		t.Error(err)
	}
	b.follow("/a", kindData)
	if b.unsettledLocked() != 1 {
		t.Error("a stale watch counts as settled")
	}
}
