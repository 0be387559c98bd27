package zktest

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Node is a node as [Server.Add] makes it, and as [Server.Nodes] finds it.
type Node struct {
	Path      string
	Data      []byte        // Add takes nil for empty
	ACL       []ACL         // Add takes none for one that lets everybody do everything
	Session   int64         // that owns an ephemeral node; 0 for other nodes
	Container bool          // the server removes it when it has had children and they are gone
	TTL       time.Duration // the server removes it when it has not changed for that long; 0 for other nodes
	Sequence  bool          // Add appends a number to the path; Nodes does not know
	Stat      Stat          // Add ignores it
}

// Add makes a node of any kind, and its parents where they are missing, as [Server.Create] does. It gives the
// node's path, with its number if it is a sequence node. ACLs and quotas are not looked at, so it is as if another
// client had done it: the registration of another server is
//
//	server.Add(zktest.Node{Path: "/services/10.0.0.2:80", Session: server.OpenSession(time.Hour)})
//
// The error is that of Create, [ErrSessionExpired] if there is no such session, [ErrInvalidACL], or [ErrUnimplemented] for
// a TTL without [WithExtendedTypes].
func (s *Server) Add(n Node) (path string, err error) {
	r, ok := n.request()
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := n.Path
	if n.Sequence {
		asked += "0"
	}
	if !ok || !validPath(asked) {
		return "", ErrBadArguments
	}
	if !s.e.writableLocked() {
		return "", ErrNoQuorum
	}
	leader := s.e.leader
	if n.Session != 0 && leader.sessions[n.Session] == nil {
		return "", ErrSessionExpired
	}
	for i, c := range n.Path {
		if c != '/' || i == 0 || leader.tree.lookup(n.Path[:i]) != nil {
			continue
		}
		parent := request{op: OpCreate, path: n.Path[:i], data: []byte{}, acl: openACL, ttl: -1}
		if _, code := leader.addLocked(&parent, 0); code != 0 {
			return "", code
		}
	}
	path, code := leader.addLocked(r, n.Session)
	return path, code.err()
}

func (s *Server) addLocked(r *request, session int64) (path string, code Code) {
	_, code = s.transactLocked(session, nil, true, func(t *txn) (code Code) {
		path, _, code = t.create(r)
		return code
	})
	return path, code
}

// request is what a client would send. ok is false if no client could.
func (n Node) request() (r *request, ok bool) {
	r = &request{op: OpCreate, path: n.Path, data: append([]byte{}, n.Data...), acl: entries(n.ACL), ttl: -1}
	if len(n.ACL) == 0 {
		r.acl = openACL
	}
	mode := createMode{ephemeral: n.Session != 0, sequence: n.Sequence, container: n.Container, ttl: n.TTL != 0}
	if mode.container {
		r.op = OpCreateContainer
	}
	if mode.ttl {
		r.op, r.ttl = OpCreateTTL, n.TTL.Milliseconds()
	}
	for flags, m := range createModes {
		if m == mode {
			r.flags = flags
			return r, true
		}
	}
	return nil, false
}

// OpenSession makes a session that no client is connected to, and gives its id: for the nodes of a client that a
// test does not need otherwise. Nobody keeps it alive, so it expires when the timeout has passed, or by
// [Server.ExpireSession]. It is 0 while an ensemble has no quorum.
func (s *Server) OpenSession(timeout time.Duration) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.e.writableLocked() {
		return 0
	}
	id, _ := s.e.leader.openSessionLocked(timeout)
	return id
}

// Nodes gives a node and all below it: parents before their children, siblings by name. It gives none if there is
// no such node.
func (s *Server) Nodes(path string) []Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Node
	var walk func(path string, n *node)
	walk = func(path string, n *node) {
		all = append(all, n.public(watchPath(path)))
		for _, name := range n.names() {
			walk(path+"/"+name, n.children[name])
		}
	}
	if n := s.tree.lookup(path); n != nil {
		walk(strings.TrimSuffix(path, "/"), n)
	}
	return all
}

func (n *node) public(path string) Node {
	p := Node{Path: path, Data: slices.Clone(n.data), ACL: n.acl.public(), Container: isContainer(n.owner), Stat: n.stat()}
	if isTTL(n.owner) {
		p.TTL = time.Duration(n.owner&maxTTL) * time.Millisecond
	}
	p.Session = p.Stat.EphemeralOwner
	return p
}

// Dump writes down a node and all below it, a line for each node, to compare with: its path and data, and what is not
// as with most nodes, that it is ephemeral, a container, or has a time to live or an ACL that does not let everybody do
// everything. What differs from one run to the next (sessions, zxids, times) is left out, and so is
// /zookeeper, unless that is asked for.
//
//	/services
//	/services/10.0.0.2:80 "{}" ephemeral acl world:anyone:1
func (s *Server) Dump(path string) string {
	var b strings.Builder
	for _, n := range s.Nodes(path) {
		if n.Path == "/zookeeper" || strings.HasPrefix(n.Path, "/zookeeper/") {
			if !strings.HasPrefix(path, "/zookeeper") {
				continue
			}
		}
		b.WriteString(n.Path)
		if len(n.Data) > 0 {
			fmt.Fprintf(&b, " %q", n.Data)
		}
		if n.Session != 0 {
			b.WriteString(" ephemeral")
		}
		if n.Container {
			b.WriteString(" container")
		}
		if n.TTL > 0 {
			fmt.Fprintf(&b, " ttl %v", n.TTL)
		}
		if !slices.Equal(n.ACL, openACL.public()) {
			b.WriteString(" acl")
			for _, a := range n.ACL {
				fmt.Fprintf(&b, " %s:%s:%d", a.Scheme, a.ID, a.Perms)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}
