package soak

import (
	"context"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/zkstream/zkstream/internal/ensemble"
	"go.uber.org/goleak"
)

var duration = flag.Duration("for", 0, "how long TestSoak lasts, with 100 clients; 0: some seconds, with 10")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// size is how much there is of everything.
type size struct {
	clients       int
	streams       int // of each client; a fifth of them on services, the others on nodes
	registrations int // of each client
	nodes         int
	services      int
	proxies       int           // which share the clients
	timeout       time.Duration // of sessions
	expiries      time.Duration // between two times that the sessions of a proxy's clients expire
}

var (
	large = size{clients: 100, streams: 100, registrations: 10, nodes: 2000, services: 50, proxies: 10, timeout: 6 * time.Second, expiries: 20 * time.Second}
	small = size{clients: 10, streams: 100, registrations: 10, nodes: 200, services: 5, proxies: 2, timeout: 2 * time.Second, expiries: time.Minute}
)

// patience bounds waits for what must happen. It is long because the machine may be busy.
const patience = 2 * time.Minute

// TestSoak starts everything, disturbs it until the time is over, and at the start, in the middle and at
// the end lets it come to rest, checks that every stream and registration is right, and measures.
func TestSoak(t *testing.T) {
	of, last := large, *duration
	if last == 0 {
		of, last = small, 8*time.Second
	}
	e := ensemble.Start(t, 1, ensemble.Options{MaxSessionTimeout: time.Minute, Java: []string{"-Xmx512m"}})
	l := start(t, e.Servers()[0], of)

	// Whatever grows to its size at the first use, such as buffers, has done so after this.
	l.disturb(0)
	first := l.measure("start")
	l.disturb(last / 2)
	l.measure("middle").isFlat(t, first)
	l.disturb(last / 2)
	l.measure("end").isFlat(t, first)

	l.close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		conns, err := e.Servers()[0].Connections(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(conns) == 0 {
			return // goleak looks for goroutines
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("after Close of all clients the server has connections: %v", conns)
		}
	}
}

// descriptors returns the number of open file descriptors, -1 where the system does not tell it so.
func descriptors() int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return -1
	}
	return len(list)
}
