package zktest

import "strings"

// EventType is what a watch event tells, numbered as on the wire.
type eventType int32

const (
	nodeCreated         eventType = 1
	nodeDeleted         eventType = 2
	nodeDataChanged     eventType = 3
	nodeChildrenChanged eventType = 4
)

// stateConnected is the session state that every watch event carries.
const stateConnected = 3

type watchMode uint8

const (
	watchOnce      watchMode = iota // gone when it has fired
	watchPersist                    // stays until it is removed or its connection ends
	watchRecursive                  // persistent, and fires for all nodes below
)

// watchers is the set of connections that watch one path. Most paths have one: it costs no map.
type watchers struct {
	one  *conn
	more map[*conn]struct{} // nil unless there were two at once; then it holds all of them
}

func (w watchers) len() int {
	if w.more != nil {
		return len(w.more)
	}
	if w.one != nil {
		return 1
	}
	return 0
}

func (w *watchers) add(c *conn) {
	switch {
	case w.more != nil:
		w.more[c] = struct{}{}
	case w.one == nil || w.one == c:
		w.one = c
	default:
		w.more = map[*conn]struct{}{w.one: {}, c: {}}
		w.one = nil
	}
}

func (w *watchers) remove(c *conn) {
	if w.one == c {
		w.one = nil
	}
	delete(w.more, c)
}

func (w watchers) each(f func(*conn)) {
	if w.one != nil {
		f(w.one)
	}
	for c := range w.more {
		f(c)
	}
}

// watchTable holds the watches of one kind (data, which includes exists, or children). A connection
// has at most one watch on a path; setting another one changes its mode, as in ZooKeeper 3.8's
// WatchManager. The Server's mutex guards it.
type watchTable struct {
	paths     map[string]watchers
	conns     map[*conn]map[string]watchMode
	count     int
	recursive int
}

func newWatchTable() *watchTable {
	return &watchTable{paths: map[string]watchers{}, conns: map[*conn]map[string]watchMode{}}
}

func (t *watchTable) add(path string, c *conn, mode watchMode) {
	if c.closed { // by too many events, while it sets watches: nobody would take them away
		return
	}
	mine := t.conns[c]
	if mine == nil {
		mine = map[string]watchMode{}
		t.conns[c] = mine
	}
	old, had := mine[path]
	if had && old == watchRecursive {
		t.recursive--
	}
	if mode == watchRecursive {
		t.recursive++
	}
	mine[path] = mode
	if !had {
		w := t.paths[path]
		w.add(c)
		t.paths[path] = w
		t.count++
	}
}

// remove tells whether the connection had a watch on the path.
func (t *watchTable) remove(path string, c *conn) bool {
	mine := t.conns[c]
	mode, had := mine[path]
	if !had {
		return false
	}
	delete(mine, path)
	if mode == watchRecursive {
		t.recursive--
	}
	t.count--
	w := t.paths[path]
	w.remove(c)
	if w.len() == 0 {
		delete(t.paths, path)
	} else {
		t.paths[path] = w
	}
	return true
}

func (t *watchTable) removeConn(c *conn) {
	for path := range t.conns[c] {
		t.remove(path, c)
	}
	delete(t.conns, c)
}

// contains answers checkWatches as 3.8's WatchManager.containsWatcher does: a watch of any connection
// on the path counts, and none on "".
func (t *watchTable) contains(path string, c *conn) bool {
	if path == "" {
		return false
	}
	if _, ok := t.paths[path]; ok {
		return true
	}
	mode, ok := t.conns[c][path]
	return ok && mode == watchRecursive
}

// trigger takes the connections that an event on the path is for, and removes the watches that fire
// once. A recursive watch fires for the nodes below it too, but not for changes of children.
func (t *watchTable) trigger(path string, typ eventType) map[*conn]struct{} {
	var fired map[*conn]struct{}
	fire := func(c *conn) {
		if fired == nil {
			fired = map[*conn]struct{}{}
		}
		fired[c] = struct{}{}
	}
	var spent []*conn
	t.paths[path].each(func(c *conn) {
		switch t.conns[c][path] {
		case watchRecursive:
			if typ != nodeChildrenChanged {
				fire(c)
			}
		case watchPersist:
			fire(c)
		default:
			fire(c)
			spent = append(spent, c)
		}
	})
	for _, c := range spent {
		t.remove(path, c)
	}
	if t.recursive > 0 && typ != nodeChildrenChanged {
		for above := parentPath(path); above != ""; above = parentPath(above) {
			t.paths[above].each(func(c *conn) {
				if t.conns[c][above] == watchRecursive {
					fire(c)
				}
			})
		}
	}
	return fired
}

// parentPath gives "/" above "/a", and "" above "/".
func parentPath(path string) string {
	i := strings.LastIndexByte(path, '/')
	switch {
	case i > 0:
		return path[:i]
	case i == 0 && path != "/":
		return "/"
	}
	return ""
}

// event is one change for the watches to tell to those who may read the node.
type event struct {
	typ  eventType
	path string
	acl  aclList // of the node; nil lets everybody know
}

// fireLocked sends the events of a committed transaction. A connection that watches a deleted node's
// data and children gets one event. A watch on a node that its owner may not read fires without an
// event, as in all servers since CVE-2024-23944.
func (s *Server) fireLocked(events []event) {
	for _, ev := range events {
		switch ev.typ {
		case nodeCreated, nodeDataChanged:
			s.notifyLocked(ev, s.dataWatches.trigger(ev.path, ev.typ), nil)
		case nodeChildrenChanged:
			s.notifyLocked(ev, s.childWatches.trigger(ev.path, ev.typ), nil)
		case nodeDeleted:
			told := s.dataWatches.trigger(ev.path, ev.typ)
			s.notifyLocked(ev, told, nil)
			s.notifyLocked(ev, s.childWatches.trigger(ev.path, ev.typ), told)
		}
	}
}

func (s *Server) notifyLocked(ev event, to, except map[*conn]struct{}) {
	for c := range to {
		if _, told := except[c]; !told && ev.acl.allows(permRead, c.ids) {
			c.sendEvent(ev)
		}
	}
}
