package zkstream_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
)

// received returns what a stream that has ended still holds.
func received[T any](t *testing.T, s *zkstream.Stream[T]) []T {
	t.Helper()
	var list []T
	for v := range s.All() {
		list = append(list, v)
	}
	if s.Err() == nil {
		t.Error("the stream ended without a reason")
	}
	return list
}

func TestMergeDeliversWhatItsSourcesHadLastBeforeItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("enough")
		for name, end := range map[string]func(h *zkstream.Source[int], cancel context.CancelCauseFunc){
			"source":  func(h *zkstream.Source[int], _ context.CancelCauseFunc) { h.End(cause) },
			"last":    func(h *zkstream.Source[int], _ context.CancelCauseFunc) { h.Finish(4, cause) },
			"context": func(_ *zkstream.Source[int], cancel context.CancelCauseFunc) { cancel(cause) },
		} {
			for _, wait := range []func(){func() {}, synctest.Wait} { // whether Merge has them already
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				a, b, c := numbers(), numbers(), numbers()
				out := zkstream.Merge(a.Stream(ctx), zkstream.Merge(b.Stream(t.Context()), c.Stream(t.Context())))
				a.Set(1)
				a.Set(4)
				b.Set(2)
				c.Set(3)
				wait()
				end(a, cancel)
				synctest.Wait()
				got := received(t, out)
				slices.Sort(got)
				if want := []int{2, 3, 4}; !slices.Equal(got, want) {
					t.Errorf("%s: received %v, want %v", name, got, want)
				}
				if out.Err() != cause {
					t.Errorf("%s: Err is %v", name, out.Err())
				}
				if v, ok := out.Latest(); !ok || v == 0 {
					t.Errorf("%s: Latest is %v, %v", name, v, ok)
				}
			}
		}
	})
}

// What nobody has received stays for whoever comes later, as in any other stream, and takes no goroutine.
func TestMergeThatIsClosedKeepsItsSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := numbers(), numbers()
		out := zkstream.Merge(a.Stream(t.Context()), b.Stream(t.Context()))
		a.Set(1)
		b.Set(2)
		synctest.Wait()
		out.Close()
		if got := received(t, out); !slices.Equal(got, []int{1, 2}) {
			t.Errorf("received %v", got)
		}
	})
}

func TestMergeDeliversTheLastStateOfASession(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			server := zktest.Start(t)
			c := dialled(t, server)
			session := zkstream.Merge(c.Session(t.Context()))
			next(t, session)
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			got := received(t, session)
			if len(got) == 0 || got[len(got)-1].State != zkstream.Closed {
				t.Errorf("received %v, want Closed at the end", got)
			}
		})
	}
}

// A source belongs to one operator. With two of them neither gets everything, but both end.
func TestTwoOperatorsOverOneStreamBothEnd(t *testing.T) {
	operators := map[string]func(*zkstream.Stream[zkstream.Session]) *zkstream.Stream[zkstream.Session]{
		"Merge": func(s *zkstream.Stream[zkstream.Session]) *zkstream.Stream[zkstream.Session] {
			return zkstream.Merge(s)
		},
		"Map": func(s *zkstream.Stream[zkstream.Session]) *zkstream.Stream[zkstream.Session] {
			return zkstream.Map(s, func(v zkstream.Session) zkstream.Session { return v })
		},
		"Settle": func(s *zkstream.Stream[zkstream.Session]) *zkstream.Stream[zkstream.Session] {
			return zkstream.Settle(s, time.Second, time.Minute)
		},
		"Combine": func(s *zkstream.Stream[zkstream.Session]) *zkstream.Stream[zkstream.Session] {
			return zkstream.Combine(s, s, func(v, _ zkstream.Session) zkstream.Session { return v })
		},
		"Distinct": func(s *zkstream.Stream[zkstream.Session]) *zkstream.Stream[zkstream.Session] {
			return zkstream.Distinct(s, func(a, b zkstream.Session) bool { return a == b })
		},
		"Switch": func(s *zkstream.Stream[zkstream.Session]) *zkstream.Stream[zkstream.Session] {
			return zkstream.Switch(s, func(context.Context, zkstream.Session) *zkstream.Stream[zkstream.Session] { return nil })
		},
	}
	for first, one := range operators {
		for second, two := range operators {
			for what, end := range map[string]func(c *zkstream.Client, s, a, b *zkstream.Stream[zkstream.Session]) error{
				"the client is closed":        func(c *zkstream.Client, _, _, _ *zkstream.Stream[zkstream.Session]) error { return nil },
				"the source is closed":        func(_ *zkstream.Client, s, _, _ *zkstream.Stream[zkstream.Session]) error { s.Close(); return nil },
				"the first result is closed":  func(_ *zkstream.Client, _, a, _ *zkstream.Stream[zkstream.Session]) error { a.Close(); return nil },
				"the second result is closed": func(_ *zkstream.Client, _, _, b *zkstream.Stream[zkstream.Session]) error { b.Close(); return nil },
			} {
				synctest.Test(t, func(t *testing.T) {
					c := dialled(t, zktest.Start(t))
					s := c.Session(t.Context())
					a, b := one(s), two(s)
					synctest.Wait()
					end(c, s, a, b)
					begun := time.Now()
					if err := c.Close(); err != nil || time.Since(begun) > time.Second {
						t.Errorf("%s and %s, %s: Close returned %v after %v", first, second, what, err, time.Since(begun))
					}
					received(t, a)
					received(t, b)
				})
			}
		}
	}
}

func TestMergeOfOneStreamTwiceIsMergeOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := numbers()
		s := h.Stream(t.Context())
		out := zkstream.Merge(s, s)
		if n := cap(out.C()); n != 1 { // with two places an older snapshot could follow a newer one
			t.Errorf("the channel has room for %d", n)
		}
		for i := range 10 {
			h.Set(i)
			synctest.Wait()
		}
		out.Close()
		if got := received(t, out); !slices.Equal(got, []int{9}) {
			t.Errorf("received %v, want the newest", got)
		}
	})
}

// Consumers receive at the very instants at which newer snapshots take the place of older ones: each source's
// come in order and once, and the newest of each comes.
func TestMergeUnderContentionLosesAndRepeatsNothing(t *testing.T) {
	const sources, versions = 20, 3000
	for range 5 {
		hubs := make([]*zkstream.Source[int], sources)
		streams := make([]*zkstream.Stream[int], sources)
		for i := range hubs {
			hubs[i] = numbers()
			streams[i] = hubs[i].Stream(t.Context())
		}
		out := zkstream.Merge(zkstream.Merge(streams[:5]...), zkstream.Merge(streams[5:]...))
		var writers, consumer sync.WaitGroup
		for i, h := range hubs {
			writers.Go(func() {
				for v := range versions {
					h.Set(v*sources + i)
					if v%64 == i {
						runtime.Gosched()
					}
				}
			})
		}
		newest := make([]int, sources)
		for i := range newest {
			newest[i] = -1
		}
		consumer.Go(func() {
			for v := range out.C() {
				source, version := v%sources, v/sources
				if version <= newest[source] {
					t.Errorf("source %d: version %d after %d", source, version, newest[source])
				}
				newest[source] = version
				if !slices.ContainsFunc(newest, func(n int) bool { return n < versions-1 }) {
					out.Close()
				}
			}
		})
		writers.Wait()
		consumer.Wait()
	}
}

// Of snapshots that cannot be compared the newest comes, too, perhaps twice.
func TestMergeOfSnapshotsThatCannotBeCompared(t *testing.T) {
	const sources, versions = 5, 2000
	hubs := make([]*zkstream.Source[[]int], sources)
	streams := make([]*zkstream.Stream[[]int], sources)
	for i := range hubs {
		hubs[i] = &zkstream.Source[[]int]{}
		streams[i] = hubs[i].Stream(t.Context())
	}
	out := zkstream.Merge(streams...)
	var wg sync.WaitGroup
	for i, h := range hubs {
		wg.Go(func() {
			for v := range versions {
				h.Set([]int{i, v})
			}
		})
	}
	newest := make([]int, sources)
	for v := range out.C() {
		if v[1] < newest[v[0]] {
			t.Errorf("source %d: version %d after %d", v[0], v[1], newest[v[0]])
		}
		newest[v[0]] = v[1]
		if !slices.ContainsFunc(newest, func(n int) bool { return n < versions-1 }) {
			out.Close()
		}
	}
	wg.Wait()
}

func TestMergeWithManySourcesThatNobodyReceivesFrom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const sources = 2000
		hubs := make([]*zkstream.Source[int], sources)
		streams := make([]*zkstream.Stream[int], sources)
		for i := range hubs {
			hubs[i] = numbers()
			streams[i] = hubs[i].Stream(t.Context())
		}
		out := zkstream.Merge(streams...)
		for version := range 3 {
			for i, h := range hubs {
				h.Set(version*sources + i)
			}
			synctest.Wait()
		}
		hubs[7].End(zk.ErrNoAuth)
		got := received(t, out)
		slices.Sort(got)
		if len(got) != sources || got[0] != 2*sources || got[sources-1] != 3*sources-1 {
			t.Errorf("received %d snapshots, from %d to %d", len(got), got[0], got[len(got)-1])
		}
	})
}
