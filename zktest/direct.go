package zktest

// These methods work on the tree without a client. Watches fire as for a client's write; ACLs are not
// looked at.

// Create makes a persistent node with an open ACL, and its parents where they are missing, with empty
// data. The error is ErrNodeExists, ErrBadArguments for an invalid path, or
// ErrNoChildrenEphemerals below an ephemeral node. [Server.Add] makes other kinds of nodes.
func (s *Server) Create(path string, data []byte) error {
	_, err := s.Add(Node{Path: path, Data: data})
	return err
}

// Set sets a node's data, whatever its version. The error is ErrNoNode or ErrBadArguments.
func (s *Server) Set(path string, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.e.writableLocked() {
		return ErrNoQuorum
	}
	_, code := s.e.leader.transactLocked(0, nil, true, func(t *txn) Code {
		_, code := t.setData(path, append([]byte{}, data...), -1)
		return code
	})
	return code.err()
}

// Delete deletes a node, whatever its version. The error is ErrNoNode, ErrNotEmpty if it has
// children, or ErrBadArguments for the nodes that ZooKeeper itself needs.
func (s *Server) Delete(path string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.e.writableLocked() {
		return ErrNoQuorum
	}
	_, code := s.e.leader.transactLocked(0, nil, true, func(t *txn) Code { return t.delete(path, -1) })
	return code.err()
}

// Get gives a copy of a node's data, and its metadata. The error is ErrNoNode.
func (s *Server) Get(path string) ([]byte, Stat, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.tree.lookup(path)
	if n == nil {
		return nil, Stat{}, ErrNoNode
	}
	return append([]byte{}, n.data...), n.stat(), nil
}

// Children gives the names of a node's children, sorted. The error is ErrNoNode.
func (s *Server) Children(path string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.tree.lookup(path)
	if n == nil {
		return nil, ErrNoNode
	}
	return n.names(), nil
}

// ACL is an entry of a node's access control list.
type ACL struct {
	Perms      int32 // read 1, write 2, create 4, delete 8, admin 16
	Scheme, ID string
}

func entries(acl []ACL) []aclEntry {
	list := make([]aclEntry, len(acl))
	for i, a := range acl {
		list[i] = aclEntry{perms: a.Perms, scheme: a.Scheme, id: a.ID}
	}
	return list
}

func (l aclList) public() []ACL {
	list := make([]ACL, len(l))
	for i, a := range l {
		list[i] = ACL{Perms: a.perms, Scheme: a.scheme, ID: a.id}
	}
	return list
}

// SetACL sets a node's access control list, as an administrator does who may do everything. The error is
// ErrNoNode, ErrInvalidACL or ErrBadArguments.
func (s *Server) SetACL(path string, acl ...ACL) error {
	list := entries(acl)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.e.writableLocked() {
		return ErrNoQuorum
	}
	_, code := s.e.leader.transactLocked(0, nil, true, func(t *txn) Code {
		_, code := t.setACL(path, list, -1)
		return code
	})
	return code.err()
}
