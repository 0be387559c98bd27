package zkgrpc_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/contrib/zkgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/resolver"
)

// dialing returns a DialingBuilder whose clients are counted, and which is closed at the end of the test.
func (w *world) dialing(clients *atomic.Int64, fail func(n int64) error) *zkgrpc.DialingBuilder {
	b := zkgrpc.NewDialingBuilder(func(ctx context.Context, servers string) (*zkstream.Client, error) {
		if err := fail(clients.Add(1)); err != nil {
			return nil, err
		}
		return zkstream.Connect(ctx, servers, zkstream.WithDialer(w.zk.Dial))
	})
	w.t.Cleanup(b.Close)
	return b
}

func always(int64) error { return nil }

func TestTargetsThatNameTheServersShareAClient(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.serve(addr(1))
		w.create("/a", "")
		w.create("/a/"+addr(1), "")
		w.create("/b", "")
		w.create("/b/"+addr(1), "")
		var clients atomic.Int64
		b := w.dialing(&clients, always)
		one, two := w.dial(b, "zk://zk1:2181,zk2:2181/a"), w.dial(b, "zk://zk1:2181,zk2:2181/b")
		for range 2 {
			expectAnswer(t, w, one, addr(1))
			expectAnswer(t, w, two, addr(1))
			time.Sleep(time.Hour) // they are idle, and the servers are still known
			w.zk.Partition(true)
		}
		if n := clients.Load(); n != 1 {
			t.Errorf("%d clients", n)
		}
		w.zk.Partition(false)
		expectAnswer(t, w, w.dial(b, "zk://zk3:2181/a"), addr(1))
		if n := clients.Load(); n != 2 {
			t.Errorf("%d clients of two ensembles", n)
		}
	})
}

func TestATargetWhoseServersCannotBeReached(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.serve(addr(1))
		w.create("/s", "")
		w.create("/s/"+addr(1), "")
		w.zk.Partition(true)
		var clients atomic.Int64
		b := w.dialing(&clients, always)
		cc := w.dial(b, "zk://zk1:2181/s")
		expectUnavailable(t, w, cc, time.Second, "connect to zk1:2181: there is no connection yet")
		time.AfterFunc(30*time.Second, func() { w.zk.Partition(false) })
		expectAnswer(t, w, cc, addr(1), grpc.WaitForReady(true))

		w.zk.Partition(true)
		waiting := w.dial(b, "zk://zk2:2181/s")
		expectUnavailable(t, w, waiting, time.Second, "zk2:2181")
		waiting.Close() // before there is a client
		w.dial(b, "zk://zk3:2181/s").Connect()
		b.Close() // the same
		expectUnavailable(t, w, w.dial(b, "zk://zk1:2181/s"), 0, "closed")
	})
}

func TestAFailedConnectIsTriedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.serve(addr(1))
		w.create("/s", "")
		w.create("/s/"+addr(1), "")
		var clients atomic.Int64
		b := w.dialing(&clients, func(n int64) error {
			if n <= 3 {
				return errors.New("wrong password")
			}
			return nil
		})
		cc := w.dial(b, "zk://zk1:2181/s")
		expectUnavailable(t, w, cc, 0, "connect to zk1:2181: wrong password")
		expectAnswer(t, w, cc, addr(1), grpc.WaitForReady(true))
		if n := clients.Load(); n != 4 {
			t.Errorf("%d attempts", n)
		}
		if err := w.zk.SetACL("/s", forbidden); err != nil {
			t.Fatal(err)
		}
		w.create("/s/"+addr(2), "")
		time.Sleep(10 * time.Minute)
		if err := w.zk.SetACL("/s", open); err != nil {
			t.Fatal(err)
		}
		r := record(t, b, "zk://zk1:2181/s")
		time.Sleep(time.Minute)
		if said := r.take(); said[len(said)-1] != "[10.0.0.1:80 10.0.0.2:80]" {
			t.Errorf("said: %q", said)
		}
	})
}

func TestATargetWithoutServers(t *testing.T) {
	var clients atomic.Int64
	w := &world{t: t}
	b := w.dialing(&clients, always)
	for _, target := range []string{"zk:///s", "zk://zk1/s?x", "zk://me:secret@zk1/s"} {
		_, err := b.Build(targetOf(t, target), &recorder{}, resolver.BuildOptions{})
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", target, err)
		}
	}
}

// ResolveNow reaches the service behind a target that was built before there was a client.
func TestResolveNowOfAPendingResolver(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var clients atomic.Int64
		b := w.dialing(&clients, always)
		built, err := b.Build(targetOf(t, "zk://zk1:2181/s"), &recorder{}, resolver.BuildOptions{})
		if err != nil {
			t.Fatal(err)
		}
		built.ResolveNow(resolver.ResolveNowOptions{})
		synctest.Wait()
		built.ResolveNow(resolver.ResolveNowOptions{})
		built.Close()
	})
}
