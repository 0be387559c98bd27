package zkconn

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"testing"
	"time"
)

// once is a network connection that reads its bytes, in pieces of some size, and then ends.
type once struct {
	recorder
	bytes []byte
	piece int
}

func (o *once) Read(p []byte) (int, error) {
	n := copy(p[:min(len(p), o.piece)], o.bytes)
	o.bytes = o.bytes[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

var (
	errTooShort = errors.New("a part reaches beyond the end")
	errMany     = errors.New("more results than operations")
)

// operations is how many a transaction of FuzzReply has room for.
const operations = 100

// decoder decodes a body step by step as go-zookeeper does, in its own terms: lengths are unsigned, but
// for data. It counts what would be allocated, in bytes.
type decoder struct {
	rest      []byte
	allocates uint64
	err       error
}

func (d *decoder) take(n uint64) []byte {
	if d.err != nil || n > uint64(len(d.rest)) {
		d.err = errTooShort
		return make([]byte, 8)
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) uint32() uint64 { return uint64(binary.BigEndian.Uint32(d.take(4))) }

func (d *decoder) string() { d.allocates += uint64(len(d.take(d.uint32()))) }

func (d *decoder) stat() { d.take(statSize) }

// vector decodes the elements of a slice, each of which takes size bytes at once.
func (d *decoder) vector(size uint64, element func()) {
	n := d.uint32()
	d.allocates += n * size
	for ; n > 0 && d.err == nil; n-- {
		element()
	}
}

func (d *decoder) reply(op int32) {
	switch op {
	case opExists, opSetData, opSetACL:
		d.stat()
	case opCreate, opCreateContainer, opCreateTTL, opSync:
		d.string()
	case opGetData, opReconfig:
		if n := d.uint32(); n <= math.MaxInt32 {
			d.allocates += n
			d.take(n)
		} else if n != math.MaxUint32 { // which is null; go-zookeeper takes each negative length for that
			d.err = errTooShort
		}
		d.stat()
	case opGetChildren2:
		d.vector(16, d.string)
		d.stat()
	case opGetACL:
		d.vector(40, func() { d.take(4); d.string(); d.string() })
		d.stat()
	case opMulti:
		for n := 0; d.err == nil; n++ {
			op := int32(d.uint32())
			done := d.take(1)[0] != 0
			d.take(4)
			d.allocates += 100
			if done {
				return
			}
			if n == operations {
				d.err = errMany
			}
			switch op {
			case opError:
				d.take(4)
			case opCreate:
				d.string()
			case opSetData:
				d.stat()
			case opDelete, opCheck:
			default:
				return
			}
		}
	}
}

// FuzzReply has a server answer one request, and looks at what is handed to go-zookeeper. stated is what
// the frame's length says beyond the truth. Whatever go-zookeeper gets as a success it must be able to
// decode, within memory in proportion to the reply; and what it could decode must reach it unchanged.
func FuzzReply(f *testing.F) {
	for i := range calls {
		for _, body := range [][]byte{
			nil, stat(1), str("/x"), i32(-1), append(str("data"), stat(1)...), append(i32(-1), stat(1)...), append(i32(-2), stat(1)...),
			append(i32(math.MaxInt32), stat(1)...), append(i32(math.MinInt32), stat(1)...), children("one", "", "three"),
			slices.Concat(i32(2), i32(31), str("world"), str("anyone"), i32(0), str(""), str(""), stat(1)),
			slices.Concat(result(opCreate, 0, str("/a")), result(opSetData, 0, stat(1)), result(opDelete, 0), result(opError, 0, i32(-2)), endOfMulti),
			result(99, 0),
		} {
			f.Add(uint8(i), int32(0), int32(0), uint8(255), body)
		}
	}
	f.Add(uint8(0), int32(-1), int32(0), uint8(1), append(str("data"), stat(1)...))
	f.Add(uint8(0), int32(1), int32(0), uint8(3), append(str("data"), stat(1)...))
	f.Add(uint8(1), int32(math.MaxInt32), int32(0), uint8(7), children("a"))
	f.Add(uint8(1), int32(0), int32(-101), uint8(7), i32(math.MaxInt32))
	f.Fuzz(func(t *testing.T, kind uint8, stated, code int32, piece uint8, body []byte) {
		const limit = 64 << 10
		op := calls[int(kind)%len(calls)].op
		sent := reply(1, 7, code, body)
		size := uint32(len(sent)-4) + uint32(stated)
		binary.BigEndian.PutUint32(sent, size)
		c := bareConn()
		c.maxReply = limit
		w := newWire(c, &once{bytes: sent, piece: 1 + int(piece)}, "server:2181")
		w.wroteFirst, w.handshakeDone, w.timeout = true, true, time.Second
		w.outgoing(frame(i32(1), i32(op), make([]byte, operations*multiHeader-12)))

		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, err := readFrame(w, limit)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 4*limit {
			t.Errorf("a reply of %d bytes that says it has %d: %d were allocated", len(sent), size, n)
		}
		d := decoder{rest: body}
		d.reply(op)
		good := stated == 0 && (code != 0 || d.err == nil)
		switch {
		case size < replyHeader || size > math.MaxInt32:
			if err == nil {
				t.Errorf("a frame of %d bytes passes", int32(size))
			}
		case good && len(sent)-4 <= limit:
			if err != nil || !bytes.Equal(got, sent) {
				t.Errorf("opcode %d: %v\nsent %x\ngot  %x", op, err, sent, got)
			}
		case err == nil: // something else was handed over: it must be harmless
			if err := harmless(op, got); err != nil {
				t.Errorf("opcode %d: %v\nsent %x\ngot  %x", op, err, sent, got)
			}
		}
		if err == nil && stated >= 0 {
			if _, err := w.Read(make([]byte, 1)); err == nil {
				t.Error("more is read than was sent")
			}
		}
	})
}

// readFrame reads a frame as go-zookeeper does.
func readFrame(r io.Reader, limit uint32) ([]byte, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head)
	if size > limit {
		return nil, fmt.Errorf("go-zookeeper gets a frame of %d bytes", size)
	}
	frame := append(head, make([]byte, size)...)
	_, err := io.ReadFull(r, frame[4:])
	return frame, err
}

// harmless returns an error if go-zookeeper, with the answer to op in frame, would read beyond its end or
// allocate more than in proportion to it.
func harmless(op int32, frame []byte) error {
	if xid := int32(binary.BigEndian.Uint32(frame[4:])); xid != 1 {
		return fmt.Errorf("a reply to request %d", xid)
	}
	if binary.BigEndian.Uint32(frame[16:]) != 0 {
		return nil // an error: its body is not looked at
	}
	body := frame[4+replyHeader:]
	d := decoder{rest: body}
	if d.reply(op); d.err != nil {
		return d.err
	}
	if d.allocates > uint64(20*len(body)) {
		return fmt.Errorf("decoding %d bytes takes %d", len(body), d.allocates)
	}
	return nil
}
