package zkstream

import (
	"context"
	"fmt"
	"time"

	"github.com/zkstream/zkstream/internal/zkconn"
)

// SessionState is the state of a client's session.
type SessionState int

// The states of a session.
const (
	// Connecting: there has been no session yet.
	Connecting SessionState = iota
	// Connected: there is a session, and a server that answers.
	Connected
	// Suspended: the connection is lost. The session, its ephemeral nodes and its watches may live on.
	Suspended
	// Expired: the session is over, because a server said so, or because the session timeout has passed since
	// the client sent the last request that was answered. The client is connecting in a new session. In the
	// second case servers may still know the old one, after a restart for example; then Connected has the old
	// ID. See [Client.Session] for what this proves.
	Expired
	// Closed: the client is closed.
	Closed
)

// String returns the state's name in lower case.
func (s SessionState) String() string {
	names := [...]string{"connecting", "connected", "suspended", "expired", "closed"}
	if s < 0 || int(s) >= len(names) {
		return fmt.Sprintf("SessionState(%d)", int(s))
	}
	return names[s]
}

// A Session is a snapshot of the client's session.
type Session struct {
	State   SessionState
	ID      int64         // 0 before the first session
	Server  string        // host:port of the server that is connected, or was last
	Timeout time.Duration // as negotiated
}

// String describes the session in a line.
func (s Session) String() string {
	return fmt.Sprintf("%v session %s on %s", s.State, hex(s.ID), s.Server)
}

// Session streams the state of the client's session: the present one at once, then each change. When
// the client closes, the last snapshot is Closed. A slow consumer misses the states in between.
//
// A session that is Suspended may become Connected again, with the same ID, and all is as it was; or
// Expired, and then the next Connected has a new ID, unless the servers still know the old one. Streams
// and registrations need no help with either. A client that servers refuse, for its credential for example, is
// Suspended or Expired for as long as they do, and connects when they take it again; the errors of calls say why.
//
// Expired comes as early as one connection can tell, and is still no proof that nobody acts on the session's
// ephemeral nodes any more, or that they are there until then. A server that is cut off from its leader answers
// pings and reads for up to its syncLimit, while the leader lets the session expire and deletes the nodes; and a
// process that is stopped learns nothing until it runs again. A program that must be sure that it still holds a node
// asks the quorum by a write: a create, a delete, or a check in a transaction. An answer to that is proof. A read, a sync or
// a new connection proves nothing.
func (c *Client) Session(ctx context.Context) *Stream[Session] {
	if c.session == nil {
		return endedStream[Session](fmt.Errorf("zkstream: session: %w", zkconn.ErrNoConn))
	}
	return c.session.sessions.stream(ctx)
}
