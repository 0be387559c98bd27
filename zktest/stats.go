package zktest

import (
	"maps"
	"time"
)

// Stats is a picture of the server at one moment.
type Stats struct {
	Zxid              int64        // of the last transaction
	Nodes             int          // all but the root: 3 in an empty tree, /zookeeper and its two children
	Ephemerals        int          // of them, those of a session
	Sessions          int          // connected or not
	Connections       int          // with a session or, still, without
	DataWatches       int          // set by getData, exists, setWatches and addWatch
	ChildWatches      int          // set by getChildren, setWatches and addWatch
	PersistentWatches int          // set by addWatch; they are among DataWatches and, but for the recursive ones of 3.9, ChildWatches
	Requests          map[Op]int64 // since the start or the last Restart or Wipe; unknown opcodes under 0
}

// Stats gives a picture of the server.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{
		Zxid:         s.zxid,
		Nodes:        s.tree.count,
		Ephemerals:   s.ephemeralsLocked(),
		Sessions:     len(s.sessions),
		Connections:  len(s.conns),
		DataWatches:  s.dataWatches.count,
		ChildWatches: s.childWatches.count,
		Requests:     maps.Clone(s.traffic.requests),
	}
	for _, mine := range s.dataWatches.conns {
		for _, mode := range mine {
			if mode&(watchPersist|watchRecursive) != 0 {
				st.PersistentWatches++
			}
		}
	}
	return st
}

func (s *Server) ephemeralsLocked() int {
	count := 0
	for _, sess := range s.sessions {
		count += len(sess.ephemerals)
	}
	return count
}

// traffic is counted since the server started.
type traffic struct {
	requests       map[Op]int64
	received, sent int64
	latency        latency
}

func newTraffic() traffic { return traffic{requests: map[Op]int64{}} }

// latency is the time from a request's arrival to its answer, in milliseconds.
type latency struct{ min, max, total, count int64 }

func (l *latency) add(d time.Duration) {
	ms := d.Milliseconds()
	if l.count == 0 || ms < l.min {
		l.min = ms
	}
	l.max = max(l.max, ms)
	l.total += ms
	l.count++
}

func (l latency) average() float64 {
	if l.count == 0 {
		return 0
	}
	return float64(l.total) / float64(l.count)
}

// connStats is what "cons" tells of a connection.
type connStats struct {
	opened         time.Time
	timeout        time.Duration
	received, sent int64
	lastOp         Op
	lastXid        int32
	lastZxid       int64
	lastAnswer     time.Time
	lastLatency    time.Duration
	latency        latency
}

func (c *conn) countLocked(op Op) {
	if _, known := opNames[op]; !known {
		op = 0 // or garbage would make the map grow
	}
	c.s.traffic.requests[op]++
	c.s.traffic.received++
	c.stats.received++
}

func (c *conn) answeredLocked(req *request, arrived time.Time) {
	now := time.Now()
	st := &c.stats
	st.lastOp, st.lastXid, st.lastZxid = req.op, req.xid, c.s.zxid
	st.lastAnswer, st.lastLatency = now, now.Sub(arrived)
	st.latency.add(st.lastLatency)
	c.s.traffic.latency.add(st.lastLatency)
}
