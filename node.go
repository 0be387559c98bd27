package zkstream

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/content"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// node is what was read of a znode at one instant. It is immutable, and all snapshots of that instant
// share it. There may be a million, so what most do not have is apart.
type node struct {
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
func (n *node) about() *details {
	if d := n.more.Load(); d != nil {
		return d
	}
	return &ofMost
}

func (n *node) exists() bool    { return !n.about().missing }
func (n *node) names() []string { return n.about().names }
func (n *node) err() error      { return n.about().err }

// bytes returns a copy of the content, nil if there is no node.
func (n *node) bytes() []byte {
	if !n.exists() {
		return nil
	}
	return []byte(n.data)
}

// missingNode returns a node that does not exist.
func missingNode(path string) *node {
	n := &node{path: path}
	n.more.Store(&ofMissing)
	return n
}

// unreadable returns n as a node of which some could not be read.
func (n *node) unreadable(err error) *node {
	failed := &node{path: n.path, stat: n.stat, data: n.data}
	failed.more.Store(&details{err: err})
	return failed
}

// properties returns the content as a mapping, which is decoded once.
func (n *node) properties() *content.Properties {
	d := n.more.Load()
	if d == nil {
		n.more.CompareAndSwap(nil, &details{}) // or somebody else's
		d = n.more.Load()
	}
	d.decode.Do(func() { d.props = content.Parse([]byte(n.data)) })
	return d.props
}

// same reports whether n and other, read of one node, show the same state as far as kind goes. The zxid of
// the node's creation tells it from one of the same name that was deleted in between; the other zxid tells
// its content, or its list of children, from an earlier one. An ensemble that lost its data counts zxids
// anew, so the rest is compared, too.
func (n *node) same(other *node, k kind) bool {
	a, b := &n.stat, &other.stat
	switch {
	case !n.exists() || !other.exists():
		return n.exists() == other.exists()
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
func (n *node) equal(other *node, k kind) bool {
	// A node without children may have come with its content: see joinLeafLocked.
	return n.same(other, k) && (k == kindChildren || n.data == other.data) && slices.Equal(n.names(), other.names())
}

// newNode returns what an answer says of the node at path.
func newNode(path string, a *zkconn.Answer) *node {
	if !a.Exists {
		return missingNode(path)
	}
	n := &node{path: path, stat: a.Stat, data: a.Data}
	if len(a.Names) > 0 {
		slices.Sort(a.Names)
		n.more.Store(&details{names: a.Names})
	}
	return n
}
