package zktest

import (
	"context"
	"net"
	"os"
	"slices"
	"syscall"
	"time"
)

// Dialer is one client's own way to the servers. A client that connects through it can be cut off from all
// of them, and stays so whatever session it has or asks for. [Request] says which Dialer a request came through.
//
//	conn, events, err := zk.Connect(e.DialAddrs(), 10*time.Second, zk.WithDialer(e.Dialer("a").DialTimeout))
//	...
//	e.Dialer("a").Partition(true)
//
// All methods may be called from any goroutine.
type Dialer struct {
	e    *Ensemble
	name string

	// The Ensemble's mutex guards what follows.
	partitioned bool
	thawed      chan struct{} // closed when a freeze ends; nil while there is none
	pipes       []*pipeEnd    // all that are open, and some that are not
}

// Dialer gives the Dialer of that name: the same one for the same name.
func (e *Ensemble) Dialer(name string) *Dialer {
	e.mu.Lock()
	defer e.mu.Unlock()
	d := e.dialers[name]
	if d == nil {
		d = &Dialer{e: e, name: name}
		e.dialers[name] = d
	}
	return d
}

// Dialer gives the Dialer of that name: the same one for the same name. On a member of an ensemble it is the
// ensemble's.
func (s *Server) Dialer(name string) *Dialer { return s.e.Dialer(name) }

// Name is the Dialer's name.
func (d *Dialer) Name() string { return d.name }

// Dial connects in memory, to a standalone server whatever the address, or to the member of the ensemble with the
// address, as [Ensemble.Dial] does. While the Dialer is partitioned it fails as if the connection were refused;
// while it is frozen it waits for ctx.
func (d *Dialer) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	for {
		d.e.mu.Lock()
		thawed, refused := d.thawed, d.partitioned
		d.e.mu.Unlock()
		switch {
		case refused:
			return nil, dialError(network, addr, syscall.ECONNREFUSED)
		case thawed == nil:
			return d.e.dial(ctx, network, addr, d)
		}
		select {
		case <-thawed:
		case <-ctx.Done():
			return nil, &net.OpError{Op: "dial", Net: network, Addr: stringAddr(addr), Err: ctx.Err()}
		}
	}
}

// DialTimeout is Dial in the form that go-zookeeper's WithDialer takes. A timeout of 0 means none.
func (d *Dialer) DialTimeout(network, addr string, timeout time.Duration) (net.Conn, error) {
	ctx := context.Background()
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	return d.Dial(ctx, network, addr)
}

// Disconnect drops the client's connections. It may come back at once.
func (d *Dialer) Disconnect() {
	d.e.mu.Lock()
	defer d.e.mu.Unlock()
	d.dropLocked()
}

// Partition cuts the client off from all servers while on: its connections are dropped and new ones refused.
func (d *Dialer) Partition(on bool) {
	d.e.mu.Lock()
	defer d.e.mu.Unlock()
	d.partitionLocked(on)
}

func (d *Dialer) partitionLocked(on bool) {
	d.partitioned = on
	if on {
		d.dropLocked()
	}
}

// Freeze cuts the client off from all servers while on, as a network that loses every packet: its connections stay
// open, and neither side hears anything, not even that the other has closed. Whatever was sent meanwhile arrives when
// it ends.
func (d *Dialer) Freeze(on bool) {
	d.e.mu.Lock()
	defer d.e.mu.Unlock()
	if on == (d.thawed != nil) {
		return
	}
	if on {
		d.thawed = make(chan struct{})
	} else {
		close(d.thawed)
		d.thawed = nil
	}
	for _, p := range d.pipes {
		p.freeze(on)
	}
}

func (d *Dialer) addLocked(p *pipeEnd) {
	d.pipes = append(slices.DeleteFunc(d.pipes, (*pipeEnd).ended), p)
	if d.thawed != nil { // a freeze that has begun since Dial looked
		p.freeze(true)
	}
}

// dropLocked closes all connections through the Dialer.
func (d *Dialer) dropLocked() {
	for _, s := range d.e.members {
		for c := range s.conns {
			if c.dialer == d {
				c.closeLocked(dropNow)
			}
		}
	}
}

// PartitionSession cuts the client of a session off while on: its connections are dropped, and it cannot have the session
// back. A client that came through a [Dialer] is cut off altogether, as by [Dialer.Partition]. Any other can
// connect with a new session, which nobody can tell from another client's. An id of 0 does nothing.
func (e *Ensemble) PartitionSession(id int64, on bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if id == 0 {
		return
	}
	if d := e.dialerOf[id]; d != nil {
		d.partitionLocked(on)
	}
	if !on {
		delete(e.cutOff, id)
		return
	}
	e.cutOff[id] = true
	for _, s := range e.members {
		if c := s.attached[id]; c != nil {
			c.closeLocked(dropNow)
		}
	}
}

// PartitionSession cuts the client of a session off while on, as [Ensemble.PartitionSession] does.
func (s *Server) PartitionSession(id int64, on bool) { s.e.PartitionSession(id, on) }

func dialError(network, addr string, err error) error {
	return &net.OpError{Op: "dial", Net: network, Addr: stringAddr(addr), Err: os.NewSyscallError("connect", err)}
}

// stringAddr is an address that was dialled.
type stringAddr string

func (stringAddr) Network() string  { return "tcp" }
func (a stringAddr) String() string { return string(a) }
