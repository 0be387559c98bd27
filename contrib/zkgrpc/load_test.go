package zkgrpc_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
)

// A load makes calls at a steady rate, whether or not those before have been answered.
type load struct {
	cc   *grpc.ClientConn
	stop context.CancelFunc
	done sync.WaitGroup

	mu     sync.Mutex // guards what follows
	phases []*phase
}

// A phase is the calls that began in one part of a test.
type phase struct {
	name   string
	begun  time.Time
	took   []time.Duration
	failed []error
	by     map[string]int // which server has answered how many
}

// startLoad begins to call, so often a second. No call waits for a ready server, and none is repeated by the client.
func startLoad(cc *grpc.ClientConn, perSecond int) *load {
	ctx, stop := context.WithCancel(context.Background())
	l := &load{cc: cc, stop: stop}
	l.phase("at first")
	l.done.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(perSecond))
		defer tick.Stop()
		begun := time.Now()
		for made := 0; ; {
			select {
			case now := <-tick.C: // on a busy machine some are left out, and their calls made with the next
				for ; made < int(now.Sub(begun).Seconds()*float64(perSecond)); made++ {
					l.done.Go(l.call)
				}
			case <-ctx.Done():
				return
			}
		}
	})
	return l
}

func (l *load) call() {
	l.mu.Lock()
	p := l.phases[len(l.phases)-1]
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	begun := time.Now()
	by, err := call(ctx, l.cc)
	took := time.Since(begun)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		p.failed = append(p.failed, err)
		return
	}
	p.took = append(p.took, took)
	p.by[by]++
}

// phase begins the next one.
func (l *load) phase(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.phases = append(l.phases, &phase{name: name, begun: time.Now(), by: map[string]int{}})
}

// answeredBy reports whether each of the servers has answered a call of the present phase.
func (l *load) answeredBy(servers ...string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	by := l.phases[len(l.phases)-1].by
	return !slices.ContainsFunc(servers, func(server string) bool { return by[server] == 0 })
}

// finish ends the load, prints the figures, and fails the test for each phase in which calls have failed.
func (l *load) finish(t *testing.T) {
	t.Helper()
	l.stop()
	l.done.Wait()
	var table strings.Builder
	fmt.Fprintf(&table, "\n%-58s %6s %7s %9s %9s %9s", "", "calls", "failed", "median", "99 %", "longest")
	end := time.Now()
	for i := len(l.phases) - 1; i >= 0; i-- { // the last that began later ends one
		l.phases[i].name = fmt.Sprintf("%s, %.1f s", l.phases[i].name, end.Sub(l.phases[i].begun).Seconds())
		end = l.phases[i].begun
	}
	for _, p := range l.phases {
		slices.Sort(p.took)
		at := func(share float64) time.Duration {
			if len(p.took) == 0 {
				return 0
			}
			return p.took[int(share*float64(len(p.took)-1))].Round(10 * time.Microsecond)
		}
		fmt.Fprintf(&table, "\n%-58s %6d %7d %9s %9s %9s", p.name, len(p.took)+len(p.failed), len(p.failed), at(0.5), at(0.99), at(1))
		if len(p.failed) > 0 {
			t.Errorf("%s: %d calls failed, the first with: %v", p.name, len(p.failed), p.failed[0])
		}
	}
	t.Log(table.String())
}
