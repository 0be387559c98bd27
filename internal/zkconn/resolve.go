package zkconn

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// lookupLimit is how long a name may take to be resolved. Go's resolver gives a name server that does
	// not answer five seconds before it asks the next, so the limit of a dial would be too short.
	lookupLimit = 30 * time.Second

	// lookupGrace is how long a round of dials waits for names whose addresses are known from before. A
	// healthy name server needs less, and its answer is better: a server that has moved is not at its old
	// address, where a dial may hang.
	lookupGrace = 500 * time.Millisecond
)

// endpoint is one address of a server.
type endpoint struct {
	server string // as in Config.Servers
	addr   string // ip:port; or server, if the dialer is to resolve it
}

// names resolves the names of the servers, apart from dialling, and remembers the addresses: a resolver
// that fails while the connection is lost does not cost the session.
type names struct {
	ctx      context.Context // ends when Close begins
	resolver *net.Resolver   // nil: the dialer resolves names
	grace    time.Duration
	running  *sync.WaitGroup // lookups

	changed chan struct{} // capacity 1: a lookup has ended

	mu    sync.Mutex // guards what follows, and each name
	names []*name    // in the order of Config.Servers
}

// name is a server and its addresses.
type name struct {
	server, host, port string
	fixed              bool     // an address already, or the dialer's business
	addrs              []string // ip:port, of the last lookup that succeeded
	err                error    // of the last lookup; nil if it succeeded
	pending            bool     // a lookup is under way
}

func newNames(c *Conn) *names {
	n := &names{
		ctx: c.ctx, resolver: c.cfg.Resolver, running: &c.running,
		grace:   min(lookupGrace, c.cfg.Timeout/8),
		changed: make(chan struct{}, 1),
	}
	if n.resolver == nil && c.cfg.Dial == nil {
		n.resolver = net.DefaultResolver
	}
	for _, server := range c.cfg.Servers {
		s := &name{server: server}
		s.host, s.port, _ = net.SplitHostPort(server)
		_, notAddr := netip.ParseAddr(s.host)
		if s.fixed = n.resolver == nil || notAddr == nil; s.fixed {
			s.addrs = []string{server}
		}
		n.names = append(n.names, s)
	}
	return n
}

// endpoints returns all addresses that are known.
func (n *names) endpoints() []endpoint {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []endpoint
	for _, s := range n.names {
		for _, addr := range s.addrs {
			all = append(all, endpoint{s.server, addr})
		}
	}
	return all
}

// failure returns why the last lookup of server failed, or nil.
func (n *names) failure(server string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.names {
		if s.server == server {
			return s.err
		}
	}
	return nil
}

// refresh resolves all names, at once, and waits: for all answers; but once there is any address, only for
// the grace. Lookups that are late go on, and their answers serve the next round.
func (n *names) refresh() {
	n.mu.Lock()
	for _, s := range n.names {
		if !s.fixed && !s.pending && n.ctx.Err() == nil {
			s.pending = true
			// Ends with the lookup, within lookupLimit or when Close begins; Close waits for it.
			n.running.Go(func() { n.lookup(s) })
		}
	}
	n.mu.Unlock()
	grace, limit := time.NewTimer(n.grace), time.NewTimer(lookupLimit)
	defer grace.Stop()
	defer limit.Stop()
	late := false
	for {
		pending, known := n.progress()
		if !pending || known && late {
			return
		}
		select {
		case <-n.changed:
		case <-grace.C:
			late = true
		case <-limit.C:
			return
		case <-n.ctx.Done():
			return
		}
	}
}

// progress reports whether a lookup is under way, and whether any address is known.
func (n *names) progress() (pending, known bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.names {
		pending = pending || s.pending
		known = known || len(s.addrs) > 0
	}
	return pending, known
}

// lookup resolves s, and keeps its addresses of before if that fails.
func (n *names) lookup(s *name) {
	ctx, cancel := context.WithTimeout(n.ctx, lookupLimit)
	defer cancel()
	// Package net does not end a lookup with its context: it only stops waiting, and leaves goroutines and
	// sockets until the name server's time is over. So the lookup gets no context that ends. Instead its
	// connections are cut off, which ends Go's resolver at once. The C library's resolver, where Go uses it,
	// cannot be interrupted at all.
	ips, err := interruptible(ctx, n.resolver).LookupNetIP(context.Background(), "ip", s.host)
	n.mu.Lock()
	s.pending = false
	if s.err = err; err == nil {
		s.addrs = nil
		for _, ip := range ips {
			s.addrs = append(s.addrs, net.JoinHostPort(ip.Unmap().String(), s.port))
		}
	}
	n.mu.Unlock()
	select {
	case n.changed <- struct{}{}:
	default:
	}
}

// interruptible returns a resolver like r, whose connections to name servers fail when ctx ends. Its one
// lookup must be over before ctx is cancelled for good.
func interruptible(ctx context.Context, r *net.Resolver) *net.Resolver {
	dial := r.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return &net.Resolver{
		PreferGo:     r.PreferGo,
		StrictErrors: r.StrictErrors,
		Dial: func(dialCtx context.Context, network, addr string) (net.Conn, error) {
			dialCtx, cancel := context.WithCancel(dialCtx)
			defer cancel()
			defer context.AfterFunc(ctx, cancel)()
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			conn, err := dial(dialCtx, network, addr)
			if err == nil {
				// The resolver has set its own deadline once it waits for an answer. Closed, the
				// connection cannot be given another.
				context.AfterFunc(ctx, func() { conn.Close() })
			}
			return conn, err
		},
	}
}
