package zkstream

import (
	"bytes"
	"context"
	"errors"
	"strings"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// What the tree shows of a change whose answer was lost. See write.

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
		case op.Version == AnyVersion && bytes.Equal(data, op.Data):
			// It was set to this since. If somebody else did, nobody can see the difference, since no version was asked
			// for. Where one was, two may have set the same, and only one of them was let.
			return done, stat, nil
		case stat.Czxid <= since && op.Version != AnyVersion && stat.Version == op.Version+1 && !bytes.Equal(data, op.Data):
			// One set has found that version, and it was not this one. The next try is told so.
			return notDone, nil, nil
		}
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
