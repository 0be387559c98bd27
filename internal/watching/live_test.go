package watching

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zkstream/zkstream/internal/zkconn"
	"github.com/zkstream/zkstream/zktest"
)

// live runs fn with a bench whose connection is one, to a server in memory. sent returns what the client has asked for since it
// was called last.
func live(t *testing.T, fn func(b *bench, server *zktest.Server, sent func() []string)) {
	synctest.Test(t, func(t *testing.T) {
		server := zktest.Start(t)
		var mu sync.Mutex // guards what follows
		var requests []string
		throttled := false
		server.Intercept(func(r zktest.Request) zktest.Fault {
			mu.Lock()
			defer mu.Unlock()
			switch r.Op {
			case zktest.OpPing, zktest.OpMultiRead: // the latter to see whether the server knows it
				return zktest.Fault{}
			}
			requests = append(requests, fmt.Sprint(r.Op, " ", r.Path))
			if r.Path == "/root/throttled" && !throttled {
				throttled = true
				return zktest.Fault{Code: zktest.ErrThrottledOp}
			}
			return zktest.Fault{}
		})
		b := newBench(t)
		conn, err := zkconn.Open(zkconn.Config{
			Servers: []string{server.DialAddr()}, Dial: server.Dial, Timeout: 30 * time.Second, // so that pings are rare
			Watches: b.Supervisor, MaxReads: 64, MaxCalls: 64, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		b.Start(conn)
		<-conn.Ready()
		synctest.Wait()
		fn(b, server, func() []string {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			got := requests
			requests = nil
			return got
		})
	})
}

func TestWhatIsStaleIsAskedForAtOnce(t *testing.T) {
	live(t, func(b *bench, server *zktest.Server, sent func() []string) {
		if err := server.Create("/root", nil); err != nil {
			t.Fatal(err)
		}
		sent()
		begin := time.Now()
		f := b.follow("/", kindData)
		if got := sent(); len(got) != 1 {
			t.Errorf("%q is asked for", got)
		}
		f.wants(`/ ""`)
		second := b.follow("/", kindData)
		if got := sent(); len(got) != 0 {
			t.Errorf("%q is asked for, although it is known", got)
		}
		second.wants(`/ "" unchanged`)
		if time.Since(begin) > 0 {
			t.Errorf("it took %v", time.Since(begin))
		}

		// After a pause, too, and not only when something else is sent.
		f = b.follow("/throttled", kindData)
		if got := sent(); len(got) != 1 {
			t.Errorf("%q is asked for", got)
		}
		f.wants()
		time.Sleep(zkconn.ReadPauses.First)
		if got := sent(); len(got) < 1 {
			t.Error("it is not asked for again")
		}
		f.wants("/throttled missing")
	})
}

func TestOneParkedWatchTooManyIsTakenBackAtOnce(t *testing.T) {
	live(t, func(b *bench, server *zktest.Server, sent func() []string) {
		b.many = true
		var all []*follower
		for i := range mostParked + 1 {
			all = append(all, b.follow(fmt.Sprint("/", i), kindStat))
		}
		sent()
		b.many = false
		b.check()
		for _, f := range all[:mostParked] {
			f.leave()
		}
		if got := sent(); len(got) != 0 {
			t.Errorf("%q is sent", got)
		}
		all[mostParked].leave()
		if got := sent(); !slices.Equal(got, []string{fmt.Sprint(zktest.OpRemoveWatches, " /root/0")}) {
			t.Errorf("%q is sent", got)
		}
		if got := server.Stats().DataWatches; got != mostParked {
			t.Errorf("the server has %d watches", got)
		}
	})
}
