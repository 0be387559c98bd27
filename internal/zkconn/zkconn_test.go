package zkconn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
)

func TestEveryEventIsDeliveredInItsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, p := connected(t)
		const n = 10000 // go-zookeeper's own channel holds 6
		var burst bytes.Buffer
		for i := range n {
			burst.Write(event(zk.EventType(i%4+1), fmt.Sprint("/", i)))
		}
		p.send(burst.Bytes())
		p.Close()
		for i := range n {
			if ev := c.changed(); ev.path != fmt.Sprint("/", i) || ev.kind != zk.EventType(i%4+1) {
				t.Fatalf("event %d is %+v", i, ev)
			}
		}
		c.expect(Down)
	})
}

func TestAWatchIsToldBeforeTheRepliesThatFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, p := connected(t)
		done := c.get()
		r := p.expect(opGetData)
		p.send(append(event(zk.EventNodeDataChanged, "/x"), reply(r.xid, 7, 0, str("data"), stat(1))...))
		if err := <-done; err != nil {
			t.Error(err)
		}
		select {
		case <-c.changes:
		default:
			t.Error("the reply came first")
		}
	})
}

func TestAnExpiryIsOneEventHoweverManyWatchesThereAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := f.open(Config{})
		p := f.peer()
		p.accept(1, 10*time.Second)
		c.expect(Up)
		for i := range 100 {
			c.watch(p, fmt.Sprint("/", i), 7)
		}
		p.Close()
		c.expect(Down)
		f.peer().accept(0, 0)
		c.expect(Expired)
		p = f.peer()
		p.accept(2, 10*time.Second)
		c.expect(Up)
		c.quiet()
		c.works(p) // no SetWatches comes before
	})
}

func TestDoReturnsWhenItsContextEnds(t *testing.T) {
	for name, cutOff := range map[string]func(*fake, *peer){
		"refused": func(f *fake, p *peer) { f.refuse(true, p.addr); p.Close() },
		"silent":  func(f *fake, p *peer) { p.drain() },
		"hung handshake": func(f *fake, p *peer) {
			p.Close()
			f.peer().drain()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				c := f.open(Config{MaxCalls: 30})
				p := f.peer()
				p.accept(session, 10*time.Second)
				c.expect(Up)
				cutOff(f, p)
				synctest.Wait() // it has noticed, if there is anything to notice
				cause := errors.New("the test's patience has ended")
				const limit = 300 * time.Millisecond
				results := make(chan error, 100)
				for range cap(results) {
					// Ends with its context.
					go func() {
						ctx, cancel := context.WithTimeoutCause(t.Context(), limit, cause)
						defer cancel()
						results <- c.Do(ctx, func() error {
							_, err := c.Look(ctx, Data, "/x")
							return err
						})
					}()
				}
				start := time.Now()
				for range cap(results) {
					if err := <-results; !errors.Is(err, cause) {
						t.Errorf("err = %v", err)
					}
				}
				if d := time.Since(start); d != limit {
					t.Errorf("the calls took %v", d)
				}
			})
		})
	}
}

func TestDoReturnsAtOnceWhenItsContextHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := f.open(Config{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.Do(ctx, func() error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("Do: %v", err)
		}
		if err := c.Run(ctx, func(*zk.Conn) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestNoMoreCallsOfDoAreUnderWayThanAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c := f.open(Config{MaxCalls: 2})
		p := f.peer()
		p.accept(session, 10*time.Second)
		c.expect(Up)
		var done []<-chan error
		for range 3 {
			one := make(chan error, 1)
			done = append(done, one)
			// Ends with the call, which is answered below.
			go func() {
				one <- c.Do(t.Context(), func() error {
					_, err := c.Look(t.Context(), Data, "/x")
					return err
				})
			}()
		}
		first := p.expect(opGetData)
		second := p.expect(opGetData)
		synctest.Wait()
		if n := c.pending.Load(); n != 2 {
			t.Errorf("%d calls are under way", n)
		}
		for _, r := range []received{first, second} {
			p.reply(r.xid, 1, 0, str(""), stat(1))
		}
		p.reply(p.expect(opGetData).xid, 1, 0, str(""), stat(1))
		for _, done := range done {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestALostConnectionIsNotTakenForAClosedOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, p := connected(t)
		done := c.get()
		p.expect(opGetData)
		p.Close()
		if err := <-done; !errors.Is(err, zk.ErrConnectionClosed) || !Transient(err) {
			t.Errorf("after a loss: %v", err)
		}
		p = f.peer()
		p.accept(session, 10*time.Second)
		done = c.get()
		p.expect(opGetData)
		p.drain()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; err != ErrClosed || Transient(err) {
			t.Errorf("after Close: %v", err)
		}
		if err := <-c.get(); err != ErrClosed {
			t.Errorf("a call after Close: %v", err)
		}
	})
}

func TestCodesGetTheirNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, p := connected(t)
		for _, test := range []struct {
			code      int32
			err       error
			transient bool
		}{
			{-4, errConnectionLoss, true},
			{-7, errTimeout, true},
			{-127, ErrThrottled, true},
			{-1, errSystem, true},
			{-2, errRuntime, true},
			{-3, errData, true},
			{-5, errMarshalling, true},
			{-122, errRequestTimeout, true},
			{-6, ErrUnimplemented, false},
			{-8, zk.ErrBadArguments, false},
			{-119, ErrNotReadOnly, false},
			{-120, ErrLocalSession, false},
			{-125, ErrQuotaExceeded, false},
			{-112, zk.ErrSessionExpired, true},
			{-118, zk.ErrSessionMoved, true},
			{-101, zk.ErrNoNode, false},
			{-102, zk.ErrNoAuth, false},
			{codeTooLarge, ErrTooLarge, false},
			{codeMalformed, errMalformed, false},
		} {
			done := c.get()
			p.reply(p.expect(opGetData).xid, 1, test.code)
			if err := <-done; !errors.Is(err, test.err) || Transient(err) != test.transient {
				t.Errorf("code %d: %v, transient %t", test.code, err, Transient(err))
			}
		}
	})
}

func TestClosingTheHandleIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.serve(func(p *peer) { p.serve(session, 10*time.Second, nil) })
		c := f.open(Config{})
		c.expect(Up)
		c.Handle().Close()
		c.expect(Down, Ended)
		if !f.ended(session) {
			t.Error("the session lives on")
		}
		start := time.Now()
		if err := c.Close(); err != nil || time.Since(start) != 0 {
			t.Errorf("Close: %v after %v", err, time.Since(start))
		}
	})
}

func TestOpenWithoutServersIsAnError(t *testing.T) {
	if _, err := Open(Config{Timeout: time.Second}); err == nil {
		t.Error("no error")
	}
}
