package watching

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/content"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// A Node is what was read of a znode at one instant. It is immutable, and all snapshots of that instant
// share it. There may be a million, so what most do not have is apart. A nil Node is one that does not exist.
type Node struct {
	path string // as the user names it
	stat zk.Stat
	data string // of kindData
	more atomic.Pointer[details]
}

// details are what most nodes do not have.
type details struct {
	missing bool
	names   []string // of kindChildren, sorted
	err     error    // why the content could not be read, of a node among others

	decode sync.Once
	props  *content.Properties // after decode
}

// Details of many nodes at once.
var (
	ofMost    details // of nodes that have none
	ofMissing = details{missing: true}
)

// about returns the details of n, which are not to be changed.
func (n *Node) about() *details {
	if n == nil {
		return &ofMissing
	}
	if d := n.more.Load(); d != nil {
		return d
	}
	return &ofMost
}

// NewNode returns what an answer says of the node at path.
func NewNode(path string, a *zkconn.Answer) *Node {
	if !a.Exists {
		return MissingNode(path)
	}
	n := &Node{path: path, stat: a.Stat, data: a.Data}
	if len(a.Names) > 0 {
		slices.Sort(a.Names)
		n.more.Store(&details{names: a.Names})
	}
	return n
}

// MissingNode returns a node that does not exist.
func MissingNode(path string) *Node {
	n := &Node{path: path}
	n.more.Store(&ofMissing)
	return n
}

// With returns n with another content, and marked with err if that is not nil.
func (n *Node) With(data []byte, err error) *Node {
	changed := &Node{path: n.Path(), stat: n.Stat(), data: string(data)}
	if err != nil || !n.Exists() {
		changed.more.Store(&details{missing: !n.Exists(), err: err})
	}
	return changed
}

// Path returns the path as the user names it.
func (n *Node) Path() string {
	if n == nil {
		return ""
	}
	return n.path
}

// Name returns the last part of the path.
func (n *Node) Name() string { return baseName(n.path) }

// Exists reports whether there was a node.
func (n *Node) Exists() bool { return !n.about().missing }

// Stat returns the metadata, zero if there was no node.
func (n *Node) Stat() zk.Stat {
	if n == nil {
		return zk.Stat{}
	}
	return n.stat
}

// Data returns the content, where that was read.
func (n *Node) Data() string {
	if n == nil {
		return ""
	}
	return n.data
}

// Bytes returns a copy of the content, nil if there was no node.
func (n *Node) Bytes() []byte {
	if !n.Exists() {
		return nil
	}
	return []byte(n.data)
}

// Names returns the names of the children, sorted, where they were read. They are not to be changed.
func (n *Node) Names() []string { return n.about().names }

// Err returns why the content could not be read, of a node among others.
func (n *Node) Err() error { return n.about().err }

// Properties returns the content as a mapping, which is decoded once.
func (n *Node) Properties() *content.Properties {
	if n == nil {
		n = noNode
	}
	d := n.more.Load()
	if d == nil {
		n.more.CompareAndSwap(nil, &details{}) // or somebody else's
		d = n.more.Load()
	}
	d.decode.Do(func() { d.props = content.Parse([]byte(n.data)) })
	return d.props
}

var noNode = MissingNode("")

// unreadable returns n as a node of which some could not be read.
func (n *Node) unreadable(err error) *Node {
	failed := &Node{path: n.path, stat: n.stat, data: n.data}
	failed.more.Store(&details{err: err})
	return failed
}

// same reports whether n and other, read of one node, show the same state as far as kind goes. The zxid of
// the node's creation tells it from one of the same name that was deleted in between; the other zxid tells
// its content, or its list of children, from an earlier one. An ensemble that lost its data counts zxids
// anew, so the rest is compared, too.
func (n *Node) same(other *Node, k kind) bool {
	a, b := &n.stat, &other.stat
	switch {
	case !n.Exists() || !other.Exists():
		return n.Exists() == other.Exists()
	case a.Czxid != b.Czxid || a.Ctime != b.Ctime || a.EphemeralOwner != b.EphemeralOwner:
		return false
	case k == kindChildren:
		return a.Pzxid == b.Pzxid && a.Cversion == b.Cversion
	default:
		return a.Mzxid == b.Mzxid && a.Mtime == b.Mtime && a.Version == b.Version
	}
}

// equal is same, and that what was read besides the metadata is equal, too: of the root, an ensemble that
// lost its data may give the same metadata as before.
func (n *Node) equal(other *Node, k kind) bool {
	// A node without children may have come with its content: see joinLeafLocked.
	return n.same(other, k) && (k == kindChildren || n.data == other.data) && slices.Equal(n.Names(), other.Names())
}
