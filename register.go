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

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/content"
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
// no Conflict. Each time that it is created again it has a new number, which [Registration.Path] tells.
//
// A creation whose answer is lost leaves no second node: the registration looks for its own among the
// children of the path, which its client must be allowed to list. It knows it by its session, name and
// content, so a program must not make other nodes of that name and content in the same client's session.
func WithSequence() RegisterOption {
	return func(o *registerOptions) { o.sequence = true }
}

// Register announces the server at addr, "host:port", as a provider of the service at path: it creates
// the ephemeral node path/addr, and path where it is missing. The node's properties are props, with
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
// may have been created is deleted, on the next connection at the latest. The error is a *PathError.
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
	r := newRegistration(c, strings.TrimSuffix(path, "/")+"/"+o.name, addr, o)
	if err := validatePath(path); err != nil {
		return nil, &PathError{Op: "register", Path: path, Err: err}
	}
	content, err := o.validate(addr, props)
	if err == nil {
		err = r.checkSize(content)
	}
	if err == nil && c.conn == nil {
		err = zkconn.ErrNoConn
	}
	if err == nil && ctx == nil {
		err = errors.New("the context is nil")
	}
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, r.explain("register", err)
	}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	c.registrations[Pending].Add(1)
	c.registered.add(r)
	r.status.set(Pending)
	c.tasks.spawn(func() { r.run(content) })
	select {
	case <-r.placed:
		return r, nil
	case <-r.done:
		err = r.Err()
	case <-ctx.Done():
		r.cancel(context.Cause(ctx))
	}
	if ctx.Err() != nil {
		err = r.waitEnded(ctx)
	}
	return nil, r.explain("register", err)
}

// validate checks what is asked for, and returns the content of the node.
func (o *registerOptions) validate(addr string, props map[string]any) ([]byte, error) {
	if addr != "" || !o.named {
		if err := validateAddr(addr); err != nil {
			return nil, err
		}
	}
	if err := validatePath("/" + o.name); err != nil || o.name == "" || strings.Contains(o.name, "/") {
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
