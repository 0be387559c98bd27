package zktest

// Change is what one operation of a committed transaction did to one node.
type Change struct {
	Zxid    int64  // of the transaction; the operations of a multi share one
	Session int64  // that asked for it, or that ended; 0 for the Server's own methods and its sweeps
	Op      Op     // OpCreate for all kinds of nodes, OpDelete or OpSetData
	Path    string // a sequence node's with its number
	Data    []byte // that the node has after the transaction; nil when it is gone; it must not be changed
}

// Journal has fn called with each change of a node's existence or data, in the order of the zxids, before
// anybody learns of it. So a test can count how often a write was carried out whose answer was lost. A
// transaction that fails changes nothing. A nil fn ends that. fn must not call the Server's methods.
func (s *Server) Journal(fn func(Change)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.e.journal = fn
}

var journaled = map[eventType]Op{nodeCreated: OpCreate, nodeDeleted: OpDelete, nodeDataChanged: OpSetData}

func (t *txn) journalLocked() {
	if t.s.e.journal == nil {
		return
	}
	for _, ev := range t.events {
		if op, ok := journaled[ev.typ]; ok {
			c := Change{Zxid: t.record.zxid, Session: t.session, Op: op, Path: ev.path}
			if n := t.s.tree.lookup(ev.path); n != nil {
				c.Data = n.data
			}
			t.s.e.journal(c)
		}
	}
}
