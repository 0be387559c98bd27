package zkstream

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/zkstream/zkstream/internal/watching"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// This file has what the tests, which are in package zkstream_test, need of the inside.

const (
	CloseLimit = closeLimit
	LogGrace   = logGrace
)

var (
	ErrExit     = errExit
	ErrNotTried = errNotTried
)

// SessionID returns the ID of the session.
func SessionID(c *Client) int64 { return c.conn.SessionID() }

// Connection returns what is below a client.
func Connection(c *Client) *zkconn.Conn { return c.conn }

// StatusNow returns the status of a registration.
func StatusNow(r *Registration) RegistrationStatus { return r.status.get() }

// WithdrawErr returns why a registration's node could not be deleted.
func WithdrawErr(r *Registration) error { return r.node.WithdrawErr() }

// ChildrenOf and PropertiesOf return snapshots of a node.
func ChildrenOf(n *watching.Node) Children     { return Children{n} }
func PropertiesOf(n *watching.Node) Properties { return Properties{n} }

// A Source is where the streams of a test come from.
type Source[T any] struct{ hub hub[T] }

func (s *Source[T]) Stream(ctx context.Context) *Stream[T] { return s.hub.stream(ctx) }
func (s *Source[T]) Set(v T)                               { s.hub.set(v) }
func (s *Source[T]) Finish(last T, reason error)           { s.hub.finish(last, reason) }

// End ends all streams, and leaves the last value as it is.
func (s *Source[T]) End(reason error) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.hub.closeLocked(reason)
}

// Streams returns the number of streams.
func (s *Source[T]) Streams() int {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	return len(s.hub.subs)
}

// InScope returns how many streams are to end with ctx.
func InScope(ctx context.Context) int {
	scopes.mu.Lock()
	defer scopes.mu.Unlock()
	if sc := scopes.open[ctx.Done()]; sc != nil {
		return len(sc.members)
	}
	return 0
}

// Subscribers returns open streams of a client as the source of their node's snapshots has them.
func Subscribers(streams ...*Stream[Data]) (subs []watching.Subscriber[watching.Reading]) {
	for _, s := range streams {
		subs = append(subs, s.source.(*nodeStream[Data]))
	}
	return subs
}

// A SessionKeeper is a session keeper whose events a test makes up, and whose goroutine does not run.
type SessionKeeper struct {
	keeper sessionKeeper
	Expiry *time.Timer
}

// NewSessionKeeper returns a keeper of a connection, which calls changed with each state, and orphaned when the low-level handle
// was closed.
func NewSessionKeeper(conn *zkconn.Conn, changed func(Session), orphaned func()) *SessionKeeper {
	return &SessionKeeper{sessionKeeper{
		conn: conn, log: slog.New(slog.DiscardHandler), sessions: &hub[Session]{}, first: make(chan error, 1),
		changed: changed, orphaned: orphaned,
	}, time.NewTimer(time.Hour)}
}

func (k *SessionKeeper) Handle(ev zkconn.Event) { k.keeper.handle(ev, k.Expiry) }
func (k *SessionKeeper) CheckAge()              { k.keeper.checkAge(k.Expiry) }
func (k *SessionKeeper) State() SessionState    { return k.keeper.sessions.get().State }

// First returns how the first handshake went, which has been.
func (k *SessionKeeper) First() error {
	select {
	case err := <-k.keeper.first:
		return err
	default:
		return errors.New("nobody has said how the handshake went")
	}
}

func (k *SessionKeeper) Counts() (disconnects, expirations int64) {
	return k.keeper.disconnects.Load(), k.keeper.expirations.Load()
}
