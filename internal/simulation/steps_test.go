package simulation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
)

// A step of the schedule, and how often it is chosen. One that does not apply does nothing.
var simSteps = []struct {
	weight int
	do     func(*simulation)
}{
	// What users do.
	{14, (*simulation).openSome},
	{3, (*simulation).closeStream},
	{3, (*simulation).cancelStream},
	{3, (*simulation).pollStreams},
	{7, (*simulation).registerSome},
	{2, (*simulation).withdraw},
	{2, (*simulation).cancelRegistration},
	{4, (*simulation).updateRegistration},
	{10, (*simulation).updateProperties},
	{7, (*simulation).callData},
	{3, (*simulation).cancelCall},
	{2, (*simulation).openClient},
	{2, (*simulation).closeClient},
	// What others do.
	{12, (*simulation).changeData},
	{4, (*simulation).changeChildren},
	{3, (*simulation).deleteRegistered},
	{2, (*simulation).block},
	// What goes wrong.
	{5, (*simulation).disconnect},
	{3, (*simulation).partition},
	{3, (*simulation).freeze},
	{1, (*simulation).silence},
	{4, (*simulation).expire},
	{2, (*simulation).restart},
	{1, (*simulation).wipe},
	{12, (*simulation).fail},
	{2, (*simulation).throttle},
	{4, (*simulation).fallBehind},
}

// step does one thing.
func (s *simulation) step() {
	if s.healing > 0 {
		if s.healing--; s.healing == 0 {
			s.note("heal")
			s.heal()
		}
	}
	total := 0
	for _, st := range simSteps {
		total += st.weight
	}
	n := s.rng.IntN(total)
	for _, st := range simSteps {
		if n -= st.weight; n < 0 {
			st.do(s)
			return
		}
	}
}

func (s *simulation) client() *simClient {
	open := s.openClients()
	if len(open) == 0 {
		return nil
	}
	return pick(s, open)
}

func (s *simulation) openSome() {
	c := s.client()
	if c == nil {
		return
	}
	paths := slices.Concat(simData, simProps, simServices, simServices, []string{simQuiet, simNever, simRoot})
	for range 1 + s.rng.IntN(4) {
		switch s.rng.IntN(30) {
		case 0:
			s.open(c, simDenied)
		case 1, 2, 3:
			s.open(c, pick(s, simServices)+"/"+pick(s, simAddrs))
		default:
			s.open(c, pick(s, paths))
		}
	}
}

// openStreams are those that nothing has ended yet, as far as the schedule knows.
func (s *simulation) openStreams() (open []*watcher) {
	for _, w := range s.streams {
		if len(w.reasons) == 0 {
			open = append(open, w)
		}
	}
	return open
}

func (s *simulation) closeStream() {
	if open := s.openStreams(); len(open) > 0 {
		w := pick(s, open)
		s.note("%v: close", w)
		w.reasons = append(w.reasons, zkstream.ErrClosed)
		w.close()
		if s.chance(2) {
			s.open(w.client, w.path)
		}
	}
}

func (s *simulation) cancelStream() {
	open := slices.DeleteFunc(s.openStreams(), func(w *watcher) bool { return w.ctx.cancel == nil })
	if len(open) > 0 {
		w := pick(s, open)
		s.note("%v: cancel", w)
		w.reasons = append(w.reasons, w.ctx.cause)
		w.ctx.cancel()
		if s.chance(2) {
			s.open(w.client, w.path)
		}
	}
}

// pollStreams has the consumers that never come receive once.
func (s *simulation) pollStreams() {
	for _, w := range s.streams {
		if w.absent {
			w.poll()
		}
	}
}

func (s *simulation) registerSome() {
	c := s.client()
	if c == nil {
		return
	}
	service, addr := pick(s, simServices), pick(s, simAddrs)
	for _, r := range s.live(service + "/" + addr) {
		if r.client == c { // one client registers an address once
			return
		}
	}
	s.register(c, service, addr)
}

// end notes why r ends.
func (s *simulation) end(r *simReg, reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.reasons = append(r.reasons, reason)
}

func (s *simulation) withdraw() {
	live := slices.DeleteFunc(s.live(""), func(r *simReg) bool { return s.handle(r) == nil })
	if len(live) == 0 {
		return
	}
	r := pick(s, live)
	reg := s.handle(r)
	s.end(r, zkstream.ErrClosed)
	s.call(r.client, fmt.Sprintf("Close registration %d", r.id), &simContext{ctx: context.Background()}, func(context.Context) error {
		began := time.Now()
		err := reg.Close()
		now, _ := r.client.sessions.Latest()
		n := s.truth(kindData, r.path)
		if err == nil && r.owns(n) && n.stat.EphemeralOwner == now.ID && !s.isClosing(r.client) {
			s.breach("one node for each live registration", "%v: Close has returned; the node is %v", r, n)
		}
		var late *zkstream.PathError
		if errors.As(err, &late) && late.Op == "withdraw" && time.Since(began) >= 2*now.Timeout {
			err = nil // no server was reached in time
		}
		return err
	}, nil)
}

func (s *simulation) handle(r *simReg) *zkstream.Registration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return r.r
}

func (s *simulation) cancelRegistration() {
	live := slices.DeleteFunc(s.live(""), func(r *simReg) bool { return r.ctx.cancel == nil })
	if len(live) > 0 {
		r := pick(s, live)
		s.note("%v: cancel", r)
		s.end(r, r.ctx.cause)
		r.ctx.cancel()
	}
}

func (s *simulation) updateRegistration() {
	live := slices.DeleteFunc(s.live(""), func(r *simReg) bool { return s.handle(r) == nil })
	if len(live) == 0 {
		return
	}
	r := pick(s, live)
	reg := s.handle(r)
	for range 1 + s.rng.IntN(3) {
		key := fmt.Sprintf("u%d", s.id())
		var allowed []error
		if r.ctx.cause != nil {
			allowed = append(allowed, r.ctx.cause)
		}
		k := s.call(r.client, fmt.Sprintf("Update registration %d with %s", r.id, key), s.context(), func(ctx context.Context) error {
			err := reg.Update(ctx, map[string]any{key: 1})
			s.mu.Lock()
			defer s.mu.Unlock()
			r.updates = append(r.updates, key) // also if ctx has ended
			if errors.Is(err, zkstream.ErrClosed) && len(r.reasons) > 0 {
				err = nil
			}
			return err
		}, nil, allowed...)
		k.reg = r
	}
}

// updateProperties has clients change the same node, mostly at the same time.
func (s *simulation) updateProperties() {
	path := pick(s, simProps)
	for range 1 + s.rng.IntN(4) {
		c := s.client()
		if c == nil {
			return
		}
		u := simUpdate{path: path, key: fmt.Sprintf("u%d", s.id()), wipes: s.wiped()}
		s.call(c, fmt.Sprintf("UpdateProperties of %s with %s", path, u.key), s.context(), func(ctx context.Context) error {
			return c.client.UpdateProperties(ctx, c.path(path), map[string]any{u.key: 1})
		}, func(err error) {
			if err == nil {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.updates = append(s.updates, u)
			}
		})
	}
}

// simUpdate is an update of a node's properties that has succeeded.
type simUpdate struct {
	path, key string
	wipes     int // before it began
}

// callData creates, sets or deletes a node by way of a client.
func (s *simulation) callData() {
	c := s.client()
	if c == nil {
		return
	}
	path, props := pick(s, simData), map[string]any{"by": s.id()}
	switch s.rng.IntN(3) {
	case 0:
		s.call(c, "Create "+path, s.context(), func(ctx context.Context) error {
			return c.client.Create(ctx, c.path(path), props)
		}, nil, zk.ErrNodeExists)
	case 1:
		s.call(c, "SetProperties of "+path, s.context(), func(ctx context.Context) error {
			return c.client.SetProperties(ctx, c.path(path), props)
		}, nil, zk.ErrNoNode)
	default:
		s.call(c, "Delete "+path, s.context(), func(ctx context.Context) error {
			return c.client.Delete(ctx, c.path(path))
		}, nil, zk.ErrNoNode)
	}
}

// cancelCall cancels a call, which must then return.
func (s *simulation) cancelCall() {
	var open []*simCall
	for _, k := range s.calls {
		if !k.done.Load() && k.ctx.cancel != nil && (k.reg == nil || k.reg.ctx != k.ctx) { // not that of Register
			open = append(open, k)
		}
	}
	if len(open) == 0 {
		return
	}
	k := pick(s, open)
	s.note("%s: cancel", k.name)
	k.ctx.cancel()
	synctest.Wait()
	if !k.done.Load() {
		s.breach("calls end with an answer or a reason", "%s has not returned when its context was cancelled", k.name)
	}
}

func (s *simulation) openClient() {
	if len(s.openClients()) < 3 {
		s.connect(time.Second + s.upTo(30*time.Second))
	}
}

func (s *simulation) closeClient() {
	if open := s.openClients(); len(open) > 1 || len(open) == 1 && s.chance(4) {
		s.closeOne(pick(s, open))
	}
}

// closes notes that a client is about to be closed.
func (s *simulation) closes(c *simClient) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.closing = true
}

// closeOne closes a client and looks what is left of it.
func (s *simulation) closeOne(c *simClient) {
	calm := s.calm()
	now, _ := c.sessions.Latest()
	s.note("%v: close", c)
	c.ready.Store(false)
	s.closes(c)
	for _, w := range s.streams {
		if w.client == c && w.err() == nil {
			w.reasons = append(w.reasons, zkstream.ErrClosed)
		}
	}
	began := time.Now()
	if err := c.client.Close(); err != nil {
		s.breach("nothing left behind", "%v: Close returns %v", c, err)
	}
	if took := time.Since(began); took > 3*time.Second {
		s.breach("nothing left behind", "%v: Close took %v", c, took)
	}
	s.checkGone(c)
	if calm && slices.Contains(s.server.Sessions(), now.ID) {
		s.breach("nothing left behind", "%v is closed; the server still has its session %s", c, hex(now.ID))
	}
}

// What others do.

func (s *simulation) touched(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastTry[path] = time.Now()
}

func (s *simulation) changeData() {
	path := pick(s, simData)
	content := fmt.Appendf(nil, `{"n": %d}`, s.id())
	switch s.rng.IntN(5) {
	case 0:
		s.direct("create "+path, s.server.Create(path, content))
	case 1:
		s.direct("delete "+path, s.server.Delete(path))
	case 2: // a new node that looks like the old one
		old, _, err := s.server.Get(path)
		if err == nil {
			s.direct("delete "+path, s.server.Delete(path))
			s.direct("create "+path+" as it was", s.server.Create(path, old))
		}
	default:
		s.direct("set "+path, s.server.Set(path, content))
	}
}

func (s *simulation) changeChildren() {
	path := pick(s, simServices) + "/" + pick(s, []string{"x", "y"})
	if s.chance(2) {
		s.direct("create "+path, s.server.Create(path, nil))
	} else {
		s.direct("delete "+path, s.server.Delete(path))
	}
}

// deleteRegistered deletes a registration's node.
func (s *simulation) deleteRegistered() {
	path := pick(s, simServices) + "/" + pick(s, simAddrs)
	s.touched(path)
	s.direct("delete "+path, s.server.Delete(path))
}

// block puts a lasting node where a registration may want its own, or takes it away.
func (s *simulation) block() {
	path := pick(s, simServices) + "/" + pick(s, simAddrs)
	s.touched(path)
	if s.chance(2) {
		s.direct("put a lasting node at "+path, s.server.Create(path, nil))
		return
	}
	s.unblock(path)
}

func (s *simulation) unblock(path string) {
	if n := s.truth(kindData, path); n.exists && n.stat.EphemeralOwner == 0 {
		s.touched(path)
		s.direct("delete the lasting node at "+path, s.server.Delete(path))
	}
}
