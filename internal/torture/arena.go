package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zkstream/zkstream/internal/ensemble"
	"golang.org/x/sync/errgroup"
)

// arena is where it happens: the ensemble, and the proxies through which the clients of all contenders reach
// it.
type arena struct {
	ensemble *ensemble.Ensemble
	clients  []*client
	timeout  time.Duration // of sessions
	log      *record       // what was done to whom, and when
	quiet    bool          // one more server of the list does not answer in this round
	calm     bool          // servers and network are well in this round
	changes  *changes
	sets     *setWriter
	counter  atomic.Int64 // of values and calls
}

// client is one client of one contender.
type client struct {
	name    string // of the contender, and a number
	number  int    // of those of its contender, from 0
	proxies []*ensemble.Proxy
	silent  *ensemble.Proxy // one more server of the list, which stops answering in some rounds
	process *process
	oracle  *oracle
	owner   *contender
	gone    bool   // that its process has ended is known
	names   string // how its name server is, as it was told last; "" is not at all

	mu     sync.Mutex // guards what follows
	frozen bool       // its process stands still
	thawed time.Time  // when it last stopped to stand still, or began
}

// contender is a library that takes part.
type contender struct {
	prepared
	clients []*client
	tally   *tally
	samples samples
	rest    []time.Duration // after each calm in which it came to rest
}

// paths of a contender's own nodes.
func (c *contender) properties() string { return root + "/p-" + c.name }
func (c *contender) ledger() string     { return root + "/k-" + c.name }
func (c *client) service() string       { return root + "/s-" + c.name }
func (c *client) large() string         { return root + "/l-" + c.name }

// servers returns the addresses of the servers themselves.
func (a *arena) servers() []string { return strings.Split(a.ensemble.ConnectString(), ",") }

// alive reports whether the client takes part still.
func (c *client) alive() bool { return !c.gone && c.process != nil && c.process.alive() }

// all returns all proxies of the client.
func (c *client) all() []*ensemble.Proxy {
	return slices.Concat(c.proxies, []*ensemble.Proxy{c.silent})
}

// newClient puts proxies between a client and the servers.
func (a *arena) newClient(owner *contender, number int, changes *changes) (*client, error) {
	c := &client{name: fmt.Sprintf("%s%d", owner.name, number), number: number, owner: owner}
	a.clients = append(a.clients, c) // so that close reaches it
	owner.clients = append(owner.clients, c)
	for _, s := range a.ensemble.Servers() {
		p, err := ensemble.NewProxy(s.Addr())
		if err != nil {
			return nil, err
		}
		c.proxies = append(c.proxies, p)
	}
	var err error
	if c.silent, err = ensemble.NewProxy(a.ensemble.Servers()[0].Addr()); err != nil {
		return nil, err
	}
	c.oracle = newOracle(c.name, c.service(), a.timeout, owner.tally, changes)
	c.oracle.exact = owner.name == subject
	c.oracle.history = a.sets.history
	return c, nil
}

// start starts the client's process and waits until it is ready.
func (c *client) start(ctx context.Context, timeout time.Duration) error {
	addrs := []string{c.silent.Addr()}
	for _, p := range c.proxies {
		addrs = append(addrs, p.Addr())
	}
	args := []string{strings.Join(addrs, ","), fmt.Sprint(timeout.Milliseconds())}
	cmd := exec.Command(c.owner.cmd.Path, slices.Concat(c.owner.cmd.Args[1:], args)...)
	cmd.Env = c.owner.cmd.Env
	if c.number%2 == 1 {
		cmd.Env = append(slices.Clip(cmd.Env), namesEnv+"=1")
	}
	var err error
	if c.process, err = startProcess(cmd, &record{name: c.name}, c.oracle.hear); err != nil {
		return err
	}
	select {
	case <-c.process.ready:
		return nil
	case <-c.process.ended:
		err = errors.New("it has ended")
	case <-time.After(readyLimit):
		err = fmt.Errorf("not ready in %v", readyLimit)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	c.process.end()
	return fmt.Errorf("%s: %w\n%s", c.name, err, c.process.log.tail(10))
}

// listen tells the oracles, until ctx ends, for how long their clients have had no answer.
func (a *arena) listen(ctx context.Context) {
	for pause(ctx, 50*time.Millisecond) == nil {
		now := time.Now()
		for _, c := range a.clients {
			if c.alive() {
				c.oracle.silence(now, c.silence(now))
			}
		}
	}
}

// silence returns for how long a client has had no answer of a server, as long as it could have taken one.
func (c *client) silence(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frozen {
		return 0
	}
	last := c.thawed
	for _, p := range c.all() {
		if at := p.Answered(); at.After(last) {
			last = at
		}
	}
	return now.Sub(last)
}

// freeze has a client's process stand still for a while.
func (c *client) freeze(ctx context.Context, last time.Duration) error {
	set := func(frozen bool) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.frozen, c.thawed = frozen, time.Now()
	}
	set(true)
	defer set(false)
	if err := stopGroup(c.process.cmd); err != nil {
		return err
	}
	_ = pause(ctx, last)
	return continueGroup(c.process.cmd)
}

// close ends all processes, and the servers.
func (a *arena) close() error {
	var g errgroup.Group
	for _, c := range a.clients {
		g.Go(func() error {
			if c.process != nil {
				c.process.end()
			}
			for _, p := range c.all() {
				if p != nil {
					_ = p.Close()
				}
			}
			return nil
		})
	}
	_ = g.Wait()
	return a.ensemble.Close()
}

// sessions returns which sessions each client has, as the servers tell.
func (a *arena) sessions(ctx context.Context) (map[*client][]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	at := map[string]int64{} // by the address that the server sees
	for _, s := range a.ensemble.Servers() {
		conns, err := s.Connections(ctx)
		if err != nil {
			return nil, err
		}
		for _, conn := range conns {
			at[s.Addr()+" "+conn.Addr] = conn.Session
		}
	}
	all := map[*client][]int64{}
	servers := a.ensemble.Servers()
	for _, c := range a.clients {
		add := func(p *ensemble.Proxy, server *ensemble.Server) {
			for _, addr := range p.ServerSides() {
				if id := at[server.Addr()+" "+addr]; id != 0 && !slices.Contains(all[c], id) {
					all[c] = append(all[c], id)
				}
			}
		}
		for i, p := range c.proxies {
			add(p, servers[i])
		}
		add(c.silent, servers[0])
	}
	return all, nil
}

// turnLogs begins a round in all logs.
func (a *arena) turnLogs() {
	a.log.turn()
	for _, c := range a.clients {
		if c.process != nil {
			c.process.log.turn()
		}
	}
}
