package zkstream

import (
	"cmp"
	"slices"
	"time"
)

// WatchInfo describes what the streams of one kind on one path follow, and how far they are, for people who look into a
// running program: see [Client.Watches].
type WatchInfo struct {
	// Path is that of the node, or of the node at the top, below the chroot.
	Path string

	// Kind is what is followed: "data", which is the content of a node, for [Client.Properties], too; "children", which is the
	// names of its children; or "instances" or "tree", which is many nodes.
	Kind string

	// State is "current" if a change would be an event; "stale" if something is to be read, or is being read; and
	// "failing" if something cannot be read for now, and is tried again. See [WatchStats]. Of many nodes it is that of the one
	// that is worst off.
	State string

	// Nodes is how many nodes are followed: 1, unless Kind is "instances" or "tree".
	Nodes int

	// Zxid is a zxid that what was read last is at least as new as. It is 0 before the first read, and of many nodes.
	Zxid int64

	// Streams is how many streams there are. One that is the source of an operator is among them; the operator's result is not.
	Streams int

	// Behind is how many of these streams have a snapshot that nobody has received yet.
	Behind int

	// Lag is how many snapshots have come since the slowest consumer received one, 65,535 at most. It has to take only the
	// newest of them; the others are skipped. Zero means that nobody is behind.
	Lag int

	// Waiting is for how long the first of these snapshots has waited, to the second. Much of that is the sign of a
	// consumer that is stuck, or that has forgotten to close its stream.
	Waiting time.Duration
}

// Watches returns what the client's open streams follow now, sorted by path and kind. The watches of nodes that belong to Instances
// or Tree are not listed one by one, nor are those that registrations need, or that are parked.
//
// It is for debug pages and commands, not for metrics, which [Client.Stats] is for: it looks at each watch, which takes some 30 ms
// for a tree of 100,000 nodes, and nothing is received meanwhile. It sends nothing.
func (c *Client) Watches() []WatchInfo {
	if c.watches == nil { // not made by Connect
		return nil
	}
	var infos []WatchInfo
	for _, info := range c.watches.Inspect() {
		infos = append(infos, WatchInfo(info))
	}
	slices.SortFunc(infos, func(a, b WatchInfo) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Nodes, b.Nodes))
	})
	return infos
}

// RegistrationInfo describes a registration that has not ended.
type RegistrationInfo struct {
	Path   string // of its node: see [Registration.Path]
	Addr   string // that is registered
	Status RegistrationStatus
	Err    error // why the node is not in place, if something is in the way: see [Registration.Refusal]
}

// Registrations returns the client's registrations that have not ended, sorted by path. They include those that Register has
// not returned yet. It sends nothing.
func (c *Client) Registrations() []RegistrationInfo {
	if c.registrar == nil { // not made by Connect
		return nil
	}
	var infos []RegistrationInfo
	for _, r := range c.registrar.All() {
		info := RegistrationInfo{Path: c.chroot.Relative(r.Path()), Addr: r.Node.Addr, Status: RegistrationStatus(r.Status())}
		if err := r.Obstacle(); err != nil {
			info.Err = &PathError{Op: "register", Path: c.chroot.Relative(r.Node.Path), Err: err}
		}
		infos = append(infos, info)
	}
	slices.SortFunc(infos, func(a, b RegistrationInfo) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Addr, b.Addr))
	})
	return infos
}
