package zkconn

import (
	"sync"
	"time"
)

// gateLimit is how long the gate may stay shut.
const gateLimit = time.Second / 2

// gate holds replies back from go-zookeeper on a new connection. Without it events are lost: go-zookeeper asks
// for its watches again from the last zxid that it saw, while its receive loop already moves that zxid.
//
//  1. The connection comes back; go-zookeeper's last zxid is 100. A node has changed meanwhile, at 150.
//  2. Another request of the user's is answered first. Its reply says 200, so the last zxid is 200.
//  3. Only now go-zookeeper builds its SetWatches: "from 200". The server finds no change since 200.
//
// So no reply passes until the first SetWatches has been written. Where go-zookeeper has no watch left it writes
// none: then the gate opens by itself. zkconn's own watches do not need the gate: see rearm.go.
type gate struct {
	mu   sync.Mutex    // guards shut
	shut chan struct{} // closed when the gate opens; nil while it is open
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = make(chan struct{})
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != nil {
		close(g.shut)
		g.shut = nil
	}
}

// wait returns once the gate is open, and whether it was shut. The goroutine that receives calls it.
func (g *gate) wait() bool {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut == nil {
		return false
	}
	select {
	case <-shut: // wire.Close opens it too
	case <-time.After(gateLimit):
		g.open()
	}
	return true
}
