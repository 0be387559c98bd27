package zkconn

import (
	"fmt"
	"time"

	"github.com/go-zookeeper/zk"
)

// A SetACL is a request that go-zookeeper has no exported type for.
type SetACL struct {
	Path    string
	ACL     []zk.ACL
	Version int32
}

func (ch *Change) single(op any) error {
	ch.path, ch.size = PathOf(op), encodedSize(op)
	switch op := op.(type) {
	case *zk.CreateRequest:
		ch.op, ch.data = opCreate, op.Data
		if op.Flags == zk.FlagContainer {
			ch.op = opCreateContainer
		}
		ch.send = func(zc *zk.Conn) (r Result, err error) {
			if op.Flags == zk.FlagContainer {
				r.Path, err = zc.CreateContainer(op.Path, op.Data, op.Flags, op.Acl)
			} else {
				r.Path, err = zc.Create(op.Path, op.Data, op.Flags, op.Acl)
			}
			return r, err
		}
	case *zk.CreateTTLRequest:
		ch.op, ch.data = opCreateTTL, op.Data
		ch.send = func(zc *zk.Conn) (r Result, err error) {
			r.Path, err = zc.CreateTTL(op.Path, op.Data, op.Flags, op.Acl, time.Duration(op.Ttl)*time.Millisecond)
			return r, err
		}
	case *zk.SetDataRequest:
		ch.op, ch.data = opSetData, op.Data
		ch.send = func(zc *zk.Conn) (r Result, err error) {
			r.Stat, err = zc.Set(op.Path, op.Data, op.Version)
			return r, err
		}
	case *zk.DeleteRequest:
		ch.op = opDelete
		ch.send = func(zc *zk.Conn) (Result, error) { return Result{}, zc.Delete(op.Path, op.Version) }
	case *SetACL:
		ch.op = opSetACL
		ch.send = func(zc *zk.Conn) (r Result, err error) {
			r.Stat, err = zc.SetACL(op.Path, op.ACL, op.Version)
			return r, err
		}
	default:
		return fmt.Errorf("unknown type of operation: %T", op)
	}
	return nil
}

func (ch *Change) multi(ops []any) error {
	ch.op = opMulti
	for i, op := range ops {
		switch op.(type) {
		case *zk.CreateRequest, *zk.SetDataRequest, *zk.DeleteRequest, *zk.CheckVersionRequest:
		default:
			return fmt.Errorf("unknown type of operation in a transaction: %T", op)
		}
		if i == 0 {
			ch.path = PathOf(op)
		}
		ch.size += multiHeader + encodedSize(op)
	}
	ch.size += multiHeader
	ch.send = func(zc *zk.Conn) (r Result, err error) {
		r.Responses, err = zc.Multi(ops...)
		for i := range r.Responses {
			r.Responses[i].Error = Named(r.Responses[i].Error)
		}
		return r, err
	}
	return nil
}

// PathOf returns the path that an operation names.
func PathOf(op any) string {
	switch op := op.(type) {
	case *zk.CreateRequest:
		return op.Path
	case *zk.CreateTTLRequest:
		return op.Path
	case *zk.SetDataRequest:
		return op.Path
	case *zk.DeleteRequest:
		return op.Path
	case *zk.CheckVersionRequest:
		return op.Path
	case *SetACL:
		return op.Path
	}
	return ""
}

// encodedSize returns the bytes of an operation in its packet: numbers have four or eight, and before
// each string, content and list stands its length.
func encodedSize(op any) int {
	switch op := op.(type) {
	case *zk.CreateRequest:
		return 4 + len(op.Path) + 4 + len(op.Data) + aclSize(op.Acl) + 4
	case *zk.CreateTTLRequest:
		return 4 + len(op.Path) + 4 + len(op.Data) + aclSize(op.Acl) + 4 + 8
	case *zk.SetDataRequest:
		return 4 + len(op.Path) + 4 + len(op.Data) + 4
	case *zk.DeleteRequest:
		return 4 + len(op.Path) + 4
	case *zk.CheckVersionRequest:
		return 4 + len(op.Path) + 4
	case *SetACL:
		return 4 + len(op.Path) + aclSize(op.ACL) + 4
	}
	return 0
}

func aclSize(acl []zk.ACL) int {
	n := 4
	for _, a := range acl {
		n += 4 + 4 + len(a.Scheme) + 4 + len(a.ID)
	}
	return n
}
