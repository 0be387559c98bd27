package watching

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zkstream/zkstream/internal/zkconn"
)

func TestAPassingErrorHasTheNodeReadAgainAfterAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		f := b.follow("/a", kindData)
		for failures := 1; failures <= 12; failures++ {
			if b.read(&zkconn.Answer{Err: zkconn.ErrThrottled}) {
				t.Error("its watch is to be set")
			}
			b.is("/root/a", kindData, resting)
			most := zkconn.ReadPauses.First << (min(failures, restingPlaces) - 1)
			most = min(most, zkconn.ReadPauses.Most)
			b.asked()
			time.Sleep(most/2 - 1)
			synctest.Wait()
			b.asked()
			time.Sleep(most/2 + 1)
			synctest.Wait()
			b.check()
			b.is("/root/a", kindData, stale)
		}
		f.wants()
		if n := strings.Count(b.logged.String(), "\n"); n != 1 { // that it fails is news once
			t.Errorf("%d lines are logged:\n%s", n, &b.logged)
		}
		b.read(holding(7, "x"))
		f.wants(`/a "x"`)
		if f.watch.failures != 0 {
			t.Errorf("%d failures", f.watch.failures)
		}

		// Two that have failed at different times and as often wait together, one that has failed more often by itself.
		second := b.follow("/b", kindData)
		b.read(&zkconn.Answer{Err: zkconn.ErrThrottled})
		time.Sleep(zkconn.ReadPauses.First)
		synctest.Wait()
		b.read(&zkconn.Answer{Err: zkconn.ErrThrottled}) // the second time
		third := b.follow("/c", kindData)
		b.read(&zkconn.Answer{Err: zkconn.ErrThrottled})
		if n, m := len(b.resting[0].watches), len(b.resting[1].watches); n != 1 || m != 1 {
			t.Errorf("%d and %d are waiting", n, m)
		}
		// Who leaves meanwhile is not read.
		third.leave()
		b.is("/root/c", kindData, none)
		time.Sleep(4 * zkconn.ReadPauses.First)
		synctest.Wait()
		b.check()
		b.asked("data /root/b")
		if b.resting[0].timer != nil || b.resting[1].watches != nil {
			t.Error("a timer is left")
		}
		second.leave()
		b.Answered(second.watch.wire(), &zkconn.Answer{Err: zkconn.ErrThrottled}) // nobody wants to know
		b.check()
		b.is("/root/b", kindData, none)

		// One that comes back in another place is not read with those of the first.
		again := b.follow("/d", kindData)
		b.read(&zkconn.Answer{Err: zkconn.ErrThrottled})
		b.Attached(true)
		b.is("/root/d", kindData, stale)
		b.read(&zkconn.Answer{Err: zkconn.ErrThrottled})
		if again.watch.failures != 2 {
			t.Errorf("%d failures", again.watch.failures)
		}
		b.resting[0].timer.Reset(0)
		synctest.Wait()
		b.is("/root/d", kindData, resting)
		b.Stop()
		time.Sleep(time.Minute)
	})
}

func TestANewConnectionTakesTheWatchesUp(t *testing.T) {
	open := func(b *bench) (armedOnes []*follower) {
		for _, path := range []string{"/a", "/none"} {
			armedOnes = append(armedOnes, b.follow(path, kindData))
			if path == "/none" {
				b.read(missing(7))
			} else {
				b.read(holding(7, "x"))
			}
		}
		armedOnes = append(armedOnes, b.follow("/a", kindChildren))
		b.read(holding(7, ""))
		gone := b.follow("/parked", kindData)
		b.read(holding(7, ""))
		gone.leave()
		b.follow("/asked", kindData)
		leaving := b.follow("/left", kindData)
		b.asked("data /root/asked", "data /root/left")
		leaving.leave()
		b.follow("/stale", kindData)
		b.evicted = []Watch{gone.watch}
		b.roundNow, b.roundBefore = 5, 4
		return armedOnes
	}
	for _, resumed := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			open(b)
			again := b.Attached(resumed)
			b.check()
			b.is("/root/parked", kindData, none)
			b.is("/root/left", kindData, none)
			b.is("/root/asked", kindData, stale)
			b.is("/root/stale", kindData, stale)
			kept, begun, round := stale, "begun: resumed false, 0 set again, 5 read, after 0s", int64(0)
			if resumed {
				kept, begun, round = armed, "begun: resumed true, 3 set again, 2 read, after 0s", 4
				if !slices.Equal(again.Data, []string{"/root/a"}) || !slices.Equal(again.Exist, []string{"/root/none"}) || !slices.Equal(again.Child, []string{"/root/a"}) {
					t.Errorf("%+v are to be set again", again)
				}
			} else if len(again.Data)+len(again.Exist)+len(again.Child) > 0 {
				t.Errorf("%+v are to be set again", again)
			}
			b.is("/root/a", kindData, kept)
			b.is("/root/none", kindData, kept)
			b.is("/root/a", kindChildren, kept)
			if b.roundBefore != round || b.roundNow > 0 != resumed || b.evicted != nil {
				t.Errorf("rounds began at %d and %d, %d are to be forgotten", b.roundBefore, b.roundNow, len(b.evicted))
			}
			if n := len(b.Next(1, func(int) bool { return true })); n != b.resync.Read {
				t.Errorf("%d are to be read", n)
			}
			time.Sleep(3 * time.Second)
			b.Settled()
			b.Settled() // once only
			done := strings.NewReplacer("begun", "done", "0s", "3s").Replace(begun)
			if want := []string{begun, done}; !slices.Equal(b.resyncs, want) {
				t.Errorf("%q, want %q", b.resyncs, want)
			}
		})
	}
	b := newBench(t)
	b.Attached(true)
	b.Settled()
	if len(b.resyncs) > 0 {
		t.Errorf("without watches: %q", b.resyncs)
	}
}
