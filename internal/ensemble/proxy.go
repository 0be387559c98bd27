package ensemble

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// relistenTimeout bounds the wait for the port when a Proxy listens again.
const relistenTimeout = 10 * time.Second

// Proxy passes TCP connections on to one address and, when told to, misbehaves
// as networks and servers do. It holds one of the faults Cut, Hold and Hang at a
// time: the latest call counts. Its address stays the same.
//
// A proxy has to accept a connection before it can try the target: where the
// target refuses it, the client sees its connection closed, not refused.
type Proxy struct {
	target  string
	addr    string
	release func()          // gives the port back
	ctx     context.Context // ended by Close
	cancel  context.CancelFunc
	wg      sync.WaitGroup // all goroutines

	toServer, toClient, accepted atomic.Int64
	delay                        atomic.Int64 // a time.Duration
	rate                         atomic.Int64 // bytes a second; 0: no limit
	answered                     atomic.Int64 // when bytes were last passed on to a client, in Unix nanoseconds

	mu              sync.Mutex // guards what follows
	listener        net.Listener
	fault           fault
	closeHandshakes bool
	closed          bool
	changed         chan struct{} // closed and replaced when fault changes
	links           map[*link]struct{}
}

// fault is what the proxy does wrong.
type fault int

const (
	none fault = iota
	cut
	hold
	hang
)

// StartProxy starts a proxy for a test, which is closed when the test and its
// subtests have ended.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	p, err := NewProxy(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("close the proxy: %v", err)
		}
	})
	return p
}

// NewProxy starts a proxy for target, a "host:port", on a free port of 127.0.0.1.
// The caller must call Close.
func NewProxy(target string) (*Proxy, error) {
	port, release, err := reservePort()
	if err != nil {
		return nil, fmt.Errorf("proxy for %s: %w", target, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Proxy{
		target:  target,
		addr:    net.JoinHostPort(loopback, strconv.Itoa(port)),
		release: release,
		ctx:     ctx,
		cancel:  cancel,
		changed: make(chan struct{}),
		links:   make(map[*link]struct{}),
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.listenLocked(); err != nil {
		cancel()
		release()
		return nil, fmt.Errorf("proxy for %s: %w", target, err)
	}
	return p, nil
}

// Addr returns the address that clients connect to, "127.0.0.1:port".
func (p *Proxy) Addr() string { return p.addr }

// Drop closes the present connections on both sides; new ones are served. Bytes
// that are under way are lost.
func (p *Proxy) Drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropLocked(func(*link) bool { return true })
}

// Cut closes the present connections and the listener, so that dials are refused
// as those to a dead server are, until Heal. On Linux nobody else can take the
// port meanwhile.
func (p *Proxy) Cut() { p.set(cut) }

// Hold lets the bytes of both directions wait, as a network does that is half
// open: connections stay open and new ones are accepted, but what arrives is
// passed on only after Heal, the end of a connection included. From each side at
// most one buffer of 32 KiB is read meanwhile, and it is not counted by Bytes.
// Bytes sent after Hold has returned are surely held.
func (p *Proxy) Hold() { p.set(hold) }

// Hang makes the present and all new connections hang, as a server does that is
// frozen: what clients send is swallowed and never answered. Such a connection
// stays hung until Heal, which closes it, or until the client closes it.
func (p *Proxy) Hang() { p.set(hang) }

// CloseHandshakes says whether new connections are closed as soon as the first
// bytes have been read from them, without asking the target: a server that never
// completes a handshake. Present connections are left alone. It lasts until it is
// turned off or until Heal.
func (p *Proxy) CloseHandshakes(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closeHandshakes = on
}

// Heal ends Cut, Hold, Hang and CloseHandshakes. It closes connections that hang
// and passes on what Hold has held. It panics if it cannot listen on its port
// again, which cannot happen on Linux.
func (p *Proxy) Heal() { p.set(none) }

// Delay adds d to the way of each byte in each direction, without limiting how
// many are under way. It applies to bytes that arrive from now on; 0 means none.
func (p *Proxy) Delay(d time.Duration) { p.delay.Store(int64(d)) }

// Throttle lets at most so many bytes a second pass in each direction of each connection, beginning with what is
// passed on next; 0 means no limit. What the target sends meanwhile waits in the proxy.
func (p *Proxy) Throttle(bytesPerSecond int) { p.rate.Store(int64(bytesPerSecond)) }

// Answered returns when bytes of the target were last passed on to a client; the zero time if none were.
func (p *Proxy) Answered() time.Time {
	if at := p.answered.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// Bytes returns how many bytes clients have sent and how many the target has,
// over all connections since the start. Bytes that Hang or CloseHandshakes
// swallow count too, bytes that Hold keeps count when it ends.
func (p *Proxy) Bytes() (toServer, toClient int64) {
	return p.toServer.Load(), p.toClient.Load()
}

// Connections returns the number of connections that are open now.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// ServerSides returns the addresses from which the proxy is connected to its
// target now, one for each connection: those that [Server.Connections] tells.
func (p *Proxy) ServerSides() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var addrs []string
	for l := range p.links {
		if l.server != nil {
			addrs = append(addrs, l.server.LocalAddr().String())
		}
	}
	return addrs
}

// Accepted returns the number of connections accepted since the start.
func (p *Proxy) Accepted() int64 { return p.accepted.Load() }

// Close closes the listener and all connections and waits for the proxy's
// goroutines. A closed proxy does nothing more; closing it again is allowed.
func (p *Proxy) Close() error {
	p.mu.Lock()
	first := !p.closed
	p.closed = true
	p.cancel()
	err := p.unlistenLocked()
	p.dropLocked(func(*link) bool { return true })
	p.mu.Unlock()
	p.wg.Wait()
	if first {
		p.release()
	}
	return err
}

// set changes the fault, and does to the listener and to present connections
// what that asks for.
func (p *Proxy) set(f fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.fault = f
	switch f {
	case none:
		p.closeHandshakes = false
		p.dropLocked(func(l *link) bool { return l.hung })
	case cut:
		// The error would be that it is closed, which is what is wanted.
		_ = p.unlistenLocked()
		p.dropLocked(func(*link) bool { return true })
	case hang:
		for l := range p.links {
			l.hung = true
		}
	}
	if f != cut && p.listener == nil {
		if err := p.listenLocked(); err != nil {
			panic(fmt.Sprintf("ensemble: proxy cannot listen on its port again: %v", err))
		}
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

// listenLocked opens the listener and accepts its connections.
func (p *Proxy) listenLocked() error {
	var listener net.Listener
	ctx, cancel := context.WithTimeout(p.ctx, relistenTimeout)
	defer cancel()
	var last error
	err := poll(ctx, func() (bool, error) {
		listener, last = net.Listen("tcp", p.addr)
		return last == nil, nil
	})
	if err != nil {
		return errors.Join(err, last)
	}
	p.listener = listener
	// Ends when its listener is closed, by Cut or Close; Close waits for it.
	p.wg.Go(func() { p.accept(listener) })
	return nil
}

// unlistenLocked closes the listener if there is one.
func (p *Proxy) unlistenLocked() error {
	if p.listener == nil {
		return nil
	}
	err := p.listener.Close()
	p.listener = nil
	return err
}

// accept serves the connections of one listener.
func (p *Proxy) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Out of file descriptors, say: others will be given back.
			time.Sleep(pollInterval)
			continue
		}
		p.adopt(listener, client)
	}
}

// adopt starts to serve a connection, unless its listener has been closed since.
func (p *Proxy) adopt(listener net.Listener, client net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != listener {
		_ = client.Close()
		return
	}
	p.accepted.Add(1)
	l := &link{
		proxy:           p,
		client:          client,
		done:            make(chan struct{}),
		hung:            p.fault == hang,
		closesHandshake: p.closeHandshakes,
	}
	p.links[l] = struct{}{}
	// Ends when the link is closed, by either side or by Drop, Cut, Heal or Close,
	// which waits for it.
	p.wg.Go(l.serve)
}

// dropLocked closes the connections that match.
func (p *Proxy) dropLocked(match func(*link) bool) {
	for l := range p.links {
		if match(l) {
			l.closeLocked()
		}
	}
}
