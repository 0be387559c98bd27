// Package history judges streams of several nodes. It knows every state that the nodes have ever had, by the zxid that
// has brought it about: whether nodes that are shown at once go together can be told only by who knows what was there.
package history

import (
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
)

// History is all that has become of some nodes. It is safe for concurrent use.
type History struct {
	mu    sync.Mutex // guards what follows
	nodes map[string][]Version
	zxid  int64 // of the newest change
}

// Version is a state of a node, with the names of its children.
type Version struct {
	Zxid         int64     // from which on it was so
	Begun        time.Time // before which it was not
	Czxid, Mzxid int64     // 0: there was no node
	Value        string
	Children     []string // sorted
}

// Op is one operation of a transaction.
type Op struct {
	Kind  Kind
	Path  string
	Value string
}

// Kind is what an operation does.
type Kind int

// The kinds of operations.
const (
	Create Kind = iota
	Delete
	Set
)

// Apply notes a transaction that was begun at a time and carried out with a zxid, which is higher than those before. The
// operations of one transaction may also come in several calls with the same zxid.
func (h *History) Apply(zxid int64, begun time.Time, ops ...Op) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.zxid = zxid
	if h.nodes == nil {
		h.nodes = map[string][]Version{}
	}
	change := func(path string, do func(v *Version)) {
		v := h.latest(path)
		if v.Zxid != zxid {
			h.nodes[path] = append(h.nodes[path], Version{Zxid: zxid, Begun: begun, Czxid: v.Czxid, Mzxid: v.Mzxid, Value: v.Value, Children: v.Children})
		}
		all := h.nodes[path]
		do(&all[len(all)-1])
	}
	for _, op := range ops {
		parent, name := split(op.Path)
		switch op.Kind {
		case Create:
			change(op.Path, func(v *Version) { v.Czxid, v.Mzxid, v.Value, v.Children = zxid, zxid, op.Value, nil })
			change(parent, func(v *Version) {
				if i, found := slices.BinarySearch(v.Children, name); !found {
					v.Children = slices.Insert(slices.Clone(v.Children), i, name)
				}
			})
		case Delete:
			change(op.Path, func(v *Version) { v.Czxid, v.Mzxid, v.Value, v.Children = 0, 0, "", nil })
			change(parent, func(v *Version) {
				v.Children = slices.DeleteFunc(slices.Clone(v.Children), func(child string) bool { return child == name })
			})
		case Set:
			change(op.Path, func(v *Version) { v.Mzxid, v.Value = zxid, op.Value })
		}
	}
}

// Zxid returns the zxid of the newest change.
func (h *History) Zxid() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.zxid
}

// Now returns the state of a node as it is now.
func (h *History) Now(path string) Version {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.latest(path)
}

// Vanished reports whether a node did not exist at some time since a zxid.
func (h *History) Vanished(path string, since int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at(path, since).Czxid == 0 ||
		slices.ContainsFunc(h.nodes[path], func(v Version) bool { return v.Zxid > since && v.Czxid == 0 })
}

// Rebase forgets everything but what there is now, by the path of each root. Parents come before their children.
func (h *History) Rebase(sets map[string][]Node) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.nodes = map[string][]Version{}
	for root, nodes := range sets {
		for _, n := range nodes {
			path := n.Path(root)
			h.nodes[path] = []Version{{Czxid: n.Czxid, Mzxid: n.Mzxid, Value: n.Value}}
			if n.Name == Root {
				continue
			}
			parent, name := split(path)
			v := h.latest(parent)
			v.Children = append(v.Children, name)
			slices.Sort(v.Children)
			h.nodes[parent] = []Version{v}
		}
	}
}

// Agrees reports whether all that exists now below the roots is what the history says.
func (h *History) Agrees(sets map[string][]Node) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	there := map[string]bool{}
	for root, nodes := range sets {
		for _, n := range nodes {
			path := n.Path(root)
			there[path] = true
			if !h.latest(path).is(n) {
				return false
			}
		}
	}
	for path := range h.nodes {
		for root := range sets {
			if (path == root || strings.HasPrefix(path, root+"/")) && h.latest(path).Czxid != 0 && !there[path] {
				return false
			}
		}
	}
	return true
}

// is reports whether n shows v, as far as it tells.
func (v Version) is(n Node) bool {
	return v.Czxid == n.Czxid && (n.Mzxid == 0 || v.Mzxid == n.Mzxid && v.Value == n.Value)
}

// latest returns the newest state of a node. mu is held, as for all that follows.
func (h *History) latest(path string) Version {
	if all := h.nodes[path]; len(all) > 0 {
		return all[len(all)-1]
	}
	return Version{}
}

// at returns the state that a node had when a zxid was the newest.
func (h *History) at(path string, zxid int64) Version {
	all := h.nodes[path]
	i := sort.Search(len(all), func(i int) bool { return all[i].Zxid > zxid })
	if i == 0 {
		return Version{}
	}
	return all[i-1]
}

// split returns the path of the parent, and the name of the node in it.
func split(path string) (parent, name string) {
	i := strings.LastIndexByte(path, '/')
	return path[:i], path[i+1:]
}
