package zkconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
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

// A Change is one request that changes the tree, followed through all its tries. It knows
//
//   - whether a try may have reached a server (Lost);
//   - whether the request is what ends the connections (TooLarge).
//
// Make one with [Conn.NewChange] or [Conn.NewTransaction] for each thing that is to happen, and pass it to [Conn.Send] for each
// try. A Change is not safe for concurrent use.
type Change struct {
	ops    []any // as go-zookeeper's requests
	op     int32 // opcode
	fields packet
	decode decodeFunc[Result]

	since      int64 // see Since
	generation int64 // to which since belongs
	session    int64 // see Owner
	lost       bool  // see Lost
	losses     int   // connections in a row that ended upon it
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
	if size, limit := ch.Size(), c.cfg.MaxRequest; size > limit {
		return fmt.Errorf("the request has %d bytes, the limit is %d: %w", size, limit, ErrTooLarge)
	}
	return nil
}

// Operations returns the operations that the Change was made from. They must not be changed.
func (ch *Change) Operations() []any { return ch.ops }

// Size returns the size of the request in bytes, as a server's jute.maxbuffer counts.
func (ch *Change) Size() int { return 8 + len(ch.fields) } // xid, opcode

// Lost reports whether the try that failed last may have been carried out all the same. If not, it certainly
// was not, and the Change may be sent again. Otherwise the caller must first look what has become of it.
func (ch *Change) Lost() bool { return ch.lost }

// TooLarge reports whether the request is larger than the server takes, as far as anybody can know: three
// connections in a row ended upon it; see wire.endedUpon. The caller then gives up, with ErrTooLarge: each further try
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

// Owner returns the session in which the latest try was sent, which owns an ephemeral node that it has made.
func (ch *Change) Owner() int64 { return ch.session }

// SameHistory reports whether the ensemble certainly has the history still to which Since belongs. One that has lost its data
// counts zxids anew, and does not know the session any more.
func (c *Conn) SameHistory(ch *Change) bool { return ch.generation == c.generation.Load() }

// Zxid returns the highest zxid that a server has named in this generation, or 0.
func (c *Conn) Zxid() int64 { return c.zxid.Load() }

// Wrote returns a zxid that everything which this client has written, or has synced with, is at most as new as, so far as it has
// been acknowledged; 0 if that is nothing. It is up to date when the caller of the write gets the answer.
func (c *Conn) Wrote() int64 { return c.wrote.Load() }

// Send makes one try of ch, and waits for the answer. Call it in a function that Do or Run calls. When ctx has ended it sends
// nothing, and when ctx ends it returns.
//
// A nil error says that it was carried out. After an error ask Change.Lost and Change.TooLarge. One that is neither lost nor
// Transient is the server's answer: it was not.
func (c *Conn) Send(ctx context.Context, ch *Change) (Result, error) {
	ch.lost = false
	if ctx.Err() != nil {
		return Result{}, context.Cause(ctx)
	}
	c.mu.Lock() // else since could be of the generation before, whose zxids may be higher
	since, generation := c.zxid.Load(), c.generation.Load()
	c.mu.Unlock()
	p := beginAsk(c, ch.op, false, func(p packet) packet { return append(p, ch.fields...) }, ch.decode)
	if p == nil {
		return Result{}, ErrDown
	}
	r := p.r
	ch.session = r.wire.session

	result, answered, err := p.await(ctx)
	// A malformed answer says that the change was carried out, but not how: let the tree show it.
	if answered && err != errMalformed && (err == nil || !Transient(err) || isAny(err, notCarriedOut)) {
		ch.losses = 0
		return result, err
	}
	withdrawn, sentAt := false, time.Time{}
	if !answered {
		withdrawn, sentAt = r.withdraw(p.xid)
	}
	switch {
	case withdrawn && ctx.Err() == nil: // it was not sent, which says nothing of its size
		return Result{}, ErrDown
	case withdrawn:
		return Result{}, err
	}
	ch.lost = true
	ch.since, ch.generation = since, generation
	switch {
	case !answered && ctx.Err() != nil: // the connection may live on
	case ch.Size() < SuspectSize || sentAt.IsZero() || !r.wire.endedUpon(sentAt):
		ch.losses = 0
	case !r.wire.carriedLarger(ch): // else it is the larger one's loss
		ch.losses++
	}
	return result, err
}

// endedUpon reports whether the other side may have ended the connection because of a packet that began to leave at sentAt: it did so
// at once, and had answered other requests. A line that dies while a large packet is on its way does not choose its moment.
func (w *wire) endedUpon(sentAt time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.answers == 0 || w.endedAt.Sub(sentAt) > refusalTime {
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
	if w.own.carriedLarger(ch.Size()) {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.outstanding, func(r request) bool { return r.size-4 > ch.Size() })
}

func (r *requests) carriedLarger(size int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	sent := r.waiting[:len(r.waiting)-r.unsent]
	return slices.ContainsFunc(sent, func(q ownRequest) bool { return q.size-4 > size })
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
