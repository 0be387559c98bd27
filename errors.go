package zkstream

import (
	"strconv"

	"github.com/zkstream/zkstream/internal/zkconn"
)

// ErrClosed is why a stream ended, or a call failed, when its client was closed; also why a stream or
// a registration ended that was closed itself.
var ErrClosed = zkconn.ErrClosed

// ErrTooLarge is inside the error of what is larger than can be carried: a reply of more than 16 MB,
// or properties of more than the 1 MB that a server takes (its jute.maxbuffer).
var ErrTooLarge = zkconn.ErrTooLarge

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
