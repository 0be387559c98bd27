package zkstream

import (
	"bytes"
	"errors"
	"slices"
	"sync"

	"github.com/go-zookeeper/zk"
)

// node is what was read of a znode at one instant. It is immutable, and all snapshots of that instant
// share it.
type node struct {
	path   string // as the user names it
	exists bool
	stat   zk.Stat
	data   []byte   // of kindData
	names  []string // of kindChildren, sorted

	decode sync.Once
	props  *properties // after decode
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
	return n.same(other, k) && bytes.Equal(n.data, other.data) && slices.Equal(n.names, other.names)
}

// readNode reads what k is about. Called by way of Watch, its last request sets the watch: on a missing
// node that takes a second one, and by then the node may be there, and then all is done again.
func (c *Client) readNode(zc *zk.Conn, k key) (*node, error) {
	for {
		n := &node{path: c.chroot.relative(k.path), exists: true}
		var stat *zk.Stat
		var err error
		switch k.kind {
		case kindData:
			n.data, stat, err = zc.Get(k.path)
		case kindChildren:
			n.names, stat, err = zc.Children(k.path)
			slices.Sort(n.names)
		case kindStat:
			return c.checkNode(zc, k.path)
		}
		if err == nil {
			n.stat = *stat
			return n, nil
		}
		if !errors.Is(err, zk.ErrNoNode) {
			return nil, err
		}
		if n, err = c.checkNode(zc, k.path); err != nil || !n.exists {
			return n, err
		}
	}
}

// checkNode reads only a node's metadata. Called by way of Watch, it sets a data watch, or on a missing
// node one that fires when it is created.
func (c *Client) checkNode(zc *zk.Conn, path string) (*node, error) {
	exists, stat, err := zc.Exists(path)
	if err != nil { // then exists and stat mean nothing
		return nil, err
	}
	n := &node{path: c.chroot.relative(path), exists: exists}
	if exists {
		n.stat = *stat
	}
	return n, nil
}
