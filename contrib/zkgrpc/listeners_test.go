package zkgrpc_test

import (
	"net"
	"sync/atomic"
)

// A countingListener counts the connections that are open.
type countingListener struct {
	net.Listener
	open, openAtClose atomic.Int64
	closed            atomic.Bool
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.open.Add(1)
	return &countedConn{Conn: conn, closed: func() { l.open.Add(-1) }}, nil
}

func (l *countingListener) Close() error {
	if l.closed.CompareAndSwap(false, true) {
		l.openAtClose.Store(l.open.Load())
	}
	return l.Listener.Close()
}

type countedConn struct {
	net.Conn
	closed func()
	did    atomic.Bool
}

func (c *countedConn) Close() error {
	if c.did.CompareAndSwap(false, true) {
		c.closed()
	}
	return c.Conn.Close()
}

// named is a listener on an address that a bubble has no network for.
type named struct {
	net.Listener
	addr net.TCPAddr
}

func (n named) Addr() net.Addr { return &n.addr }

// A lateListener holds up its server before that accepts connections, for gRPC asks for the address first.
type lateListener struct {
	net.Listener
	release chan struct{}
}

func (l lateListener) Addr() net.Addr {
	<-l.release
	return l.Listener.Addr()
}
