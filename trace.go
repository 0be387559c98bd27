package zkstream

import (
	"context"
	"time"

	"github.com/zkstream/zkstream/internal/watching"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// A Trace is functions that a [Client] calls as things happen, for logs, metrics and traces: see [WithTrace]. Each may be nil.
//
// They must not block, nor call the Client's methods: Connect, Resync and Resynced are called by the goroutine that receives all
// that servers send, and nothing is received until they return. They may be called from several goroutines at once; only the calls
// of one function are in order, and not those of Call.
type Trace struct {
	// Connect is called when an attempt to get a session from a server has ended, well or not, and when the lookup of a server's
	// name has failed.
	Connect func(ConnectTrace)

	// Session is called each time that the session's state has changed, in order; what [Client.Session] may skip is here,
	// too. The last call is with [Closed], before [Client.Close] returns.
	Session func(Session)

	// Call is called when a call has ended, in the goroutine of its caller, with its context: Get, List, GetTree, ACL, Sync, Create, CreateNode,
	// Write, SetProperties, UpdateProperties, Delete, DeleteNode, SetACL and Multi. Calls whose arguments are refused before
	// anything is sent are not among them, nor is what streams and registrations do.
	Call func(context.Context, CallTrace)

	// Resync is called when the client's watches are taken up on a new connection, if there are any: before the first of
	// them is set or read there.
	Resync func(ResyncTrace)

	// Resynced is called when that is done, with the time that it took: every watch is set, and every node has been read, or
	// found to be one that cannot be read for now. If the connection is lost before, it is not called.
	Resynced func(ResyncTrace)
}

// ConnectTrace is an attempt to get a session from a server.
type ConnectTrace struct {
	Server string        // host:port as in the connection string
	Addr   string        // host:port that was dialled: the server itself, or an address of it; empty for a lookup
	Took   time.Duration // from dialling to the end of the handshake
	Stage  string        // where it failed: "resolve", "dial", "tls", "handshake" or "auth"; empty if a server has answered the handshake
	Err    error         // nil if there is a session; zk.ErrSessionExpired if the server says that it is over
}

// CallTrace is a call of one of a Client's methods.
type CallTrace struct {
	Op   string // "get", "create" or "multi", for example, as the Op of a [PathError]
	Path string // below the chroot; of a transaction, that of its first operation
	// Began is when the call began to wait for a session, and Took how long it took from then on, with all retries.
	Began time.Time
	Took  time.Duration
	Err   error // what the call returns
}

// ResyncTrace is how the client's watches are taken up on a new connection.
type ResyncTrace struct {
	// Resumed says that the session is the one of before. If not, all nodes are read again.
	Resumed bool
	// Rearmed is how many watches are set again without reading their nodes: the server says which have changed.
	Rearmed int
	// Read is how many nodes are to be read.
	Read int
	// Took is the time from Resync to Resynced, 0 in the former.
	Took time.Duration
}

// WithTrace has the client call the functions of t, a copy of which is kept. Nil, the default, means none. It may be given more
// than once, for metrics and for a debug page, say: then those that were given first are called first.
func WithTrace(t *Trace) Option {
	var trace Trace
	if t != nil {
		trace = *t
	}
	return func(o *options) { o.trace = o.trace.and(trace) }
}

// and returns a Trace that calls the functions of both.
func (t Trace) and(u Trace) Trace {
	t.Connect = both(t.Connect, u.Connect)
	t.Session = both(t.Session, u.Session)
	t.Resync = both(t.Resync, u.Resync)
	t.Resynced = both(t.Resynced, u.Resynced)
	if first, second := t.Call, u.Call; first == nil {
		t.Call = second
	} else if second != nil {
		t.Call = func(ctx context.Context, call CallTrace) { first(ctx, call); second(ctx, call) }
	}
	return t
}

// both returns a function that calls first and then second, either of which may be nil.
func both[T any](first, second func(T)) func(T) {
	switch {
	case first == nil:
		return second
	case second == nil:
		return first
	}
	return func(v T) { first(v); second(v) }
}

// attempted returns what zkconn is to call after each attempt.
func (t *Trace) attempted() func(zkconn.Attempt) {
	if t.Connect == nil {
		return nil
	}
	return func(a zkconn.Attempt) { t.Connect(ConnectTrace(a)) }
}

func (t *Trace) session(now Session) {
	if t.Session != nil {
		t.Session(now)
	}
}

// resync and resynced return what is to be called when the watches are taken up on a new connection.
func (t *Trace) resync() func(watching.Resync)   { return resyncs(t.Resync) }
func (t *Trace) resynced() func(watching.Resync) { return resyncs(t.Resynced) }

func resyncs(fn func(ResyncTrace)) func(watching.Resync) {
	if fn == nil {
		return nil
	}
	return func(r watching.Resync) { fn(ResyncTrace(r)) }
}

// callBegins returns the time, if anybody wants to know.
func (t *Trace) callBegins() (now time.Time) {
	if t.Call != nil {
		now = time.Now()
	}
	return now
}

// callEnded is deferred by a call that has begun then, and returns *err.
func (t *Trace) callEnded(ctx context.Context, op, path string, began time.Time, err *error) {
	if t.Call != nil {
		t.Call(ctx, CallTrace{Op: op, Path: path, Began: began, Took: time.Since(began), Err: *err})
	}
}
