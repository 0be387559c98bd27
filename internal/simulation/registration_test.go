package simulation

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
)

// simReg is a registration, from Register on.
type simReg struct {
	id     int
	client *simClient
	path   string // absolute, of its node
	ctx    *simContext

	// Guarded by s.mu.
	r       *zkstream.Registration // nil until Register has returned it
	failed  bool                   // Register has returned an error
	updates []string               // that it has to hold
	kept    []string               // that it has to hold unless they were refused after their calls had ended
	reasons []error                // why it may have ended, and then it has
}

// owns reports whether n is the registration's node.
func (r *simReg) owns(n seen) bool { return strings.Contains(n.text, fmt.Sprintf(`"id": %d,`, r.id)) }

func (r *simReg) String() string {
	return fmt.Sprintf("registration %d of %v at %s", r.id, r.client, r.path)
}

func (s *simulation) register(c *simClient, service, addr string) {
	r := &simReg{id: s.id(), client: c, path: service + "/" + addr, ctx: s.context()}
	if !r.ctx.ends.IsZero() {
		r.reasons = append(r.reasons, context.DeadlineExceeded)
	}
	s.regs = append(s.regs, r)
	props := map[string]any{"id": r.id}
	var opts []zkstream.RegisterOption
	how := ""
	if s.has(blindOwners) && s.chance(2) {
		opts = append(opts, zkstream.WithACL(zk.DigestACL(zk.PermRead, "consumers", "secret")))
		how = ", which the client may not read,"
		s.mu.Lock()
		s.closed[r.path] = true
		s.mu.Unlock()
	}
	k := s.call(c, fmt.Sprintf("Register %d at %s%s", r.id, r.path, how), r.ctx, func(ctx context.Context) error {
		reg, err := c.client.Register(ctx, c.path(service), addr, props, opts...)
		s.mu.Lock()
		defer s.mu.Unlock()
		r.r, r.failed = reg, err != nil
		return err
	}, nil, s.refusals()...)
	k.reg = r
}

// live are the registrations that have not ended, as far as the schedule knows.
func (s *simulation) live(path string) (live []*simReg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.regs {
		if (path == "" || r.path == path) && !r.failed && len(r.reasons) == 0 && !r.client.closing {
			live = append(live, r)
		}
	}
	return live
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
		if err == nil && r.owns(n) && n.stat.EphemeralOwner == now.ID && now.State != zkstream.Expired && !s.isClosing(r.client) {
			s.breach("one node for each live registration", "%v: Close has returned; the node is %v", r, n)
		}
		if errors.Is(err, zk.ErrNoAuth) && (s.wasClosed(path.Dir(r.path)) || s.wasClosed(r.path)) {
			return nil // it may not be looked at, or not be deleted
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
		s.update(r, reg, 0)
	}
}

// updateTooLarge asks a registration to hold more than the server takes.
func (s *simulation) updateTooLarge() {
	live := slices.DeleteFunc(s.live(""), func(r *simReg) bool { return s.handle(r) == nil })
	if len(live) > 0 {
		r := pick(s, live)
		s.update(r, s.handle(r), s.limit)
	}
}

// update adds a property to a registration, with a value of that size.
func (s *simulation) update(r *simReg, reg *zkstream.Registration, size int) {
	key := fmt.Sprintf("u%d", s.id())
	allowed := s.refusals()
	if r.ctx.cause != nil {
		allowed = append(allowed, r.ctx.cause)
	}
	if size > 0 {
		allowed = append(allowed, zkstream.ErrTooLarge)
	}
	k := s.call(r.client, fmt.Sprintf("Update registration %d with %s of %d bytes", r.id, key, size), s.context(), func(ctx context.Context) error {
		err := reg.Update(ctx, map[string]any{key: strings.Repeat("x", size)})
		s.mu.Lock()
		defer s.mu.Unlock()
		switch {
		case err == nil:
			r.updates = append(r.updates, key)
		case size == 0: // ctx has ended
			r.kept = append(r.kept, key)
		}
		if errors.Is(err, zkstream.ErrClosed) && len(r.reasons) > 0 {
			err = nil
		}
		return err
	}, nil, allowed...)
	k.reg = r
}

// harden lets clients create nodes below a service, and delete none; or delete them again.
func (s *simulation) harden() {
	service := pick(s, simServices)
	if s.chance(2) {
		s.setACL(service, openToAll)
		return
	}
	s.mu.Lock()
	s.closed[service] = true
	s.mu.Unlock()
	s.setACL(service, zktest.ACL{Perms: zk.PermRead | zk.PermCreate, Scheme: "world", ID: "anyone"})
}

// mayRefuse reports whether a server may have refused an update of r.
func (s *simulation) mayRefuse(r *simReg) bool {
	return s.has(quotas) || s.has(serverErrors) || s.has(longThrottles) || s.wasClosed(path.Dir(r.path)) || s.wasClosed(r.path)
}

func (s *simulation) wasClosed(path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed[path]
}

// refusals are the errors that a call of a registration may return because of an ACL.
func (s *simulation) refusals() []error {
	if s.has(hardened) || s.has(blindOwners) {
		return []error{zk.ErrNoAuth}
	}
	return nil
}
