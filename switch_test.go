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
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/zktest"
)

// opened is what a test's Switch has opened.
type opened struct {
	ctx    context.Context
	key    int
	stream *Stream[string]
}

// switching returns a Switch over keys whose streams come from the hubs, and what it has opened so far.
func switching(keys *hub[int], hubs ...*hub[string]) (*Stream[string], func() []opened) {
	var mu sync.Mutex
	var list []opened
	out := Switch(keys.stream(context.Background()), func(ctx context.Context, k int) *Stream[string] {
		s := hubs[k].stream(context.Background())
		mu.Lock()
		defer mu.Unlock()
		list = append(list, opened{ctx, k, s})
		return s
	})
	return out, func() []opened { mu.Lock(); defer mu.Unlock(); return slices.Clone(list) }
}

func TestSwitchFollowsTheNewestKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, a, b := numbers(), &hub[string]{}, &hub[string]{}
		out, opened := switching(keys, a, b)
		a.set("a1")
		synctest.Wait()
		empty(t, out, "before the first key")

		keys.set(0)
		if v := next(t, out); v != "a1" {
			t.Errorf("received %s", v)
		}
		a.set("a2")
		if v := next(t, out); v != "a2" {
			t.Errorf("received %s", v)
		}
		keys.set(1)
		synctest.Wait()
		empty(t, out, "before the new stream has one")
		first := opened()[0]
		if first.ctx.Err() == nil || first.stream.Err() != ErrClosed || len(a.subs) != 0 {
			t.Errorf("the stream before: context %v, %v", first.ctx.Err(), first.stream.Err())
		}
		a.set("a3")
		b.set("b1")
		if v := next(t, out); v != "b1" {
			t.Errorf("received %s", v)
		}
		keys.set(0)
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
		if len(keys.subs)+len(a.subs)+len(b.subs) != 0 {
			t.Error("streams are left on the sources")
		}
	})
}

// A snapshot that nobody has received is taken back when the key changes.
func TestSwitchDeliversNothingOfTheStreamBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, a, b := numbers(), &hub[string]{}, &hub[string]{}
		out, _ := switching(keys, a, b)
		keys.set(0)
		a.set("a1")
		synctest.Wait()
		keys.set(1)
		synctest.Wait()
		empty(t, out, "of the stream before")
		if v, ok := out.Latest(); v != "a1" || !ok {
			t.Errorf("Latest: %s, %v", v, ok)
		}
		b.set("b1")
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
			keys, a, b := numbers(), &hub[string]{}, &hub[string]{}
			hold := make(chan struct{})
			out := Switch(keys.stream(t.Context()), func(_ context.Context, k int) *Stream[string] {
				if k == 0 {
					<-hold // until all has changed
				}
				return []*hub[string]{a, b}[k].stream(t.Context())
			})
			var got []string
			go func() {
				for v := range out.All() {
					got = append(got, v)
				}
			}()
			keys.set(0)
			synctest.Wait()
			a.set("a1")
			a.close(zk.ErrNoAuth)
			keys.set(1)
			close(hold)
			synctest.Wait()
			b.set("b1")
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
			keys, a := numbers(), &hub[string]{}
			out, opened := switching(keys, a)
			keys.set(0)
			synctest.Wait()
			a.finish("last", zk.ErrNoAuth)
			if got := received(t, out); !slices.Equal(got, []string{"last"}) || out.Err() != zk.ErrNoAuth {
				t.Errorf("received %v, %v", got, out.Err())
			}
			synctest.Wait()
			if len(keys.subs) != 0 || opened()[0].ctx.Err() == nil {
				t.Error("the keys, or the context, are left")
			}

			// The keys.
			keys, a = numbers(), &hub[string]{}
			hold := make(chan struct{})
			var ctx context.Context
			out = Switch(keys.stream(t.Context()), func(c context.Context, _ int) *Stream[string] {
				ctx = c
				<-hold
				return a.stream(t.Context())
			})
			keys.set(0)
			synctest.Wait()
			a.set("last")
			keys.close(zk.ErrNoAuth)
			close(hold)
			if got := received(t, out); !slices.Equal(got, []string{"last"}) || out.Err() != zk.ErrNoAuth {
				t.Errorf("received %v, %v", got, out.Err())
			}
			synctest.Wait()
			if len(a.subs) != 0 || context.Cause(ctx) != zk.ErrNoAuth {
				t.Errorf("the stream, or its context, is left: %v", context.Cause(ctx))
			}
		}
	})
}

func TestSwitchOverNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, a := numbers(), &hub[string]{}
		a.set("a1")
		out := Switch(keys.stream(t.Context()), func(_ context.Context, k int) *Stream[string] {
			if k == 0 {
				return nil
			}
			return a.stream(t.Context())
		})
		for range 3 {
			keys.set(0)
			synctest.Wait()
			empty(t, out, "of nothing")
			keys.set(1)
			if v := next(t, out); v != "a1" {
				t.Errorf("received %s", v)
			}
		}
		keys.set(0)
		synctest.Wait()
		keys.close(zk.ErrNoAuth)
		if err := ended(t, out); err != zk.ErrNoAuth {
			t.Error(err)
		}
	})
}

// A function that waits for its context is let go when nobody needs its stream any more.
func TestSwitchEndsTheContextOfAnOpenThatIsRunning(t *testing.T) {
	for name, end := range map[string]func(c *Client, keys, out *Stream[Session]){
		"result": func(_ *Client, _, out *Stream[Session]) { out.Close() },
		"keys":   func(_ *Client, keys, _ *Stream[Session]) { keys.Close() },
		"client": func(*Client, *Stream[Session], *Stream[Session]) {},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := dialled(t, zktest.Start(t))
			keys := c.Session(t.Context())
			out := Switch(keys, func(ctx context.Context, _ Session) *Stream[Session] {
				<-ctx.Done()
				return c.Session(ctx)
			})
			synctest.Wait()
			end(c, keys, out)
			begun := time.Now()
			if err := c.Close(); err != nil || time.Since(begun) > time.Second {
				t.Errorf("%s: Close returned %v after %v", name, err, time.Since(begun))
			}
			if err := ended(t, out); !errors.Is(err, ErrClosed) {
				t.Errorf("%s: Err is %v", name, err)
			}
		})
	}
}

// A link in a node is moved again and again, while both targets change and the connection drops.
func TestSwitchOverALinkThatIsMoved(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *Client) {
		server.Create("/link", []byte("/t0"))
		const targets = 5
		for i := range targets {
			server.Create(fmt.Sprint("/t", i), []byte("0 0"))
		}
		links := Map(c.Data(t.Context(), "/link"), Data.String)
		out := Switch(links, func(ctx context.Context, path string) *Stream[Data] { return c.Data(ctx, path) })
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
		hubs := make([]*hub[int], targets)
		for i := range hubs {
			hubs[i] = numbers()
		}
		// A target's snapshots carry the number of the move that opened it.
		out := Switch(keys.stream(t.Context()), func(_ context.Context, move int) *Stream[int] {
			return Map(hubs[move%targets].stream(t.Context()), func(int) int { return move })
		})
		var wg sync.WaitGroup
		for _, h := range hubs {
			wg.Go(func() {
				for i := range moves {
					h.set(i)
					runtime.Gosched()
				}
			})
		}
		wg.Go(func() {
			for move := range moves {
				keys.set(move)
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
