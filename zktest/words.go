package zktest

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// versionText is what the server says it is: clients read the number before the hyphen.
func (s *Server) versionText() string {
	return s.cfg.release.String() + "-zktest, built on 2026-02-11 20:15 UTC"
}

// words are the four-letter words, the plain-text commands that may stand in place of a handshake. The
// answer is built with the Server's mutex held.
var words = map[string]func(*Server, *strings.Builder){
	"ruok": func(_ *Server, b *strings.Builder) { b.WriteString("imok") },
	"isro": func(s *Server, b *strings.Builder) { b.WriteString(isro[s.role]) },
	"srvr": (*Server).wordSrvrLocked,
	"stat": (*Server).wordStatLocked,
	"cons": (*Server).wordConsLocked,
	"envi": (*Server).wordEnviLocked,
	"conf": (*Server).wordConfLocked,
	"mntr": (*Server).wordMntrLocked,
	"dirs": func(_ *Server, b *strings.Builder) { b.WriteString("datadir_size: 0\nlogdir_size: 0\n") },
	"dump": (*Server).wordDumpLocked,
	"wchs": (*Server).wordWchsLocked,
	"wchp": (*Server).wordWchpLocked,
	"wchc": (*Server).wordWchcLocked,
	"crst": (*Server).wordCrstLocked,
	"srst": (*Server).wordSrstLocked,
	"gtmk": func(s *Server, b *strings.Builder) { fmt.Fprint(b, s.traceMask) },
	"stmk": func(s *Server, b *strings.Builder) { fmt.Fprint(b, s.traceMask) }, // set by readTraceMask
	"hash": func(*Server, *strings.Builder) {},                                 // the real server's history of digests, which begins empty
}

// firstTraceMask is what the real server's trace mask is at first. It has no meaning here.
const firstTraceMask = 306

func fourLetterWord(w string) bool {
	_, ok := words[w]
	return ok
}

// answerWord queues the answer to a four-letter word.
func (c *conn) answerWord(w string) {
	if !c.awaitThaw() {
		return
	}
	var mask [8]byte
	allowed := len(c.s.cfg.words) == 0 || slices.Contains(c.s.cfg.words, w)
	if w == "stmk" && allowed {
		if _, err := io.ReadFull(c.nc, mask[:]); err != nil { // the mask comes behind the word
			return
		}
	}
	if !c.lockThawed() {
		return
	}
	defer c.s.mu.Unlock()
	c.stats.received++
	c.s.traffic.received++
	var b strings.Builder
	switch {
	case !allowed:
		b.WriteString(w + " is not executed because it is not in the whitelist.\n")
	case c.s.role == looking && w != "ruok" && w != "isro" && w != "envi":
		b.WriteString("This ZooKeeper instance is not currently serving requests\n")
	case w == "stmk":
		c.s.traceMask = int64(binary.BigEndian.Uint64(mask[:]))
		fallthrough
	default:
		words[w](c.s, &b)
	}
	c.send([]byte(b.String()))
}

func (s *Server) wordSrvrLocked(b *strings.Builder) {
	fmt.Fprintf(b, "Zookeeper version: %s\n", s.versionText())
	s.summaryLocked(b)
}

func (s *Server) wordStatLocked(b *strings.Builder) {
	fmt.Fprintf(b, "Zookeeper version: %s\nClients:\n", s.versionText())
	for _, c := range s.sortedConnsLocked() {
		fmt.Fprintf(b, " %s\n", c.brief())
	}
	b.WriteByte('\n')
	s.summaryLocked(b)
}

func (s *Server) summaryLocked(b *strings.Builder) {
	l := s.traffic.latency
	fmt.Fprintf(b, "Latency min/avg/max: %d/%.1f/%d\n", l.min, l.average(), l.max)
	fmt.Fprintf(b, "Received: %d\nSent: %d\nConnections: %d\n", s.traffic.received, s.traffic.sent, len(s.conns))
	fmt.Fprintf(b, "Outstanding: 0\nZxid: 0x%x\nMode: %s\nNode count: %d\n", s.zxid, s.modeLocked(), s.nodeCountLocked())
	if s.modeLocked() == "leader" {
		b.WriteString("Proposal sizes last/min/max: -1/-1/-1\n")
	}
}

// modeLocked is what the server calls its role.
func (s *Server) modeLocked() string {
	if len(s.e.members) == 1 {
		return "standalone"
	}
	return modes[s.role]
}

var (
	modes = map[role]string{following: "follower", leading: "leader", readOnly: "read-only"}
	isro  = map[role]string{looking: "null", following: "rw", leading: "rw", readOnly: "ro"}
)

// nodeCountLocked counts the root twice, since the real server has it under two names.
func (s *Server) nodeCountLocked() int { return s.tree.count + 2 }

func (s *Server) sortedConnsLocked() []*conn {
	return slices.SortedFunc(maps.Keys(s.conns), func(a, b *conn) int {
		return cmp.Or(a.stats.opened.Compare(b.stats.opened), cmp.Compare(a.address(), b.address()))
	})
}

func (c *conn) address() string { return c.raw.RemoteAddr().String() }

// brief is a connection's line in "stat"; the 1 or 0 says whether it has a session.
func (c *conn) brief() string {
	established := 0
	if c.session != 0 {
		established = 1
	}
	return fmt.Sprintf("/%s[%d](queued=0,recved=%d,sent=%d)", c.address(), established, c.stats.received, c.stats.sent)
}

func (s *Server) wordConsLocked(b *strings.Builder) {
	for _, c := range s.sortedConnsLocked() {
		st := &c.stats
		line := c.brief()
		if c.session != 0 {
			line = fmt.Sprintf("%s,sid=0x%x,lop=%s,est=%d,to=%d,lcxid=0x%x,lzxid=0x%x,lresp=%d,llat=%d,minlat=%d,avglat=%d,maxlat=%d)",
				strings.TrimSuffix(line, ")"), c.session, st.lastOp.short(), st.opened.UnixMilli(),
				st.timeout.Milliseconds(), uint32(st.lastXid), st.lastZxid, st.lastAnswer.UnixMilli(),
				st.lastLatency.Milliseconds(), st.latency.min, int64(st.latency.average()), st.latency.max)
		}
		fmt.Fprintf(b, " %s\n", line)
	}
	b.WriteByte('\n')
}

func (s *Server) wordEnviLocked(b *strings.Builder) {
	host, _ := os.Hostname()
	dir, _ := os.Getwd()
	fmt.Fprintf(b, "Environment:\nzookeeper.version=%s\nhost.name=%s\n", s.versionText(), host)
	fmt.Fprintf(b, "go.version=%s\nos.name=%s\nos.arch=%s\nuser.dir=%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, dir)
}

func (s *Server) wordConfLocked(b *strings.Builder) {
	port := -1
	if s.listener != nil {
		port = s.listener.Addr().(*net.TCPAddr).Port
	}
	tick := s.cfg.tick.Milliseconds()
	fmt.Fprintf(b, "clientPort=%d\nsecureClientPort=-1\n", port)
	b.WriteString("dataDir=\ndataDirSize=0\ndataLogDir=\ndataLogSize=0\n") // nothing is on disk
	fmt.Fprintf(b, "tickTime=%d\nmaxClientCnxns=0\nminSessionTimeout=%d\nmaxSessionTimeout=%d\n",
		tick, s.cfg.minTimeout.Milliseconds(), s.cfg.maxTimeout.Milliseconds())
	id := s.id
	if s.modeLocked() == "standalone" {
		id = 0
	}
	fmt.Fprintf(b, "clientPortListenBacklog=-1\nserverId=%d\n", id)
}

func (s *Server) wordMntrLocked(b *strings.Builder) {
	l := s.traffic.latency
	for _, m := range []struct {
		name  string
		value any
	}{
		{"version", s.versionText()},
		{"server_state", s.modeLocked()},
		{"ephemerals_count", s.ephemeralsLocked()},
		{"num_alive_connections", len(s.conns)},
		{"avg_latency", fmt.Sprintf("%.1f", l.average())},
		{"min_latency", l.min},
		{"max_latency", l.max},
		{"outstanding_requests", 0},
		{"znode_count", s.nodeCountLocked()},
		{"global_sessions", len(s.sessions)},
		{"local_sessions", 0},
		{"packets_sent", s.traffic.sent},
		{"packets_received", s.traffic.received},
		{"watch_count", s.dataWatches.count + s.childWatches.count},
		{"approximate_data_size", s.tree.bytes + len("/")},
		{"uptime", time.Since(s.started).Milliseconds()},
	} {
		fmt.Fprintf(b, "zk_%s\t%v\n", m.name, m.value)
	}
	s.mntrQuorumLocked(b)
}

// mntrQuorumLocked adds what "mntr" tells of a member of an ensemble.
func (s *Server) mntrQuorumLocked(b *strings.Builder) {
	switch s.role {
	case following:
		fmt.Fprintf(b, "zk_peer_state\tfollowing - broadcast\nzk_quorum_size\t%d\nzk_synced_observers\t0\n", len(s.e.members))
	case leading:
		if len(s.e.members) == 1 {
			return
		}
		followers := 0
		for _, m := range s.e.members {
			if m.role == following && m.term == s.term {
				followers++
			}
		}
		fmt.Fprintf(b, "zk_peer_state\tleading - broadcast\nzk_quorum_size\t%d\n", len(s.e.members))
		fmt.Fprintf(b, "zk_learners\t%d\nzk_synced_followers\t%d\nzk_synced_non_voting_followers\t0\nzk_synced_observers\t0\n", followers, followers)
		fmt.Fprintf(b, "zk_pending_syncs\t0\nzk_leader_uptime\t%d\n", time.Since(s.started).Milliseconds())
	}
}

func (s *Server) wordDumpLocked(b *strings.Builder) {
	sessions := expirySets{}
	for _, id := range slices.Sorted(maps.Keys(s.sessions)) {
		if tr := s.trackedLocked(id); tr != nil {
			sessions.add(tr.deadline, s.cfg.tick, fmt.Sprintf("0x%x", id))
		}
	}
	b.WriteString("SessionTracker dump:\n")
	sessions.write(b, "Session")
	owners := slices.DeleteFunc(slices.Sorted(maps.Keys(s.sessions)), func(id int64) bool {
		return len(s.sessions[id].ephemerals) == 0
	})
	fmt.Fprintf(b, "ephemeral nodes dump:\nSessions with Ephemerals (%d):\n", len(owners))
	for _, id := range owners {
		fmt.Fprintf(b, "0x%x:\n", id)
		for _, path := range slices.Sorted(maps.Keys(s.sessions[id].ephemerals)) {
			fmt.Fprintf(b, "\t%s\n", path)
		}
	}
	conns := expirySets{}
	for _, c := range s.sortedConnsLocked() {
		heard, timeout := c.stats.opened, c.stats.timeout
		if c.stats.lastAnswer.After(heard) {
			heard = c.stats.lastAnswer
		}
		if timeout == 0 {
			timeout = 10 * time.Second // what the real server gives a connection without a session
		}
		conns.add(heard.Add(timeout), s.cfg.tick, fmt.Sprintf("ip: /%s sessionId: 0x%x", c.address(), c.session))
	}
	b.WriteString("Connections dump:\n")
	conns.write(b, "Connections")
}

// expirySets are lines by when they expire, rounded up to a tick as the real server does.
type expirySets map[time.Time][]string

func (e expirySets) add(at time.Time, tick time.Duration, line string) {
	at = at.Truncate(tick).Add(tick)
	e[at] = append(e[at], line)
}

func (e expirySets) write(b *strings.Builder, title string) {
	lines := 0
	for _, set := range e {
		lines += len(set)
	}
	fmt.Fprintf(b, "%s Sets (%d)/(%d):\n", title, len(e), lines)
	for _, at := range slices.SortedFunc(maps.Keys(e), time.Time.Compare) {
		fmt.Fprintf(b, "%d expire at %s:\n\t%s\n", len(e[at]), at.Format(time.UnixDate), strings.Join(e[at], "\n\t"))
	}
}

// The three words on watches tell of data watches only, as in the real server.

func (s *Server) wordWchsLocked(b *strings.Builder) {
	w := s.dataWatches
	fmt.Fprintf(b, "%d connections watching %d paths\nTotal watches:%d\n", len(w.conns), len(w.paths), w.count)
}

func (s *Server) wordWchpLocked(b *strings.Builder) {
	for _, path := range slices.Sorted(maps.Keys(s.dataWatches.paths)) {
		fmt.Fprintf(b, "%s\n", path)
		var ids []int64
		s.dataWatches.paths[path].each(func(c *conn) { ids = append(ids, c.session) })
		slices.Sort(ids)
		for _, id := range ids {
			fmt.Fprintf(b, "\t0x%x\n", id)
		}
	}
	b.WriteByte('\n')
}

func (s *Server) wordWchcLocked(b *strings.Builder) {
	for _, c := range s.sortedConnsLocked() {
		mine := s.dataWatches.conns[c]
		if mine == nil {
			continue
		}
		fmt.Fprintf(b, "0x%x\n", c.session)
		for _, path := range slices.Sorted(maps.Keys(mine)) {
			fmt.Fprintf(b, "\t%s\n", path)
		}
	}
	b.WriteByte('\n')
}

func (s *Server) wordCrstLocked(b *strings.Builder) {
	for c := range s.conns {
		c.stats = connStats{opened: c.stats.opened, timeout: c.stats.timeout}
	}
	b.WriteString("Connection stats reset.\n")
}

func (s *Server) wordSrstLocked(b *strings.Builder) {
	requests := s.traffic.requests // Stats goes on counting
	s.traffic = newTraffic()
	s.traffic.requests = requests
	b.WriteString("Server stats reset.\n")
}
