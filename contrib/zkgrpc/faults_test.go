package zkgrpc_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/zktest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/status"
)

// Faults that resolvers of other registries have or had, each with gRPC itself.

func expectAnswer(t *testing.T, w *world, cc *grpc.ClientConn, want string, opts ...grpc.CallOption) {
	t.Helper()
	if got, err := w.call(cc, opts...); got != want {
		t.Errorf("answered by %q, not %q: %v", got, want, err)
	}
}

// expectUnavailable makes a call that is to fail within limit, with an error that says why.
func expectUnavailable(t *testing.T, w *world, cc *grpc.ClientConn, limit time.Duration, why string) {
	t.Helper()
	begun := time.Now()
	got, err := w.call(cc)
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), why) {
		t.Errorf("answered by %q: %v", got, err)
	}
	if took := time.Since(begun); took > limit {
		t.Errorf("it took %s", took)
	}
}

var (
	forbidden = zktest.ACL{Perms: 31, Scheme: "digest", ID: "other:x"}
	open      = zktest.ACL{Perms: 31, Scheme: "world", ID: "anyone"}
)

// Nothing is said of a service without servers, so calls hang; or the watcher ends at the first look.
func TestAServiceThatIsNotThereYet(t *testing.T) {
	for _, nodes := range [][]string{{}, {"/s"}} {
		inBubble(t, func(t *testing.T, w *world) {
			for _, path := range nodes {
				w.create(path, "")
			}
			cc := w.dial(w.builder(), "zk:///s")
			expectUnavailable(t, w, cc, 0, "at /s")
			waiting := make(chan struct{})
			go func() {
				defer close(waiting)
				expectAnswer(t, w, cc, addr(1), grpc.WaitForReady(true))
			}()
			synctest.Wait()
			w.serve(addr(1))
			if len(nodes) == 0 {
				w.create("/s", "")
			}
			w.create("/s/"+addr(1), "")
			<-waiting
			expectAnswer(t, w, cc, addr(1))
		})
	}
}

// Build waits for the registry, and the deadline of the call that comes after an idle time is spent on it.
func TestAClientConnWithoutZooKeeperFailsSoonAndRecovers(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.serve(addr(1))
		w.create("/s", "")
		w.create("/s/"+addr(1), "")
		w.zk.Partition(true)
		time.Sleep(time.Minute) // the session is over, too
		cc := w.dial(w.builder(), "zk:///s")
		begun := time.Now()
		cc.Connect()
		if took := time.Since(begun); took > 0 {
			t.Errorf("Build took %s", took)
		}
		expectUnavailable(t, w, cc, time.Second, "the servers of /s have not been read yet: the session is expired")
		w.zk.Partition(false)
		expectAnswer(t, w, cc, addr(1), grpc.WaitForReady(true))
	})
}

// The server takes requests and does not answer them.
func TestAServerThatDoesNotAnswerFailsCallsInTheEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.zk.Intercept(func(r zktest.Request) zktest.Fault { return zktest.Fault{Delay: 15 * time.Second} })
		cc := w.dial(w.builder(), "zk:///s")
		expectUnavailable(t, w, cc, 10*time.Second, "have not been read yet")
	})
}

// One failed read, and the watcher is dead for ever.
func TestAFailedReadIsTriedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.serve(addr(1))
		w.serve(addr(2))
		w.create("/s", "")
		var failing atomic.Bool
		failing.Store(true)
		w.zk.Intercept(func(r zktest.Request) zktest.Fault {
			if failing.Load() && strings.HasPrefix(r.Path, "/s") {
				return zktest.Fault{Code: -5} // any exception inside the server
			}
			return zktest.Fault{}
		})
		cc := w.dial(w.builder(), "zk:///s")
		time.AfterFunc(20*time.Second, func() {
			failing.Store(false)
			w.create("/s/"+addr(1), "")
		})
		expectAnswer(t, w, cc, addr(1), grpc.WaitForReady(true))
		failing.Store(true)
		w.create("/s/"+addr(2), "")
		w.remove("/s/" + addr(1))
		time.Sleep(20 * time.Second)
		expectAnswer(t, w, cc, addr(1)) // the last that was known
		failing.Store(false)
		time.Sleep(time.Minute)
		expectAnswer(t, w, cc, addr(2))
	})
}

// A watch ends with an error that nobody is told, and the list stays as it is.
func TestAServiceThatMayNotBeReadSaysSoAndIsTriedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.serve(addr(1))
		w.create("/s", "")
		w.create("/s/"+addr(1), "")
		if err := w.zk.SetACL("/s", forbidden); err != nil {
			t.Fatal(err)
		}
		cc := w.dial(w.builder(), "zk:///s")
		expectUnavailable(t, w, cc, 0, zk.ErrNoAuth.Error())

		before := w.client.Stats().Requests
		time.Sleep(time.Hour)
		if n := w.client.Stats().Requests - before; n > 400 {
			t.Errorf("%d requests in an hour: that is a busy loop", n)
		}
		if err := w.zk.SetACL("/s", open); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		expectAnswer(t, w, cc, addr(1), grpc.WaitForReady(true))
		if took := time.Since(begun); took > 31*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

// A call that fails has gRPC ask for a new resolution, which ends the pause. There are many, for by chance a pause may be
// about to end by itself.
func TestResolveNowShortensThePause(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		b := w.builder()
		var recorders []*recorder
		var resolvers []resolver.Resolver
		for i := range 10 {
			path := fmt.Sprint("/s", i)
			w.create(path, "")
			w.create(path+"/"+addr(1), "")
			if err := w.zk.SetACL(path, forbidden); err != nil {
				t.Fatal(err)
			}
			r := &recorder{}
			built, err := b.Build(targetOf(t, "zk://"+path), r, resolver.BuildOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer built.Close()
			recorders, resolvers = append(recorders, r), append(resolvers, built)
		}
		time.Sleep(10 * time.Minute) // the pauses have grown
		for i := range recorders {
			if err := w.zk.SetACL(fmt.Sprint("/s", i), open); err != nil {
				t.Fatal(err)
			}
			recorders[i].take()
			resolvers[i].ResolveNow(resolver.ResolveNowOptions{})
		}
		time.Sleep(time.Second)
		synctest.Wait()
		for _, r := range recorders {
			r.expect(t, "[10.0.0.1:80]")
		}
	})
}

// A child that goes between the list and the read fails the whole list.
func TestANodeThatGoesWhileTheListIsReadHidesNoOther(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.serve(addr(1))
		w.create("/s", "")
		w.create("/s/"+addr(1), "")
		w.create("/s/"+addr(2), "")
		w.zk.Intercept(func(r zktest.Request) zktest.Fault {
			if r.Path == "/s/"+addr(2) {
				go w.zk.Delete("/s/" + addr(2))
				return zktest.Fault{Delay: time.Millisecond}
			}
			return zktest.Fault{}
		})
		expectAnswer(t, w, w.dial(w.builder(), "zk:///s"), addr(1))
	})
}

// Each time that a ClientConn has been idle something is left behind; or the watcher cannot be made again.
func TestIdlenessLeavesNothingBehind(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.serve(addr(1))
		w.create("/s", "")
		w.create("/s/"+addr(1), "")
		cc := w.dial(w.builder(), "zk:///s", grpc.WithIdleTimeout(time.Second))
		var goroutines, streams int
		for i := range 50 {
			expectAnswer(t, w, cc, addr(1))
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if cc.GetState() != connectivity.Idle {
				t.Fatal("it is not idle")
			}
			switch i {
			case 4:
				goroutines, streams = runtime.NumGoroutine(), w.client.Stats().Streams
			case 49:
				if n, m := runtime.NumGoroutine(), w.client.Stats().Streams; n > goroutines+10 || m > streams { // the runtime has some of its own
					t.Errorf("%d goroutines and %d streams have become %d and %d", goroutines, streams, n, m)
				}
			}
		}
	})
}

// The client's session expires again and again, and the connection is lost at every instant.
func TestTheListSurvivesSessionsAndConnections(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create("/s", "")
		cc := w.dial(w.builder(), "zk:///s", grpc.WithDefaultServiceConfig(roundRobin))
		for i := 1; i <= 20; i++ {
			stop := w.serve(addr(i))
			switch i % 4 {
			case 0:
				w.zk.ExpireSession(w.client.Conn().SessionID())
			case 1:
				w.zk.Disconnect()
			case 2:
				w.zk.Restart()
			case 3:
				w.zk.Partition(true)
				time.AfterFunc(time.Minute, func() { w.zk.Partition(false) })
			}
			w.create("/s/"+addr(i), "")
			if i > 1 {
				w.remove("/s/" + addr(i-1))
			}
			time.Sleep(2 * time.Minute)
			expectAnswer(t, w, cc, addr(i))
			stop()
		}
	})
}

// What a closed client leaves: ClientConns go on, and those without a list say why.
func TestAClosedClientIsSaid(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.serve(addr(1))
		w.create("/s", "")
		w.create("/s/"+addr(1), "")
		b := w.builder()
		cc := w.dial(b, "zk:///s")
		expectAnswer(t, w, cc, addr(1))
		if err := w.client.Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		expectAnswer(t, w, cc, addr(1))
		expectUnavailable(t, w, w.dial(b, "zk:///other"), 0, "closed")
	})
}
