package zkconn

import (
	"encoding/binary"
	"io"
)

// Opcodes of ZooKeeper's protocol that go-zookeeper sends and that wire has to know.
const (
	opCreate          = 1
	opDelete          = 2
	opExists          = 3
	opGetData         = 4
	opSetData         = 5
	opGetACL          = 6
	opSetACL          = 7
	opGetChildren     = 8
	opSync            = 9
	opGetChildren2    = 12
	opCheck           = 13
	opMulti           = 14
	opReconfig        = 16
	opRemoveWatches   = 18
	opCreateContainer = 19
	opCreateTTL       = 21
	opMultiRead       = 22
	opAuth            = 100
	opSetWatches      = 101
	opGetEphemerals   = 103
	opClose           = -11

	opError = -1 // in the answer to a multi
)

const (
	statSize    = 68 // bytes of a node's metadata
	eventSize   = 12 // type, state, length of the path
	multiHeader = 9  // before each operation of a transaction, and each result

	eventCreated         = 1 // first and last of the types of watch events
	eventChildrenChanged = 4
)

// wellFormed reports whether the body of the current frame, a reply of success to op, is one that
// go-zookeeper can decode. Its decoder believes every count and length: a wrong one makes it allocate
// without bound, panic, or return what an earlier reply has left in its buffer. asked is the size of the
// request.
func (w *wire) wellFormed(op int32, asked int) (bool, error) {
	switch op {
	case opExists, opSetData, opSetACL:
		return w.body >= statSize, nil
	case opGetData, opReconfig: // data and metadata; often large, but with one length to check
		if w.body < 4 {
			return false, nil
		}
		b, err := w.r.Peek(4)
		if err != nil {
			return false, err
		}
		n := int(int32(binary.BigEndian.Uint32(b))) // -1 is null
		return n >= -1 && max(n, 0) <= w.body-4-statSize, nil
	case opCreate, opCreateContainer, opCreateTTL, opSync, opGetACL, opGetChildren2, opMulti:
		b, err := w.wholeBody()
		if err != nil {
			return false, err
		}
		f := fields{rest: b}
		f.reply(op, asked)
		return !f.bad, nil
	default:
		return true, nil // nothing in it is looked at
	}
}

// wholeBody returns the body of the current frame, which is still to be handed over.
func (w *wire) wholeBody() ([]byte, error) {
	if w.body <= w.r.Size() {
		return w.r.Peek(w.body)
	}
	frame := make([]byte, len(w.headSpace)+w.body)
	copy(frame, w.headSpace[:])
	if _, err := io.ReadFull(w.r, frame[len(w.headSpace):]); err != nil {
		return nil, err
	}
	w.head, w.body = frame, 0
	return frame[len(w.headSpace):], nil
}

// fields walks over the parts of a body.
type fields struct {
	rest []byte
	bad  bool // a part reached beyond the end
}

func (f *fields) skip(n int) {
	if n < 0 || n > len(f.rest) {
		f.rest, f.bad = nil, true
		return
	}
	f.rest = f.rest[n:]
}

// number takes a number, 0 if there is none.
func (f *fields) number() int {
	if len(f.rest) < 4 {
		f.rest, f.bad = nil, true
		return 0
	}
	n := int(int32(binary.BigEndian.Uint32(f.rest)))
	f.rest = f.rest[4:]
	return n
}

// count takes the number of elements that follow.
func (f *fields) count() int {
	n := f.number()
	if n < 0 {
		f.bad = true
	}
	return n
}

func (f *fields) string() { f.skip(f.number()) }

func (f *fields) reply(op int32, asked int) {
	switch op {
	case opCreate, opCreateContainer, opCreateTTL, opSync: // the path
		f.string()
	case opGetACL: // permissions, scheme, id of each; metadata
		for n := f.count(); n > 0 && !f.bad; n-- {
			f.skip(4)
			f.string()
			f.string()
		}
		f.skip(statSize)
	case opGetChildren2: // names; metadata
		for n := f.count(); n > 0 && !f.bad; n-- {
			f.string()
		}
		f.skip(statSize)
	case opMulti:
		f.multi(asked / multiHeader)
	}
}

// multi walks over the results of a transaction: before each stand an opcode, whether this is the end,
// and an error code. There are no more than most; each takes go-zookeeper far more memory than bytes.
func (f *fields) multi(most int) {
	for n := 0; !f.bad; n++ {
		op := int32(f.number())
		if len(f.rest) < 5 {
			f.bad = true
			return
		}
		done := f.rest[0] != 0
		f.skip(5)
		if done {
			return
		}
		if n == most {
			f.bad = true
			return
		}
		switch op {
		case opError:
			f.skip(4)
		case opCreate:
			f.string()
		case opSetData:
			f.skip(statSize)
		case opDelete, opCheck:
		default:
			return // go-zookeeper reads no further
		}
	}
}
