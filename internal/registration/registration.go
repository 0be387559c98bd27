// Package registration keeps ephemeral nodes in place: in each session anew, until they are withdrawn.
//
// A [Registrar] makes the registrations of one client. Each [Registration] is one goroutine, a keeper, which acts on what its
// own requests show. Paths are the server's, with the chroot. Errors name neither the call nor its path.
package registration

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/calls"
	"github.com/zkstream/zkstream/internal/content"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// Status is the state of a registration.
type Status int

// The states of a registration: see zkstream.RegistrationStatus.
const (
	Pending Status = iota
	Registered
	Conflict
	Withdrawn
	Refused
)

// String returns the state's name in lower case.
func (s Status) String() string {
	names := [...]string{"pending", "registered", "conflict", "withdrawn", "refused"}
	if s < 0 || int(s) >= len(names) {
		return fmt.Sprintf("RegistrationStatus(%d)", int(s))
	}
	return names[s]
}

// Config is what the registrations of a client need of it.
type Config struct {
	Conn    *zkconn.Conn
	Calls   *calls.Caller
	Closing context.Context // ends when the client begins to close

	// Watch opens a stream of the owner of the node at path, until ctx ends.
	Watch func(ctx context.Context, path string) Stream
}

// Stream delivers the newest state of a node, as a zkstream.Stream does.
type Stream interface {
	C() <-chan Presence
	Close()
}

// Presence says whether there is a node, and whose.
type Presence struct {
	Exists bool
	Owner  int64 // session of an ephemeral node, or 0
}

// A Registrar makes the registrations of a client, and keeps them out of each other's way. It is safe for concurrent use.
type Registrar struct {
	Config
	claims  claims
	expired atomic.Bool // the session is over, and there is no new one yet

	placements, conflicts atomic.Int64 // see Stats

	mu   sync.Mutex // guards what follows
	live map[*Registration]struct{}
}

// New returns a Registrar. Its owner calls SessionChanged from then on.
func New(cfg Config) *Registrar {
	return &Registrar{Config: cfg, live: map[*Registration]struct{}{}}
}

// SessionChanged has the registrations look at the session. expired says that it is over. It does not block.
func (g *Registrar) SessionChanged(expired bool) {
	g.expired.Store(expired)
	g.mu.Lock()
	defer g.mu.Unlock()
	for r := range g.live {
		r.wakeUp()
	}
}

// All returns the registrations that have not ended, in no order.
func (g *Registrar) All() []*Registration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Collect(maps.Keys(g.live))
}

// Stats are the registrations that have not ended, by their status. Placements and Conflicts count how often the status of
// one has become Registered and Conflict.
type Stats struct {
	Pending, Registered, Conflict, Refused int

	Placements, Conflicts int64
}

// Stats returns numbers as they are now.
func (g *Registrar) Stats() Stats {
	s := Stats{Placements: g.placements.Load(), Conflicts: g.conflicts.Load()}
	for _, r := range g.All() {
		switch r.Status() {
		case Pending:
			s.Pending++
		case Registered:
			s.Registered++
		case Conflict:
			s.Conflict++
		case Refused:
			s.Refused++
		}
	}
	return s
}

// Node says what is to be registered.
type Node struct {
	Addr      string // that the node stands for; the registration itself has no use for it
	Path      string // without the number of a sequence node
	Content   []byte
	ACL       []zk.ACL
	Sequence  bool // the server appends a number to the path
	NoParents bool // the node above is not made where it is missing
	Raw       bool // the content need not be properties, and Update refuses one that is not

	Log *slog.Logger

	// Changed is called by the registration's goroutine with each new status, of which the first is Pending and is not
	// reported, and the last is Withdrawn.
	Changed func(Status)
}

// A Registration keeps one ephemeral node in place. Its methods are safe for concurrent use.
type Registration struct {
	Node      Node
	registrar *Registrar

	ctx    context.Context // ends when the registration is to be withdrawn
	cancel context.CancelCauseFunc
	wake   chan struct{} // capacity 1: the session or updates have changed
	placed chan struct{} // closed when the node is in place for the first time
	done   chan struct{}

	mu       sync.Mutex // guards what follows
	status   Status
	nodePath string    // Path, with the newest number
	updates  []*update // that are not in the node yet
	underWay int       // how many of them may have been sent
	obstacle error     // why the node is not in place, if that is the server's or somebody else's doing
	err      error

	withdrawErr error // why the node could not be deleted; written before done is closed, read afterwards
}

// New returns a registration that begins when Run is called. It ends with ctx. The error is about the node's size.
func (g *Registrar) New(ctx context.Context, n Node) (*Registration, error) {
	r := &Registration{
		Node:      n,
		registrar: g,
		wake:      make(chan struct{}, 1),
		placed:    make(chan struct{}),
		done:      make(chan struct{}),
		nodePath:  n.Path,
	}
	if err := r.checkSize(n.Content); err != nil {
		return nil, err
	}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.live[r] = struct{}{}
	return r, nil
}

// Run keeps the node in place until the registration ends, then removes it.
func (r *Registration) Run() {
	k := &keeper{Registration: r, conn: r.registrar.Conn, content: r.Node.Content}
	reason := k.claim()
	if reason == nil {
		reason = k.keep()
		r.cancel(reason)
		k.withdraw()
		k.release()
	}
	r.registrar.mu.Lock()
	delete(r.registrar.live, r)
	r.registrar.mu.Unlock()
	r.mu.Lock()
	r.err, r.status = reason, Withdrawn
	r.mu.Unlock()
	r.Node.Changed(Withdrawn)
	close(r.done)
}

// Await returns nil when the node is in place for the first time, and otherwise why it will not be. If ctx ends, the
// registration does, and the error says what it waited for.
func (r *Registration) Await(ctx context.Context) error {
	select {
	case <-r.placed:
		return nil
	case <-r.done:
		if ctx.Err() == nil {
			return r.Err()
		}
	case <-ctx.Done():
		r.Withdraw(context.Cause(ctx))
	}
	return r.waitEnded(ctx)
}

// waitEnded is the error of a call whose ctx has ended: why, and what it waited for.
func (r *Registration) waitEnded(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.obstacle != nil {
		return fmt.Errorf("%w: %w", r.obstacle, context.Cause(ctx))
	}
	return context.Cause(ctx)
}

// Path returns the node's path. That of a sequence node changes each time that it is created again; until it is there, it is
// that of the one before.
func (r *Registration) Path() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.nodePath
}

// Status returns how the registration is.
func (r *Registration) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

// Obstacle returns what keeps the node from being in place now; nil if nothing does, or if the registration has ended.
func (r *Registration) Obstacle() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil
	}
	return r.obstacle
}

// Withdraw has the registration end, for that reason. It does not wait.
func (r *Registration) Withdraw(reason error) { r.cancel(reason) }

// Done returns a channel that is closed when the registration has ended.
func (r *Registration) Done() <-chan struct{} { return r.done }

// Err returns nil until the registration has ended, then why.
func (r *Registration) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// WithdrawErr returns why the node could not be deleted, or nil. It is for when Done is closed.
func (r *Registration) WithdrawErr() error { return r.withdrawErr }

// wakeUp has the keeper look at the session and the updates.
func (r *Registration) wakeUp() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// setStatus publishes a state, and what is in the way, if something is.
func (r *Registration) setStatus(status Status, obstacle error) {
	r.mu.Lock()
	report := obstacle != nil && (r.obstacle == nil || r.obstacle.Error() != obstacle.Error())
	changed := r.status != status
	r.status, r.obstacle = status, obstacle
	r.mu.Unlock()
	if report {
		r.Node.Log.Warn("zkstream: a registration waits", "status", status, "error", obstacle)
	}
	if !changed {
		return
	}
	switch status {
	case Registered:
		r.registrar.placements.Add(1)
	case Conflict:
		r.registrar.conflicts.Add(1)
	}
	r.Node.Changed(status)
}

// checkSize returns an error if a node with that content is more than a server takes.
func (r *Registration) checkSize(content []byte) error {
	_, err := r.registrar.Conn.NewChange(&zk.CreateRequest{Path: r.Node.Path, Data: content, Acl: r.Node.ACL})
	return err
}

// An update is one call of Update.
type update struct {
	props     map[string]any // with values encoded
	done      chan error     // capacity 1
	abandoned bool           // its caller has given up
}

// Update sets properties of the node and leaves the others as they are. It returns nil when the node has them. They are part
// of the node from then on, also when it is created again. If the change is refused it is dropped, and the error says why. If
// ctx ends first, it stays, and is made when that can be done.
func (r *Registration) Update(ctx context.Context, props map[string]any) error {
	u, err := r.add(props)
	if err != nil {
		return err
	}
	select {
	case err = <-u.done:
	case <-ctx.Done():
		err = r.abandon(ctx, u)
	case <-r.done:
		select {
		case err = <-u.done:
		default:
			err = r.Err()
		}
	}
	return err
}

// add queues an update for the keeper.
func (r *Registration) add(props map[string]any) (*update, error) {
	alone, err := content.Merge(nil, props)
	if err == nil {
		err = r.checkSize(alone)
	}
	if err != nil {
		return nil, err
	}
	// The caller may change what its values point to once Update has returned.
	u := &update{props: make(map[string]any, len(props)), done: make(chan error, 1)}
	for key, value := range props {
		encoded, err := content.EncodeJSON(value)
		if err != nil {
			return nil, err
		}
		u.props[key] = json.RawMessage(encoded)
	}
	r.mu.Lock()
	r.updates = append(r.updates, u)
	r.mu.Unlock()
	r.wakeUp()
	return u, nil
}

// abandon is for a caller whose ctx has ended. The update stays, and is made one with that before it if
// that is abandoned, too: however many calls give up in an outage, they leave one.
func (r *Registration) abandon(ctx context.Context, u *update) error {
	r.mu.Lock()
	i := slices.Index(r.updates, u)
	u.abandoned = true
	if before := i - 1; before >= r.underWay && r.updates[before].abandoned {
		maps.Copy(r.updates[before].props, u.props)
		r.updates = slices.Delete(r.updates, i, i+1)
	}
	r.mu.Unlock()
	select {
	case err := <-u.done: // it has just been answered
		return err
	default:
		return r.waitEnded(ctx)
	}
}
