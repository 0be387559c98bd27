package zkstream_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
)

// numbers is a source for tests of Stream alone.
func numbers() *zkstream.Source[int] { return &zkstream.Source[int]{} }

func TestAStreamHoldsTheNewestAndNobodyWaits(t *testing.T) {
	h := numbers()
	slow, fast := h.Stream(t.Context()), h.Stream(t.Context())
	for i := range 300 {
		h.Set(i)
		if got := <-fast.C(); got != i {
			t.Fatalf("got %d, want %d", got, i)
		}
	}
	if got := <-slow.C(); got != 299 {
		t.Errorf("slow consumer got %d, want the newest, 299", got)
	}
	empty(t, slow, "after the newest")
}

func TestLatestLeavesTheSnapshotInTheChannel(t *testing.T) {
	h := numbers()
	s := h.Stream(t.Context())
	if _, ok := s.Latest(); ok {
		t.Error("a snapshot before the first")
	}
	h.Set(7)
	for range 2 {
		if v, ok := s.Latest(); v != 7 || !ok {
			t.Errorf("Latest = %d, %v", v, ok)
		}
	}
	if v := <-s.C(); v != 7 {
		t.Errorf("received %d", v)
	}
	s.Close()
	if v, ok := s.Latest(); v != 7 || !ok {
		t.Errorf("after the end, Latest = %d, %v", v, ok)
	}
}

func TestEveryEndHasAReason(t *testing.T) {
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	h := numbers()
	cancelled, closed, over := h.Stream(ctx), h.Stream(t.Context()), h.Stream(t.Context())
	for _, s := range []*zkstream.Stream[int]{cancelled, closed, over} {
		if err := s.Err(); err != nil {
			t.Errorf("open stream has Err %v", err)
		}
	}
	cancel(cause)
	if err := ended(t, cancelled); err != cause {
		t.Errorf("cancelled: %v", err)
	}
	closed.Close()
	closed.Close()
	if err := ended(t, closed); err != zkstream.ErrClosed {
		t.Errorf("closed: %v", err)
	}
	if n := h.Streams(); n != 1 {
		t.Errorf("%d streams left on the source, want 1", n)
	}
	h.End(zk.ErrNoAuth)
	if err := ended(t, over); err != zk.ErrNoAuth {
		t.Errorf("ended by its source: %v", err)
	}
	if s := h.Stream(ctx); s.C() == nil || ended(t, s) != cause {
		t.Errorf("opened with an ended context: %v", s.Err())
	}
	if s := h.Stream(t.Context()); s.C() == nil || ended(t, s) != zk.ErrNoAuth {
		t.Errorf("opened on an ended source: %v", s.Err())
	}
}

func TestAllAndForEach(t *testing.T) {
	h := numbers()
	s := h.Stream(t.Context())
	h.Set(1)
	for v := range s.All() {
		if v == 3 {
			break
		}
		h.Set(v + 1)
	}
	if s.Err() != nil {
		t.Fatal("breaking out of All ended the stream")
	}
	stop := errors.New("stop")
	h.Set(10)
	err := s.ForEach(func(v int) error {
		if v == 12 {
			return stop
		}
		h.Set(v + 1)
		return nil
	})
	if err != stop || s.Err() != zkstream.ErrClosed {
		t.Errorf("ForEach = %v, Err = %v", err, s.Err())
	}
	other := h.Stream(t.Context())
	h.End(zk.ErrNoAuth)
	if err := other.ForEach(func(int) error { return nil }); err != zk.ErrNoAuth {
		t.Errorf("ForEach to the end = %v", err)
	}
}

func TestMapAndFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := numbers()
		s := h.Stream(t.Context())
		even := zkstream.Filter(s, func(v int) bool { return v%2 == 0 })
		text := zkstream.Map(even, func(v int) string { return fmt.Sprint(v) })
		for i := range 4 {
			h.Set(i)
			synctest.Wait()
		}
		if v := <-text.C(); v != "2" {
			t.Errorf("got %q", v)
		}
		text.Close()
		synctest.Wait()
		if s.Err() != zkstream.ErrClosed || even.Err() != zkstream.ErrClosed || h.Streams() != 0 {
			t.Errorf("closing the result left %v, %v and %d streams on the source", s.Err(), even.Err(), h.Streams())
		}
	})
}

func TestOperatorsEndWithTheReasonOfTheirSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		build := map[string]func(a, b *zkstream.Stream[int]) *zkstream.Stream[int]{
			"Map": func(a, b *zkstream.Stream[int]) *zkstream.Stream[int] {
				b.Close()
				return zkstream.Map(a, func(v int) int { return v })
			},
			"Filter": func(a, b *zkstream.Stream[int]) *zkstream.Stream[int] {
				b.Close()
				return zkstream.Filter(a, func(int) bool { return true })
			},
			"Merge": func(a, b *zkstream.Stream[int]) *zkstream.Stream[int] { return zkstream.Merge(b, a) },
			"Combine": func(a, b *zkstream.Stream[int]) *zkstream.Stream[int] {
				return zkstream.Combine(b, a, func(x, y int) int { return x + y })
			},
		}
		for name, build := range build {
			h, g := numbers(), numbers()
			a, b := h.Stream(t.Context()), g.Stream(t.Context())
			out := build(a, b)
			h.Set(1)
			g.Set(2)
			h.End(zk.ErrNoAuth)
			if err := ended(t, out); err != zk.ErrNoAuth {
				t.Errorf("%s: Err = %v", name, err)
			}
			synctest.Wait()
			if b.Err() != zkstream.ErrClosed || g.Streams() != 0 {
				t.Errorf("%s: the other source was left open", name)
			}
		}
	})
}

func TestCombineUsesTheNewestOfBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, g := numbers(), &zkstream.Source[string]{}
		out := zkstream.Combine(h.Stream(t.Context()), g.Stream(t.Context()), func(n int, s string) string { return fmt.Sprint(n, s) })
		h.Set(1)
		synctest.Wait()
		empty(t, out, "before both sources have one")
		g.Set("a")
		if v := <-out.C(); v != "1a" {
			t.Errorf("got %q", v)
		}
		h.Set(2)
		if v := <-out.C(); v != "2a" {
			t.Errorf("got %q", v)
		}
		out.Close()
	})
}

func TestMergeKeepsTheNewestOfEachSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hubs []*zkstream.Source[int]
		var streams []*zkstream.Stream[int]
		for range 50 {
			h := numbers()
			hubs = append(hubs, h)
			streams = append(streams, h.Stream(t.Context()))
		}
		out := zkstream.Merge(streams...)
		for version := range 300 {
			for i, h := range hubs {
				h.Set(version*100 + i)
			}
		}
		synctest.Wait()
		var got []int
		for range hubs {
			got = append(got, <-out.C())
		}
		slices.Sort(got)
		for i := range hubs {
			if got[i] != 299*100+i {
				t.Fatalf("got %v", got)
			}
		}
		synctest.Wait()
		empty(t, out, "after the newest of each")
		out.Close()
		if err := ended(t, out); err != zkstream.ErrClosed {
			t.Error(err)
		}
		synctest.Wait()
		for _, h := range hubs {
			if h.Streams() != 0 {
				t.Fatal("closing the result left a source open")
			}
		}
	})
	if err := ended(t, zkstream.Merge[int]()); err != zkstream.ErrClosed {
		t.Errorf("Merge of nothing: %v", err)
	}
}

func TestMergeTakesMerges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hubs []*zkstream.Source[int]
		source := func() *zkstream.Stream[int] {
			h := numbers()
			hubs = append(hubs, h)
			return h.Stream(t.Context())
		}
		out := zkstream.Merge(zkstream.Merge(source(), zkstream.Merge(source(), source())), source(), zkstream.Merge(source()))
		for round := range 3 {
			for version := range 10 {
				for i, h := range hubs {
					h.Set(round*10000 + version*100 + i)
				}
				synctest.Wait()
			}
			newest := make([]int, len(hubs))
			for received := true; received; {
				select {
				case v := <-out.C():
					i := v % 100
					if v < newest[i] {
						t.Errorf("source %d: %d after %d", i, v, newest[i])
					}
					newest[i] = v
				default:
					received = false
				}
				synctest.Wait()
			}
			for i, v := range newest {
				if want := round*10000 + 900 + i; v != want {
					t.Errorf("source %d: the newest is %d, want %d", i, v, want)
				}
			}
		}
		for i, h := range hubs { // with nobody to receive
			h.Set(i)
			synctest.Wait()
		}
		out.Close()
		if err := ended(t, out); err != zkstream.ErrClosed {
			t.Error(err)
		}
		synctest.Wait()
		for i, h := range hubs {
			if h.Streams() != 0 {
				t.Errorf("closing the result left source %d open", i)
			}
		}

		inner := numbers()
		out = zkstream.Merge(zkstream.Merge(inner.Stream(t.Context()), numbers().Stream(t.Context())), numbers().Stream(t.Context()))
		inner.Set(1)
		synctest.Wait()
		inner.End(zk.ErrNoAuth)
		if err := ended(t, out); err != zk.ErrNoAuth {
			t.Errorf("a source of a source has ended: %v", err)
		}
	})
}

// A Merge that is read by two goroutines while it is written and closed: for the race detector.
func TestOperatorsUnderContention(t *testing.T) {
	for range 50 {
		h, g := numbers(), numbers()
		out := zkstream.Merge(zkstream.Map(h.Stream(t.Context()), func(v int) int { return v }), zkstream.Merge(g.Stream(t.Context()), h.Stream(t.Context())))
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for range out.C() {
				}
			})
		}
		for _, h := range []*zkstream.Source[int]{h, g} {
			wg.Go(func() {
				for i := range 100 {
					h.Set(i)
				}
			})
		}
		wg.Go(func() { runtime.Gosched(); out.Close() })
		wg.Wait()
		if out.Err() != zkstream.ErrClosed {
			t.Fatal(out.Err())
		}
	}
}

func TestAStreamLeavesNothingInItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	h := numbers()
	for range 1000 { // two ways to end, both before the context does
		h.Stream(ctx).Close()
	}
	before := heap()
	for range 50_000 {
		h.Stream(ctx).Close()
	}
	g := numbers()
	for range 1000 {
		g.Stream(ctx)
	}
	g.End(zkstream.ErrClosed)
	if grown := heap() - before; grown > 1<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A context that ends while a stream is opened and closed: for the race detector.
func TestAContextThatEndsAtAnyInstant(t *testing.T) {
	for i := range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		h := numbers()
		var wg sync.WaitGroup
		wg.Go(cancel)
		wg.Go(func() { h.Set(i) })
		s := h.Stream(ctx)
		wg.Go(func() { h.End(zkstream.ErrClosed) })
		if err := ended(t, s); err != context.Canceled && err != zkstream.ErrClosed {
			t.Fatal(err)
		}
		wg.Wait()
	}
}

// The streams of one context share the wait for its end, and leave nothing behind.
func TestStreamsOfOneContextEndWithIt(t *testing.T) {
	type key struct{}
	ctx, cancel := context.WithCancelCause(t.Context())
	h := numbers()
	var all []*zkstream.Stream[int]
	for i := range 100 {
		of := ctx
		if i%2 == 0 {
			of = context.WithValue(ctx, key{}, i)
		}
		all = append(all, h.Stream(of))
	}
	other := h.Stream(t.Context())
	for i, s := range all {
		if i%3 == 0 {
			s.Close()
		}
	}
	why := errors.New("why")
	cancel(why)
	for i, s := range all {
		want := why
		if i%3 == 0 {
			want = zkstream.ErrClosed
		}
		if err := ended(t, s); err != want {
			t.Errorf("stream %d ended with %v, want %v", i, err, want)
		}
	}
	h.Set(1)
	if next(t, other) != 1 || h.Streams() != 1 {
		t.Errorf("%d streams are left", h.Streams())
	}
	other.Close()
	if n := zkstream.InScope(ctx); n != 0 {
		t.Errorf("the scope is left, with %d streams", n)
	}
}
