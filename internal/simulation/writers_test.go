package simulation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing/synctest"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
)

// foreign are the errors of an update of what another program may have written.
func (s *simulation) foreign() []error {
	if s.has(foreignContent) {
		return []error{errAny}
	}
	return nil
}

// updateProperties has clients change the same node, mostly at the same time.
func (s *simulation) updateProperties() {
	path := pick(s, simProps)
	for range 1 + s.rng.IntN(4) {
		c := s.client()
		if c == nil {
			return
		}
		s.write(c, "UpdateProperties", path, func(ctx context.Context, n int) error {
			return c.client.UpdateProperties(ctx, c.path(path), map[string]any{"n": n, fmt.Sprintf("u%d", n): 1})
		}, s.foreign()...)
	}
}

// callData creates, sets or deletes a node by way of a client.
func (s *simulation) callData() {
	c := s.client()
	if c == nil {
		return
	}
	path := pick(s, simData)
	switch s.rng.IntN(3) {
	case 0:
		s.write(c, "Create", path, func(ctx context.Context, n int) error {
			return c.client.Create(ctx, c.path(path), map[string]any{"n": n})
		}, zk.ErrNodeExists)
	case 1:
		s.write(c, "SetProperties", path, func(ctx context.Context, n int) error {
			return c.client.SetProperties(ctx, c.path(path), map[string]any{"n": n})
		}, zk.ErrNoNode)
	default:
		s.counted(c, "Delete", path, func(ctx context.Context) error {
			return c.client.Delete(ctx, c.path(path))
		}, zk.ErrNoNode)
	}
}

// toggle switches a property on or off: another client may have done the same in the meantime.
func (s *simulation) toggle() {
	if c := s.client(); c != nil {
		on := s.chance(2)
		op := fmt.Sprintf("UpdateProperties with on=%v", on)
		s.counted(c, op, simToggle, func(ctx context.Context) error {
			s.mu.Lock()
			since := len(s.history.toggles) - 1
			s.mu.Unlock()
			err := c.client.UpdateProperties(ctx, c.path(simToggle), map[string]any{"on": on})
			if err == nil {
				s.toggled(fmt.Sprintf("%v: %s", c, op), on, since)
			}
			return err
		})
	}
}

// callGuarded updates a node that may be closed.
func (s *simulation) callGuarded() {
	if c := s.client(); c != nil {
		path := pick(s, simGuarded)
		s.write(c, "UpdateProperties", path, func(ctx context.Context, n int) error {
			err := c.client.UpdateProperties(ctx, c.path(path), map[string]any{"n": n, fmt.Sprintf("u%d", n): 1})
			if err != nil && strings.Contains(err.Error(), "created anew") {
				return nil // it was carried out, on another node than the one that was read
			}
			return err
		}, zk.ErrNoNode, zk.ErrNoAuth)
	}
}

// callLarge writes much into a node.
func (s *simulation) callLarge() {
	if c := s.client(); c != nil {
		pad := strings.Repeat("x", 100<<10+s.rng.IntN(500<<10))
		// A server that ends the connection upon each try looks like one that takes no request of this size.
		errRightly := errors.New("too large, as far as a client can tell")
		s.write(c, fmt.Sprintf("SetProperties with %d bytes", len(pad)), simLarge, func(ctx context.Context, n int) error {
			err := c.client.SetProperties(ctx, c.path(simLarge), map[string]any{"n": n, "pad": pad})
			if errors.Is(err, zkstream.ErrTooLarge) && (s.has(smallServers) || s.dropsSets.Load()) {
				err = fmt.Errorf("%w: %w", errRightly, err)
			}
			return err
		}, errRightly)
	}
}

// callTooLarge writes more into a node than the server takes.
func (s *simulation) callTooLarge() {
	c := s.client()
	if c == nil {
		return
	}
	pad := strings.Repeat("x", s.limit+s.rng.IntN(s.limit))
	path := pick(s, simData)
	update := s.chance(2)
	s.write(c, fmt.Sprintf("write %d bytes, more than the server takes,", len(pad)), path, func(ctx context.Context, n int) error {
		props := map[string]any{"n": n, "pad": pad}
		if update {
			return c.client.UpdateProperties(ctx, c.path(path), props)
		}
		return c.client.SetProperties(ctx, c.path(path), props)
	}, zkstream.ErrTooLarge, zk.ErrNoNode)
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
