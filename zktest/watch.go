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

// watchMode is a set: a connection may watch one path in several modes.
type watchMode uint8

const (
	watchOnce      watchMode = 1 << iota // gone when it has fired
	watchPersist                         // stays until it is removed or its connection ends
	watchRecursive                       // persistent, and fires for all nodes below
	watchAny       = watchOnce | watchPersist | watchRecursive
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
// counts once for a path, whatever the modes in which it watches. The Server's mutex guards it.
type watchTable struct {
	release   release
	paths     map[string]watchers
	conns     map[*conn]map[string]watchMode
	count     int
	recursive int
}

func newWatchTable(r release) *watchTable {
	return &watchTable{release: r, paths: map[string]watchers{}, conns: map[*conn]map[string]watchMode{}}
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
	old := mine[path]
	if t.release.combinesWatches() {
		mode |= old
	}
	t.setModes(path, c, mode)
	if old == 0 {
		w := t.paths[path]
		w.add(c)
		t.paths[path] = w
		t.count++
	}
}

// setModes changes the modes in which a connection watches a path.
func (t *watchTable) setModes(path string, c *conn, mode watchMode) {
	mine := t.conns[c]
	if mine[path]&watchRecursive != 0 {
		t.recursive--
	}
	if mode&watchRecursive != 0 {
		t.recursive++
	}
	if mode == 0 {
		delete(mine, path)
	} else {
		mine[path] = mode
	}
}

// remove takes a connection's watches of some modes away. It is false if there were none.
func (t *watchTable) remove(path string, c *conn, modes watchMode) bool {
	old := t.conns[c][path]
	if old&modes == 0 {
		return false
	}
	left := old &^ modes
	t.setModes(path, c, left)
	if left != 0 {
		return true
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

// unwatch is remove for removeWatches. Only after it does 3.9 forget a connection that is left without a watch.
func (t *watchTable) unwatch(path string, c *conn, modes watchMode) bool {
	removed := t.remove(path, c, modes)
	if removed && t.release.combinesWatches() && len(t.conns[c]) == 0 {
		delete(t.conns, c)
	}
	return removed
}

func (t *watchTable) removeConn(c *conn) {
	for path := range t.conns[c] {
		t.remove(path, c, watchAny)
	}
	delete(t.conns, c)
}

// contains answers checkWatches. From 3.6 to 3.8 WatchManager.containsWatcher takes a watch of any
// connection on the path for an answer, and finds none on "".
func (t *watchTable) contains(path string, c *conn, modes watchMode) bool {
	if t.release.combinesWatches() || t.release.line < 6 {
		return t.conns[c][path]&modes != 0
	}
	_, found := t.paths[path]
	return found && path != "" && modes != 0
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
		mode := t.conns[c][path]
		if mode != watchRecursive || typ != nodeChildrenChanged {
			fire(c)
		}
		if mode&watchOnce != 0 {
			spent = append(spent, c)
		}
	})
	for _, c := range spent {
		t.remove(path, c, watchOnce)
	}
	if t.recursive > 0 && typ != nodeChildrenChanged {
		for above := parentPath(path); above != ""; above = parentPath(above) {
			t.paths[above].each(func(c *conn) {
				if t.conns[c][above]&watchRecursive != 0 {
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

// event is one change, of which the watches of those who may read the node are notified.
type event struct {
	typ  eventType
	path string
	acl  aclList // of the node; nil in those that setWatches catches up with
	zxid int64   // of the change; 0 in those that setWatches catches up with
}

// fireLocked sends the events of a committed transaction. A connection that watches a deleted node's
// data and children gets one event. A watch on a node that its owner may not read fires without an
// event, as in all servers since CVE-2024-23944.
func (s *Server) fireLocked(zxid int64, events []event) {
	for _, ev := range events {
		ev.zxid = zxid
		switch ev.typ {
		case nodeCreated, nodeDataChanged:
			s.notifyLocked(ev, s.dataWatches.trigger(ev.path, ev.typ), nil)
		case nodeChildrenChanged:
			s.notifyLocked(ev, s.childWatches.trigger(ev.path, ev.typ), nil)
		case nodeDeleted:
			notified := s.dataWatches.trigger(ev.path, ev.typ)
			s.notifyLocked(ev, notified, nil)
			s.notifyLocked(ev, s.childWatches.trigger(ev.path, ev.typ), notified)
		}
	}
}

func (s *Server) notifyLocked(ev event, to, except map[*conn]struct{}) {
	for c := range to {
		if _, already := except[c]; already {
			continue
		}
		if !s.cfg.release.hidesEvents() || ev.acl.allows(permRead, c.ids) {
			c.sendEvent(ev)
		}
	}
}
