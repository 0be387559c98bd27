package zkstream

import (
	"context"
	"errors"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/address"
	"github.com/zkstream/zkstream/internal/calls"
	"github.com/zkstream/zkstream/internal/watching"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// AnyVersion has [Client.Write], [Client.DeleteNode] and [Client.SetACL] ask for no version.
const AnyVersion int32 = -1

// call calls fn, and gives its error the op and path. If the arguments have been refused, which err says, it only does the
// latter: then there is nothing for a Trace.
func (c *Client) call(ctx context.Context, op, path string, err error, fn func() error) error {
	if err == nil {
		c.underWay.Add(1)
		defer c.underWay.Add(-1)
		defer c.trace.callEnded(ctx, op, path, c.trace.callBegins(), &err)
		err = fn()
	}
	if err != nil {
		err = &PathError{Op: op, Path: path, Err: err}
	}
	return err
}

// check returns why there can be no call on path.
func (c *Client) check(path string) error {
	if c.conn == nil {
		return zkconn.ErrNoConn
	}
	return address.ValidatePath(path)
}

// change carries out one operation on the node at path.
func (c *Client) change(ctx context.Context, op, path string, request any) (r zkconn.Result, err error) {
	var change *zkconn.Change
	if err = c.check(path); err == nil {
		change, err = c.conn.NewChange(request)
	}
	err = c.call(ctx, op, path, err, func() (err error) {
		r, err = c.calls.Write(ctx, change)
		return err
	})
	return r, err
}

// Get reads a node from the server. A missing node is no error: Exists is false then. What it returns is at least as new as
// each change that this client has made, and that its calls and streams have shown before. Changes that other clients have
// made in the last moments may be missing, unless [Client.Sync] is called first. The error is a [*PathError]: [zk.ErrNoAuth], for
// example. It returns when the server has answered or ctx ends, and meanwhile retries through lost connections.
func (c *Client) Get(ctx context.Context, path string) (Data, error) {
	n, err := c.readNode(ctx, "get", path, zkconn.Data)
	return Data{n}, err
}

// readNode reads what k says of a node. It returns nil beside an error.
func (c *Client) readNode(ctx context.Context, op, path string, k zkconn.Kind) (n *watching.Node, err error) {
	err = c.call(ctx, op, path, c.check(path), func() error {
		a, err := c.calls.ReadNode(ctx, k, c.chroot.Absolute(path))
		if err == nil {
			n = watching.NewNode(path, &a)
		}
		return err
	})
	return n, err
}

// List reads the names of a node's children from the server. A missing node is no error: Exists is false then. How new the
// names are, and its errors, are as those of [Client.Get].
func (c *Client) List(ctx context.Context, path string) (Children, error) {
	n, err := c.readNode(ctx, "list", path, zkconn.Children)
	return Children{n}, err
}

// ACL reads the access control list of a node, with the node's metadata. The error is a [*PathError]: [zk.ErrNoNode], for
// example. Servers show the list only to who may read or administer the node.
func (c *Client) ACL(ctx context.Context, path string) ([]zk.ACL, zk.Stat, error) {
	var acl []zk.ACL
	var stat zk.Stat
	err := c.call(ctx, "getacl", path, c.check(path), func() (err error) {
		acl, stat, err = c.calls.ACL(ctx, c.chroot.Absolute(path))
		return err
	})
	if err != nil {
		return nil, zk.Stat{}, err
	}
	return acl, stat, nil
}

// Sync returns when the server that the client is connected to has caught up with everything that the ensemble had
// carried out when Sync was called. Any path will do: servers do not look whether the node exists. The error is a [*PathError].
func (c *Client) Sync(ctx context.Context, path string) error {
	return c.call(ctx, "sync", path, c.check(path), func() error { return c.calls.Sync(ctx, c.chroot.Absolute(path)) })
}

// Write replaces the content of a node, if the node has that version (Stat.Version); [AnyVersion] asks for none. It returns the
// node's metadata from then on. It returns when the server has answered or ctx ends, and meanwhile retries
// through lost connections, but never what may have been carried out. The error is a [*PathError]: [zk.ErrNoNode] and
// [zk.ErrBadVersion], for example, or one with [ErrUnknown] inside, if the connection was lost and the node has been
// changed since, perhaps by this call. With AnyVersion, a node that has this content and has been changed since counts as written.
func (c *Client) Write(ctx context.Context, path string, data []byte, version int32) (zk.Stat, error) {
	r, err := c.change(ctx, "set", path, &zk.SetDataRequest{Path: c.chroot.Absolute(path), Data: data, Version: version})
	if err != nil {
		return zk.Stat{}, err
	}
	return *r.Stat, nil
}

// DeleteNode deletes a node without children, if it has that version (Stat.Version); [AnyVersion] asks for none. It
// returns when the server has answered or ctx ends, and meanwhile retries through lost connections, but never what may
// have been carried out. The error is a [*PathError]: [zk.ErrNoNode], [zk.ErrBadVersion] or [zk.ErrNotEmpty], for example, or one with
// [ErrUnknown] inside, if the connection was lost and the node is gone, which may be this call's doing or somebody else's.
func (c *Client) DeleteNode(ctx context.Context, path string, version int32) error {
	_, err := c.change(ctx, "delete", path, &zk.DeleteRequest{Path: c.chroot.Absolute(path), Version: version})
	return err
}

// SetACL replaces the access control list of a node, if that has this version (Stat.Aversion); [AnyVersion] asks for none. It
// returns when the server has answered or ctx ends. The error is a [*PathError]: [zk.ErrInvalidACL], for example, or
// one with [ErrUnknown] inside, if the connection was lost while the request was under way, and the list's version does not
// show that it was not carried out.
func (c *Client) SetACL(ctx context.Context, path string, acl []zk.ACL, version int32) error {
	_, err := c.change(ctx, "setacl", path, &zkconn.SetACL{Path: c.chroot.Absolute(path), ACL: acl, Version: version})
	return err
}

// Delete deletes the node at path, which must have no children. It returns when the server has answered
// or ctx ends, and meanwhile retries through lost connections. The error is a [*PathError]: [zk.ErrNoNode]
// or [zk.ErrNotEmpty], for example. [ErrUnknown] is in it if the connection was lost and the node is gone, which may be
// this call's doing or somebody else's.
func (c *Client) Delete(ctx context.Context, path string) error {
	return c.DeleteNode(ctx, path, AnyVersion)
}

// Multi carries out all operations in one transaction, or none. They are go-zookeeper's *zk.CreateRequest, *zk.SetDataRequest,
// *zk.DeleteRequest and *zk.CheckVersionRequest, with paths below the chroot, as those in the responses are; others are an
// error. A node created without an access control list gets that of [WithDefaultACL]. No operation at all is no transaction.
//
// If an operation is refused, none is carried out. The error is then a [*PathError] with that one's path, and each response
// says what became of its operation: nil before it, though undone, and an error from there on. As with [Client.Write],
// what may have been carried out is not sent again: [ErrUnknown] is in the error if the connection was lost, and
// what the operations would change has been changed since.
func (c *Client) Multi(ctx context.Context, ops ...any) (responses []zk.MultiResponse, err error) {
	if len(ops) == 0 {
		return nil, nil
	}
	absolute := make([]any, len(ops))
	paths := make([]string, len(ops)) // as the user names them
	for i, op := range ops {
		if absolute[i], paths[i], err = calls.Absolute(c.chroot, op, c.acl); err != nil {
			return nil, &PathError{Op: "multi", Path: paths[i], Err: err}
		}
	}
	change, err := c.conn.NewTransaction(absolute...)
	err = c.call(ctx, "multi", paths[0], err, func() error {
		responses, err = c.calls.Transact(ctx, change)
		return err
	})
	for i := range responses {
		r := &responses[i]
		if r.String != "" {
			r.String = c.chroot.Relative(r.String)
		}
		if r.Error != nil && err != nil && errors.Is(err, r.Error) {
			err = &PathError{Op: "multi", Path: paths[i], Err: r.Error}
			for j := i + 1; j < len(responses); j++ {
				responses[j].Error = errNotTried
			}
			break
		}
	}
	return responses, err
}

// errNotTried stands for the runtime inconsistency that servers answer to what follows a refused operation.
var errNotTried = errors.New("not tried, since an operation before it was refused")
