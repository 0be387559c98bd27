package calls

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// ErrUnknown is inside the error of a write that was sent and not answered, if the tree does not show whether it was
// carried out.
var ErrUnknown = errors.New("nobody can know whether it was carried out")

// A write carries out one change of the tree, and finds out what has become of it.
//
// An answer settles it: the change was carried out, or was not. If the connection was lost before the request was sent, it was
// not, and it is sent again. That leaves the request that was sent and never answered. Sending it again could do harm. It
// may have been carried out, and somebody may have changed the node since; a second try would undo that.
//
// So the write waits until the session is attached to a server again, and sends a sync on the new connection. When that is
// answered, the lost request has been carried out or never will be. A server that takes a session over closes the
// session's old connection first. Requests of it that another server still holds are refused by the leader (SessionMoved).
// And the sync is answered after everything that the leader took before it. Now the write reads the tree, and compares it
// with [zkconn.Change.Since], a zxid that was committed before the request was sent:
//
//   - Nothing that the change would have done has been done to its node since: it was not carried out, and
//     is sent again, if the caller still waits.
//   - What is there can only be the change's doing: it was carried out.
//   - Anything else: ErrUnknown. So, too, if the session has expired since: the ensemble may be one that has lost
//     its data, and begun to count zxids anew.
type write struct {
	caller *Caller
	path   string // to sync, and whose node is read

	// send makes one try, by calling try. ctx is that of run.
	send func(ctx context.Context) error
	// look reads what became of the try that was lost. The server has synced.
	look func(ctx context.Context) (fate, error)

	change *zkconn.Change // that was tried last
	lost   bool           // the latest try may have been carried out although it failed
}

// fate is what became of a try whose answer was lost.
type fate int

const (
	unknown fate = iota
	notDone
	done
)

// lookFirstSize is the size in bytes of the changes for which LookFirst asks. Requests that are too large for a server are
// among these, and the round trip is little beside what it takes to send and store them.
const lookFirstSize = 16 << 10

// errConflict has a try begin anew, with what is there now.
var errConflict = errors.New("somebody else's change was faster")

// run returns nil if the change was carried out; an error inside which ErrUnknown is if nobody can know; and
// otherwise an error of a change that was not carried out.
func (w *write) run(ctx context.Context) error {
	conn := w.caller.conn
	serverFailures := 0
	for failures := 1; ; failures++ {
		w.lost = false
		err := conn.Do(ctx, func() error { return w.send(ctx) })
		if err == nil {
			return nil
		}
		if zkconn.ServerFailed(err) {
			serverFailures++
		} else {
			serverFailures = 0
		}
		pauses := zkconn.CallPauses
		if errors.Is(err, errConflict) {
			pauses = zkconn.ConflictPauses
		}
		again := serverFailures < maxServerFailures && (w.lost || zkconn.Transient(err) || errors.Is(err, errConflict))
		var endErr error
		if again {
			endErr = w.caller.retryAfter(ctx, pauses.After(failures))
		}
		switch {
		case !w.lost && !again:
			return err
		case !w.lost && endErr != nil:
			return fmt.Errorf("%w (the last try: %v)", endErr, err)
		case !w.lost:
			continue
		case !again:
			return isUnknown(err)
		case endErr != nil:
			return isUnknown(endErr)
		}
		switch fate, endErr := w.resolve(ctx, failures); {
		case endErr != nil:
			return isUnknown(endErr)
		case fate == done:
			return nil
		case fate == unknown:
			return isUnknown(err)
		}
		if err := TooLarge(w.change); err != nil {
			return err
		}
	}
}

// resolve returns what became of the try that was lost, which was the last of so many that failed in a row.
func (w *write) resolve(ctx context.Context, failures int) (fate, error) {
	for ; ; failures++ {
		var f fate
		err := w.caller.conn.Do(ctx, func() (err error) {
			f, err = w.settle(ctx)
			return err
		})
		switch {
		case err == nil:
			return f, nil
		case !zkconn.Transient(err):
			return unknown, err
		}
		if err := w.caller.retryAfter(ctx, zkconn.CallPauses.After(failures)); err != nil {
			return unknown, err
		}
	}
}

// settle reads what became of the try that was lost.
func (w *write) settle(ctx context.Context) (fate, error) {
	if err := w.caller.conn.Sync(ctx, w.path); err != nil {
		return unknown, err
	}
	if !w.caller.conn.SameHistory(w.change) {
		return unknown, nil
	}
	return w.look(ctx)
}

// try sends change, unless ctx has ended.
func (w *write) try(ctx context.Context, change *zkconn.Change) (zkconn.Result, error) {
	w.change = change
	r, err := w.caller.conn.Send(ctx, change)
	w.lost = change.Lost()
	return r, err
}

// first is LookFirst before the first try of change.
func (w *write) first(ctx context.Context, change *zkconn.Change) error {
	if w.change != nil {
		return nil
	}
	return w.caller.LookFirst(ctx, change)
}

func isUnknown(why error) error { return fmt.Errorf("%w: %w", ErrUnknown, why) }

// LookFirst has the server name its newest zxid before the first try of a large change. Without a zxid from before it, the
// tree cannot show afterwards what became of a try.
func (c *Caller) LookFirst(ctx context.Context, change *zkconn.Change) error {
	if change.Size() < lookFirstSize {
		return nil
	}
	_, _, err := c.exists(ctx, "/")
	return err
}

// TooLarge returns an error if change is not to be sent again, since each try costs everybody the connection:
// see [zkconn.Change.TooLarge].
func TooLarge(change *zkconn.Change) error {
	if !change.TooLarge() {
		return nil
	}
	return fmt.Errorf("the connection ended with each try of a request of %d bytes, and worked otherwise: %w",
		change.Size(), zkconn.ErrTooLarge)
}

// Write carries out a change that is one operation.
func (c *Caller) Write(ctx context.Context, change *zkconn.Change) (zkconn.Result, error) {
	op := change.Operations()[0]
	w := &write{caller: c, path: zkconn.PathOf(op)}
	var result zkconn.Result
	w.send = func(ctx context.Context) error {
		err := w.first(ctx, change)
		if err == nil {
			result, err = w.try(ctx, change)
		}
		return err
	}
	w.look = func(ctx context.Context) (f fate, err error) {
		f, result.Stat, err = w.fateOf(ctx, op)
		return f, err
	}
	if err := w.run(ctx); err != nil {
		return zkconn.Result{}, err
	}
	return result, nil
}

// Transact carries out a change that is a transaction. If the server refuses it, the responses say why, beside the error.
func (c *Caller) Transact(ctx context.Context, change *zkconn.Change) ([]zk.MultiResponse, error) {
	w := &write{caller: c, path: zkconn.PathOf(change.Operations()[0])}
	var responses []zk.MultiResponse
	w.send = func(ctx context.Context) error {
		if err := w.first(ctx, change); err != nil {
			return err
		}
		r, err := w.try(ctx, change)
		responses = r.Responses
		return err
	}
	w.look = func(ctx context.Context) (fate, error) {
		for _, op := range change.Operations() {
			if same, err := c.untouched(ctx, op, w.change.Since()); err != nil || same {
				return notDone, err
			}
		}
		return unknown, nil
	}
	err := w.run(ctx)
	if errors.Is(err, ErrUnknown) {
		return nil, err
	}
	return responses, err
}

// errNewNode is the error of an update that was carried out.
var errNewNode = errors.New("the node was deleted and created anew while it was updated: what it had since then is overwritten")

// Update replaces the content of the node at path by edit of it. If somebody else changes the node in between, it is
// read and edited again. edit must change nothing in what it has made itself.
func (c *Caller) Update(ctx context.Context, path string, edit func(content []byte) ([]byte, error)) error {
	w := &write{caller: c, path: path}
	var before *zk.Stat // of the latest try, and what it wrote
	var wrote []byte
	w.send = func(ctx context.Context) error {
		old, stat, err := c.get(ctx, path)
		if err != nil {
			return err
		}
		data, err := edit(old)
		if err != nil {
			return err
		}
		change, err := c.conn.NewChange(&zk.SetDataRequest{Path: path, Data: data, Version: stat.Version})
		if err != nil {
			return err
		}
		change.Continue(w.change)
		before, wrote = stat, data
		r, err := w.try(ctx, change)
		switch {
		case errors.Is(err, zk.ErrBadVersion):
			w.caller.conflicts.Add(1)
			return errConflict
		case err == nil && r.Stat.Czxid != stat.Czxid:
			return errNewNode
		}
		return err
	}
	w.look = func(ctx context.Context) (fate, error) {
		data, stat, err := c.get(ctx, path)
		if err != nil {
			return unknown, unlessMissing(err)
		}
		return fateOfUpdate(data, stat, wrote, before, edit), nil
	}
	return w.run(ctx)
}
