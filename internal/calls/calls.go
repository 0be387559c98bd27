// Package calls makes the requests that a user's goroutine waits for, on a [zkconn.Conn] that comes and goes.
//
// A read is repeated until a server has answered it. A write is carried out exactly once, or not at all; or its error has
// [ErrUnknown] inside, if its answer was lost and the tree does not show what became of it.
//
// Paths are the server's, with the chroot. Errors name neither the call nor its path; that is left to the caller.
package calls

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/zkconn"
	"golang.org/x/sync/semaphore"
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
	sequences sequences

	syncedGeneration atomic.Int64 // the newest one in which a read has synced

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
		conn:      conn,
		closing:   closing,
		parentACL: parentACL,
		sequences: sequences{gate: semaphore.NewWeighted(wholeGate)},
	}
}

// Read calls fn, which sends requests that change nothing, until it returns nil or an error that another try does not
// mend. What fn reads is at least as new as what the Caller has written, in earlier sessions, too. fn keeps it in variables
// that the caller of Read looks at only if Read returns nil: when ctx ends, fn may still be running.
func (c *Caller) Read(ctx context.Context, fn func(zc *zk.Conn) error) error {
	return c.repeat(ctx, func() error {
		return c.conn.Do(ctx, func(zc *zk.Conn) error {
			if err := c.catchUp(ctx, zc); err != nil {
				return err
			}
			return fn(zc)
		})
	})
}

// ReadNode reads what k says of a node. It is repeated, and as new, as Read is.
func (c *Caller) ReadNode(ctx context.Context, k zkconn.Kind, path string) (a zkconn.Answer, err error) {
	err = c.repeat(ctx, func() (err error) {
		a, err = c.conn.Read(ctx, k, path)
		return err
	})
	return a, err
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
		if zkconn.Left(err) || !zkconn.Transient(err) || serverFailures >= maxServerFailures {
			return err
		}
		if endErr := c.retryAfter(ctx, zkconn.CallPauses.After(failures)); endErr != nil {
			return fmt.Errorf("%w (the last try: %v)", endErr, err)
		}
	}
}

// catchUp has the server sync, if this is the first read of a session that is not the connection's first. Within a session
// no server shows a state older than one that the session has seen. A new session may be with a server that lags behind
// what was written in the last one.
func (c *Caller) catchUp(ctx context.Context, zc *zk.Conn) error {
	generation := c.conn.Generation()
	if generation <= 1 || c.syncedGeneration.Load() == generation {
		return nil
	}
	if _, err := zc.Sync("/"); err != nil && !errors.Is(zkconn.Named(err), zkconn.ErrUnimplemented) {
		return err
	}
	c.syncedGeneration.Store(generation)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
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

// Exists is zc.Exists, unless ctx has ended. Its results mean nothing beside an error, while zc.Exists may return true with
// one.
func Exists(ctx context.Context, zc *zk.Conn, path string) (bool, *zk.Stat, error) {
	if ctx.Err() != nil {
		return false, nil, context.Cause(ctx)
	}
	found, stat, err := zc.Exists(path)
	if err != nil {
		return false, nil, err
	}
	return found, stat, nil
}

// get is zc.Get, unless ctx has ended.
func get(ctx context.Context, zc *zk.Conn, path string) ([]byte, *zk.Stat, error) {
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	return zc.Get(path)
}

// Parent returns the path of the node above path, which is not the root.
func Parent(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}
