package simulation

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/zktest"
)

// The server of a simulation is one, and so it is never behind. A real ensemble has followers that are,
// and a client whose session is new may meet one. So some simulations have network connections that
// stand for those to a follower: reads in a new session are answered from a picture of the tree that was
// taken in the past, until the client asks for a sync, has written something, or time has passed. Then
// the follower catches up, and its watches fire.

// picture is the tree of a follower that is behind.
type picture struct {
	zxid  int64
	limit time.Duration // for which the follower is behind
	nodes map[string]pictured
}

type pictured struct {
	data     seen // as streams of content show it
	children seen
}

// takePicture has the followers of new sessions stay where the server is now.
func (s *simulation) takePicture(limit time.Duration) {
	p := &picture{limit: limit, nodes: map[string]pictured{}}
	paths := slices.Concat([]string{simRoot, simQuiet, simNever}, simData, simProps, simServices, places())
	for before := int64(-1); before != p.zxid; { // nothing may change meanwhile
		before = s.server.Stats().Zxid
		for _, path := range paths {
			p.nodes[path] = pictured{s.truth(kindData, path), s.truth(kindChildren, path)}
		}
		p.zxid = s.server.Stats().Zxid
	}
	s.setPicture(p)
}

// setPicture has the followers of new sessions be behind, or keep up if p is nil.
func (s *simulation) setPicture(p *picture) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behind = p
}

// follower is what a line to one that may be behind has besides. Used by the reading goroutine only.
type follower struct {
	behind  *picture // nil: the follower keeps up
	until   time.Time
	watched map[watched]bool
}

// watched is a watch that was set with an answer from the picture.
type watched struct {
	op   zktest.Op
	path string
}

// outdated gives what a follower that is behind answers to a read, if it is one and the follower is. Other
// requests have it catch up.
func (l *line) outdated(q question) (pictured, bool) {
	if l.behind == nil {
		return pictured{}, false
	}
	late := time.Now().After(l.until)
	if then, known := l.behind.nodes[q.path]; known && !late {
		if q.watch {
			l.watched[watched{q.op, q.path}] = true
		}
		return then, true
	}
	switch q.op {
	case zktest.OpSync, zktest.OpCreate, zktest.OpDelete, zktest.OpSetData, zktest.OpMulti:
		late = true
	}
	if late {
		l.catchUp()
	}
	return pictured{}, false
}

// catchUp has the watches fire that were set while the follower was behind.
func (l *line) catchUp() {
	for q := range l.watched {
		then := l.behind.nodes[q.path]
		before, k := then.data, kindData
		if q.op == zktest.OpGetChildren2 {
			before, k = then.children, kindChildren
		}
		now := l.client.s.truth(k, q.path)
		var event uint32
		switch {
		case !before.exists && (q.op != zktest.OpExists || !now.exists) || before.exists && before.equal(now, k):
			continue
		case !before.exists:
			event = 1 // created
		case !now.exists || before.stat.Czxid != now.stat.Czxid || before.stat.Ctime != now.stat.Ctime:
			event = 2 // deleted
		case k == kindData:
			event = 3 // changed
		default:
			event = 4 // children changed
		}
		f := binary.BigEndian.AppendUint32(nil, uint32(16+12+len(q.path)))
		f = binary.BigEndian.AppendUint32(f, 0xffffffff) // xid and zxid are -1
		f = binary.BigEndian.AppendUint64(f, 0xffffffffffffffff)
		f = binary.BigEndian.AppendUint32(f, 0)
		f = binary.BigEndian.AppendUint32(f, event)
		f = binary.BigEndian.AppendUint32(f, 3) // connected
		l.deliver(packet{data: appendText(f, q.path)})
	}
	l.behind, l.watched = nil, map[watched]bool{}
}

// encode gives what a follower answers that has the node as it was.
func (p pictured) encode(xid int32, zxid int64, op zktest.Op) []byte {
	n := p.data
	f := binary.BigEndian.AppendUint32(make([]byte, 4), uint32(xid))
	f = binary.BigEndian.AppendUint64(f, uint64(zxid))
	if !n.exists {
		code := zktest.ErrNoNode
		f = binary.BigEndian.AppendUint32(f, uint32(code))
	} else {
		f = binary.BigEndian.AppendUint32(f, 0)
		switch op {
		case zktest.OpGetData:
			f = appendText(f, n.text)
		case zktest.OpGetChildren2:
			names := strings.Fields(p.children.text)
			f = binary.BigEndian.AppendUint32(f, uint32(len(names)))
			for _, name := range names {
				f = appendText(f, name)
			}
		}
		f = appendStat(f, n.stat)
	}
	binary.BigEndian.PutUint32(f, uint32(len(f)-4))
	return f
}

func appendText(f []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(f, uint32(len(s))), s...)
}

func appendStat(f []byte, s zk.Stat) []byte {
	f = binary.BigEndian.AppendUint64(f, uint64(s.Czxid))
	f = binary.BigEndian.AppendUint64(f, uint64(s.Mzxid))
	f = binary.BigEndian.AppendUint64(f, uint64(s.Ctime))
	f = binary.BigEndian.AppendUint64(f, uint64(s.Mtime))
	f = binary.BigEndian.AppendUint32(f, uint32(s.Version))
	f = binary.BigEndian.AppendUint32(f, uint32(s.Cversion))
	f = binary.BigEndian.AppendUint32(f, uint32(s.Aversion))
	f = binary.BigEndian.AppendUint64(f, uint64(s.EphemeralOwner))
	f = binary.BigEndian.AppendUint32(f, uint32(s.DataLength))
	f = binary.BigEndian.AppendUint32(f, uint32(s.NumChildren))
	return binary.BigEndian.AppendUint64(f, uint64(s.Pzxid))
}
