package zkstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/content"
)

// RegistrationStatus tells how a registration is.
type RegistrationStatus int

// The states of a registration.
const (
	// Pending: the node is being created, or waits for a server, or for a node of an earlier session of
	// this client's to go.
	Pending RegistrationStatus = iota
	// Registered: the node exists and belongs to this client's session. It has the properties of Register
	// and of every Update that has returned nil; where the node's ACL lets others write, their changes
	// stay.
	//
	// While the connection is lost the registration stays Registered, until the session's state is [Expired].
	// That comes as early as one connection can tell, and is no proof: a server that is cut off from its
	// leader may go on answering for a while after the others have removed the node. See [Client.Session].
	Registered
	// Conflict: a node of that name is there, of another session or another registration. The
	// registration waits for it to go.
	Conflict
	// Withdrawn: the registration has ended.
	Withdrawn
	// Refused: the server refuses the node for now, for lack of permission or because of a quota, for
	// example. It is tried again with growing pauses, of 30 s at most. [Registration.Refusal] says why.
	Refused
)

// String returns the state's name in lower case.
func (s RegistrationStatus) String() string {
	names := [...]string{"pending", "registered", "conflict", "withdrawn", "refused"}
	if s < 0 || int(s) >= len(names) {
		return fmt.Sprintf("RegistrationStatus(%d)", int(s))
	}
	return names[s]
}

// A Registration announces one server: it keeps an ephemeral node in place, whatever happens to
// connections and sessions, until it is withdrawn. Its methods are safe for concurrent use.
type Registration struct {
	client   *Client
	path     string // of the node, as the user names it, without the number that WithSequence asks for
	addr     string
	acl      []zk.ACL
	sequence bool // WithSequence
	raw      bool // WithContent
	status   *hub[RegistrationStatus]

	ctx    context.Context // ends when the registration is to be withdrawn
	cancel context.CancelCauseFunc
	wake   chan struct{} // capacity 1: updates has something new
	placed chan struct{} // closed when the node is in place for the first time
	done   chan struct{}

	mu       sync.Mutex // guards what follows
	nodePath string     // path, with the newest number
	updates  []*update  // that are not in the node yet
	underWay int        // how many of them may have been sent
	obstacle error      // why the node is not in place, if that is the server's or somebody else's doing
	err      error

	failure error // why the node could not be deleted; written before done is closed, read afterwards
}

// An update is one call of Update.
type update struct {
	props     map[string]any // with values encoded
	done      chan error     // capacity 1
	abandoned bool           // its caller has given up
}

func newRegistration(c *Client, path, addr string, o registerOptions) *Registration {
	return &Registration{
		client:   c,
		path:     path,
		addr:     addr,
		acl:      o.acl,
		sequence: o.sequence,
		raw:      o.hasContent,
		status:   &hub[RegistrationStatus]{tasks: &c.tasks},
		wake:     make(chan struct{}, 1),
		placed:   make(chan struct{}),
		done:     make(chan struct{}),
		nodePath: path,
	}
}

// Path returns the path of the registration's node. With WithSequence it changes each time that the node is
// created again; until it is there, Path returns that of the one before.
func (r *Registration) Path() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.nodePath
}

// Addr returns the address that is registered.
func (r *Registration) Addr() string { return r.addr }

// Done returns a channel that is closed when the registration has ended: when its node has been
// deleted, or is known to go with its session, or when the server refuses to delete it.
func (r *Registration) Done() <-chan struct{} { return r.done }

// Err returns nil until Done is closed, then why the registration ended: the cause of its context's
// end, or ErrClosed after Close of it or of its client.
func (r *Registration) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Status streams the state of the registration: the present one at once, then each change. It ends,
// after Withdrawn, with the reason that Err gives.
func (r *Registration) Status(ctx context.Context) *Stream[RegistrationStatus] {
	return r.status.stream(ctx)
}

// Refusal returns what keeps the node from being in place now, a *PathError: the server's error while the
// status is Refused, whose node is in the way while it is Conflict. It returns nil in every other state.
func (r *Registration) Refusal() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.obstacle == nil || r.err != nil {
		return nil
	}
	return r.explain("register", r.obstacle)
}

// Close withdraws the registration. The node is deleted when Close returns nil; or it goes with its
// session, if that is one that the client has lost, or if the client is being closed. With no server to
// be reached, it returns an error after twice the session timeout, and the node is deleted on the next
// connection, or goes with the session. If the server refuses to delete the node, the error says so, and the
// node stays until the session ends.
func (r *Registration) Close() error {
	r.cancel(ErrClosed)
	t := time.NewTimer(2 * r.client.supervisor.sessions.get().Timeout)
	defer t.Stop()
	select {
	case <-r.done:
		return r.failure
	case <-t.C:
		return r.explain("withdraw", errors.New("no server could be reached yet"))
	}
}

// Update sets the named properties of the registration's node and leaves the others as they are, also those
// that somebody else has written; nil sets null. It returns nil when the node has them. They are part
// of the node from then on, also when it is created again; what others wrote goes with the node.
//
// The node is read-only for most, so it is deleted and created anew in one transaction: no snapshot of the
// parent lacks it, and its ACL is that of Register. A change that somebody else makes to its content at the
// same time is not lost.
//
// If the server refuses the change, or the content would be too large, the error says why, the properties
// are dropped, and the registration goes on with what it had. If ctx ends first the properties are
// kept, and put into the node when that can be done. The error is a *PathError.
func (r *Registration) Update(ctx context.Context, props map[string]any) error {
	u, err := r.add(props)
	if err != nil {
		return r.explain("update", err)
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
	if err != nil {
		return r.explain("update", err)
	}
	return nil
}

// add has run put props into the node.
func (r *Registration) add(props map[string]any) (*update, error) {
	own, err := content.Merge(nil, props)
	if err == nil {
		err = r.checkSize(own)
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
	select {
	case r.wake <- struct{}{}:
	default:
	}
	return u, nil
}

// checkSize returns an error if a node with that content is more than a server takes.
func (r *Registration) checkSize(content []byte) error {
	_, err := r.client.conn.NewChange(&zk.CreateRequest{Path: r.client.chroot.absolute(r.path), Data: content, Acl: r.acl})
	return err
}

// abandon is for a caller whose ctx has ended. The update stays, and is made one with that before it if
// that is abandoned, too: however many calls give up in an outage, they leave one.
func (r *Registration) abandon(ctx context.Context, u *update) error {
	r.mu.Lock()
	i := slices.Index(r.updates, u)
	u.abandoned = true
	if before := i - 1; before >= r.underWay && r.updates[before].abandoned {
		for key, value := range u.props {
			r.updates[before].props[key] = value
		}
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

// waitEnded is the error of a call whose ctx has ended: why, and what it waited for.
func (r *Registration) waitEnded(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.obstacle != nil {
		return fmt.Errorf("%w: %w", r.obstacle, context.Cause(ctx))
	}
	return context.Cause(ctx)
}

// explain names the path in an error that does not yet.
func (r *Registration) explain(op string, err error) error {
	var named *PathError
	if errors.As(err, &named) && named.Path == r.path {
		return err
	}
	return &PathError{Op: op, Path: r.path, Err: err}
}

// setStatus makes a state known, and what is in the way, if something is.
func (r *Registration) setStatus(status RegistrationStatus, obstacle error) {
	r.mu.Lock()
	changed := obstacle != nil && (r.obstacle == nil || r.obstacle.Error() != obstacle.Error())
	r.obstacle = obstacle
	r.mu.Unlock()
	if changed {
		r.client.log.Warn("zkstream: a registration waits", "path", r.path, "status", status, "error", obstacle)
	}
	if before := r.status.get(); before != status {
		r.client.registrations[before].Add(-1)
		r.client.registrations[status].Add(1)
		switch status {
		case Registered:
			r.client.placements.Add(1)
		case Conflict:
			r.client.conflicts.Add(1)
		}
		r.status.set(status)
	}
}
