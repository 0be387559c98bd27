package zkstream

import (
	"time"

	"github.com/zkstream/zkstream/internal/zkconn"
)

// Stats are numbers about a [Client], for metrics. Those that are said to be counted only grow, from 0 at [Connect]; the
// others say how things are now.
type Stats struct {
	State   SessionState  // of the session
	Timeout time.Duration // of the session, as negotiated; 0 before the first

	// What the client watches, by what is read of the nodes. Each node counts once, whatever the number of streams. Those of
	// Instances and Tree are among them.
	Data     WatchStats // nodes whose content is followed
	Children WatchStats // nodes whose children are followed
	Presence WatchStats // nodes that registrations keep in place

	// Streams is how many streams are open that [Client.Data], [Client.Properties], [Client.Children], [Client.Instances] and
	// [Client.Tree] have returned. One that is the source of an operator counts, too; the operator's result does not.
	Streams int

	// Snapshots counts the snapshots that these streams were given, and Skipped those among them that a newer one has
	// replaced before anybody received them. Much of the latter is the sign of a slow consumer; it has lost
	// nothing but states in between.
	Snapshots int64
	Skipped   int64

	Registrations RegistrationStats

	// Connects counts the connections on which there was a session: the first, and one for each time that the client
	// was connected again. ConnectFailures counts the attempts to get one that failed, and the lookups of servers'
	// names that did. An attempt in which a server answers that the session has expired is neither.
	Connects        int64
	ConnectFailures int64

	// Sessions counts the sessions that there have been, Disconnects the connections with a session that were lost, and
	// Expirations how often the session's state has become [Expired].
	Sessions    int64
	Disconnects int64
	Expirations int64

	// Events counts the events that servers have sent, those of watches of [Client.Conn] included.
	Events EventStats

	// Reads counts the nodes that were read for streams and registrations, by what was read of them.
	Reads ReadStats

	// Calls is how many calls are under way, those that wait for a session included; see [Trace] for what is one.
	Calls int

	// Retries counts how often calls were tried again, because the connection was lost, the server could not carry them out
	// just then, or somebody else's change was faster. UpdateConflicts counts those of the last kind, by
	// [Client.UpdateProperties].
	Retries         int64
	UpdateConflicts int64

	// Requests counts the requests that were sent, by streams, registrations, calls and [Client.Conn], without handshakes
	// and pings. A batch of reads is one.
	Requests int64

	// BytesSent and BytesReceived count what went over the network connections, handshakes and pings included, in bytes; with
	// TLS they are those inside it.
	BytesSent     int64
	BytesReceived int64
}

// WatchStats are the watches of one kind, by how they are. None is in two of these numbers.
type WatchStats struct {
	// Current is how many show what the server has: a change would be an event.
	Current int
	// Stale is how many are to be read, or are being read or set. Without a connection, those that were Current stay so
	// until the next one.
	Stale int
	// Failing is how many cannot be read for now, and are tried again with growing pauses.
	Failing int
	// Parked is how many are kept without streams, for the next one on their node; see the package's documentation.
	Parked int
}

// EventStats are counts of events, by their type.
type EventStats struct {
	Created         int64 // a node that is watched for has come
	Deleted         int64 // a node has gone
	DataChanged     int64 // its content has been set
	ChildrenChanged int64 // a child has come or gone
}

// ReadStats are counts of nodes, by what was read of them.
type ReadStats struct {
	Data     int64 // the content
	Children int64 // the names of the children
	Presence int64 // whether it is there, for a registration
}

// RegistrationStats are the registrations that have not ended, by their status.
type RegistrationStats struct {
	Pending    int // see [Pending]
	Registered int // see [Registered]
	Conflict   int // see [Conflict]
	Refused    int // see [Refused]

	// Placements and Conflicts count how often a registration's status has become Registered and Conflict, those that have
	// ended included.
	Placements int64
	Conflicts  int64
}

// Stats returns numbers about the client as they are now. They are not all of one instant. It sends nothing, takes no time
// worth mentioning, and may be called after Close, too.
func (c *Client) Stats() Stats {
	if c.session == nil { // not made by Connect
		return Stats{State: Closed}
	}
	session, watched, conn, calls := c.session.sessions.get(), c.watches.Stats(), c.conn.Stats(), c.calls.Stats()
	reads := watched.Reads
	return Stats{
		State:           session.State,
		Timeout:         session.Timeout,
		Data:            WatchStats(watched.Watches[zkconn.Data]),
		Children:        WatchStats(watched.Watches[zkconn.Children]),
		Presence:        WatchStats(watched.Watches[zkconn.Stat]),
		Streams:         watched.Streams,
		Snapshots:       watched.Snapshots,
		Skipped:         watched.Skipped,
		Registrations:   RegistrationStats(c.registrar.Stats()),
		Connects:        conn.Connects,
		ConnectFailures: conn.Failures,
		Sessions:        c.conn.Generation(),
		Disconnects:     c.session.disconnects.Load(),
		Expirations:     c.session.expirations.Load(),
		Events:          EventStats(watched.Events),
		Reads:           ReadStats{Data: reads[zkconn.Data], Children: reads[zkconn.Children], Presence: reads[zkconn.Stat]},
		Calls:           int(c.underWay.Load()),
		Retries:         calls.Retries,
		UpdateConflicts: calls.Conflicts,
		Requests:        conn.Requests,
		BytesSent:       conn.BytesSent,
		BytesReceived:   conn.BytesReceived,
	}
}
