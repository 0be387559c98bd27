package zkstream

import "github.com/zkstream/zkstream/internal/zkconn"

// Stats are numbers about a [Client], for metrics. Those that are said to be counted only grow, from 0 at [Connect]; the
// others say how things are now.
type Stats struct {
	State SessionState // of the session

	// What the client watches, by what is read of the nodes. Each node counts once, whatever the number of streams.
	Data     WatchStats // nodes whose content is followed: Data and Properties
	Children WatchStats // nodes whose children are followed
	Presence WatchStats // nodes that registrations keep in place

	// Streams is how many followers the watches of content and of children have: the open streams that
	// [Client.Data], [Client.Properties] and [Client.Children] have returned. One that is the source of an operator counts too;
	// the operator's result does not.
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

	// Expirations counts how often the session's state has become [Expired].
	Expirations int64

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

// RegistrationStats are the registrations that have not ended, by their status.
type RegistrationStats struct {
	Pending    int // see [Pending]
	Registered int // see [Registered]
	Conflict   int // see [Conflict]
	Refused    int // see [Refused]
}

// Stats returns numbers about the client as they are now. They are not all of one instant. It sends nothing, and
// looks at each watch: with 100,000 of them it takes some milliseconds, in which no snapshot is delivered. So call it every few seconds,
// not for each request that is served. It may be called after Close, too.
func (c *Client) Stats() Stats {
	if c.supervisor == nil { // not made by Connect
		return Stats{State: Closed}
	}
	s := c.supervisor.stats()
	conn := c.conn.Stats()
	s.Connects, s.ConnectFailures = conn.Connects, conn.Failures
	s.Requests, s.BytesSent, s.BytesReceived = conn.Requests, conn.BytesSent, conn.BytesReceived
	s.Registrations = RegistrationStats{
		Pending:    int(c.registrations[Pending].Load()),
		Registered: int(c.registrations[Registered].Load()),
		Conflict:   int(c.registrations[Conflict].Load()),
		Refused:    int(c.registrations[Refused].Load()),
	}
	return s
}

// countLocked counts a snapshot that a stream was given.
func (s *supervisor) countLocked(k kind, skipped bool) {
	if k == kindStat { // of a registration
		return
	}
	s.snapshots++
	if skipped {
		s.skipped++
	}
}

// stats returns what the supervisor knows of Stats.
func (s *supervisor) stats() Stats {
	var kinds [zkconn.Kinds]WatchStats
	var st Stats
	s.mu.Lock()
	for _, w := range s.watches {
		k := &kinds[w.kind]
		switch w.state {
		case stale, asked, refired, arming:
			k.Stale++
		case armed:
			k.Current++
		case resting:
			k.Failing++
		case parked:
			k.Parked++
		}
		if w.kind != kindStat {
			st.Streams += len(w.subs)
		}
	}
	st.Snapshots, st.Skipped = s.snapshots, s.skipped
	s.mu.Unlock()
	st.Data, st.Children, st.Presence = kinds[kindData], kinds[kindChildren], kinds[kindStat]
	st.State = s.sessions.get().State
	st.Expirations = s.expirations.Load()
	return st
}
