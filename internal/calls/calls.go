// Package calls makes the requests that a user's goroutine waits for, on a [zkconn.Conn] that comes and goes.
//
// A read is repeated until a server has answered it. A write is carried out exactly once, or not at all; or its error has
// [ErrUnknown] inside, if its answer was lost and the tree does not show what became of it.
//
// Paths are the server's, with the chroot. Errors name neither the call nor its path; that is left to the caller.
package calls

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// AnyVersion is the version of an operation that does not ask for one.
const AnyVersion int32 = -1

// maxServerFailures is how often in a row a server may answer that something went wrong inside it, before a call
// gives up: some fifteen seconds.
const maxServerFailures = 12

// A Caller makes calls on one connection. It is safe for concurrent use.
type Caller struct {
	conn      *zkconn.Conn
	closing   context.Context
	parentACL []zk.ACL

	ephemerals *ephemerals // that its calls have made

	retries, conflicts atomic.Int64 // see Stats
}

// Stats are what a Caller has counted.
type Stats struct {
	Retries   int64 // pauses after which a call was tried again, or asked again what had become of it
	Conflicts int64 // updates that somebody else's change has made begin anew, each time that one has
}

// Stats returns what has been counted.
func (c *Caller) Stats() Stats { return Stats{c.retries.Load(), c.conflicts.Load()} }

// New returns a Caller on conn. Calls end with [zkconn.ErrClosed] when closing ends. parentACL is the access control list
// of the parents that it creates.
func New(conn *zkconn.Conn, closing context.Context, parentACL []zk.ACL) *Caller {
	return &Caller{
		conn:       conn,
		closing:    closing,
		parentACL:  parentACL,
		ephemerals: newEphemerals(),
	}
}

// ReadNode reads what k says of a node. It is repeated until it is answered, and is at least as new as what the Caller has written
// and read, in earlier sessions, too.
func (c *Caller) ReadNode(ctx context.Context, k zkconn.Kind, path string) (a zkconn.Answer, err error) {
	err = c.repeat(ctx, func() (err error) {
		a, err = c.conn.Read(ctx, k, path)
		return err
	})
	return a, err
}

// ACL reads the access control list of a node, with its metadata. It is repeated, and as new, as ReadNode is.
func (c *Caller) ACL(ctx context.Context, path string) (acl []zk.ACL, stat zk.Stat, err error) {
	err = c.repeat(ctx, func() error {
		return c.conn.Do(ctx, func() (err error) {
			acl, stat, err = c.conn.ACL(ctx, path)
			return err
		})
	})
	return acl, stat, err
}

// Sync has the server catch up with the ensemble. It is repeated as ReadNode is.
func (c *Caller) Sync(ctx context.Context, path string) error {
	return c.repeat(ctx, func() error {
		return c.conn.Do(ctx, func() error { return c.conn.Sync(ctx, path) })
	})
}

// repeat calls try until it returns nil or an error that another try does not mend.
func (c *Caller) repeat(ctx context.Context, try func() error) error {
	serverFailures := 0
	for failures := 1; ; failures++ {
		err := try()
		if err == nil {
			return nil
		}
		if zkconn.ServerFailed(err) {
			serverFailures++
		} else {
			serverFailures = 0
		}
		if !zkconn.Transient(err) || serverFailures >= maxServerFailures {
			return err
		}
		if endErr := c.retryAfter(ctx, zkconn.CallPauses.After(failures)); endErr != nil {
			return fmt.Errorf("%w (the last try: %v)", endErr, err)
		}
	}
}

// Pause waits for d. It returns an error if ctx or the Caller ends before: then also why there is no session.
func (c *Caller) Pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return c.conn.NoSession(context.Cause(ctx))
	case <-c.closing.Done():
		return zkconn.ErrClosed
	}
}

// retryAfter is Pause for a call that is tried again then.
func (c *Caller) retryAfter(ctx context.Context, d time.Duration) error {
	err := c.Pause(ctx, d)
	if err == nil {
		c.retries.Add(1)
	}
	return err
}

// exists reads the metadata of a node. Call it in a function that Do or Run of the connection calls.
func (c *Caller) exists(ctx context.Context, path string) (bool, *zk.Stat, error) {
	a, err := c.conn.Look(ctx, zkconn.Stat, path)
	return a.Exists, &a.Stat, err
}

// get reads the content of a node, as exists does. A missing one is zk.ErrNoNode.
func (c *Caller) get(ctx context.Context, path string) ([]byte, *zk.Stat, error) {
	a, err := c.conn.Look(ctx, zkconn.Data, path)
	if err == nil && !a.Exists {
		err = zk.ErrNoNode
	}
	return []byte(a.Data), &a.Stat, err
}

// Parent returns the path of the node above path, which is not the root.
func Parent(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}
