package zktest

import (
	"encoding/binary"
	"errors"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Jute is ZooKeeper's wire format: big-endian integers; a string or buffer is its length and its
// bytes, with length -1 for null; a vector is its count and its elements, with count -1 for null.

var errShort = errors.New("zktest: packet is truncated or has an unreasonable length")

// decoder reads jute from one frame. After a read beyond the frame's end every read gives the zero
// value and bad says so: the caller checks once, at the end. It allocates no more than the frame holds.
type decoder struct {
	buf []byte
	bad bool
}

func (d *decoder) take(n int) []byte {
	if d.bad || n < 0 || n > len(d.buf) {
		d.bad = true
		return nil
	}
	b := d.buf[:n]
	d.buf = d.buf[n:]
	return b
}

func (d *decoder) bool() bool {
	b := d.take(1)
	return b != nil && b[0] != 0
}

func (d *decoder) int32() int32 {
	b := d.take(4)
	if b == nil {
		return 0
	}
	return int32(binary.BigEndian.Uint32(b))
}

func (d *decoder) int64() int64 {
	b := d.take(8)
	if b == nil {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b))
}

// bytes gives a copy of a buffer, nil for null, so that the frame's memory can be used again.
func (d *decoder) bytes() []byte {
	n := d.int32()
	if n == -1 {
		return nil
	}
	b := d.take(int(n))
	if d.bad {
		return nil
	}
	return append(make([]byte, 0, len(b)), b...)
}

// string gives a string and whether it is not null. Each byte that is not UTF-8 becomes U+FFFD.
func (d *decoder) string() (s string, ok bool) {
	n := d.int32()
	if n == -1 {
		return "", false
	}
	b := d.take(int(n))
	if d.bad {
		return "", false
	}
	if !utf8.Valid(b) {
		return string([]rune(string(b))), true
	}
	return string(b), true
}

// count reads a vector's length. Elements are at least min bytes long, so a count that the rest of
// the frame cannot hold is an error before anything is allocated. Null and negative counts are zero
// elements; ok is false for null.
func (d *decoder) count(min int) (n int, ok bool) {
	c := d.int32()
	if c == -1 || d.bad {
		return 0, false
	}
	if c < 0 {
		return 0, true
	}
	if int(c) > len(d.buf)/min {
		d.bad = true
		return 0, false
	}
	return int(c), true
}

// encoder appends jute to a buffer.
type encoder struct{ buf []byte }

func (e *encoder) bool(v bool) {
	if v {
		e.buf = append(e.buf, 1)
	} else {
		e.buf = append(e.buf, 0)
	}
}

func (e *encoder) int32(v int32) { e.buf = binary.BigEndian.AppendUint32(e.buf, uint32(v)) }
func (e *encoder) int64(v int64) { e.buf = binary.BigEndian.AppendUint64(e.buf, uint64(v)) }

func (e *encoder) string(s string) {
	s = surrogates(s)
	e.int32(int32(len(s)))
	e.buf = append(e.buf, s...)
}

// surrogates writes each character beyond U+FFFF as Java's two surrogates, and those as if they were
// characters. That is not UTF-8, but it is what the real server sends.
func surrogates(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return r > 0xffff }) < 0 {
		return s
	}
	var b []byte
	for _, r := range s {
		if r <= 0xffff {
			b = utf8.AppendRune(b, r)
			continue
		}
		high, low := utf16.EncodeRune(r)
		for _, half := range []rune{high, low} {
			b = append(b, 0xe0|byte(half>>12), 0x80|byte(half>>6)&0x3f, 0x80|byte(half)&0x3f)
		}
	}
	return string(b)
}

// bytes writes a buffer; nil is null.
func (e *encoder) bytes(b []byte) {
	if b == nil {
		e.int32(-1)
		return
	}
	e.int32(int32(len(b)))
	e.buf = append(e.buf, b...)
}

func (e *encoder) strings(list []string) {
	e.int32(int32(len(list)))
	for _, s := range list {
		e.string(s)
	}
}

func (e *encoder) stat(s Stat) {
	e.int64(s.Czxid)
	e.int64(s.Mzxid)
	e.int64(s.Ctime)
	e.int64(s.Mtime)
	e.int32(s.Version)
	e.int32(s.Cversion)
	e.int32(s.Aversion)
	e.int64(s.EphemeralOwner)
	e.int32(s.DataLength)
	e.int32(s.NumChildren)
	e.int64(s.Pzxid)
}

func (e *encoder) acls(list []aclEntry) {
	e.int32(int32(len(list)))
	for _, a := range list {
		e.int32(a.perms)
		e.string(a.scheme)
		e.string(a.id)
	}
}

// beginFrame leaves room for the length; endFrame fills it in.
func (e *encoder) beginFrame() { e.buf = append(e.buf[:0], 0, 0, 0, 0) }
func (e *encoder) endFrame() []byte {
	binary.BigEndian.PutUint32(e.buf, uint32(len(e.buf)-4))
	return e.buf
}

// replyHeader writes the header that precedes every answer and event.
func (e *encoder) replyHeader(xid int32, zxid int64, code Code) {
	e.int32(xid)
	e.int64(zxid)
	e.int32(int32(code))
}
