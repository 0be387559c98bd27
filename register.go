package zkstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// RegistrationStatus tells how a registration is.
type RegistrationStatus int

// The states of a registration.
const (
	// Pending: the node is being created.
	Pending RegistrationStatus = iota
	// Registered: the node exists, belongs to this client's session and has the newest properties.
	Registered
	// Conflict: a node of that name is there, of another session or another registration. The
	// registration waits for it to go.
	Conflict
	// Withdrawn: the registration has ended.
	Withdrawn
)

// String returns the state's name in lower case.
func (s RegistrationStatus) String() string {
	names := [...]string{"pending", "registered", "conflict", "withdrawn"}
	if s < 0 || int(s) >= len(names) {
		return fmt.Sprintf("RegistrationStatus(%d)", int(s))
	}
	return names[s]
}

// A Registration announces one server: it keeps an ephemeral node in place, whatever happens to
// connections and sessions, until it is withdrawn.
type Registration struct {
	client *Client
	path   string // of the node, as the user names it
	addr   string
	acl    []zk.ACL
	status *hub[RegistrationStatus]

	ctx     context.Context // ends when the registration is to be withdrawn
	cancel  context.CancelCauseFunc
	changed chan struct{} // capacity 1: content has been replaced
	done    chan struct{}

	mu       sync.Mutex    // guards what follows
	content  []byte        // that the node should have
	revision int           // of content, from 1
	placed   int           // revision that the node is known to have; 0: not known
	moved    chan struct{} // closed, and made anew, when placed changes
	holder   string        // whose node is in the way in a conflict, else ""
	err      error

	// Used by run only.
	node    *node          // as last seen; nil before
	owners  map[int64]bool // sessions in which it may have been created
	failure error          // why the node could not be deleted; read when done is closed
}

// A RegisterOption changes how Register makes the node.
type RegisterOption func(*Registration)

// WithACL sets the access control list of the registration's node. The default lets everybody read it
// and nobody write it.
func WithACL(acl []zk.ACL) RegisterOption {
	acl = append([]zk.ACL(nil), acl...)
	return func(r *Registration) { r.acl = acl }
}

// Register announces the server at addr, "host:port", as a provider of the service at path: it creates
// the ephemeral node path/addr, and path where it is missing. The node's properties are props, with
// "pid" set to the process's ID unless props has it. Register returns when the node exists. An address that
// nobody can dial is refused; [Advertise] gives those of a listener on all addresses.
//
// ctx governs the registration also from then on: when it ends the node is deleted, and does not come
// back. Until then, or until Close, the node is created again whenever it is gone: after the session
// has expired, or when somebody deletes it. A lost connection leaves it as it is. A node of the same
// name that belongs to another session, or to another registration of this client, is left to it: a
// restarted server finds its predecessor's node, and takes over when that session expires.
//
// ZooKeeper has no request that deletes a node only if a certain session owns it. So there is one gap, as
// long as a round trip: if somebody deletes the node, and another session makes it, between the look at its
// owner and the delete of a withdrawal or an Update, that node is deleted.
//
// If ctx ends before the node exists, or the node cannot be created for a reason that retrying does not
// mend, the error is a *PathError, and nothing is left behind: what may have been created is deleted, on the
// next connection at the latest.
func (c *Client) Register(ctx context.Context, path, addr string, props map[string]any, opts ...RegisterOption) (*Registration, error) {
	r := &Registration{
		client:   c,
		path:     strings.TrimSuffix(path, "/") + "/" + addr,
		addr:     addr,
		acl:      zk.WorldACL(zk.PermRead),
		status:   &hub[RegistrationStatus]{tasks: &c.tasks},
		changed:  make(chan struct{}, 1),
		done:     make(chan struct{}),
		revision: 1,
		moved:    make(chan struct{}),
		owners:   map[int64]bool{},
	}
	for _, opt := range opts {
		opt(r)
	}
	fail := func(err error) (*Registration, error) { return nil, r.explain("register", err) }
	if err := validatePath(path); err != nil {
		return nil, &PathError{Op: "register", Path: path, Err: err}
	}
	if err := validateAddr(addr); err != nil {
		return fail(err)
	}
	if ctx.Err() != nil {
		return fail(context.Cause(ctx))
	}
	all := map[string]any{"pid": os.Getpid()}
	maps.Copy(all, props)
	var err error
	if r.content, err = encodeProperties(all); err != nil {
		return fail(err)
	}
	if err := checkSize(c.chroot.absolute(r.path), r.content); err != nil {
		return fail(err)
	}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	r.status.set(Pending)
	c.tasks.spawn(r.run)
	if err := r.await(ctx, 1); err != nil {
		r.cancel(err)
		return fail(err)
	}
	return r, nil
}

// Path returns the path of the registration's node.
func (r *Registration) Path() string { return r.path }

// Addr returns the address that is registered.
func (r *Registration) Addr() string { return r.addr }

// Done returns a channel that is closed when the registration has ended: when its node has been
// deleted, or is known to go with its session.
func (r *Registration) Done() <-chan struct{} { return r.done }

// Err returns nil until Done is closed, then why the registration ended: the cause of its context's
// end, ErrClosed after Close of it or of its client, or a *PathError if the node could not be created
// again.
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

// Close withdraws the registration. The node is deleted when Close returns nil; or it goes with its
// session, if that is one that the client has lost, or if the client is being closed. With no server to
// be reached, it returns an error after twice the session timeout, and the node is deleted on the next
// connection, or goes with the session.
func (r *Registration) Close() error {
	r.cancel(ErrClosed)
	t := time.NewTimer(2 * r.client.supervisor.sessions.get().Timeout)
	defer t.Stop()
	select {
	case <-r.done:
		return r.failure
	case <-t.C:
		return &PathError{Op: "withdraw", Path: r.path, Err: errors.New("no server could be reached yet")}
	}
}

// Update sets the named properties of the registration and leaves the others; nil sets null. The node
// is read-only, so it is deleted and created anew in one transaction: no snapshot of the parent lacks
// it. Update returns when the node has the properties, or ctx or the registration ends; the properties
// are kept, for whenever the node can be written, also if ctx ends.
func (r *Registration) Update(ctx context.Context, props map[string]any) error {
	fail := func(err error) error { return r.explain("update", err) }
	r.mu.Lock()
	content, err := mergeProperties(r.content, props)
	if err == nil {
		err = checkSize(r.client.chroot.absolute(r.path), content)
	}
	if err != nil {
		r.mu.Unlock()
		return fail(err)
	}
	r.content = content
	r.revision++
	revision := r.revision
	r.mu.Unlock()
	select {
	case r.changed <- struct{}{}:
	default:
	}
	if err := r.await(ctx, revision); err != nil {
		return fail(err)
	}
	return nil
}

// explain names the path in an error that does not yet.
func (r *Registration) explain(op string, err error) error {
	var named *PathError
	if errors.As(err, &named) && named.Path == r.path {
		return err
	}
	return &PathError{Op: op, Path: r.path, Err: err}
}

// await returns when the node has that revision of the content.
func (r *Registration) await(ctx context.Context, revision int) error {
	for {
		r.mu.Lock()
		placed, moved := r.placed, r.moved
		r.mu.Unlock()
		if placed >= revision {
			return nil
		}
		select {
		case <-moved:
		case <-r.done:
			return r.Err()
		case <-ctx.Done():
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.holder != "" {
				return fmt.Errorf("the node is held by %s: %w", r.holder, context.Cause(ctx))
			}
			return context.Cause(ctx)
		}
	}
}

// run keeps the node in place until the registration ends, then removes it.
func (r *Registration) run() {
	reason := r.claim()
	if reason == nil {
		reason = r.keep()
		r.cancel(reason)
		r.withdraw()
		r.client.mu.Lock()
		delete(r.client.registered, r.path)
		r.client.mu.Unlock()
	}
	r.mu.Lock()
	r.err = reason
	r.mu.Unlock()
	r.status.finish(Withdrawn, reason)
	close(r.done)
}

// claim waits until no other registration of the client has the node: they are of one session, so each
// would take the other's node for its own. It returns why the registration ends, if it ends meanwhile.
func (r *Registration) claim() error {
	c := r.client
	for {
		c.mu.Lock()
		other := c.registered[r.path]
		if other == nil {
			c.registered[r.path] = r
		}
		c.mu.Unlock()
		if other == nil {
			return nil
		}
		r.show(Conflict, "another registration of this client")
		select {
		case <-other.done:
		case <-r.ctx.Done():
			return context.Cause(r.ctx)
		case <-c.ctx.Done():
			return ErrClosed
		}
	}
}

// keep compares what is there with what should be, whenever either may have changed, and acts on the
// difference. It never relies on the outcome of a request: what counts is what the node's stream says.
// So a lost reply does no harm, and a node that was created in another session than intended is seen
// for what it is. It returns why the registration ends.
func (r *Registration) keep() error {
	nodes := subscribe(r.ctx, r.client, kindStat, r.path, func(n *node) *node { return n })
	defer nodes.Close()
	sessions := r.client.Session(r.ctx)
	defer sessions.Close()
	again := time.NewTimer(0)
	again.Stop()
	defer again.Stop()
	for {
		select {
		case n, ok := <-nodes.C():
			if !ok {
				return nodes.Err()
			}
			r.node = n
		case _, ok := <-sessions.C():
			if !ok {
				return sessions.Err()
			}
		case <-r.changed:
		case <-again.C:
		}
		err := r.reconcile()
		switch {
		case err == nil && r.node != nil && !r.node.exists:
			// It has been created, and the stream will say so; unless it is gone again already, when
			// the stream has nothing new to say.
			again.Reset(lateDelay)
		case err == nil:
		case r.ctx.Err() != nil:
			return context.Cause(r.ctx)
		case r.client.ctx.Err() != nil:
			return ErrClosed
		case zkconn.Transient(err) || errors.Is(err, zk.ErrNoNode): // NoNode: a parent went meanwhile
			again.Reset(lateDelay)
		default:
			r.client.log.Error("zkstream: registration failed", "path", r.path, "error", err)
			return &PathError{Op: "register", Path: r.path, Err: err}
		}
	}
}

// reconcile takes the next step towards a node that is ours and has the newest content.
func (r *Registration) reconcile() error {
	if r.node == nil {
		return nil
	}
	conn := r.client.conn
	generation, session := conn.Generation(), conn.SessionID()
	if !conn.IsUp() {
		if r.client.supervisor.sessions.get().State == Expired {
			r.show(Pending, "")
		}
		return nil // the next session event comes here
	}
	r.owners[session] = true
	r.mu.Lock()
	content, revision, placed := r.content, r.revision, r.placed
	r.mu.Unlock()
	owner := r.node.stat.EphemeralOwner
	switch {
	case !r.node.exists:
		r.place(0)
		r.show(Pending, "")
		return r.create(generation, content, revision)
	case owner != session && r.owners[owner]:
		// Of an earlier session of ours. It goes with that session, and the stream will tell.
		r.place(0)
		r.show(Pending, "")
	case owner != session:
		r.place(0)
		holder := "session " + hex(owner)
		if owner == 0 {
			holder = "nobody: it is not ephemeral"
		}
		r.show(Conflict, holder)
	case placed == revision:
		r.show(Registered, "")
	default:
		ours, err := r.replace(generation, session, content, revision)
		if err != nil {
			return err
		}
		if ours {
			r.show(Registered, "")
		}
	}
	return nil
}

// write calls fn in the session in which its caller has seen the node.
func (r *Registration) write(generation int64, fn func(zc *zk.Conn) error) error {
	conn := r.client.conn
	return conn.Run(r.ctx, func(zc *zk.Conn) error {
		if conn.Generation() != generation {
			return zkconn.ErrDown
		}
		return fn(zc)
	})
}

// create creates the node. What became of it, the stream will tell.
func (r *Registration) create(generation int64, content []byte, revision int) error {
	abs := r.client.chroot.absolute(r.path)
	err := r.write(generation, func(zc *zk.Conn) error {
		_, err := createWithParents(zc, abs, content, zk.FlagEphemeral, r.acl, r.client.acl)
		return err
	})
	switch {
	case err == nil:
		r.place(revision)
	case errors.Is(err, zk.ErrNodeExists):
		err = nil
	}
	return err
}

// replace puts the newest content into the node, if it is still ours; else the stream will tell.
func (r *Registration) replace(generation, session int64, content []byte, revision int) (ours bool, err error) {
	abs := r.client.chroot.absolute(r.path)
	err = r.write(generation, func(zc *zk.Conn) error {
		got, stat, err := zc.Get(abs)
		if errors.Is(err, zk.ErrNoAuth) {
			_, stat, err = zc.Exists(abs)
		}
		switch {
		case errors.Is(err, zk.ErrNoNode):
			return nil
		case err != nil:
			return err
		}
		ours = stat.EphemeralOwner == session
		// If the answer to its creation was lost, it may need nothing.
		if !ours || bytes.Equal(got, content) {
			return nil
		}
		_, err = zc.Multi(
			&zk.DeleteRequest{Path: abs, Version: -1},
			&zk.CreateRequest{Path: abs, Data: content, Acl: r.acl, Flags: zk.FlagEphemeral},
		)
		return err
	})
	if err == nil && ours {
		r.place(revision)
	}
	return ours, err
}

// withdraw deletes the node if it is ours. It waits for a connection, unless the client closes.
func (r *Registration) withdraw() {
	abs := r.client.chroot.absolute(r.path)
	conn := r.client.conn
	for len(r.owners) > 0 { // else nothing has been created
		err := conn.Run(r.client.ctx, func(zc *zk.Conn) error {
			exists, stat, err := zc.Exists(abs)
			if err == nil && !exists {
				// The server may lag behind the one that made the node: see zkconn.Session.Generation.
				if _, err = zc.Sync(abs); err == nil || !zkconn.Transient(err) {
					exists, stat, err = zc.Exists(abs)
				}
			}
			if err != nil {
				return err
			}
			if !exists || stat.EphemeralOwner != conn.SessionID() || !r.owners[stat.EphemeralOwner] {
				return nil // gone, or another's, or it goes with an earlier session of ours
			}
			if err = zc.Delete(abs, -1); errors.Is(err, zk.ErrNoNode) {
				err = nil
			}
			return err
		})
		switch {
		case err == nil || r.client.ctx.Err() != nil: // else it goes with the session
			return
		case !zkconn.Transient(err):
			r.client.log.Error("zkstream: withdrawal failed", "path", r.path, "error", err)
			r.failure = &PathError{Op: "withdraw", Path: r.path, Err: err}
			return
		}
		if r.client.pause(r.client.ctx, retryPause) != nil {
			return
		}
	}
}

// place notes which revision of the content the node has; 0 means that it is not known.
func (r *Registration) place(revision int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.placed != revision {
		r.placed = revision
		close(r.moved)
		r.moved = make(chan struct{})
	}
}

// show makes a state known, and whose node is in the way, if one is.
func (r *Registration) show(status RegistrationStatus, holder string) {
	r.mu.Lock()
	changed := r.holder != holder
	r.holder = holder
	r.mu.Unlock()
	if changed && holder != "" {
		r.client.log.Warn("zkstream: a registration waits for a node of the same name to go",
			"path", r.path, "holder", holder)
	}
	if r.status.get() != status {
		r.status.set(status)
	}
}
