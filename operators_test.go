package zkstream_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
)

func TestNextReceivesOneSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := numbers()
		s := h.Stream(t.Context())
		h.Set(1)
		if v, err := s.Next(t.Context()); v != 1 || err != nil {
			t.Errorf("Next: %d, %v", v, err)
		}
		go func() { time.Sleep(time.Second); h.Set(2) }()
		if v, err := s.Next(t.Context()); v != 2 || err != nil {
			t.Errorf("Next: %d, %v", v, err)
		}
		cause := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, cause)
		defer cancel()
		begun := time.Now()
		if v, err := s.Next(ctx); v != 0 || err != cause || time.Since(begun) != time.Second {
			t.Errorf("Next: %d, %v after %v", v, err, time.Since(begun))
		}
		h.Set(3)
		for range 100 {
			if v, err := s.Next(ctx); v != 0 || err != cause {
				t.Fatalf("Next with a context that has ended: %d, %v", v, err)
			}
		}
		h.End(zk.ErrNoAuth)
		if v, err := s.Next(t.Context()); v != 3 || err != nil {
			t.Errorf("Next: %d, %v; want the last snapshot", v, err)
		}
		if v, err := s.Next(t.Context()); v != 0 || err != zk.ErrNoAuth {
			t.Errorf("Next at the end: %d, %v", v, err)
		}
	})
}

func TestDistinctLeavesOutWhatIsTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := numbers()
		out := zkstream.Distinct(h.Stream(t.Context()), func(a, b int) bool { return a/10 == b/10 })
		var got []int
		for _, v := range []int{0, 5, 11, 12, 9, 19, 20, 29} {
			h.Set(v)
			synctest.Wait()
			select {
			case v := <-out.C():
				got = append(got, v)
			default:
			}
		}
		if want := []int{0, 11, 9, 19, 20}; !slices.Equal(got, want) {
			t.Errorf("received %v, want %v", got, want)
		}
		h.End(zk.ErrNoAuth)
		if err := ended(t, out); err != zk.ErrNoAuth {
			t.Error(err)
		}
	})
}

func TestSettleWaitsForQuietButNotForEver(t *testing.T) {
	const quiet, most = time.Second, 5 * time.Second
	synctest.Test(t, func(t *testing.T) {
		h := numbers()
		out := zkstream.Settle(h.Stream(t.Context()), quiet, most)
		begun := time.Now()
		receive := func(want int, at time.Duration) {
			t.Helper()
			v, err := out.Next(t.Context())
			if err != nil || v != want || time.Since(begun) != at {
				t.Errorf("received %d, %v at %v, want %d at %v", v, err, time.Since(begun), want, at)
			}
			begun = time.Now()
		}
		// One alone.
		h.Set(1)
		receive(1, quiet)
		// One after a long time.
		time.Sleep(time.Hour)
		begun = time.Now()
		h.Set(2)
		receive(2, quiet)
		// A burst: quiet after its last.
		go func() {
			for i := range 4 {
				h.Set(10 + i)
				time.Sleep(quiet / 2)
			}
		}()
		receive(13, 3*quiet/2+quiet)
		// One that does not stop: most after its first.
		stop := make(chan struct{})
		go func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(quiet - time.Millisecond):
					h.Set(100 + i)
				}
			}
		}()
		receive(105, quiet-time.Millisecond+most)
		close(stop)
		synctest.Wait()
		out.Close()
	})
}

func TestSettleDeliversWhatWaitsWhenItsSourceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := numbers()
		out := zkstream.Settle(h.Stream(t.Context()), time.Hour, time.Hour)
		h.Set(1)
		synctest.Wait()
		begun := time.Now()
		h.Finish(2, zk.ErrNoAuth)
		if got := received(t, out); !slices.Equal(got, []int{2}) || out.Err() != zk.ErrNoAuth || time.Since(begun) != 0 {
			t.Errorf("received %v, %v after %v", got, out.Err(), time.Since(begun))
		}
		// Nothing waits.
		g := numbers()
		out = zkstream.Settle(g.Stream(t.Context()), time.Second, time.Hour)
		g.Set(1)
		time.Sleep(time.Minute)
		g.End(zk.ErrNoAuth)
		if got := received(t, out); !slices.Equal(got, []int{1}) {
			t.Errorf("received %v", got)
		}
	})
}

func TestSettleWithoutADurationDeliversAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, d := range [][2]time.Duration{{0, time.Hour}, {time.Hour, 0}, {-1, time.Hour}, {time.Hour, -1}, {0, 0}} {
			h := numbers()
			out := zkstream.Settle(h.Stream(t.Context()), d[0], d[1])
			begun := time.Now()
			for i := range 3 {
				h.Set(i)
				if v, err := out.Next(t.Context()); v != i || err != nil || time.Since(begun) != 0 {
					t.Errorf("%v: received %d, %v after %v", d, v, err, time.Since(begun))
				}
			}
			out.Close()
		}
	})
}

func TestCombineDeliversWhatBothHadLastBeforeItEnds(t *testing.T) {
	for i := range 100 { // which of the two is looked at first is left to chance
		synctest.Test(t, func(t *testing.T) {
			a, b := numbers(), numbers()
			hold := make(chan struct{})
			out := zkstream.Combine(a.Stream(t.Context()), b.Stream(t.Context()), func(x, y int) int { <-hold; return 10*x + y })
			a.Set(1)
			b.Set(1)
			synctest.Wait()
			first, second := a, b
			if i%2 == 0 {
				first, second = b, a
			}
			first.Set(2)
			second.Finish(2, zk.ErrNoAuth)
			close(hold)
			if got := received(t, out); len(got) == 0 || got[len(got)-1] != 22 || out.Err() != zk.ErrNoAuth {
				t.Errorf("received %v, %v", got, out.Err())
			}
		})
	}
}

func TestCombineOfOneStreamWithItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &zkstream.Source[error]{} // an interface, which may be nil
		s := h.Stream(t.Context())
		out := zkstream.Combine(s, s, func(a, b error) string { return fmt.Sprint(a, " ", b) })
		for _, c := range []struct {
			err  error
			want string
		}{{nil, "<nil> <nil>"}, {errors.New("x"), "x x"}, {nil, "<nil> <nil>"}} {
			h.Set(c.err)
			if got := next(t, out); got != c.want {
				t.Errorf("received %q, want %q", got, c.want)
			}
		}
		out.Close()
		synctest.Wait()
		if s.Err() != zkstream.ErrClosed {
			t.Errorf("the source: %v", s.Err())
		}
	})
}

func TestAFunctionThatEndsItsGoroutineEndsTheResult(t *testing.T) {
	for name, build := range map[string]func(s *zkstream.Stream[int]) *zkstream.Stream[int]{
		"Map": func(s *zkstream.Stream[int]) *zkstream.Stream[int] {
			return zkstream.Map(s, func(int) int { runtime.Goexit(); return 0 })
		},
		"Filter": func(s *zkstream.Stream[int]) *zkstream.Stream[int] {
			return zkstream.Filter(s, func(int) bool { runtime.Goexit(); return true })
		},
		"Distinct": func(s *zkstream.Stream[int]) *zkstream.Stream[int] {
			return zkstream.Distinct(s, func(a, b int) bool { runtime.Goexit(); return true })
		},
		"Combine": func(s *zkstream.Stream[int]) *zkstream.Stream[int] {
			h := numbers()
			h.Set(1)
			return zkstream.Combine(s, h.Stream(context.Background()), func(a, b int) int { runtime.Goexit(); return 0 })
		},
		"Switch": func(s *zkstream.Stream[int]) *zkstream.Stream[int] {
			return zkstream.Switch(s, func(context.Context, int) *zkstream.Stream[int] { runtime.Goexit(); return nil })
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := numbers()
			s := h.Stream(t.Context())
			out := build(s)
			h.Set(1)
			synctest.Wait()
			h.Set(2)
			if err := ended(t, out); err != zkstream.ErrExit {
				t.Errorf("%s: Err is %v", name, err)
			}
			synctest.Wait()
			if s.Err() != zkstream.ErrClosed || h.Streams() != 0 {
				t.Errorf("%s: the source is left open: %v", name, s.Err())
			}
		})
	}
}

func TestOperatorsOverTheZeroStreamHaveEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which fails if a goroutine is left
		zero := func() *zkstream.Stream[int] { return &zkstream.Stream[int]{} }
		for name, build := range map[string]func(open *zkstream.Stream[int]) *zkstream.Stream[int]{
			"Map": func(*zkstream.Stream[int]) *zkstream.Stream[int] {
				return zkstream.Map(zero(), func(v int) int { return v })
			},
			"Filter": func(*zkstream.Stream[int]) *zkstream.Stream[int] {
				return zkstream.Filter(zero(), func(int) bool { return true })
			},
			"Distinct": func(*zkstream.Stream[int]) *zkstream.Stream[int] {
				return zkstream.Distinct(zero(), func(a, b int) bool { return true })
			},
			"Settle": func(*zkstream.Stream[int]) *zkstream.Stream[int] { return zkstream.Settle(zero(), 1, 1) },
			"Combine": func(open *zkstream.Stream[int]) *zkstream.Stream[int] {
				return zkstream.Combine(zero(), open, func(a, b int) int { return a })
			},
			"Combine other": func(open *zkstream.Stream[int]) *zkstream.Stream[int] {
				return zkstream.Combine(open, zero(), func(a, b int) int { return a })
			},
			"Merge": func(open *zkstream.Stream[int]) *zkstream.Stream[int] { return zkstream.Merge(open, zero()) },
			"Switch": func(*zkstream.Stream[int]) *zkstream.Stream[int] {
				return zkstream.Switch(zero(), func(context.Context, int) *zkstream.Stream[int] { return nil })
			},
		} {
			open := numbers().Stream(t.Context())
			out := build(open)
			if err := ended(t, out); err != zkstream.ErrClosed {
				t.Errorf("%s: Err is %v", name, err)
			}
			open.Close()
		}
		z := zero()
		z.Close()
		if z.Err() != zkstream.ErrClosed {
			t.Errorf("the zero Stream after Close: %v", z.Err())
		}
	})
}
