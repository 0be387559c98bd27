package main

import (
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

// history knows every state that the nodes of the sets have ever had, by the zxid that has brought it about. Who
// shows several nodes at once must show something that goes together, and that can be told only by who knows what was there.
type history struct {
	mu    sync.Mutex // guards what follows
	nodes map[string][]version
}

// version is a state of a node, with the names of its children.
type version struct {
	zxid         int64     // from which on it was so
	begun        time.Time // before which it was not
	czxid, mzxid int64     // 0: there was no node
	value        string
	children     uint16 // which of its children there were, by their numbers
}

func newHistory() *history { return &history{nodes: map[string][]version{}} }

// latest returns the state of a node as it is now. mu is held.
func (h *history) latestLocked(path string) version {
	if all := h.nodes[path]; len(all) > 0 {
		return all[len(all)-1]
	}
	return version{}
}

// now returns the state of a node as it is now.
func (h *history) now(path string) version {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.latestLocked(path)
}

// apply notes a transaction that was begun at a time and carried out with a zxid. Its operations are those of
// go-zookeeper; what is not below a set does not matter.
func (h *history) apply(zxid int64, begun time.Time, ops []any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	after := map[string]version{}
	change := func(path string, do func(v *version)) {
		if !inSet(path) {
			return
		}
		v, changed := after[path]
		if !changed {
			v = h.latestLocked(path)
			v.zxid, v.begun = zxid, begun
		}
		do(&v)
		after[path] = v
	}
	for _, op := range ops {
		switch op := op.(type) {
		case *zk.CreateRequest:
			change(op.Path, func(v *version) { v.czxid, v.mzxid, v.value, v.children = zxid, zxid, string(op.Data), 0 })
			change(above(op.Path), func(v *version) { v.children |= bit(op.Path) })
		case *zk.DeleteRequest:
			change(op.Path, func(v *version) { v.czxid, v.mzxid, v.value, v.children = 0, 0, "", 0 })
			change(above(op.Path), func(v *version) { v.children &^= bit(op.Path) })
		case *zk.SetDataRequest:
			change(op.Path, func(v *version) { v.mzxid, v.value = zxid, string(op.Data) })
		}
	}
	for path, v := range after {
		h.nodes[path] = append(h.nodes[path], v)
	}
}

// rebase forgets everything but what there is now.
func (h *history) rebase(sets map[string][]setNode) {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.nodes)
	for root, nodes := range sets {
		for _, n := range nodes {
			path := n.path(root)
			v := h.latestLocked(path)
			v.czxid, v.mzxid, v.value = n.czxid, n.mzxid, n.value
			h.nodes[path] = []version{v}
			if n.name != "." {
				parent := h.latestLocked(above(path))
				parent.children |= bit(path)
				h.nodes[above(path)] = []version{parent}
			}
		}
	}
}

// agrees reports whether the servers have what the history says, for all sets.
func (h *history) agrees(sets map[string][]setNode) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	there := map[string]bool{}
	for root, nodes := range sets {
		for _, n := range nodes {
			path := n.path(root)
			there[path] = true
			if v := h.latestLocked(path); v.czxid != n.czxid || n.mzxid != 0 && (v.mzxid != n.mzxid || v.value != n.value) {
				return false
			}
		}
	}
	for path := range h.nodes {
		if h.latestLocked(path).czxid != 0 && !there[path] {
			return false
		}
	}
	return true
}

// was reports whether a node has ever been as n says.
func (h *history) was(path string, n setNode) bool {
	return slices.ContainsFunc(h.nodes[path], func(v version) bool {
		return v.czxid == n.czxid && (n.mzxid == 0 || v.mzxid == n.mzxid && v.value == n.value)
	})
}

// at returns the state that a node had when a zxid was the newest.
func (h *history) at(path string, zxid int64) version {
	all := h.nodes[path]
	i := sort.Search(len(all), func(i int) bool { return all[i].zxid > zxid })
	if i == 0 {
		return version{}
	}
	return all[i-1]
}

// above returns the path of the parent.
func above(path string) string { return path[:strings.LastIndexByte(path, '/')] }

// bit is the place of a node among the children of its parent. The last character of its name is its number.
func bit(path string) uint16 { return 1 << (path[len(path)-1] - '0') }
