package main

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"
)

// setSnapshot is a snapshot of a set that was heard and is to be judged when it is known what there was. Until
// then a writer may be waiting for the answer to a change that others have seen already.
type setSnapshot struct {
	at    time.Time
	nodes []setNode // none: there was no root
	first bool
	shown map[string]int64 // the czxids that the snapshot before has shown, by name
}

// takeSet takes a snapshot of a set: no node of it may go back.
func (s *stream) takeSet(now time.Time, id string, nodes []setNode) (found []finding) {
	snapshot := setSnapshot{at: now, nodes: nodes, first: s.newest == nil, shown: s.shown}
	if s.newest == nil {
		s.newest = map[string]setNode{}
	}
	s.shown = map[string]int64{}
	for _, n := range nodes {
		s.shown[n.name] = n.czxid
		before := s.newest[n.name]
		if n.czxid < before.czxid || n.czxid == before.czxid && n.mzxid < before.mzxid {
			text := fmt.Sprintf("%v after %v", n, before)
			if before.mzxid == math.MaxInt64 {
				text = fmt.Sprintf("%v, which had gone", n)
				s.newest[n.name] = n // counted once
			}
			found = append(found, finding{back, id + " " + n.path(s.path), text})
			continue
		}
		s.newest[n.name] = n
	}
	for name, n := range s.newest {
		if s.shown[name] == 0 {
			n.mzxid = math.MaxInt64 // it has gone: whatever comes is of another node
			s.newest[name] = n
		}
	}
	s.heard = append(s.heard, snapshot)
	return found
}

// judgeSets says what was wrong with the snapshots of a set that were heard since the last time.
func (s *stream) judgeSets(id string, h *history) (found []finding) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.listed == nil {
		s.listed = map[string]int64{}
	}
	for _, snapshot := range s.heard {
		f := finding{what: id + " " + s.path}
		if f.failure, f.text = h.wrong(s, snapshot); f.failure != "" {
			f.text += ": " + listSet(snapshot.nodes)
			found = append(found, f)
		}
	}
	s.heard = nil
	return found
}

// forgetSets forgets what was heard of a set, since servers have lost what they had.
func (s *stream) forgetSets() {
	s.heard = nil
	clear(s.newest)
	clear(s.listed)
}

// wrong says what is wrong with a snapshot of a set, "" if nothing is. mu is held.
func (h *history) wrong(s *stream, snapshot setSnapshot) (failure, string) {
	root, torn := s.path, mixed
	if snapshot.first {
		torn = incomplete
	}
	if len(snapshot.nodes) == 0 {
		// It may also have gone and come back at once.
		all := h.nodes[root]
		if len(all) > 0 && !slices.ContainsFunc(all, func(v version) bool { return v.czxid != all[0].czxid && !v.begun.After(snapshot.at) }) {
			return torn, "no node, although there always was one"
		}
		return "", ""
	}
	for _, n := range snapshot.nodes {
		if !h.was(n.path(root), n) {
			return torn, fmt.Sprintf("%v was never so", n)
		}
		path := n.path(root)
		if list, ok := h.listOf(root, n, snapshot, s.listed[path]); ok {
			s.listed[path] = list
		} else if _, ok := h.listOf(root, n, snapshot, 0); ok {
			return back, n.name + " has the children that it had before"
		} else {
			return torn, n.name + " never had these children"
		}
	}
	return "", ""
}

// listOf returns the zxid of the first list, as of least, that a node may have been shown with, if there is one. It has all the names
// that are shown, and is not older than the youngest of these children: or the list would be an old one, and the child one
// that was made after it. Of that list, children may be missing that have vanished since, and, but in the first
// snapshot, those that have not been read yet: who was not in the snapshot before.
func (h *history) listOf(root string, n setNode, snapshot setSnapshot, least int64) (int64, bool) {
	path := n.path(root)
	var shown uint16
	youngest := least
	for _, child := range snapshot.nodes {
		if child.name != "." && above(child.path(root)) == path {
			shown |= bit(child.name)
			youngest = max(youngest, child.czxid)
		}
	}
	all := h.nodes[path]
	first := max(0, sort.Search(len(all), func(i int) bool { return all[i].zxid > youngest })-1)
	for _, v := range all[first:] {
		if v.begun.After(snapshot.at) {
			break
		}
		if v.czxid != n.czxid || shown&^v.children != 0 {
			continue
		}
		if h.excused(path, v, v.children&^shown, snapshot, strings.TrimPrefix(n.name+"/", "./")) {
			return v.zxid, true
		}
	}
	return 0, false
}

// excused reports whether the children of a list that a snapshot does not show may be missing.
func (h *history) excused(path string, list version, missing uint16, snapshot setSnapshot, prefix string) bool {
	for i := range 16 {
		if missing&(1<<i) == 0 {
			continue
		}
		name := fmt.Sprintf("n%d", i)
		child := h.at(path+"/"+name, list.zxid)
		vanished := slices.ContainsFunc(h.nodes[path+"/"+name], func(v version) bool {
			return v.zxid > list.zxid && v.czxid != child.czxid && !v.begun.After(snapshot.at)
		})
		if !vanished && (snapshot.first || snapshot.shown[prefix+name] == child.czxid) {
			return false
		}
	}
	return true
}
