package zkconn

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

// What may be wrong with a request that costs the connection.
const (
	// SuspectSize is the size in bytes from which on a request may be the reason why its connection ends. A
	// server closes the connection on a request that is larger than its jute.maxbuffer. Nobody sets that as
	// low, so a smaller request that loses its connection again and again only has a bad line.
	SuspectSize = 4 << 10

	// maxLosses is how many connections in a row a suspect may cost.
	maxLosses = 3

	// refusalTime is how soon after a suspect has begun to leave its connection must end for that to be a server's
	// refusal. A server refuses a request for its length, the first four bytes, long before it has all of it.
	refusalTime = time.Second

	// DefaultMaxRequest is what a server takes by default: its jute.maxbuffer, 0xfffff bytes.
	DefaultMaxRequest = 1<<20 - 1
)

// A Change is one request that changes the tree, followed through all its tries. go-zookeeper says of a
// request that failed with the connection only that; a Change also knows
//
//   - whether a try may have reached a server (Lost): its packet has been seen on its way out;
//   - whether the request is what ends the connections (TooLarge).
//
// Make one with [Conn.NewChange] or [Conn.NewTransaction] for each thing that is to happen, and pass it to [Conn.Send] for each
// try. A Change is not safe for concurrent use.
type Change struct {
	ops  []any  // as go-zookeeper's requests
	op   int32  // opcode
	path string // the first that it names
	size int    // bytes of its packet, as jute.maxbuffer counts: without its length
	data []byte // that it writes, if it does
	send func(*zk.Conn) (Result, error)

	since      int64 // see Since
	generation int64 // to which since belongs
	lost       bool  // see Lost
	losses     int   // connections in a row that ended upon it

	// Guarded by Conn.changes.mu.
	sentOn    *wire     // where the packet of the latest try went
	sentAt    time.Time // when it began to leave
	maybe     bool      // a try may have been carried out: it was sent, and no answer has said otherwise
	abandoned bool      // no packet of it may leave any more
}

// Result is what a server answers to a Change.
type Result struct {
	Path      string             // of a created node
	Stat      *zk.Stat           // of a node that was set
	Responses []zk.MultiResponse // of a transaction
}

// NewChange prepares a change from one of go-zookeeper's request types, or SetACL. A CreateRequest whose
// flags are zk.FlagContainer makes a container. The error is ErrTooLarge if it is larger than
// Config.MaxRequest.
func (c *Conn) NewChange(op any) (*Change, error) {
	ch := &Change{ops: []any{op}}
	return ch, c.prepare(ch, ch.single(op))
}

// NewTransaction prepares a change that carries out all of ops or nothing: zk.CreateRequest,
// zk.SetDataRequest, zk.DeleteRequest and zk.CheckVersionRequest. The error is as NewChange's.
func (c *Conn) NewTransaction(ops ...any) (*Change, error) {
	ch := &Change{ops: ops}
	return ch, c.prepare(ch, ch.multi(ops))
}

func (c *Conn) prepare(ch *Change, err error) error {
	switch {
	case c == nil:
		return ErrNoConn
	case err != nil:
		return err
	}
	ch.size += 8 // xid, opcode
	if limit := c.cfg.MaxRequest; ch.size > limit {
		return fmt.Errorf("the request has %d bytes, the limit is %d: %w", ch.size, limit, ErrTooLarge)
	}
	return nil
}

// Operations returns the operations that the Change was made from. They must not be changed.
func (ch *Change) Operations() []any { return ch.ops }

// Size returns the size of the request in bytes, as a server's jute.maxbuffer counts.
func (ch *Change) Size() int { return ch.size }

// Lost reports whether the try that failed last may have been carried out all the same. If not, it certainly
// was not, and the Change may be sent again. Otherwise the caller must first look what has become of it.
func (ch *Change) Lost() bool { return ch.lost }

// TooLarge reports whether the request is larger than the server takes, as far as anybody can know: three
// connections in a row ended upon it; see wire.refused. The caller then gives up, with ErrTooLarge: each further try
// would end the connection for everybody once more.
func (ch *Change) TooLarge() bool { return ch.losses >= maxLosses }

// Continue has ch count the connections that a request for the same purpose has cost before, which it replaces;
// nil is none.
func (ch *Change) Continue(before *Change) {
	if before != nil {
		ch.losses = before.losses
	}
}

// Since returns a zxid that was committed before the latest lost try was sent: what a node's metadata say
// happened at or before it was not done by that try. It is 0, of which nothing follows, if the connection had
// not heard of any.
func (ch *Change) Since() int64 { return ch.since }

// Owner returns the session in which the latest try was sent, which owns an ephemeral node that it has made;
// 0 if it was not sent.
func (c *Conn) Owner(ch *Change) int64 {
	c.changes.mu.Lock()
	defer c.changes.mu.Unlock()
	if ch.sentOn == nil {
		return 0
	}
	return ch.sentOn.session
}

// SameHistory reports whether the ensemble certainly has the history still to which Since belongs. One that has lost its data
// counts zxids anew, and does not know the session any more.
func (c *Conn) SameHistory(ch *Change) bool { return ch.generation == c.generation.Load() }

// Zxid returns the highest zxid that a server has named in this generation, or 0.
func (c *Conn) Zxid() int64 { return c.zxid.Load() }

// Wrote returns a zxid that everything which this client has written, or has synced with, is at most as new as, so far as it has
// been acknowledged; 0 if that is nothing. It is up to date when the caller of the write gets the answer.
func (c *Conn) Wrote() int64 { return c.wrote.Load() }

// changes are the Changes that go-zookeeper has, by path.
type changes struct {
	mu     sync.Mutex // guards what follows
	byPath map[string][]*Change
}

// Send makes one try of ch, and waits for the answer. Call it in a function that Do or Run calls, with their
// ctx. When ctx has ended it sends nothing.
//
// A nil error says that it was carried out. An error that is not Transient is the server's answer: it was not.
// After a transient one, ask Change.Lost and Change.TooLarge.
//
// How it is known whether a request was sent: go-zookeeper gives its number only when it is written, but what it
// writes passes wire.Write. Before Send hands the request over it is noted here by its path; when a packet
// of that operation, path, size and content passes, all that fit are marked. A mark too many, when two goroutines
// send the same, does no harm. A mark too few cannot be: go-zookeeper fails a request with the connection only
// after the goroutine that writes has ended, and fails it without that only if it never left its queue.
func (c *Conn) Send(ctx context.Context, zc *zk.Conn, ch *Change) (Result, error) {
	ch.lost = false
	if ctx.Err() != nil {
		return Result{}, context.Cause(ctx)
	}
	since, generation := c.zxid.Load(), c.generation.Load()
	if err := c.changes.add(ch); err != nil {
		return Result{}, err
	}
	r, err := ch.send(zc)
	err = Named(err)
	// When closing, a request may leave go-zookeeper's queue even after it has failed.
	certain := err != nil && (!Transient(err) || isAny(err, notCarriedOut))
	sentOn := c.changes.remove(ch, certain, c.ctx.Err() != nil)
	switch {
	case err == nil || certain && sentOn != nil:
		ch.losses = 0
	case certain || sentOn == nil && c.ctx.Err() == nil: // it was not sent, which says nothing of its size
	default:
		ch.lost = true
		ch.since, ch.generation = since, generation
		switch {
		case ch.size < SuspectSize || sentOn == nil || !sentOn.endedUpon(ch):
			ch.losses = 0
		case !sentOn.carriedLarger(ch): // else it is the larger one's loss
			ch.losses++
		}
	}
	return r, err
}

// Abandon stops ch from being sent, if that is still possible. It reports whether ch may have been carried out, or be carried
// out still. It is for a caller that gives up while Send runs in another goroutine: Do has returned, since ctx has ended. A
// request that waits in go-zookeeper's queue stays there, but wire.Write sends something harmless in its place.
func (c *Conn) Abandon(ch *Change) (maybe bool) {
	s := &c.changes
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range s.byPath[ch.path] {
		if other != ch && other.looksLike(ch) {
			return true // which packet is whose cannot be known
		}
	}
	ch.abandoned = true
	return ch.maybe
}

func (ch *Change) looksLike(other *Change) bool {
	return ch.op == other.op && ch.size == other.size && bytes.Equal(ch.data, other.data)
}

func (s *changes) add(ch *Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ch.abandoned {
		return context.Canceled
	}
	for _, other := range s.byPath[ch.path] {
		if other.abandoned && other.looksLike(ch) {
			return ErrDown // whose packet must not be taken for this one's
		}
	}
	if s.byPath == nil {
		s.byPath = map[string][]*Change{}
	}
	ch.sentOn, ch.maybe = nil, false
	s.byPath[ch.path] = append(s.byPath[ch.path], ch)
	return nil
}

// remove takes ch out. certain says that it was not carried out, late that it may be sent even now.
func (s *changes) remove(ch *Change, certain, late bool) (sentOn *wire) {
	s.mu.Lock()
	defer s.mu.Unlock()
	same := s.byPath[ch.path]
	same = slices.Delete(same, slices.Index(same, ch), slices.Index(same, ch)+1)
	if len(same) == 0 {
		delete(s.byPath, ch.path)
	} else {
		s.byPath[ch.path] = same
	}
	ch.maybe = !certain && (late || ch.sentOn != nil)
	return ch.sentOn
}

// pass marks the changes whose packet p may be, before it is written to w. It is false if that must not be.
func (s *changes) pass(w *wire, op int32, p []byte) bool {
	at := 12 // length, xid, opcode
	switch op {
	case opMulti:
		at += multiHeader
	case opCreate, opDelete, opSetData, opSetACL, opCreateContainer, opCreateTTL:
	default:
		return true
	}
	path, rest := field(p, at)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ch := range s.byPath[string(path)] {
		if ch.op != op || ch.size != len(p)-4 {
			continue
		}
		if ch.data != nil {
			if data, _ := field(p, rest); !bytes.Equal(data, ch.data) {
				continue
			}
		}
		if ch.abandoned {
			return false // it is the only one of its kind: see add
		}
		ch.sentOn, ch.sentAt, ch.maybe = w, time.Now(), true
	}
	return true
}

// field returns the bytes whose length stands at a position of a packet, and where they end.
func field(p []byte, at int) ([]byte, int) {
	if at+4 > len(p) {
		return nil, len(p)
	}
	n := int(int32(binary.BigEndian.Uint32(p[at:])))
	if n < 0 || n > len(p)-at-4 {
		return nil, len(p)
	}
	return p[at+4 : at+4+n], at + 4 + n
}

// endedUpon reports whether the other side may have ended the connection because of ch, whose packet has left: it did so at once, and
// had answered other requests. A line that dies while a large packet is on its way does not choose its moment.
func (w *wire) endedUpon(ch *Change) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.answers == 0 || w.endedAt.Sub(ch.sentAt) > refusalTime {
		return false
	}
	var failed *net.OpError // a reset, for example
	switch err := w.cause; {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe):
		return true
	case errors.As(err, &failed):
		return !failed.Timeout() && !errors.Is(err, net.ErrClosed)
	}
	return false
}

// carriedLarger reports whether a packet larger than that of ch was without an answer when the connection ended. If the server has
// refused one of them, it is that one.
func (w *wire) carriedLarger(ch *Change) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.outstanding, func(r request) bool { return r.size-4 > ch.size })
}

// fail closes the connection, for a reason of which the first is remembered.
func (w *wire) fail(cause error) {
	w.mu.Lock()
	if w.cause == nil {
		w.cause, w.endedAt = cause, time.Now()
	}
	w.mu.Unlock()
	w.Close()
}
