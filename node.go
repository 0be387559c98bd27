package zkstream

import (
	"bytes"
	"slices"
	"sync"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/content"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// node is what was read of a znode at one instant. It is immutable, and all snapshots of that instant
// share it.
type node struct {
	path   string // as the user names it
	exists bool
	stat   zk.Stat
	data   []byte   // of kindData
	names  []string // of kindChildren, sorted
	err    error    // why the content could not be read, of a node among others

	decode sync.Once
	props  *content.Properties // after decode
}

// same reports whether n and other, read of one node, show the same state as far as kind goes. The zxid of
// the node's creation tells it from one of the same name that was deleted in between; the other zxid tells
// its content, or its list of children, from an earlier one. An ensemble that lost its data counts zxids
// anew, so the rest is compared, too.
func (n *node) same(other *node, k kind) bool {
	a, b := &n.stat, &other.stat
	switch {
	case !n.exists || !other.exists:
		return n.exists == other.exists
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
	return n.same(other, k) && (k == kindChildren || bytes.Equal(n.data, other.data)) && slices.Equal(n.names, other.names)
}

// newNode returns what an answer says of the node at path.
func newNode(path string, a *zkconn.Answer) *node {
	slices.Sort(a.Names)
	return &node{path: path, exists: a.Exists, stat: a.Stat, data: a.Data, names: a.Names}
}
