package zkstream

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/calls"
	"github.com/zkstream/zkstream/internal/content"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// A CreateOption changes what [Client.CreateNode] creates.
type CreateOption func(*createOptions)

type createOptions struct {
	calls.Creation
	parents bool
}

// Ephemeral has the node go with the session of the client that has created it.
func Ephemeral() CreateOption { return func(o *createOptions) { o.Ephemeral = true } }

// Sequential has the server append a number of ten digits to the path, which grows with each child that the parent
// has ever had. A path that ends with "/" gives a name that is the number alone.
func Sequential() CreateOption { return func(o *createOptions) { o.Sequential = true } }

// Container makes a node that the servers delete some time after the last of its children has gone
// (ZooKeeper 3.5.3 and later).
func Container() CreateOption { return func(o *createOptions) { o.Container = true } }

// TTL makes a node that the servers delete once it has had no children, and no change, for d, which counts in whole
// milliseconds. Servers have such nodes only if zookeeper.extendedTypesEnabled is set; otherwise the error has
// [ErrUnimplemented] inside.
func TTL(d time.Duration) CreateOption { return func(o *createOptions) { o.TTL = d } }

// NodeACL sets the access control list of the node. The default is that of [WithDefaultACL].
func NodeACL(acl []zk.ACL) CreateOption {
	acl = slices.Clone(acl)
	return func(o *createOptions) { o.ACL = acl }
}

// Parents creates the nodes above that are missing, empty, with the list of [WithDefaultACL]. They stay when the node
// itself cannot be created.
func Parents() CreateOption { return func(o *createOptions) { o.parents = true } }

// Create creates the node at path with properties as [Client.SetProperties] writes them, and its parents, empty,
// where they are missing. It returns when the server has answered or ctx ends, and meanwhile retries
// through lost connections. The error is a [*PathError]: [zk.ErrNodeExists], for example. [ErrUnknown] is in it
// if the connection was lost, and a node is there that may be this call's or somebody else's.
func (c *Client) Create(ctx context.Context, path string, props map[string]any) error {
	data, err := content.Encode(props)
	if err != nil {
		return &PathError{Op: "create", Path: path, Err: err}
	}
	_, err = c.CreateNode(ctx, path, data, Parents())
	return err
}

// CreateNode creates a node with that content, and returns its path, to which [Sequential] has appended a number. The
// default is a lasting node, with the access control list of [WithDefaultACL], and a parent that exists.
//
// It returns when the server has answered or ctx ends, and meanwhile retries through lost connections, but never what may
// have been carried out. The error is a [*PathError]: [zk.ErrNodeExists], or [zk.ErrNoNode] if the parent is missing. If the
// connection was lost, an ephemeral node that belongs to this session, has this content and was not there before is this
// call's; of others nobody can know: [ErrUnknown].
func (c *Client) CreateNode(ctx context.Context, path string, data []byte, opts ...CreateOption) (string, error) {
	change, parents, err := c.creation(path, data, opts)
	var created string
	err = c.call(ctx, "create", path, err, func() (err error) {
		created, err = c.calls.Create(ctx, change, parents)
		return err
	})
	if err != nil {
		return "", err
	}
	return c.chroot.Relative(created), nil
}

// creation prepares the change that CreateNode makes.
func (c *Client) creation(path string, data []byte, opts []CreateOption) (change *zkconn.Change, parents bool, err error) {
	o := createOptions{Creation: calls.Creation{ACL: c.acl}}
	for _, opt := range opts {
		if opt == nil {
			return nil, false, errors.New("option is nil")
		}
		opt(&o)
	}
	request, err := o.Request(c.chroot, path, data)
	if err != nil {
		return nil, false, err
	}
	change, err = c.conn.NewChange(request)
	return change, o.parents, err
}
