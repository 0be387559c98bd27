package zkconn

import (
	"fmt"
	"strings"

	"github.com/go-zookeeper/zk"
)

// A SetACL is a request that go-zookeeper has no exported type for.
type SetACL struct {
	Path    string
	ACL     []zk.ACL
	Version int32
}

// single encodes one operation.
func (ch *Change) single(op any) error {
	ch.fields = packet(nil).operation(op)
	switch op := op.(type) {
	case *zk.CreateRequest:
		ch.op, ch.decode = opCreate, decodeCreated(op.Path)
		if op.Flags == zk.FlagContainer {
			ch.op = opCreateContainer
		}
	case *zk.CreateTTLRequest:
		ch.op, ch.decode = opCreateTTL, decodeCreated(op.Path)
	case *zk.SetDataRequest:
		ch.op, ch.decode = opSetData, decodeSet
	case *zk.DeleteRequest:
		ch.op, ch.decode = opDelete, decodeDeleted
	case *SetACL:
		ch.op, ch.decode = opSetACL, decodeSet
	default:
		return fmt.Errorf("unknown type of operation: %T", op)
	}
	return nil
}

// multi encodes a transaction.
func (ch *Change) multi(ops []any) error {
	ch.op = opMulti
	for _, op := range ops {
		var code int32
		switch op.(type) {
		case *zk.CreateRequest:
			code = opCreate
		case *zk.SetDataRequest:
			code = opSetData
		case *zk.DeleteRequest:
			code = opDelete
		case *zk.CheckVersionRequest:
			code = opCheck
		default:
			return fmt.Errorf("unknown type of operation in a transaction: %T", op)
		}
		ch.fields = ch.fields.int32(code).bool(false).int32(-1).operation(op)
	}
	ch.fields = ch.fields.multiEnd()
	ch.decode = func(r *requests, zxid int64, code int32, b *body) (Result, error) {
		if code != 0 {
			return Result{}, codeError(code)
		}
		r.wire.conn.acknowledged(zxid)
		return b.responses(ops)
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

// operation adds the fields of an operation.
func (p packet) operation(op any) packet {
	switch op := op.(type) {
	case *zk.CreateRequest:
		return p.string(op.Path).buffer(op.Data).acl(op.Acl).int32(op.Flags)
	case *zk.CreateTTLRequest:
		return p.string(op.Path).buffer(op.Data).acl(op.Acl).int32(op.Flags).int64(op.Ttl)
	case *zk.SetDataRequest:
		return p.string(op.Path).buffer(op.Data).int32(op.Version)
	case *zk.DeleteRequest:
		return p.string(op.Path).int32(op.Version)
	case *zk.CheckVersionRequest:
		return p.string(op.Path).int32(op.Version)
	case *SetACL:
		return p.string(op.Path).acl(op.ACL).int32(op.Version)
	}
	return p
}

// buffer adds content. That of a node may be null, which is not the same as empty.
func (p packet) buffer(data []byte) packet {
	if data == nil {
		return p.int32(-1)
	}
	return append(p.int32(int32(len(data))), data...)
}

func (p packet) acl(list []zk.ACL) packet {
	p = p.int32(int32(len(list)))
	for _, a := range list {
		p = p.int32(a.Perms).string(a.Scheme).string(a.ID)
	}
	return p
}

func decodeCreated(asked string) decodeFunc[Result] {
	return func(r *requests, zxid int64, code int32, b *body) (res Result, err error) {
		if code != 0 {
			return res, codeError(code)
		}
		r.wire.conn.acknowledged(zxid)
		res.Path, err = b.created(asked)
		return res, err
	}
}

func decodeSet(r *requests, zxid int64, code int32, b *body) (res Result, err error) {
	if code != 0 {
		return res, codeError(code)
	}
	r.wire.conn.acknowledged(zxid)
	stat := b.stat()
	if b.err != nil {
		return res, errMalformed
	}
	res.Stat = &stat
	return res, nil
}

func decodeDeleted(r *requests, zxid int64, code int32, _ *body) (Result, error) {
	if code != 0 {
		return Result{}, codeError(code)
	}
	r.wire.conn.acknowledged(zxid)
	return Result{}, nil
}

// created reads the path of a node that was asked for at a path, to which a server may have appended a number. Callers count on
// that beginning.
func (b *body) created(asked string) (string, error) {
	path, _ := b.data(b.left)
	if b.err != nil || !strings.HasPrefix(path, asked) {
		return "", errMalformed
	}
	return path, nil
}

// acl reads an access control list and the metadata behind it.
func (b *body) acl(most int) ([]zk.ACL, zk.Stat, error) {
	if b.left > most {
		return nil, zk.Stat{}, errReplyTooLarge
	}
	n := int(b.int32())
	if n < 0 || n > b.left/12 { // permissions and two lengths
		return nil, zk.Stat{}, errMalformed
	}
	list := make([]zk.ACL, n)
	for i := range list {
		a := &list[i]
		a.Perms = b.int32()
		a.Scheme, _ = b.data(b.left)
		a.ID, _ = b.data(b.left)
	}
	stat := b.stat()
	if b.err != nil {
		return nil, zk.Stat{}, errMalformed
	}
	return list, stat, nil
}

// responses reads the results of a transaction, one for each operation: before each stand an opcode, whether this is the end, and
// an error code. The error is the first of theirs, if there is one.
func (b *body) responses(ops []any) (res Result, err error) {
	for {
		op, done := b.int32(), b.bool()
		b.int32()
		i := len(res.Responses)
		switch {
		case b.err != nil || done != (i == len(ops)):
			return Result{}, errMalformed
		case done:
			return res, err
		}
		var m zk.MultiResponse
		switch op {
		case opError:
			if code := b.int32(); code != 0 {
				m.Error = codeError(code)
			}
		case opCreate:
			var malformed error
			if m.String, malformed = b.created(PathOf(ops[i])); malformed != nil {
				return Result{}, malformed
			}
		case opSetData:
			stat := b.stat()
			m.Stat = &stat
		case opDelete, opCheck:
		default:
			return Result{}, errMalformed
		}
		if b.err != nil {
			return Result{}, errMalformed
		}
		if err == nil {
			err = m.Error
		}
		res.Responses = append(res.Responses, m)
	}
}
