package zkstream

import (
	"context"
	"fmt"
	"time"
)

// SessionState tells how a client's session is.
type SessionState int

// The states of a session.
const (
	// Connecting: there has been no session yet.
	Connecting SessionState = iota
	// Connected: there is a session, and a server that answers.
	Connected
	// Suspended: the connection is lost. The session, its ephemeral nodes and its watches may live on.
	Suspended
	// Expired: the session is over, as a server said; or no server was reached for as long as the
	// session timeout, so it must be taken for over. The client is connecting anew. In the second case
	// the servers may have kept the session after all, when they were restarted, for example.
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
// and registrations need no help with either.
func (c *Client) Session(ctx context.Context) *Stream[Session] {
	return c.supervisor.sessions.stream(ctx)
}
