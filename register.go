package zkstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/address"
	"github.com/zkstream/zkstream/internal/content"
	"github.com/zkstream/zkstream/internal/registration"
	"github.com/zkstream/zkstream/internal/watching"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// A RegisterOption changes what node [Client.Register] makes.
type RegisterOption func(*registerOptions)

type registerOptions struct {
	acl        []zk.ACL
	name       string
	named      bool
	content    []byte
	hasContent bool
	sequence   bool
	existing   bool
}

// WithACL sets the access control list of the registration's node. The default lets everybody read it
// and nobody write it. The client itself need not be among those who may read. Then, and only then, it looks
// at the node every 30 s or so, because a server may hide from it that somebody has deleted the node.
func WithACL(acl []zk.ACL) RegisterOption {
	acl = slices.Clone(acl)
	return func(o *registerOptions) { o.acl = acl }
}

// WithName sets the name of the registration's node, which is the address otherwise. It has no slash. The
// address may then be "", if others learn it from the node's content.
func WithName(name string) RegisterOption {
	return func(o *registerOptions) { o.name, o.named = name, true }
}

// WithContent sets the content of the registration's node, instead of properties and "pid": for the formats
// of other registries. Register then takes no properties, and [Registration.Update] works only where the
// content is a JSON object.
func WithContent(data []byte) RegisterOption {
	data = bytes.Clone(data)
	return func(o *registerOptions) { o.content, o.hasContent = data, true }
}

// WithSequence has the server append a number to the node's name: ten digits, greater than those of all nodes
// that were created below the path before. Such a node is never in the way of another's, so there is
// no Conflict. Each time that it is created again it has a new number, which [Registration.Path] returns.
//
// A creation whose answer is lost leaves no second node: the registration looks for its own among the
// children of the path, which its client must be allowed to list. It knows it by its session, name and
// content, so a program must not make other nodes of that name and content in the same client's session.
func WithSequence() RegisterOption {
	return func(o *registerOptions) { o.sequence = true }
}

// WithExistingPath has Register create its node only while there is a node at path, and never path itself: without it Register
// returns [zk.ErrNoNode] at once, and later the registration is [Refused] until path is there again. The default
// creates path and what is missing above it.
func WithExistingPath() RegisterOption {
	return func(o *registerOptions) { o.existing = true }
}

// Register announces the server at addr, "host:port", as a provider of the service at path: it creates
// the ephemeral node path/addr, and path where it is missing, unless [WithExistingPath] is given. The node's properties are props, with
// "pid" set to the process's ID unless props has it. Register returns when the node exists. An address
// that nobody can dial is refused; [Advertise] gives those of a listener on all addresses.
//
// ctx governs the registration also from then on: when it ends the node is deleted, and does not come
// back. Until then, or until Close, the node is created again whenever it is gone: after the session
// has expired, or when somebody deletes it. A lost connection leaves it as it is. A node of the same
// name that belongs to another session, or to another registration of this client, is left to it: a
// restarted server finds its predecessor's node, and takes over when that session expires.
//
// Limitation: ZooKeeper cannot delete a node on condition that a given session owns it. If, within one round
// trip of a withdrawal or an Update, somebody deletes the node and another session creates it again, that
// new node is deleted.
//
// If ctx ends before the node exists, the error says what it waited for, and nothing is left behind: what
// may have been created is deleted, on the next connection at the latest. The error is a [*PathError].
// Register returns at once what retrying does not mend: no permission, an invalid ACL or path, bad
// arguments, a server without ephemeral nodes, too large a content. Whatever else the server answers is
// tried again. Once Register has returned nil, no refusal ends the registration: see [Refused].
func (c *Client) Register(ctx context.Context, path, addr string, props map[string]any, opts ...RegisterOption) (*Registration, error) {
	o := registerOptions{acl: zk.WorldACL(zk.PermRead), name: addr}
	for _, opt := range opts {
		if opt == nil {
			return nil, &PathError{Op: "register", Path: path, Err: errors.New("a RegisterOption is nil")}
		}
		opt(&o)
	}
	if err := address.ValidatePath(path); err != nil {
		return nil, &PathError{Op: "register", Path: path, Err: err}
	}
	r := &Registration{client: c, path: strings.TrimSuffix(path, "/") + "/" + o.name, status: &hub[RegistrationStatus]{tasks: &c.tasks}}
	content, err := o.validate(addr, props)
	switch {
	case err != nil:
	case c.conn == nil:
		err = zkconn.ErrNoConn
	case ctx == nil:
		err = errors.New("the context is nil")
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	default:
		r.node, err = c.registrar.New(ctx, registration.Node{
			Addr: addr, Path: c.chroot.Absolute(r.path), Content: content, ACL: o.acl, Sequence: o.sequence, Raw: o.hasContent, NoParents: o.existing,
			Log: c.log.With("path", r.path), Changed: r.changed,
		})
	}
	if err != nil {
		return nil, r.fail("register", err)
	}
	r.status.set(Pending)
	c.tasks.Spawn(r.node.Run)
	if err := r.node.Await(ctx); err != nil {
		return nil, r.fail("register", err)
	}
	return r, nil
}

// newRegistrar returns what makes the registrations of a client that is connected.
func (c *Client) newRegistrar() *registration.Registrar {
	return registration.New(registration.Config{Conn: c.conn, Calls: c.calls, Closing: c.ctx,
		Watch: func(ctx context.Context, path string) registration.Stream {
			return subscribe(ctx, c, zkconn.Stat, c.chroot.Relative(path), func(n *watching.Node) registration.Presence {
				return registration.Presence{Exists: n.Exists(), Owner: n.Stat().EphemeralOwner}
			})
		},
	})
}

// Advertise returns the addresses to [Client.Register] for a listener on addr, "host:port", such as a
// [net.Listener]'s Addr gives. A listener on all addresses (":8080", "0.0.0.0:8080" or "[::]:8080") gives
// each IPv4 address of this host that is not loopback, with that port; loopback only if there is no
// other. That is the rule of zc.zk. Addresses of interfaces that are down do not count. Any other
// address gives itself.
//
// A host may have addresses that others cannot reach, such as a container bridge's: a program that
// knows its own address does better to register that.
//
// The error says what is wrong with addr, or why the host's addresses are not known.
func Advertise(addr string) ([]string, error) {
	addrs, err := address.Advertise(addr, address.OfHost)
	if err != nil {
		return nil, fmt.Errorf("zkstream: advertise: %w", err)
	}
	return addrs, nil
}

// validate checks what is asked for, and returns the content of the node.
func (o *registerOptions) validate(addr string, props map[string]any) ([]byte, error) {
	if addr != "" || !o.named {
		if err := address.Validate(addr); err != nil {
			return nil, err
		}
	}
	if err := address.ValidatePath("/" + o.name); err != nil || o.name == "" || strings.Contains(o.name, "/") {
		return nil, fmt.Errorf("%q is not a node's name: %w", o.name, zk.ErrInvalidPath)
	}
	if o.hasContent {
		if len(props) > 0 {
			return nil, errors.New("both properties and WithContent are given")
		}
		return o.content, nil
	}
	all := map[string]any{"pid": os.Getpid()}
	maps.Copy(all, props)
	return content.Encode(all)
}

// RegistrationStatus is the state of a [Registration].
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
	// One connection cannot know sooner, and even then it is no proof: a server that is cut off from its leader may
	// go on answering for a while after the others have removed the node. See [Client.Session].
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
func (s RegistrationStatus) String() string { return registration.Status(s).String() }

// A Registration announces one server: it keeps an ephemeral node in place, whatever happens to
// connections and sessions, until it is withdrawn. Its methods are safe for concurrent use.
type Registration struct {
	client *Client
	path   string // of the node, as the user names it, without the number that WithSequence asks for
	node   *registration.Registration
	status *hub[RegistrationStatus]
}

// changed publishes a new status.
func (r *Registration) changed(status registration.Status) {
	if status == registration.Withdrawn {
		r.status.finish(Withdrawn, r.Err())
	} else {
		r.status.set(RegistrationStatus(status))
	}
}

// Path returns the path of the registration's node. With [WithSequence] it changes each time that the node is
// created again; until it is there, Path returns that of the one before.
func (r *Registration) Path() string { return r.client.chroot.Relative(r.node.Path()) }

// Addr returns the address that is registered.
func (r *Registration) Addr() string { return r.node.Node.Addr }

// Done returns a channel that is closed when the registration has ended: when its node has been
// deleted, or is known to go with its session, or when the server refuses to delete it.
func (r *Registration) Done() <-chan struct{} { return r.node.Done() }

// Err returns nil until Done is closed, then why the registration ended: the cause of its context's
// end, or [ErrClosed] after Close of it or of its client.
func (r *Registration) Err() error { return r.node.Err() }

// Status streams the state of the registration: the present one at once, then each change. It ends,
// after Withdrawn, with the reason that Err gives.
func (r *Registration) Status(ctx context.Context) *Stream[RegistrationStatus] {
	return r.status.stream(ctx)
}

// Refusal returns what keeps the node from being in place now, a [*PathError]: the server's error while the
// status is Refused, whose node is in the way while it is Conflict. It returns nil in every other state.
func (r *Registration) Refusal() error { return r.fail("register", r.node.Obstacle()) }

// Close withdraws the registration. The node is deleted when Close returns nil; or it goes with its
// session, if that is one that the client has lost, or if the client is being closed. With no server to
// be reached, it returns an error after twice the session timeout, and the node is deleted on the next
// connection, or goes with the session. If the server refuses to delete the node, the error says so, and the
// node stays until the session ends.
func (r *Registration) Close() error {
	r.node.Withdraw(ErrClosed)
	t := time.NewTimer(2 * r.client.session.sessions.get().Timeout)
	defer t.Stop()
	select {
	case <-r.node.Done():
		return r.fail("withdraw", r.node.WithdrawErr())
	case <-t.C:
		return r.fail("withdraw", errors.New("no server could be reached yet"))
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
// kept, and put into the node when that can be done. The error is a [*PathError].
func (r *Registration) Update(ctx context.Context, props map[string]any) error {
	return r.fail("update", r.node.Update(ctx, props))
}

// fail names the operation and the path in an error; nil stays nil.
func (r *Registration) fail(op string, err error) error {
	if err == nil {
		return nil
	}
	return &PathError{Op: op, Path: r.path, Err: err}
}
