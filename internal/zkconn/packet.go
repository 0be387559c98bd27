package zkconn

import (
	"encoding/binary"
	"time"
)

// Where the fields of a packet stand. Each packet begins with its length, which does not count itself.
const (
	// A request: length, xid, opcode.
	atRequestXid = 4
	atOpcode     = 8
	requestHead  = 12

	// A SetWatches, behind that: the zxid since which changes count.
	atRelativeZxid = requestHead

	// A connect request: length, protocol version, last zxid seen, timeout, session, password.
	atLastZxid     = 8
	atAskedTimeout = 16
	atAskedSession = 20
	connectMinimum = 32

	// A connect reply: length, protocol version, timeout, session, password.
	atGivenTimeout = 8
	atGivenSession = 12
	atPassword     = 20 // its length, then itself

	// A reply: length, xid, zxid, error code.
	atReplyXid  = 4
	atReplyZxid = 8
	atReplyCode = 16
	replyHeader = 16 // bytes of xid, zxid and code
)

// packet is a request or reply as it travels.
type packet []byte

func (p packet) int32At(i int) int32       { return int32(binary.BigEndian.Uint32(p[i:])) }
func (p packet) int64At(i int) int64       { return int64(binary.BigEndian.Uint64(p[i:])) }
func (p packet) setInt32At(i int, v int32) { binary.BigEndian.PutUint32(p[i:], uint32(v)) }
func (p packet) setInt64At(i int, v int64) { binary.BigEndian.PutUint64(p[i:], uint64(v)) }
func (p packet) durationAt(i int) time.Duration {
	return time.Duration(p.int32At(i)) * time.Millisecond
}

// opcode returns the opcode of a request that is not the connect request; 0 if there is none.
func (p packet) opcode() int32 {
	if len(p) < requestHead {
		return 0
	}
	return p.int32At(atOpcode)
}

func (p packet) int32(v int32) packet   { return binary.BigEndian.AppendUint32(p, uint32(v)) }
func (p packet) int64(v int64) packet   { return binary.BigEndian.AppendUint64(p, uint64(v)) }
func (p packet) string(s string) packet { return append(p.int32(int32(len(s))), s...) }

func (p packet) bool(v bool) packet {
	if v {
		return append(p, 1)
	}
	return append(p, 0)
}

func (p packet) strings(list []string) packet {
	p = p.int32(int32(len(list)))
	for _, s := range list {
		p = p.string(s)
	}
	return p
}

// begin begins a request behind what is in p.
func (p packet) begin(xid, op int32) packet { return p.int32(0).int32(xid).int32(op) }

// end ends the request that begins at start.
func (p packet) end(start int) packet {
	p[start:].setInt32At(0, int32(len(p)-start-4))
	return p
}
