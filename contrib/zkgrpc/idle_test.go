package zkgrpc_test

import (
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
)

// After 30 minutes without calls gRPC closes a ClientConn's resolver, and with the next call has another built.
func TestTheFirstCallAfterIdlenessNeedsNoZooKeeper(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		const addr = "10.0.0.1:80"
		w.serve(addr)
		w.create("/s", "")
		w.create("/s/"+addr, "")
		cc := w.dial(w.builder(), "zk:///s")
		for range 3 {
			if got, err := w.call(cc); got != addr {
				t.Fatalf("answered by %q: %v", got, err)
			}
			time.Sleep(31 * time.Minute)
			synctest.Wait()
			if state := cc.GetState(); state != connectivity.Idle {
				t.Fatalf("after 31 minutes it is %s", state)
			}
			w.zk.Partition(true)
			before := time.Now()
			got, err := w.call(cc)
			if got != addr || time.Since(before) > 0 {
				t.Fatalf("without ZooKeeper: answered by %q after %s: %v", got, time.Since(before), err)
			}
			w.zk.Partition(false)
		}
	})
}

// The list changes while a ClientConn is idle.
func TestWhatHasChangedDuringIdlenessIsKnown(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.serve("10.0.0.2:80")
		w.create("/s", "")
		w.create("/s/10.0.0.1:80", "")
		cc := w.dial(w.builder(), "zk:///s", grpc.WithIdleTimeout(time.Minute))
		if got, err := w.call(cc); err == nil {
			t.Fatalf("nobody listens, but there is an answer of %s", got)
		}
		time.Sleep(2 * time.Minute)
		w.create("/s/10.0.0.2:80", "")
		w.remove("/s/10.0.0.1:80")
		synctest.Wait()
		if got, err := w.call(cc); got != "10.0.0.2:80" {
			t.Fatalf("answered by %q: %v", got, err)
		}
	})
}
