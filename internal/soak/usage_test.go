package soak

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

// resources is what the process uses.
type resources struct {
	heap        uint64 // bytes of live objects, and of dead ones since the last collection
	goroutines  int
	descriptors int
}

// usage does not collect garbage.
func usage() resources {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return resources{m.HeapAlloc, runtime.NumGoroutine(), descriptors()}
}

func (r resources) String() string {
	return fmt.Sprintf("heap %.1f MB, %d goroutines, %d descriptors", float64(r.heap)/(1<<20), r.goroutines, r.descriptors)
}

// How much more than at the start is still flat. Goroutines come and go with requests, of which the
// proxies' and the server's share is not at rest when all streams are; the heap has the garbage
// collector's own grain, and the room that maps and slices keep from a burst.
const (
	heapTolerance       = 0.10    // of the heap at the start
	heapGrain           = 4 << 20 // bytes more
	goroutineTolerance  = 10
	descriptorTolerance = 5
)

// isFlat checks that r is not more than at the start.
func (r resources) isFlat(t *testing.T, first resources) {
	t.Helper()
	if most := first.heap + uint64(heapTolerance*float64(first.heap)) + heapGrain; r.heap > most {
		t.Errorf("the heap has grown from %d to %d bytes", first.heap, r.heap)
	}
	if r.goroutines > first.goroutines+goroutineTolerance {
		t.Errorf("goroutines have grown from %d to %d", first.goroutines, r.goroutines)
	}
	if r.descriptors > first.descriptors+descriptorTolerance {
		t.Errorf("file descriptors have grown from %d to %d", first.descriptors, r.descriptors)
	}
}

// measure lets everything come to rest, collects the garbage, and measures.
func (l *load) measure(when string) resources {
	l.t.Helper()
	l.rest()
	// Requests that no stream waits for, and connections that are being closed, end a little later.
	last, same := usage().goroutines, 0
	for end := time.Now().Add(10 * time.Second); same < 10 && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		now := usage().goroutines
		if same++; now != last {
			last, same = now, 0
		}
	}
	runtime.GC()
	runtime.GC() // what the first has found in sync.Pools goes only now
	r := usage()
	l.tell(when, r)
	return r
}

func (l *load) tell(when string, r resources) {
	l.t.Helper()
	l.t.Logf("%s: %v; %d writes, %d snapshots read, %d streams opened and left, %d drops and %d expiries of a proxy's clients, %d registrations replaced",
		when, r, l.writes, l.snapshots.Load(), l.streams, l.drops, l.expiries, l.reregister)
}
