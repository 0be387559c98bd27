package zkstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// ErrUnknown is inside the error of a call whose outcome nobody can know: the connection was lost, or the
// context ended, while its request was under way, and the tree does not show what became of it. Who writes
// what nobody else writes can tell by reading the node.
var ErrUnknown = errors.New("nobody can know whether it was carried out")

// AnyVersion is the version of a Write, DeleteNode or SetACL that does not ask for one.
const AnyVersion int32 = -1

// A write carries out one change of the tree, and knows what has become of it.
//
// An answer tells: the change was carried out, or was not. So does a connection that was lost before the
// request was sent, and then it is sent again. What is left is the request that was sent and whose answer
// never came. It must not simply be sent again: it may have been carried out, and somebody may have
// changed the node since, whose change a second try would undo.
//
// By the time that this session is attached again and a sync on its new connection has been answered, the
// lost request has either been carried out or never will be. A server that takes a session over closes
// the old connection of the session first; requests that another server still has of it are refused by
// the leader (SessionMoved); and the sync is answered after everything that the leader took before it. So then
// the tree is read, and compared with Since, a zxid that was committed before the request was sent:
//
//   - Nothing that the change would have done has been done to its node since: it was not carried out, and
//     is sent again, if the caller still waits.
//   - What is there can only be the change's doing: it was carried out.
//   - Anything else: ErrUnknown. So, too, if the session has expired since: the ensemble may be one that has lost
//     its data, and begun to count zxids anew.
type write struct {
	client *Client
	op     string // for errors
	path   string // as the user names it

	// send makes one try, by the write's own try. ctx is that of run.
	send func(ctx context.Context, zc *zk.Conn) error
	// look reads what became of the try that was lost. The server has synced.
	look func(ctx context.Context, zc *zk.Conn) (fate, error)

	change *zkconn.Change // that was tried last
	lost   bool           // the latest try may have been carried out although it failed

	trying atomic.Pointer[zkconn.Change] // change, for when send goes on alone
}

// fate is what became of a try whose answer was lost.
type fate int

const (
	unknown fate = iota
	notDone
	done
)

// maxServerFailures is how often in a row a server may answer that something went wrong inside it, before a call
// gives up: some fifteen seconds.
const maxServerFailures = 12

// lookFirstSize is the size in bytes from which on a change asks the server for its newest zxid before the first
// try. With that it can be told afterwards what became of it. Requests that are too large for a server
// are among these, and the round trip is little beside what it takes to send and store them.
const lookFirstSize = 16 << 10

// run returns nil if the change was carried out; an error inside which ErrUnknown is if nobody can know; and
// otherwise an error of a change that was not carried out.
func (w *write) run(ctx context.Context) error {
	var doubt error // why it is not known what became of the latest try, or nil
	serverFailures := 0
	for failures := 1; ; failures++ {
		if doubt != nil {
			var f fate
			err := w.client.conn.Do(ctx, func(zc *zk.Conn) (err error) {
				f, err = w.settle(ctx, zc)
				return err
			})
			switch {
			case err != nil && zkconn.Transient(err) && !zkconn.Left(err):
				if err := w.client.pause(ctx, zkconn.CallPauses.After(failures)); err != nil {
					return w.unknown(err)
				}
				continue
			case err != nil:
				return w.unknown(err)
			case f == done:
				return nil
			case f == unknown:
				return w.unknown(doubt)
			}
			if w.change.TooLarge() {
				return w.fail(fmt.Errorf("the connection ended with each try of a request of %d bytes, and worked otherwise: %w",
					w.change.Size(), ErrTooLarge))
			}
		}
		doubt, w.lost = nil, false
		err := w.client.conn.Do(ctx, func(zc *zk.Conn) error { return w.send(ctx, zc) })
		switch {
		case err == nil:
			return nil
		case zkconn.Left(err):
			// send goes on alone, and what it writes must not be looked at. It begins no further try, since ctx
			// has ended.
			if change := w.trying.Load(); change != nil && w.client.conn.Abandon(change) {
				return w.unknown(err)
			}
			return w.fail(err)
		case w.lost:
			doubt = err
		}
		if !zkconn.ServerFailed(err) {
			serverFailures = 0
		} else {
			serverFailures++
		}
		again := doubt != nil || zkconn.Transient(err) || errors.Is(err, errConflict)
		if !again || serverFailures >= maxServerFailures {
			if doubt != nil {
				return w.unknown(err)
			}
			return w.fail(err)
		}
		pause := zkconn.CallPauses
		if errors.Is(err, errConflict) {
			pause = zkconn.ConflictPauses
		}
		if endErr := w.client.pause(ctx, pause.After(failures)); endErr != nil {
			if doubt != nil {
				return w.unknown(endErr)
			}
			return w.fail(fmt.Errorf("%w (the last try: %v)", endErr, err))
		}
	}
}

// errConflict has a try begin anew, with what is there now.
var errConflict = errors.New("somebody else's change was faster")

// try sends change, unless ctx has ended.
func (w *write) try(ctx context.Context, zc *zk.Conn, change *zkconn.Change) (zkconn.Result, error) {
	w.change = change
	w.trying.Store(change)
	r, err := w.client.conn.Send(ctx, zc, change)
	w.lost = change.Lost()
	return r, err
}

// settle reads what became of the try that was lost.
func (w *write) settle(ctx context.Context, zc *zk.Conn) (fate, error) {
	if ctx.Err() != nil {
		return unknown, context.Cause(ctx)
	}
	if _, err := zc.Sync(w.client.chroot.absolute(w.path)); err != nil {
		return unknown, err
	}
	if !w.client.conn.SameHistory(w.change) {
		return unknown, nil
	}
	return w.look(ctx, zc)
}

func (w *write) fail(err error) error { return &PathError{Op: w.op, Path: w.path, Err: err} }

func (w *write) unknown(why error) error { return w.fail(fmt.Errorf("%w: %w", ErrUnknown, why)) }

// exists is zc.Exists, whose results mean nothing beside an error, unless ctx has ended.
func exists(ctx context.Context, zc *zk.Conn, path string) (bool, *zk.Stat, error) {
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

// absentSince reports whether a node that does not exist did not exist at any time since that zxid. A
// node's creation and deletion are told by its parent's pzxid, and those of the parent by its own parent's.
func absentSince(ctx context.Context, zc *zk.Conn, path string, since int64) (bool, error) {
	for path != "/" {
		path = parentOf(path)
		found, stat, err := exists(ctx, zc, path)
		if err != nil || found {
			return found && stat.Pzxid <= since, err
		}
	}
	return false, nil
}

// fateOf is what the metadata and the content say of an operation whose answer was lost.
func (w *write) fateOf(ctx context.Context, zc *zk.Conn, op any) (f fate, stat *zk.Stat, err error) {
	since := w.change.Since()
	if same, err := untouched(ctx, zc, op, since); err != nil || same {
		return notDone, nil, err
	}
	switch op := op.(type) {
	case *zk.SetDataRequest:
		data, stat, err := get(ctx, zc, op.Path)
		switch {
		case errors.Is(err, zk.ErrNoNode):
			return unknown, nil, nil
		case err != nil:
			return unknown, nil, err
		case stat.Czxid <= since && op.Version != AnyVersion && stat.Version == op.Version+1 && !bytes.Equal(data, op.Data):
			// One set has found that version, and it was not this one. The next try is told so.
			return notDone, nil, nil
		}
		// The same content may be somebody else's.
	case *zk.CreateRequest:
		if op.Flags != zk.FlagEphemeral {
			return unknown, nil, nil // anybody may have made it
		}
		data, stat, err := get(ctx, zc, op.Path)
		switch {
		case errors.Is(err, zk.ErrNoNode):
			return unknown, nil, nil
		case err != nil:
			return unknown, nil, err
		case stat.EphemeralOwner == w.client.conn.Owner(w.change) && stat.EphemeralOwner == w.client.conn.SessionID() &&
			stat.Czxid > since && bytes.Equal(data, op.Data):
			return done, stat, nil
		}
	}
	return unknown, nil, nil
}

func parentOf(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}

// untouched reports whether the metadata show that op, an operation of a change that was lost, was not carried
// out: whatever it would have changed has not been changed since the given zxid, or a version shows it.
func untouched(ctx context.Context, zc *zk.Conn, op any, since int64) (bool, error) {
	switch op := op.(type) {
	case *zk.CreateRequest:
		if op.Flags&zk.FlagSequence != 0 && op.Flags != zk.FlagTTL {
			// Its name is not known. Any child that has come would be told by the parent.
			return absentSince(ctx, zc, op.Path, since)
		}
		return createUntouched(ctx, zc, op.Path, since)
	case *zk.CreateTTLRequest:
		if op.Flags == zk.FlagPersistentSequentialWithTTL {
			return absentSince(ctx, zc, op.Path, since)
		}
		return createUntouched(ctx, zc, op.Path, since)
	case *zk.DeleteRequest:
		// A node that was there before and is there now was not deleted. One that has come since may have been
		// made by somebody who found it deleted.
		return createUntouched(ctx, zc, op.Path, since)
	case *zk.SetDataRequest:
		found, stat, err := exists(ctx, zc, op.Path)
		if err != nil {
			return false, err
		}
		if !found {
			return absentSince(ctx, zc, op.Path, since)
		}
		sameNode := stat.Czxid <= since
		return stat.Mzxid <= since || sameNode && op.Version != AnyVersion && stat.Version <= op.Version, nil
	case *zkconn.SetACL:
		found, stat, err := exists(ctx, zc, op.Path)
		if err != nil {
			return false, err
		}
		if !found {
			return absentSince(ctx, zc, op.Path, since)
		}
		// No zxid tells of a change of the ACL.
		return stat.Czxid <= since && op.Version != AnyVersion && stat.Aversion <= op.Version, nil
	}
	return false, nil // a check changes nothing that could be seen
}

// createUntouched reports whether a node has neither come nor gone since.
func createUntouched(ctx context.Context, zc *zk.Conn, path string, since int64) (bool, error) {
	found, stat, err := exists(ctx, zc, path)
	if err != nil {
		return false, err
	}
	if found {
		return stat.Czxid <= since, nil
	}
	return absentSince(ctx, zc, path, since)
}

// change carries out one operation on the node at path.
func (c *Client) change(ctx context.Context, op, path string, request any) (zkconn.Result, error) {
	w := &write{client: c, op: op, path: path}
	if err := validatePath(path); err != nil {
		return zkconn.Result{}, w.fail(err)
	}
	change, err := c.conn.NewChange(request)
	if err != nil {
		return zkconn.Result{}, w.fail(err)
	}
	var result zkconn.Result
	w.send = func(ctx context.Context, zc *zk.Conn) (err error) {
		if err := lookFirst(ctx, zc, change, w.change); err != nil {
			return err
		}
		result, err = w.try(ctx, zc, change)
		return err
	}
	w.look = func(ctx context.Context, zc *zk.Conn) (f fate, err error) {
		f, result.Stat, err = w.fateOf(ctx, zc, request)
		return f, err
	}
	if err := w.run(ctx); err != nil {
		return zkconn.Result{}, err
	}
	return result, nil
}

// lookFirst has the server name its newest zxid, before the first try of a large change.
func lookFirst(ctx context.Context, zc *zk.Conn, change, tried *zkconn.Change) error {
	if tried != nil || change.Size() < lookFirstSize {
		return nil
	}
	_, _, err := exists(ctx, zc, "/")
	return err
}

// maxContent is what fits into a request besides its path: a server closes the connection on a larger
// one than its jute.maxbuffer, 0xfffff bytes by default, and a retry would end the same way.
const maxContent = zkconn.DefaultMaxRequest - 256

// pause waits for d; the error says why it did not.
func (c *Client) pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return c.conn.NoSession(context.Cause(ctx))
	case <-c.ctx.Done():
		return ErrClosed
	}
}

// Create creates the node at path with properties as SetProperties writes them, and its parents, empty,
// where they are missing. It returns when the server has answered or ctx ends, and meanwhile retries
// through lost connections. The error is a *PathError: zk.ErrNodeExists, for example. ErrUnknown is in it
// if the connection was lost, and a node is there that may be this call's or somebody else's.
func (c *Client) Create(ctx context.Context, path string, props map[string]any) error {
	data, err := encodeProperties(props)
	if err != nil {
		return &PathError{Op: "create", Path: path, Err: err}
	}
	_, err = c.createNode(ctx, path, &zk.CreateRequest{Data: data, Acl: c.acl}, true)
	return err
}

// createNode makes the node at path as request says, but for its path.
func (c *Client) createNode(ctx context.Context, path string, request *zk.CreateRequest, parents bool) (string, error) {
	w := &write{client: c, op: "create", path: path}
	if err := validatePath(path); err != nil {
		return "", w.fail(err)
	}
	request.Path = c.chroot.absolute(path)
	change, err := c.conn.NewChange(request)
	if err != nil {
		return "", w.fail(err)
	}
	made := request.Path
	w.send = func(ctx context.Context, zc *zk.Conn) error {
		if err := lookFirst(ctx, zc, change, w.change); err != nil {
			return err
		}
		r, err := w.try(ctx, zc, change)
		if parents && errors.Is(err, zk.ErrNoNode) {
			if err := makeParents(ctx, zc, request.Path, c.acl); err != nil {
				return err
			}
			r, err = w.try(ctx, zc, change)
		}
		if err == nil {
			made = r.Path
		}
		return err
	}
	w.look = func(ctx context.Context, zc *zk.Conn) (fate, error) {
		f, _, err := w.fateOf(ctx, zc, request)
		return f, err
	}
	if err := w.run(ctx); err != nil {
		return "", err
	}
	return c.chroot.relative(made), nil
}

// makeParents creates the nodes above path that are missing, from the top.
func makeParents(ctx context.Context, zc *zk.Conn, path string, acl []zk.ACL) error {
	for i := 1; i < len(path); i++ {
		if path[i] != '/' {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		_, err := zc.Create(path[:i], []byte{}, zk.FlagPersistent, acl)
		if err == nil || err == zk.ErrNodeExists {
			continue
		}
		// It may be there although it may not be created.
		if found, _, existsErr := exists(ctx, zc, path[:i]); existsErr != nil || !found {
			return fmt.Errorf("parent %s: %w", path[:i], err)
		}
	}
	return nil
}

// Delete deletes the node at path, which must have no children. It returns when the server has answered
// or ctx ends, and meanwhile retries through lost connections. The error is a *PathError: zk.ErrNoNode
// or zk.ErrNotEmpty, for example. ErrUnknown is in it if the connection was lost and the node is gone, which may be
// this call's doing or somebody else's.
func (c *Client) Delete(ctx context.Context, path string) error {
	_, err := c.change(ctx, "delete", path, &zk.DeleteRequest{Path: c.chroot.absolute(path), Version: AnyVersion})
	return err
}
