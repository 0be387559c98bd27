package zkstream

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/zkconn"
)

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
func (w *write) run(ctx context.Context) (err error) {
	if w.client.conn == nil {
		return w.fail(zkconn.ErrNoConn)
	}
	trace := w.client.trace
	defer trace.callEnded(ctx, w.op, w.path, trace.callBegins(), &err)
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
