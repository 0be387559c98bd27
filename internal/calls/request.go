package calls

import (
	"fmt"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/address"
)

// A Creation says what kind of node is to be created.
type Creation struct {
	Ephemeral, Sequential, Container bool

	TTL time.Duration // 0: none
	ACL []zk.ACL
}

// Request returns the request that creates the node at path, which is below root.
func (o *Creation) Request(root address.Chroot, path string, data []byte) (any, error) {
	path, err := absoluteOf(root, path, o.Sequential)
	if err != nil {
		return nil, err
	}
	var flags int32 = zk.FlagPersistent
	switch {
	case o.TTL != 0 && (o.Ephemeral || o.Container):
		return nil, fmt.Errorf("a node with a TTL is neither ephemeral nor a container: %w", zk.ErrInvalidFlags)
	case o.Container && (o.Ephemeral || o.Sequential):
		return nil, fmt.Errorf("a container is neither ephemeral nor sequential: %w", zk.ErrInvalidFlags)
	case o.TTL < 0 || o.TTL > 0 && o.TTL < time.Millisecond:
		return nil, fmt.Errorf("a TTL of %v: %w", o.TTL, zk.ErrBadArguments)
	case o.TTL > 0:
		flags = zk.FlagTTL
		if o.Sequential {
			flags = zk.FlagPersistentSequentialWithTTL
		}
		return &zk.CreateTTLRequest{Path: path, Data: data, Acl: o.ACL, Flags: flags, Ttl: o.TTL.Milliseconds()}, nil
	case o.Container:
		flags = zk.FlagContainer
	case o.Ephemeral:
		flags = zk.FlagEphemeral
	}
	if o.Sequential {
		flags |= zk.FlagSequence
	}
	return &zk.CreateRequest{Path: path, Data: data, Acl: o.ACL, Flags: flags}, nil
}

// Absolute returns a copy of an operation of a transaction with its path as the server has it, and the path as the user names it,
// below root. A node that is created without an access control list gets acl.
func Absolute(root address.Chroot, op any, acl []zk.ACL) (absolute any, path string, err error) {
	switch op := op.(type) {
	case *zk.CreateRequest:
		request := *op
		request.Path, err = absoluteOf(root, op.Path, op.Flags&zk.FlagSequence != 0)
		if len(request.Acl) == 0 { // which servers refuse
			request.Acl = acl
		}
		return &request, op.Path, err
	case *zk.SetDataRequest:
		request := *op
		request.Path, path = root.Absolute(op.Path), op.Path
		absolute = &request
	case *zk.DeleteRequest:
		request := *op
		request.Path, path = root.Absolute(op.Path), op.Path
		absolute = &request
	case *zk.CheckVersionRequest:
		request := *op
		request.Path, path = root.Absolute(op.Path), op.Path
		absolute = &request
	default:
		return nil, "", fmt.Errorf("unknown type of operation: %T", op)
	}
	return absolute, path, address.ValidatePath(path)
}

// absoluteOf returns the path of a node that is to be created as the server has it. A server appends a number to a
// sequential one, so that may end with a slash.
func absoluteOf(root address.Chroot, path string, sequential bool) (string, error) {
	if !sequential {
		return root.Absolute(path), address.ValidatePath(path)
	}
	abs := root.Absolute(path + "0")
	return abs[:len(abs)-1], address.ValidatePath(path + "0")
}
