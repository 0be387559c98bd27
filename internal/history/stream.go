package history

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"
)

// Root is the name of the root of a set.
const Root = "."

// Node is a node of a set, as a stream shows it.
type Node struct {
	Name         string // relative to the root, which is Root
	Czxid, Mzxid int64  // Czxid is 0 if nothing is told but that it is there; Mzxid if its content is not
	Value        string
}

// Path returns the path of a node of the set with that root.
func (n Node) Path(root string) string {
	if n.Name == Root {
		return root
	}
	return root + "/" + n.Name
}

func (n Node) String() string { return fmt.Sprintf("%s@%d.%d=%s", n.Name, n.Czxid, n.Mzxid, n.Value) }

// Snapshot is what a stream shows at once.
type Snapshot struct {
	At    time.Time
	Nodes []Node // none: there is no root
}

// Fault is how a snapshot breaks a promise.
type Fault string

// The faults.
const (
	Back       Fault = "went back"  // a node, or a list of children, is older than before
	Incomplete Fault = "incomplete" // the first snapshot does not go together
	Mixed      Fault = "mixed"      // a later one does not
)

// Wrong is something that is wrong with a snapshot.
type Wrong struct {
	Fault Fault
	Path  string
	Text  string
}

// Stream is a stream of a set that is judged, snapshot by snapshot.
type Stream struct {
	History *History
	Root    string // its path
	Depth   int    // levels below the root that are shown; 0: all
	Opened  int64  // what was created after this zxid may be missing of the first snapshot
	Late    bool   // another stream has shown this set before: what has come since may be missing of the first snapshot, too

	begun  bool
	newest map[string]Node  // how each node was shown last, by name
	shown  map[string]int64 // the czxids that the last snapshot has shown, by name
	listed map[string]int64 // the zxid of the list of children that a node was shown with last, by path
}

// Forget has the stream begin anew with what it shows next, but for what is a first snapshot.
func (s *Stream) Forget() { s.newest, s.listed = nil, nil }

// Moved reports whether children have come or gone, somewhere in the set, since the lists that were shown last. Even if they are
// the same again, the set has been another in between.
func (s *Stream) Moved() bool {
	s.History.mu.Lock()
	defer s.History.mu.Unlock()
	for path, list := range s.listed {
		was := s.History.at(path, list).Children
		if slices.ContainsFunc(s.History.nodes[path], func(v Version) bool { return v.Zxid > list && !slices.Equal(v.Children, was) }) {
			return true
		}
	}
	return false
}

// first reports whether the next snapshot is to have all that there is.
func (s *Stream) first() bool { return !s.begun && !s.Late }

// Take judges the next snapshot.
func (s *Stream) Take(snapshot Snapshot) (wrong []Wrong) {
	s.History.mu.Lock()
	defer s.History.mu.Unlock()
	if s.newest == nil {
		s.newest, s.listed = map[string]Node{}, map[string]int64{}
	}
	wrong = s.goesBack(snapshot)
	if w, found := s.torn(snapshot); found {
		wrong = append(wrong, w)
	}
	s.begun = true
	shown := map[string]int64{}
	for _, n := range snapshot.Nodes {
		shown[n.Name] = n.Czxid
	}
	for name := range s.shown {
		if n, told := s.newest[name]; told && !isShown(shown, name) {
			n.Mzxid = math.MaxInt64 // it has gone: whatever comes is of another node
			s.newest[name] = n
		}
	}
	s.shown = shown
	return wrong
}

// isShown reports whether a node is among those that are shown, or may be below one that cannot be read.
func isShown(shown map[string]int64, name string) bool {
	if _, there := shown[name]; there {
		return true
	}
	for parent := name; parent != ""; {
		parent, _ = split("/" + parent)
		parent = strings.TrimPrefix(parent, "/")
		above := parent
		if parent == "" {
			above = Root
		}
		if czxid, there := shown[above]; there && czxid == 0 {
			return true
		}
	}
	return false
}

// goesBack says which nodes are older than they were before.
func (s *Stream) goesBack(snapshot Snapshot) (wrong []Wrong) {
	for _, n := range snapshot.Nodes {
		if n.Czxid == 0 {
			continue
		}
		before := s.newest[n.Name]
		switch {
		case n.Czxid == before.Czxid && before.Mzxid == math.MaxInt64:
			wrong = append(wrong, Wrong{Back, n.Path(s.Root), fmt.Sprintf("%v, which had gone", n)})
		case n.Czxid < before.Czxid, n.Czxid == before.Czxid && n.Mzxid < before.Mzxid:
			wrong = append(wrong, Wrong{Back, n.Path(s.Root), fmt.Sprintf("%v after %v", n, before)})
			continue
		}
		s.newest[n.Name] = n
	}
	return wrong
}

// torn says what does not go together.
func (s *Stream) torn(snapshot Snapshot) (Wrong, bool) {
	h, fault := s.History, Mixed
	if s.first() {
		fault = Incomplete
	}
	if len(snapshot.Nodes) == 0 {
		// It may also have gone and come back at once.
		all := h.nodes[s.Root]
		if len(all) > 0 && all[0].Czxid != 0 && !slices.ContainsFunc(all, func(v Version) bool {
			return v.Czxid != all[0].Czxid && !v.Begun.After(snapshot.At)
		}) {
			return Wrong{fault, s.Root, "no node, although there always was one"}, true
		}
		return Wrong{}, false
	}
	for _, n := range snapshot.Nodes {
		path := n.Path(s.Root)
		if n.Czxid == 0 {
			continue
		}
		if !slices.ContainsFunc(h.nodes[path], func(v Version) bool { return v.is(n) }) {
			return Wrong{fault, path, fmt.Sprintf("%v was never so", n)}, true
		}
		if s.Depth > 0 && strings.Count(strings.TrimPrefix(path, s.Root), "/") >= s.Depth {
			continue
		}
		if list, ok := s.list(n, snapshot, s.listed[path]); ok {
			s.listed[path] = list
		} else if _, ok := s.list(n, snapshot, 0); ok {
			return Wrong{Back, path, "it has the children that it had before"}, true
		} else {
			return Wrong{fault, path, "it never had these children"}, true
		}
	}
	return Wrong{}, false
}

// list returns the zxid of the first list, as of least, that a node may have been shown with, if there is one. It has all
// names that are shown, and is not older than the youngest of these children: or the list would be an old one, and the
// child one that was made after it. None of them is older than the node itself. Of that list, children may be missing that have vanished since, and, but in
// the first snapshot, those that have not been read yet: who was not in the snapshot before. The first may lack what came after the stream was
// opened.
func (s *Stream) list(n Node, snapshot Snapshot, least int64) (int64, bool) {
	path := n.Path(s.Root)
	var shown []string
	youngest := least
	for _, child := range snapshot.Nodes {
		if child.Name == Root {
			continue
		}
		if parent, name := split(child.Path(s.Root)); parent == path {
			if child.Czxid != 0 && child.Czxid < n.Czxid {
				return 0, false // it is a child of the node before
			}
			shown = append(shown, name)
			youngest = max(youngest, child.Czxid)
		}
	}
	all := s.History.nodes[path]
	first := max(0, sort.Search(len(all), func(i int) bool { return all[i].Zxid > youngest })-1)
	for _, v := range all[first:] {
		if v.Begun.After(snapshot.At) {
			break
		}
		known := func(name string) bool { return slices.Contains(v.Children, name) }
		if v.Czxid != n.Czxid || slices.ContainsFunc(shown, func(name string) bool { return !known(name) }) {
			continue
		}
		if !slices.ContainsFunc(v.Children, func(name string) bool {
			return !slices.Contains(shown, name) && !s.excused(n.Name, path, name, v, snapshot)
		}) {
			return v.Zxid, true
		}
	}
	return 0, false
}

// excused reports whether a child of a list that a snapshot does not show may be missing.
func (s *Stream) excused(parent, path, name string, list Version, snapshot Snapshot) bool {
	path += "/" + name
	child := s.History.at(path, list.Zxid)
	if s.first() && child.Czxid > s.Opened {
		return true // it came while the others were read
	}
	if slices.ContainsFunc(s.History.nodes[path], func(v Version) bool {
		return v.Zxid > list.Zxid && v.Czxid != child.Czxid && !v.Begun.After(snapshot.At)
	}) {
		return true // it has vanished
	}
	before, there := s.shown[strings.TrimPrefix(parent+"/"+name, Root+"/")]
	return !s.first() && !(there && before == child.Czxid)
}
