package zkstream

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
)

// numbers is a source for tests of Stream alone.
func numbers() *hub[int] { return &hub[int]{} }

// close ends all streams, and leaves the last value as it is.
func (h *hub[T]) close(reason error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closeLocked(reason)
}

func TestAStreamHoldsTheNewestAndNobodyWaits(t *testing.T) {
	h := numbers()
	slow, fast := h.stream(t.Context()), h.stream(t.Context())
	for i := range 300 {
		h.set(i)
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
	s := h.stream(t.Context())
	if _, ok := s.Latest(); ok {
		t.Error("a snapshot before the first")
	}
	h.set(7)
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
	cancelled, closed, over := h.stream(ctx), h.stream(t.Context()), h.stream(t.Context())
	for _, s := range []*Stream[int]{cancelled, closed, over} {
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
	if err := ended(t, closed); err != ErrClosed {
		t.Errorf("closed: %v", err)
	}
	if n := len(h.subs); n != 1 {
		t.Errorf("%d streams left on the source, want 1", n)
	}
	h.close(zk.ErrNoAuth)
	if err := ended(t, over); err != zk.ErrNoAuth {
		t.Errorf("ended by its source: %v", err)
	}
	if s := h.stream(ctx); s.C() == nil || ended(t, s) != cause {
		t.Errorf("opened with an ended context: %v", s.Err())
	}
	if s := h.stream(t.Context()); s.C() == nil || ended(t, s) != zk.ErrNoAuth {
		t.Errorf("opened on an ended source: %v", s.Err())
	}
}

func TestAllAndForEach(t *testing.T) {
	h := numbers()
	s := h.stream(t.Context())
	h.set(1)
	for v := range s.All() {
		if v == 3 {
			break
		}
		h.set(v + 1)
	}
	if s.Err() != nil {
		t.Fatal("breaking out of All ended the stream")
	}
	stop := errors.New("stop")
	h.set(10)
	err := s.ForEach(func(v int) error {
		if v == 12 {
			return stop
		}
		h.set(v + 1)
		return nil
	})
	if err != stop || s.Err() != ErrClosed {
		t.Errorf("ForEach = %v, Err = %v", err, s.Err())
	}
	other := h.stream(t.Context())
	h.close(zk.ErrNoAuth)
	if err := other.ForEach(func(int) error { return nil }); err != zk.ErrNoAuth {
		t.Errorf("ForEach to the end = %v", err)
	}
}

func TestMapAndFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := numbers()
		s := h.stream(t.Context())
		even := Filter(s, func(v int) bool { return v%2 == 0 })
		text := Map(even, func(v int) string { return fmt.Sprint(v) })
		for i := range 4 {
			h.set(i)
			synctest.Wait()
		}
		if v := <-text.C(); v != "2" {
			t.Errorf("got %q", v)
		}
		text.Close()
		synctest.Wait()
		if s.Err() != ErrClosed || even.Err() != ErrClosed || len(h.subs) != 0 {
			t.Errorf("closing the result left %v, %v and %d streams on the source", s.Err(), even.Err(), len(h.subs))
		}
	})
}

func TestOperatorsEndWithTheReasonOfTheirSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		build := map[string]func(a, b *Stream[int]) *Stream[int]{
			"Map":    func(a, b *Stream[int]) *Stream[int] { b.Close(); return Map(a, func(v int) int { return v }) },
			"Filter": func(a, b *Stream[int]) *Stream[int] { b.Close(); return Filter(a, func(int) bool { return true }) },
			"Merge":  func(a, b *Stream[int]) *Stream[int] { return Merge(b, a) },
			"Combine": func(a, b *Stream[int]) *Stream[int] {
				return Combine(b, a, func(x, y int) int { return x + y })
			},
		}
		for name, build := range build {
			h, g := numbers(), numbers()
			a, b := h.stream(t.Context()), g.stream(t.Context())
			out := build(a, b)
			h.set(1)
			g.set(2)
			h.close(zk.ErrNoAuth)
			if err := ended(t, out); err != zk.ErrNoAuth {
				t.Errorf("%s: Err = %v", name, err)
			}
			synctest.Wait()
			if b.Err() != ErrClosed || len(g.subs) != 0 {
				t.Errorf("%s: the other source was left open", name)
			}
		}
	})
}

func TestCombineUsesTheNewestOfBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, g := numbers(), &hub[string]{}
		out := Combine(h.stream(t.Context()), g.stream(t.Context()), func(n int, s string) string { return fmt.Sprint(n, s) })
		h.set(1)
		synctest.Wait()
		empty(t, out, "before both sources have one")
		g.set("a")
		if v := <-out.C(); v != "1a" {
			t.Errorf("got %q", v)
		}
		h.set(2)
		if v := <-out.C(); v != "2a" {
			t.Errorf("got %q", v)
		}
		out.Close()
	})
}

func TestMergeKeepsTheNewestOfEachSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hubs []*hub[int]
		var streams []*Stream[int]
		for range 50 {
			h := numbers()
			hubs = append(hubs, h)
			streams = append(streams, h.stream(t.Context()))
		}
		out := Merge(streams...)
		for version := range 300 {
			for i, h := range hubs {
				h.set(version*100 + i)
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
		if err := ended(t, out); err != ErrClosed {
			t.Error(err)
		}
		synctest.Wait()
		for _, h := range hubs {
			if len(h.subs) != 0 {
				t.Fatal("closing the result left a source open")
			}
		}
	})
	if err := ended(t, Merge[int]()); err != ErrClosed {
		t.Errorf("Merge of nothing: %v", err)
	}
}

func TestMergeTakesMerges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hubs []*hub[int]
		source := func() *Stream[int] {
			h := numbers()
			hubs = append(hubs, h)
			return h.stream(t.Context())
		}
		out := Merge(Merge(source(), Merge(source(), source())), source(), Merge(source()))
		for round := range 3 {
			for version := range 10 {
				for i, h := range hubs {
					h.set(round*10000 + version*100 + i)
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
			h.set(i)
			synctest.Wait()
		}
		out.Close()
		if err := ended(t, out); err != ErrClosed {
			t.Error(err)
		}
		synctest.Wait()
		for i, h := range hubs {
			if len(h.subs) != 0 {
				t.Errorf("closing the result left source %d open", i)
			}
		}

		inner := numbers()
		out = Merge(Merge(inner.stream(t.Context()), numbers().stream(t.Context())), numbers().stream(t.Context()))
		inner.set(1)
		synctest.Wait()
		inner.close(zk.ErrNoAuth)
		if err := ended(t, out); err != zk.ErrNoAuth {
			t.Errorf("a source of a source has ended: %v", err)
		}
	})
}

// A Merge that is read by two goroutines while it is written and closed: for the race detector.
func TestOperatorsUnderContention(t *testing.T) {
	for range 50 {
		h, g := numbers(), numbers()
		out := Merge(Map(h.stream(t.Context()), func(v int) int { return v }), Merge(g.stream(t.Context()), h.stream(t.Context())))
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for range out.C() {
				}
			})
		}
		for _, h := range []*hub[int]{h, g} {
			wg.Go(func() {
				for i := range 100 {
					h.set(i)
				}
			})
		}
		wg.Go(func() { runtime.Gosched(); out.Close() })
		wg.Wait()
		if out.Err() != ErrClosed {
			t.Fatal(out.Err())
		}
	}
}

func TestAStreamLeavesNothingInItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	h := numbers()
	for range 1000 { // two ways to end, both before the context does
		h.stream(ctx).Close()
	}
	before := heap()
	for range 50_000 {
		h.stream(ctx).Close()
	}
	g := numbers()
	for range 1000 {
		g.stream(ctx)
	}
	g.close(ErrClosed)
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
		wg.Go(func() { h.set(i) })
		s := h.stream(ctx)
		wg.Go(func() { h.close(ErrClosed) })
		if err := ended(t, s); err != context.Canceled && err != ErrClosed {
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
	var all []*Stream[int]
	for i := range 100 {
		of := ctx
		if i%2 == 0 {
			of = context.WithValue(ctx, key{}, i)
		}
		all = append(all, h.stream(of))
	}
	other := h.stream(t.Context())
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
			want = ErrClosed
		}
		if err := ended(t, s); err != want {
			t.Errorf("stream %d ended with %v, want %v", i, err, want)
		}
	}
	h.set(1)
	if next(t, other) != 1 || len(h.subs) != 1 {
		t.Errorf("%d streams are left", len(h.subs))
	}
	other.Close()
	scopes.mu.Lock()
	defer scopes.mu.Unlock()
	if sc := scopes.open[ctx.Done()]; sc != nil {
		t.Errorf("the scope is left, with %d streams", len(sc.members))
	}
}
