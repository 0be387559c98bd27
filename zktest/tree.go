package zktest

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Stat is a node's metadata. Times are milliseconds since 1970. It has the fields of go-zookeeper's: zk.Stat(stat)
// converts it.
type Stat struct {
	Czxid          int64 // transaction that created the node
	Mzxid          int64 // transaction that last set its data
	Ctime          int64
	Mtime          int64
	Version        int32 // counts changes of the data
	Cversion       int32 // counts changes of the list of children
	Aversion       int32 // counts changes of the ACL
	EphemeralOwner int64 // session of an ephemeral node; 0 for all others
	DataLength     int32
	NumChildren    int32
	Pzxid          int64 // transaction that last created or deleted a child
}

// Values of node.owner for the nodes that no session owns but that the server removes: a container has
// the smallest int64, a TTL node 0xff in the highest byte and its time to live in milliseconds below.
const (
	containerOwner = -1 << 63
	ttlOwner       = -1 << 56
	maxTTL         = 1<<40 - 1
)

// node is one znode. It holds neither its name nor its parent: paths are walked from the root, which
// keeps a node small.
type node struct {
	data     []byte // nil is null on the wire
	acl      aclList
	children map[string]*node
	czxid    int64
	mzxid    int64
	pzxid    int64
	ctime    int64
	mtime    int64
	owner    int64 // a session, containerOwner, ttlOwner with a time to live, or 0
	version  int32
	created  int32 // children ever created; ZooKeeper's stored cversion
	aversion int32
}

func isContainer(owner int64) bool { return owner == containerOwner }
func isTTL(owner int64) bool       { return uint64(owner)>>56 == 0xff }
func isEphemeral(owner int64) bool { return owner != 0 && !isContainer(owner) && !isTTL(owner) }

// stat shows the node to clients: cversion counts creations and deletions, which is twice the
// creations less the children that are there. Containers and TTL nodes look like persistent ones.
func (n *node) stat() Stat {
	var session int64
	if isEphemeral(n.owner) {
		session = n.owner
	}
	return Stat{
		Czxid: n.czxid, Mzxid: n.mzxid, Ctime: n.ctime, Mtime: n.mtime,
		Version: n.version, Cversion: 2*n.created - int32(len(n.children)), Aversion: n.aversion,
		EphemeralOwner: session, DataLength: int32(len(n.data)), NumChildren: int32(len(n.children)),
		Pzxid: n.pzxid,
	}
}

// names gives the children's names, sorted. (The real server's order is that of a Java hash set.)
func (n *node) names() []string {
	names := make([]string, 0, len(n.children))
	for name := range n.children {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// tree holds the nodes. The Server's mutex guards it.
type tree struct {
	root  *node
	count int // nodes without the root
	bytes int // paths and data of all nodes, for "mntr"
	acls  map[string]aclList
	// reapable holds the paths of containers and TTL nodes that the sweep should look at.
	reapable map[string]struct{}
}

// newTree has the nodes that every ZooKeeper has from the start.
func newTree() *tree {
	empty := func(acl aclList) *node { return &node{data: []byte{}, acl: acl} }
	t := &tree{root: empty(openACL), acls: map[string]aclList{}, reapable: map[string]struct{}{}}
	config := empty(readOnlyACL)
	config.aversion = -1
	zookeeper := empty(openACL)
	t.link(t.root, "", "zookeeper", zookeeper)
	t.link(zookeeper, "/zookeeper", "quota", empty(openACL))
	t.link(zookeeper, "/zookeeper", "config", config)
	return t
}

// lookup finds a node, or nil. The root is both "" and "/", as in the real server.
func (t *tree) lookup(path string) *node {
	if path == "" || path == "/" {
		return t.root
	}
	if path[0] != '/' {
		return nil
	}
	n := t.root
	for rest := path[1:]; n != nil; {
		name, more, found := strings.Cut(rest, "/")
		n = n.children[name]
		if !found {
			break
		}
		rest = more
	}
	return n
}

func (t *tree) link(parent *node, parentPath, name string, n *node) {
	if parent.children == nil {
		parent.children = map[string]*node{}
	}
	parent.children[name] = n
	t.count++
	t.bytes += nodeSize(parentPath, name, n)
}

func (t *tree) unlink(parent *node, parentPath, name string) {
	t.bytes -= nodeSize(parentPath, name, parent.children[name])
	delete(parent.children, name)
	if len(parent.children) == 0 {
		parent.children = nil
	}
	t.count--
}

// nodeSize is a node's share of the data size that "mntr" tells: characters of its path, bytes of its data.
func nodeSize(parentPath, name string, n *node) int {
	return utf8.RuneCountInString(parentPath) + 1 + utf8.RuneCountInString(name) + len(n.data)
}

// intern gives the shared copy of an ACL.
func (t *tree) intern(list aclList) aclList {
	var e encoder
	e.acls(list)
	key := string(e.buf)
	if shared, ok := t.acls[key]; ok {
		return shared
	}
	t.acls[key] = list
	return list
}

// descendants counts the nodes below n.
func (n *node) descendants() int {
	count := len(n.children)
	for _, c := range n.children {
		count += c.descendants()
	}
	return count
}

// clone copies the tree. Data and ACLs are shared: nobody writes to them.
func (t *tree) clone() *tree {
	return &tree{
		root: t.root.clone(), count: t.count, bytes: t.bytes,
		acls: maps.Clone(t.acls), reapable: maps.Clone(t.reapable),
	}
}

func (n *node) clone() *node {
	c := *n
	if n.children != nil {
		c.children = make(map[string]*node, len(n.children))
		for name, child := range n.children {
			c.children[name] = child.clone()
		}
	}
	return &c
}
