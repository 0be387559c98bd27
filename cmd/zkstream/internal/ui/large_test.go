package ui_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/zkstream/zkstream/cmd/zkstream/internal/ui"
)

// many is how many nodes a large tree has.
const many = 100_000

// heap returns how many bytes are in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first has made free by finalizers, too
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// With 100,000 children in one node, the first picture is small, and a change costs a message of its own size. Neither a browser that
// has stopped reading nor one that reads makes the server keep anything of the changes that have been.
func TestALargeTreeCostsABrowserLittleAndChangesCostTheServerNothing(t *testing.T) {
	f := start(t, ui.Options{})
	f.must(f.server.Create("/large", nil))
	for i := range many {
		f.must(f.server.Create(fmt.Sprintf("/large/node-%06d", i), []byte("a server's properties, or so")))
	}
	f.follow()

	first := 0
	for _, target := range []string{"/", "/app.js", "/dom.js", "/tree.js", "/detail.js", "/format.js", "/style.css", "/icon.svg",
		"/api/children", "/api/children?path=/large"} {
		_, body := f.request("GET", target, "", nil)
		first += len(body)
	}
	e := f.events()
	if m := e.next(); m.Nodes < many {
		t.Fatalf("the tree has %d nodes", m.Nodes)
	}
	first += e.bytes
	t.Logf("the first picture takes %d bytes", first)
	if first > 80_000 {
		t.Errorf("the first picture takes %d bytes", first)
	}

	defer f.stall()()
	change := func(from, to int) {
		for i := from; i < to; i++ {
			f.must(f.server.Set(fmt.Sprintf("/large/node-%06d", i%1000), fmt.Appendf(nil, "content number %d, which is as large as that before", i)))
		}
		f.must(f.server.Set("/large", fmt.Append(nil, to)))
		e.until("the last change", func(m message) bool {
			for _, c := range m.Changes {
				if c.Path == "/large" {
					return true
				}
			}
			return m.Total > len(m.Changes)
		})
	}
	change(0, 1000) // each of them once, so that what follows makes nothing larger
	before, sent := heap(), e.bytes
	change(1000, 11_000)
	grown := heap() - before
	t.Logf("10,000 changes: the heap has grown by %d bytes, a browser was sent %d", grown, e.bytes-sent)
	if grown > 4<<20 {
		t.Errorf("10,000 changes have left %d bytes", grown)
	}
	if perChange := (e.bytes - sent) / 10_000; perChange > 500 {
		t.Errorf("a browser was sent %d bytes a change", perChange)
	}
}

// A stalledBrowser is one that takes nothing any more.
type stalledBrowser struct {
	header  http.Header
	writing chan struct{} // closed when it is being written to
	once    sync.Once
	gone    chan struct{} // closed when it has gone
}

func (b *stalledBrowser) Header() http.Header              { return b.header }
func (b *stalledBrowser) WriteHeader(int)                  {}
func (b *stalledBrowser) Flush()                           {}
func (b *stalledBrowser) SetWriteDeadline(time.Time) error { return nil } // so that it stays for as long as the test

func (b *stalledBrowser) Write([]byte) (int, error) {
	b.once.Do(func() { close(b.writing) })
	<-b.gone
	return 0, net.ErrClosed
}

// stall opens a stream of events that nobody reads, and returns what ends it.
func (f *fixture) stall() (end func()) {
	b := &stalledBrowser{header: http.Header{}, writing: make(chan struct{}), gone: make(chan struct{})}
	done := make(chan struct{})
	go func() { // ends when the browser has gone
		defer close(done)
		f.page.ServeHTTP(b, httptest.NewRequest("GET", f.http.URL+"/api/events", nil))
	}()
	<-b.writing
	return func() { close(b.gone); <-done }
}
