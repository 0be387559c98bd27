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
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
)

// opened is what a test's Switch has opened.
type opened struct {
	ctx    context.Context
	key    int
	stream *zkstream.Stream[string]
}

// switching returns a Switch over keys whose streams come from the hubs, and what it has opened so far.
func switching(keys *zkstream.Source[int], hubs ...*zkstream.Source[string]) (*zkstream.Stream[string], func() []opened) {
	var mu sync.Mutex
	var list []opened
	out := zkstream.Switch(keys.Stream(context.Background()), func(ctx context.Context, k int) *zkstream.Stream[string] {
		s := hubs[k].Stream(context.Background())
		mu.Lock()
		defer mu.Unlock()
		list = append(list, opened{ctx, k, s})
		return s
	})
	return out, func() []opened { mu.Lock(); defer mu.Unlock(); return slices.Clone(list) }
}

func TestSwitchFollowsTheNewestKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, a, b := numbers(), &zkstream.Source[string]{}, &zkstream.Source[string]{}
		out, opened := switching(keys, a, b)
		a.Set("a1")
		synctest.Wait()
		empty(t, out, "before the first key")

		keys.Set(0)
		if v := next(t, out); v != "a1" {
			t.Errorf("received %s", v)
		}
		a.Set("a2")
		if v := next(t, out); v != "a2" {
			t.Errorf("received %s", v)
		}
		keys.Set(1)
		synctest.Wait()
		empty(t, out, "before the new stream has one")
		first := opened()[0]
		if first.ctx.Err() == nil || first.stream.Err() != zkstream.ErrClosed || a.Streams() != 0 {
			t.Errorf("the stream before: context %v, %v", first.ctx.Err(), first.stream.Err())
		}
		a.Set("a3")
		b.Set("b1")
		if v := next(t, out); v != "b1" {
			t.Errorf("received %s", v)
		}
		keys.Set(0)
		if v := next(t, out); v != "a3" {
			t.Errorf("received %s", v)
		}

		out.Close()
		synctest.Wait()
		for _, o := range opened() {
			if o.ctx.Err() == nil || o.stream.Err() == nil {
				t.Errorf("left open: %+v", o)
			}
		}
		if keys.Streams()+a.Streams()+b.Streams() != 0 {
			t.Error("streams are left on the sources")
		}
	})
}

// A snapshot that nobody has received is taken back when the key changes.
func TestSwitchDeliversNothingOfTheStreamBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, a, b := numbers(), &zkstream.Source[string]{}, &zkstream.Source[string]{}
		out, _ := switching(keys, a, b)
		keys.Set(0)
		a.Set("a1")
		synctest.Wait()
		keys.Set(1)
		synctest.Wait()
		empty(t, out, "of the stream before")
		if v, ok := out.Latest(); v != "a1" || !ok {
			t.Errorf("Latest: %s, %v", v, ok)
		}
		b.Set("b1")
		if v := next(t, out); v != "b1" {
			t.Errorf("received %s", v)
		}
		out.Close()
	})
}

// The key and the stream before change at one instant: the key counts, whichever is looked at first.
func TestSwitchPrefersTheKey(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			keys, a, b := numbers(), &zkstream.Source[string]{}, &zkstream.Source[string]{}
			hold := make(chan struct{})
			out := zkstream.Switch(keys.Stream(t.Context()), func(_ context.Context, k int) *zkstream.Stream[string] {
				if k == 0 {
					<-hold // until all has changed
				}
				return []*zkstream.Source[string]{a, b}[k].Stream(t.Context())
			})
			var got []string
			go func() {
				for v := range out.All() {
					got = append(got, v)
				}
			}()
			keys.Set(0)
			synctest.Wait()
			a.Set("a1")
			a.End(zk.ErrNoAuth)
			keys.Set(1)
			close(hold)
			synctest.Wait()
			b.Set("b1")
			synctest.Wait()
			if !slices.Equal(got, []string{"b1"}) {
				t.Errorf("received %v, %v", got, out.Err())
			}
			out.Close()
		})
	}
}

func TestSwitchEndsWithTheReasonOfEither(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 20 {
			// The stream that is followed.
			keys, a := numbers(), &zkstream.Source[string]{}
			out, opened := switching(keys, a)
			keys.Set(0)
			synctest.Wait()
			a.Finish("last", zk.ErrNoAuth)
			if got := received(t, out); !slices.Equal(got, []string{"last"}) || out.Err() != zk.ErrNoAuth {
				t.Errorf("received %v, %v", got, out.Err())
			}
			synctest.Wait()
			if keys.Streams() != 0 || opened()[0].ctx.Err() == nil {
				t.Error("the keys, or the context, are left")
			}

			// The keys.
			keys, a = numbers(), &zkstream.Source[string]{}
			hold := make(chan struct{})
			var ctx context.Context
			out = zkstream.Switch(keys.Stream(t.Context()), func(c context.Context, _ int) *zkstream.Stream[string] {
				ctx = c
				<-hold
				return a.Stream(t.Context())
			})
			keys.Set(0)
			synctest.Wait()
			a.Set("last")
			keys.End(zk.ErrNoAuth)
			close(hold)
			if got := received(t, out); !slices.Equal(got, []string{"last"}) || out.Err() != zk.ErrNoAuth {
				t.Errorf("received %v, %v", got, out.Err())
			}
			synctest.Wait()
			if a.Streams() != 0 || context.Cause(ctx) != zk.ErrNoAuth {
				t.Errorf("the stream, or its context, is left: %v", context.Cause(ctx))
			}
		}
	})
}

func TestSwitchOverNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, a := numbers(), &zkstream.Source[string]{}
		a.Set("a1")
		out := zkstream.Switch(keys.Stream(t.Context()), func(_ context.Context, k int) *zkstream.Stream[string] {
			if k == 0 {
				return nil
			}
			return a.Stream(t.Context())
		})
		for range 3 {
			keys.Set(0)
			synctest.Wait()
			empty(t, out, "of nothing")
			keys.Set(1)
			if v := next(t, out); v != "a1" {
				t.Errorf("received %s", v)
			}
		}
		keys.Set(0)
		synctest.Wait()
		keys.End(zk.ErrNoAuth)
		if err := ended(t, out); err != zk.ErrNoAuth {
			t.Error(err)
		}
	})
}

// A function that waits for its context is let go when nobody needs its stream any more.
func TestSwitchEndsTheContextOfAnOpenThatIsRunning(t *testing.T) {
	for name, end := range map[string]func(c *zkstream.Client, keys, out *zkstream.Stream[zkstream.Session]){
		"result": func(_ *zkstream.Client, _, out *zkstream.Stream[zkstream.Session]) { out.Close() },
		"keys":   func(_ *zkstream.Client, keys, _ *zkstream.Stream[zkstream.Session]) { keys.Close() },
		"client": func(*zkstream.Client, *zkstream.Stream[zkstream.Session], *zkstream.Stream[zkstream.Session]) {},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := dialled(t, zktest.Start(t))
			keys := c.Session(t.Context())
			out := zkstream.Switch(keys, func(ctx context.Context, _ zkstream.Session) *zkstream.Stream[zkstream.Session] {
				<-ctx.Done()
				return c.Session(ctx)
			})
			synctest.Wait()
			end(c, keys, out)
			begun := time.Now()
			if err := c.Close(); err != nil || time.Since(begun) > time.Second {
				t.Errorf("%s: Close returned %v after %v", name, err, time.Since(begun))
			}
			if err := ended(t, out); !errors.Is(err, zkstream.ErrClosed) {
				t.Errorf("%s: Err is %v", name, err)
			}
		})
	}
}

// A link in a node is moved again and again, while both targets change and the connection drops.
func TestSwitchOverALinkThatIsMoved(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		server.Create("/link", []byte("/t0"))
		const targets = 5
		for i := range targets {
			server.Create(fmt.Sprint("/t", i), []byte("0 0"))
		}
		links := zkstream.Map(c.Data(t.Context(), "/link"), zkstream.Data.String)
		out := zkstream.Switch(links, func(ctx context.Context, path string) *zkstream.Stream[zkstream.Data] { return c.Data(ctx, path) })
		moves := 0 // before the move that is received
		done := make(chan struct{})
		go func() {
			defer close(done)
			for d := range out.All() {
				var move, n int
				fmt.Sscan(d.String(), &move, &n)
				// Each target says when the link was moved to it.
				if move < moves {
					t.Errorf("%s of move %d, after one of move %d", d.Path(), move, moves)
				}
				moves = move
			}
		}()
		for move := 1; move <= 300; move++ {
			target := fmt.Sprint("/t", move%targets)
			server.Set(target, fmt.Append(nil, move, 0))
			server.Set("/link", []byte(target))
			switch move % 7 {
			case 0:
				server.Disconnect()
			case 1:
				synctest.Wait()
			case 2:
				time.Sleep(time.Second)
			}
			server.Set(target, fmt.Append(nil, move, 1))
		}
		time.Sleep(time.Minute)
		if d, ok := out.Latest(); !ok || d.String() != "300 1" || d.Path() != fmt.Sprint("/t", 300%targets) {
			t.Errorf("the last snapshot is %s of %s", d, d.Path())
		}
		out.Close()
		<-done
		if moves != 300 {
			t.Errorf("the last snapshot received is of move %d", moves)
		}
	})
}

// Everything at once, for the race detector: what comes is never of a key before one that has come.
func TestSwitchUnderContention(t *testing.T) {
	for range 20 {
		const targets, moves = 4, 500
		keys := numbers()
		hubs := make([]*zkstream.Source[int], targets)
		for i := range hubs {
			hubs[i] = numbers()
		}
		// A target's snapshots carry the number of the move that opened it.
		out := zkstream.Switch(keys.Stream(t.Context()), func(_ context.Context, move int) *zkstream.Stream[int] {
			return zkstream.Map(hubs[move%targets].Stream(t.Context()), func(int) int { return move })
		})
		var wg sync.WaitGroup
		for _, h := range hubs {
			wg.Go(func() {
				for i := range moves {
					h.Set(i)
					runtime.Gosched()
				}
			})
		}
		wg.Go(func() {
			for move := range moves {
				keys.Set(move)
				runtime.Gosched()
			}
		})
		last := 0
		for move := range out.C() {
			if move < last {
				t.Errorf("a snapshot of move %d after one of move %d", move, last)
			}
			if last = move; move == moves-1 {
				out.Close()
			}
		}
		wg.Wait()
	}
}
