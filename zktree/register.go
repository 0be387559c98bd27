package zktree

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/zkstream/zkstream"
)

// A Registration is a server that is registered where a path leads, and moves when that changes. Its methods
// are safe for concurrent use.
type Registration struct {
	client *zkstream.Client
	path   string // as it was given
	addr   string
	props  map[string]any
	opts   []zkstream.RegisterOption
	cancel context.CancelCauseFunc
	placed chan struct{} // closed when the node is in place for the first time

	stopped chan struct{} // closed when nothing is registered any more, and all is being withdrawn
	done    chan struct{} // closed when all is withdrawn

	mu       sync.Mutex               // guards what follows
	present  *zkstream.Registration   // nil while path leads nowhere
	moved    chan struct{}            // closed when present becomes another
	leaving  []*zkstream.Registration // those before, which are being withdrawn
	updates  map[string]any           // what Update has set
	version  int                      // of updates
	obstacle error                    // why the server is not registered, or not yet where the path leads now; or nil
	err      error
}

// Register is Client.Register below the node that path leads to, and follows the path: when it leads to another node, the
// server is registered there, and then withdrawn where it was. So there is always at least one of both nodes. What
// Update has set is set there, too. While path leads nowhere the server is not registered, and its status is Pending.
//
// Other than Client.Register it creates no node but that of the server. So path has to lead to a node when Register is called:
// the error is a *zkstream.PathError as of [Resolve] otherwise, and as of Client.Register where that refuses. When ctx
// ends the server is withdrawn; if that is before it was registered, nothing is left behind.
func Register(ctx context.Context, c *zkstream.Client, path, addr string, props map[string]any, opts ...zkstream.RegisterOption) (*Registration, error) {
	r := &Registration{
		client: c, path: path, addr: addr,
		opts:   append(slices.Clone(opts), zkstream.WithExistingPath()),
		placed: make(chan struct{}), stopped: make(chan struct{}), done: make(chan struct{}), moved: make(chan struct{}), updates: map[string]any{},
	}
	var err error
	if r.props, err = encoded(props); err != nil {
		return nil, r.explain("register", err)
	}
	ctx, r.cancel = context.WithCancelCause(ctx)
	keeper := zkstream.Generate(ctx, c, func(ctx context.Context, _ func(struct{})) error {
		reason := r.run(ctx)
		r.finish(reason)
		return reason
	})
	if err := keeper.Err(); err != nil { // perhaps nothing runs
		r.cancel(err)
		return nil, r.explain("register", err)
	}
	select {
	case <-r.placed:
		return r, nil
	case <-r.done:
		return nil, r.explain("register", r.Err())
	}
}

// encoded returns properties whose values the caller may change.
func encoded(props map[string]any) (map[string]any, error) {
	all := make(map[string]any, len(props))
	for name, value := range props {
		var text bytes.Buffer
		e := json.NewEncoder(&text)
		e.SetEscapeHTML(false)
		if err := e.Encode(value); err != nil {
			return nil, fmt.Errorf("property %q: %w", name, err)
		}
		all[name] = json.RawMessage(bytes.TrimSuffix(text.Bytes(), []byte("\n")))
	}
	return all, nil
}

// explain names the path in an error that does not name one yet.
func (r *Registration) explain(op string, err error) error {
	var named *zkstream.PathError
	if errors.As(err, &named) {
		return err
	}
	return &zkstream.PathError{Op: op, Path: r.path, Err: err}
}

// Pauses before what a server has refused is tried again.
const (
	firstPause = 100 * time.Millisecond
	mostPause  = 30 * time.Second
)

// A move is a registration that is under way.
type move struct {
	to     string
	ctx    context.Context         // of the registration, whether it is in place or not
	cancel context.CancelCauseFunc // of ctx

	done    chan struct{}          // closed when the goroutine of this move ends, which sets what follows
	made    *zkstream.Registration // nil until it is in place
	version int                    // of Registration.updates that it has
	err     error
}

// begin begins to register the server below the node at path.
func (r *Registration) begin(ctx context.Context, path string) *move {
	ctx, cancel := context.WithCancelCause(ctx)
	m := &move{to: path, ctx: ctx, cancel: cancel}
	r.advance(m)
	return m
}

// advance has a goroutine bring m in place, with all that Update has set. It ends then, or when that is refused, or with the
// move's context; run waits for it.
func (r *Registration) advance(m *move) {
	m.done = make(chan struct{})
	go func() {
		defer close(m.done)
		if m.made == nil {
			if m.made, m.err = r.client.Register(m.ctx, m.to, r.addr, r.props, r.opts...); m.err != nil {
				return
			}
		}
		r.mu.Lock()
		updates, version := maps.Clone(r.updates), r.version
		r.mu.Unlock()
		if version != m.version {
			if m.err = m.made.Update(m.ctx, updates); m.err == nil {
				m.version = version
			}
		}
	}()
}

// abandon ends a move, and returns why it was not complete; nil if it was.
func (r *Registration) abandon(m *move, reason error) error {
	m.cancel(reason)
	<-m.done
	if m.made != nil {
		r.mu.Lock()
		r.leaving = append(r.leaving, m.made)
		r.mu.Unlock()
	}
	return m.err
}

// run keeps the server registered where the path leads, and returns why that ends.
func (r *Registration) run(ctx context.Context) (reason error) {
	ends := Follow(ctx, r.client, r.path)
	defer ends.Close()
	var present, moving *move
	var to Resolution
	var retry <-chan time.Time // nil, and so never ready, if nothing is to be tried again
	pause := firstPause
	defer func() {
		if moving != nil {
			if err := r.abandon(moving, reason); err != nil && present == nil {
				reason = err // what it has waited for
			}
		}
	}()
	for {
		var moved <-chan struct{}
		if moving != nil {
			moved = moving.done
		}
		select {
		case now, ok := <-ends.C():
			if !ok {
				return ends.Err()
			}
			to, retry, pause = now, nil, firstPause
			if to.Err != nil && !r.wasPlaced() {
				return to.Err
			}
			if moving != nil && (to.Err != nil || moving.to != to.Path) {
				r.abandon(moving, errMoved)
				moving = nil
			}
		case <-moved:
			err := moving.err
			if err == nil {
				if !r.settle(moving) {
					r.advance(moving)
					continue
				}
				if present != nil {
					present.cancel(errMoved)
				}
				present, moving = moving, nil
				continue
			}
			if !r.wasPlaced() {
				return err
			}
			r.abandon(moving, err)
			moving = nil
			r.setObstacle(err)
			retry = time.After(pause)
			pause = min(2*pause, mostPause)
			continue
		case <-retry:
			retry = nil
		}
		switch {
		case to.Err != nil && leadsNowhere(to.Err):
			if present != nil {
				r.replace(nil, to.Err)
				present.cancel(errMoved)
				present = nil
			}
			r.setObstacle(to.Err)
		case to.Err != nil: // it cannot be told where the path leads: the server stays where it is
			r.setObstacle(to.Err)
		case moving != nil: // there
		case present != nil && present.to == to.Path:
			r.setObstacle(nil)
		default:
			moving = r.begin(ctx, to.Path)
		}
	}
}

// errMoved is why the registration at an old target ends.
var errMoved = errors.New("zktree: the path leads elsewhere now")

// settle makes a move's registration the present one, unless Update has set more meanwhile.
func (r *Registration) settle(m *move) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.version != m.version {
		return false
	}
	r.replaceLocked(m.made, nil)
	if !r.wasPlaced() {
		close(r.placed)
	}
	return true
}

func (r *Registration) replace(by *zkstream.Registration, obstacle error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.replaceLocked(by, obstacle)
}

func (r *Registration) replaceLocked(by *zkstream.Registration, obstacle error) {
	r.leaving = slices.DeleteFunc(r.leaving, func(old *zkstream.Registration) bool { return old.Err() != nil })
	if r.present != nil {
		r.leaving = append(r.leaving, r.present)
	}
	r.present, r.obstacle = by, obstacle
	close(r.moved)
	r.moved = make(chan struct{})
}

func (r *Registration) setObstacle(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.obstacle = err
}

// wasPlaced reports whether the server has ever been registered.
func (r *Registration) wasPlaced() bool {
	select {
	case <-r.placed:
		return true
	default:
		return false
	}
}

// finish waits until all nodes are withdrawn, or known to go with their session.
func (r *Registration) finish(reason error) {
	r.cancel(reason)
	close(r.stopped)
	for _, old := range r.all() {
		<-old.Done()
	}
	r.mu.Lock()
	r.err = reason
	r.mu.Unlock()
	close(r.done)
}

// all returns the registrations that may have a node.
func (r *Registration) all() []*zkstream.Registration {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.Clone(r.leaving)
	if r.present != nil {
		all = append(all, r.present)
	}
	return all
}
