package zkstream

import (
	"strconv"

	"github.com/zkstream/zkstream/internal/calls"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// ErrClosed is the reason why a stream or registration has ended that was closed, itself or with its client. It is
// inside the error of each call on a client that is closed.
var ErrClosed = zkconn.ErrClosed

// ErrTooLarge is inside the errors about data over a limit: a reply of more than 16 MB, or a request of more than
// [WithMaxRequest] allows, or than the server takes (its jute.maxbuffer). A request is counted with its path.
var ErrTooLarge = zkconn.ErrTooLarge

// ErrUnknown is inside the error of a write of which nobody can know whether it was carried out. Its connection was lost,
// or its context ended, while the request was under way, and the tree does not show what became of it. If nobody else
// writes the node, reading it answers the question.
var ErrUnknown = calls.ErrUnknown

// Errors that a server may answer with, and that package zk has no name for. ZooKeeper's own library calls them
// QUOTAEXCEEDED, UNIMPLEMENTED, EPHEMERALONLOCALSESSION and NOTREADONLY.
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

// A PathError says which operation failed on which node. Err is an error of package zk where that has one for the cause,
// such as [zk.ErrNoNode]; [errors.Is] finds it.
type PathError struct {
	Op   string // "create" or "children", for example
	Path string // as the caller named it: without the chroot
	Err  error
}

func (e *PathError) Error() string {
	return "zkstream: " + e.Op + " " + strconv.Quote(e.Path) + ": " + e.Err.Error()
}

func (e *PathError) Unwrap() error { return e.Err }
