package zktree

import (
	"context"
	"errors"
	"maps"

	"github.com/zkstream/zkstream"
)

// current returns the present registration, nil if there is none, and what is closed when that changes.
func (r *Registration) current() (*zkstream.Registration, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.present, r.moved
}

// Path returns the path of the server's node, or "" while the path leads nowhere.
func (r *Registration) Path() string {
	if present, _ := r.current(); present != nil {
		return present.Path()
	}
	return ""
}

// Addr returns the address that is registered.
func (r *Registration) Addr() string { return r.addr }

// Done returns a channel that is closed when the registration has ended, as zkstream.Registration's.
func (r *Registration) Done() <-chan struct{} { return r.done }

// Err returns nil until Done is closed, then why the registration ended: the cause of its context's end, or ErrClosed after
// Close of it or of its client.
func (r *Registration) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Refusal returns why the server is not registered where the path leads: the path leads nowhere, or that cannot be
// told, or what zkstream.Registration's Refusal says. It returns nil if the server is in place.
func (r *Registration) Refusal() error {
	r.mu.Lock()
	present, obstacle := r.present, r.obstacle
	r.mu.Unlock()
	if obstacle != nil {
		return r.explain("register", obstacle)
	}
	if present != nil {
		return present.Refusal()
	}
	return nil
}

// Close withdraws the server, as zkstream.Registration's Close. Its error is of a node that is not withdrawn yet.
func (r *Registration) Close() error {
	r.cancel(zkstream.ErrClosed)
	<-r.stopped
	var errs []error
	for _, old := range r.all() {
		errs = append(errs, old.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	<-r.done
	return nil
}

// Update sets properties of the server's node, as zkstream.Registration's Update, and they go with the server. It returns nil
// when the node where the server is registered has them; while path leads nowhere it waits until that is mended, or ctx ends.
func (r *Registration) Update(ctx context.Context, props map[string]any) error {
	props, err := encoded(props)
	if err != nil {
		return r.explain("update", err)
	}
	for kept := false; ; {
		present, moved := r.current()
		if present == nil {
			select {
			case <-moved:
				continue
			case <-ctx.Done():
				return r.explain("update", errors.Join(context.Cause(ctx), r.Refusal()))
			case <-r.done:
				return r.explain("update", r.Err())
			}
		}
		err := present.Update(ctx, props)
		r.mu.Lock()
		if err == nil && !kept {
			kept = true
			maps.Copy(r.updates, props)
			r.version++
		}
		replaced := r.present != present
		r.mu.Unlock()
		if !replaced {
			return err
		}
		// It has moved meanwhile, perhaps without these properties.
		if ctx.Err() != nil {
			return r.explain("update", context.Cause(ctx))
		}
	}
}

// Status streams the state of the registration, as zkstream.Registration's: Pending while path leads nowhere, and that of the
// node where the server is otherwise. It ends, after Withdrawn, with the reason that Err gives.
func (r *Registration) Status(ctx context.Context) *zkstream.Stream[zkstream.RegistrationStatus] {
	return zkstream.Generate(ctx, r.client, func(ctx context.Context, deliver func(zkstream.RegistrationStatus)) error {
		last := zkstream.RegistrationStatus(-1)
		show := func(s zkstream.RegistrationStatus) {
			if s != last {
				deliver(s)
				last = s
			}
		}
		for {
			present, moved := r.current()
			var states <-chan zkstream.RegistrationStatus // nil, and so never ready, if there is none
			leave := func() {}
			if present == nil {
				show(zkstream.Pending)
			} else {
				s := present.Status(ctx)
				states, leave = s.C(), s.Close
			}
			for here := true; here; {
				select {
				case <-moved:
					here = false
				case <-r.done:
					show(zkstream.Withdrawn)
					return r.Err()
				case <-ctx.Done(): // which ends that of present, too
					return context.Cause(ctx)
				case s, ok := <-states:
					if !ok {
						states = nil
					} else if s != zkstream.Withdrawn { // which it is because it moves, or all ends
						show(s)
					}
				}
			}
			leave()
		}
	})
}
