package zkconn

import (
	"bufio"
	"errors"
	"slices"
	"time"
	"unsafe"

	"github.com/go-zookeeper/zk"
)

// errShort says that a part of a reply reaches beyond its end.
var errShort = errors.New("a part reaches beyond the end")

// body is the rest of the reply that is being received.
type body struct {
	r    *bufio.Reader
	left int
	err  error // the first; then all that is read is zero
}

// take reads n bytes, at most what r's buffer holds. They are valid until the next call.
func (b *body) take(n int) []byte {
	if b.err == nil && (n < 0 || n > b.left) {
		b.err = errShort
	}
	if b.err != nil {
		return make([]byte, min(max(n, 0), 16))
	}
	p, err := b.r.Peek(n)
	if err != nil {
		b.err = err
		return make([]byte, min(n, 16))
	}
	b.r.Discard(n)
	b.left -= n
	return p
}

func (b *body) int32() int32 { return packet(b.take(4)).int32At(0) }
func (b *body) int64() int64 { return packet(b.take(8)).int64At(0) }
func (b *body) bool() bool   { return b.take(1)[0] != 0 }

// discard drops n bytes.
func (b *body) discard(n int) {
	if b.err == nil && (n < 0 || n > b.left) {
		b.err = errShort
	}
	if b.err == nil {
		_, b.err = b.r.Discard(n)
		b.left -= n
	}
}

// data reads a buffer. One that is larger than most is dropped, with ok false.
func (b *body) data(most int) (data string, ok bool) {
	n := int(b.int32())
	switch {
	case b.err != nil || n == -1: // null
		return "", true
	case n > most:
		b.discard(n)
		return "", false
	case n < 0 || n > b.left:
		b.err = errShort
		return "", true
	}
	if n <= b.r.Size() {
		return string(b.take(n)), true
	}
	return b.large(n), true
}

// large reads n bytes straight into the memory that they stay in.
func (b *body) large(n int) string {
	const believed = 1 << 20 // a length may be a lie, so more is not allocated before as much has come
	var text []byte
	for len(text) < n && b.err == nil {
		if len(text) == cap(text) {
			text = slices.Grow(text, min(n-len(text), max(len(text), believed)))
		}
		var got int
		got, b.err = b.r.Read(text[len(text):min(n, cap(text))])
		text = text[:len(text)+got]
		b.left -= got
	}
	return unsafe.String(unsafe.SliceData(text), len(text)) // as strings.Builder has it: nobody else knows of text
}

// names reads a list of names, which share their memory. One of more than most bytes is dropped, with ok
// false.
func (b *body) names(most int) (names []string, ok bool) {
	count := int(b.int32())
	if b.err == nil && (count < -1 || count > b.left/4) {
		b.err = errShort
	}
	if b.err != nil {
		return nil, true
	}
	text := make([]byte, 0, min(max(count, 0)*16, 64<<10))
	ends := make([]int, 0, min(max(count, 0), 4<<10))
	for range count {
		n := int(b.int32())
		if b.err == nil && (n < 0 || n > b.left) {
			b.err = errShort
		}
		if b.err != nil {
			return nil, true
		}
		if len(text)+n+4*len(ends) > most {
			return nil, false // the rest of the reply is dropped
		}
		for n > 0 && b.err == nil {
			part := b.take(min(n, 4<<10))
			text = append(text, part...)
			n -= len(part)
		}
		ends = append(ends, len(text))
	}
	all, from := string(text), 0
	names = make([]string, len(ends))
	for i, end := range ends {
		names[i] = all[from:end]
		from = end
	}
	return names, true
}

func (b *body) stat() zk.Stat {
	return zk.Stat{
		Czxid: b.int64(), Mzxid: b.int64(), Ctime: b.int64(), Mtime: b.int64(),
		Version: b.int32(), Cversion: b.int32(), Aversion: b.int32(),
		EphemeralOwner: b.int64(), DataLength: b.int32(), NumChildren: b.int32(), Pzxid: b.int64(),
	}
}

// answered handles a reply to a request of zkconn's own, of which size bytes are still to be read.
func (r *requests) answered(xid int32, zxid int64, code int32, size int) error {
	q, err := r.take(xid)
	if err != nil {
		return err
	}
	b := &body{r: r.wire.r, left: size}
	switch q.purpose {
	case forRead, forExists:
		r.read(q, zxid, code, b)
	case forBatch:
		r.batch(q, zxid, code, b)
	case forArm, forRearm, forRecheck:
		r.armed(q, zxid, code)
	case forSync:
		r.caughtUp(code)
	case forCaller:
		q.answer(zxid, code, b)
	}
	if b.err != nil && b.err != errShort {
		return b.err
	}
	b.err = nil
	b.discard(b.left)
	if b.err != nil {
		return b.err
	}
	r.wire.mu.Lock()
	r.wire.answers++
	r.wire.mu.Unlock()
	r.wire.conn.answersTo(r.wire.addr, q.op, code)
	r.wire.handled(zxid, q.sentAt)
	if q.done != nil {
		// Not before all of the reply is here and its zxid is noted. Else a caller could have the answer to a write that the zxid
		// does not cover: of his next one Since would be too old, and after a reconnect he could read what was before.
		close(q.done)
	}
	return nil
}

// read handles the answer to the read of one watch.
func (r *requests) read(q ownRequest, zxid int64, code int32, b *body) {
	w := q.watches[0]
	a := Answer{Zxid: zxid, Armed: true}
	switch {
	case code == codeNoNode:
		if w.Kind != Stat && q.purpose == forRead {
			// getData and getChildren leave no watch on a missing node.
			a.Armed = false
			if !r.setWatches { // exists does
				r.mu.Lock()
				r.readByLocked(opExists, forExists, w, q.expected)
				r.mu.Unlock()
				return
			}
		}
	case q.purpose == forExists && w.Kind != Stat && code == 0: // it has been created in between
		r.mu.Lock()
		r.readLocked(w, q.expected)
		r.mu.Unlock()
		return
	}
	size := b.left
	b.node(w.Kind, code, r.wire.conn.maxReply, &a)
	r.mu.Lock()
	if code == 0 && (!r.sized || r.typical > largeNode) { // else a node that is read again and again alone would count for all
		r.sizedLocked(size, 1)
	}
	r.mu.Unlock()
	if b.err != nil && b.err != errShort {
		return // the connection has ended
	}
	r.table.Answered(w, &a)
}

// batch handles the answers of a multiRead, one by one as they are read.
func (r *requests) batch(q ownRequest, zxid int64, code int32, b *body) {
	size := b.left
	for i, w := range q.watches {
		a := Answer{Zxid: zxid}
		if code != 0 {
			a.Err = codeError(code)
		} else if err := b.result(w.Kind, &a, r.wire.conn.maxReply); err != nil || b.err != nil {
			if b.err != nil && b.err != errShort {
				return // the connection has ended
			}
			// What comes is no answer to this request. One by one it is known whose answer is wrong.
			r.withoutMultiRead()
			r.table.Unarmed(q.watches[i:])
			break
		}
		r.table.Answered(w, &a)
	}
	if code != 0 {
		r.withoutMultiRead()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sizedLocked(size, len(q.watches))
}

// node reads the answer to a request for one node.
func (b *body) node(k Kind, code int32, most int, a *Answer) {
	switch {
	case code == codeNoNode:
		return
	case code != 0:
		a.Err = codeError(code)
		return
	}
	a.Exists = true
	if b.left > most {
		a.Err = errReplyTooLarge
		return // it is dropped
	}
	switch k {
	case Data:
		a.Data, _ = b.data(most)
	case Children:
		a.Names, _ = b.names(most)
	}
	a.Stat = b.stat()
	if b.err != nil {
		a.Err = errMalformed
	}
}

// withoutMultiRead has watches read one by one from now on.
func (r *requests) withoutMultiRead() {
	r.mu.Lock()
	r.multiRead = false
	r.mu.Unlock()
}

// result reads what a multiRead says of a node.
func (b *body) result(k Kind, a *Answer, most int) error {
	code, err := b.resultHead(opGetData)
	if err != nil {
		return err
	}
	if code == 0 {
		data, ok := b.data(most)
		a.Stat = b.stat()
		if k == Data {
			a.Data = data
			if !ok {
				a.Err = errReplyTooLarge
			}
		}
	}
	if k == Children {
		var second int32
		if second, err = b.resultHead(opGetChildren); err != nil {
			return err
		}
		if second == 0 {
			names, ok := b.names(most)
			if !ok {
				return errShort // it has been read in part only
			}
			a.Names = names
		}
		if code == 0 {
			code = second
		}
	}
	switch {
	case code == codeNoNode:
		a.Stat = zk.Stat{}
	case code != 0:
		a.Err = codeError(code)
	default:
		a.Exists = true
	}
	return nil
}

// resultHead reads the head of one result of a multiRead, and the code of one that has failed.
func (b *body) resultHead(op int32) (code int32, err error) {
	got, done := b.int32(), b.bool()
	code = b.int32()
	switch {
	case done || got != op && got != opError:
		return 0, errMalformed
	case got == opError:
		code = b.int32()
		if code == 0 {
			return 0, errMalformed
		}
	}
	return code, b.err
}

// armed handles the answer to a SetWatches.
func (r *requests) armed(q ownRequest, zxid int64, code int32) {
	if code == 0 {
		r.table.Armed(q.watches, zxid)
		return
	}
	r.wire.conn.log.Warn("zkstream: the server refuses to set watches again; they are read again instead",
		"server", r.wire.server, "error", codeError(code))
	r.mu.Lock()
	r.setWatches = false
	r.multiRead = false
	r.mu.Unlock()
	if q.purpose == forRearm {
		r.table.Attached(false)
		return
	}
	r.table.Unarmed(q.watches)
}

// caughtUp handles the answer to a sync.
func (r *requests) caughtUp(code int32) {
	if err := codeError(code); code != 0 && !Final(err) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.ended {
			return
		}
		r.syncs++
		time.AfterFunc(SyncPauses.After(r.syncs), func() {
			r.mu.Lock()
			if !r.ended {
				r.syncLocked()
			}
			r.mu.Unlock()
			r.wire.flush()
		})
		return
	} else if code != 0 {
		r.wire.conn.log.Warn("zkstream: the server cannot sync", "server", r.wire.server, "error", err)
	}
	r.mu.Lock()
	r.synced = true
	r.wire.conn.syncedGeneration = r.wire.conn.generation.Load()
	r.mu.Unlock()
}
