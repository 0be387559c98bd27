package zkstream

import (
	"strconv"

	"github.com/zkstream/zkstream/internal/calls"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// ErrClosed is why a stream ended, or a call failed, when its client was closed; also why a stream or
// a registration ended that was closed itself.
var ErrClosed = zkconn.ErrClosed

// ErrTooLarge is inside the error of what is larger than can be carried: a reply of more than 16 MB,
// or properties of more than the 1 MB that a server takes (its jute.maxbuffer).
var ErrTooLarge = zkconn.ErrTooLarge

// ErrUnknown is inside the error of a call whose outcome nobody can know: the connection was lost, or the
// context ended, while its request was under way, and the tree does not show what became of it. Who writes
// what nobody else writes can tell by reading the node.
var ErrUnknown = calls.ErrUnknown

// What a server may answer and go-zookeeper has no name for. The names in ZooKeeper's own library are QUOTAEXCEEDED,
// UNIMPLEMENTED, EPHEMERALONLOCALSESSION and NOTREADONLY.
var (
	// ErrQuotaExceeded: the node is under a quota that the servers keep (enforceQuota).
	ErrQuotaExceeded = zkconn.ErrQuotaExceeded
	// ErrUnimplemented: the server is too old for the operation, or it is switched off, as TTL nodes are by default.
	ErrUnimplemented = zkconn.ErrUnimplemented
	// ErrLocalSession: the servers give local sessions, in which there are no ephemeral nodes.
	ErrLocalSession = zkconn.ErrLocalSession
	// ErrNotReadOnly: the server is in read-only mode, without a quorum.
	ErrNotReadOnly = zkconn.ErrNotReadOnly
)

// A PathError says what failed on which znode. Err, which Unwrap gives, is go-zookeeper's where it has
// one, such as zk.ErrNoNode.
type PathError struct {
	Op   string // "create" or "children", for example
	Path string // as the caller named it: without the chroot
	Err  error
}

func (e *PathError) Error() string {
	return "zkstream: " + e.Op + " " + strconv.Quote(e.Path) + ": " + e.Err.Error()
}

func (e *PathError) Unwrap() error { return e.Err }
