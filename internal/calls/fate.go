package calls

import (
	"bytes"
	"context"
	"errors"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// This file reads off the tree what became of an operation whose answer was lost. See write.

// fateOf is what the metadata and the content say of an operation.
func (w *write) fateOf(ctx context.Context, op any) (fate, *zk.Stat, error) {
	since := w.change.Since()
	if same, err := w.caller.untouched(ctx, op, since); err != nil || same {
		return notDone, nil, err
	}
	switch op := op.(type) {
	case *zk.SetDataRequest:
		data, stat, err := w.caller.get(ctx, op.Path)
		switch {
		case err != nil:
			return unknown, nil, unlessMissing(err)
		case op.Version == AnyVersion && bytes.Equal(data, op.Data):
			// It was set to this since. If somebody else did, nobody can see the difference, since no version was asked
			// for. Where one was, two may have set the same, and only one of them was let.
			return done, stat, nil
		case stat.Czxid <= since && op.Version != AnyVersion && stat.Version == op.Version+1 && !bytes.Equal(data, op.Data):
			// One set has found that version, and it was not this one. The next try is refused for that.
			return notDone, nil, nil
		}
	case *zk.CreateRequest:
		if op.Flags != zk.FlagEphemeral {
			break // anybody may have made it
		}
		data, stat, err := w.caller.get(ctx, op.Path)
		owner := w.change.Owner()
		switch {
		case err != nil:
			return unknown, nil, unlessMissing(err)
		case stat.EphemeralOwner == owner && owner == w.caller.conn.SessionID() && stat.Czxid > since && bytes.Equal(data, op.Data):
			return done, stat, nil
		}
	}
	return unknown, nil, nil
}

// fateOfUpdate is what a node's content and metadata say of an update that set it to wrote, when it had the metadata
// before.
func fateOfUpdate(data []byte, stat *zk.Stat, wrote []byte, before *zk.Stat, edit func([]byte) ([]byte, error)) fate {
	switch {
	case stat.Czxid != before.Czxid:
		return unknown
	case stat.Version == before.Version:
		return notDone
	case bytes.Equal(data, wrote):
		return done // if somebody else has written the same, nobody can see the difference
	case stat.Version == before.Version+1:
		return notDone // somebody else's change was faster
	}
	// Others have changed it since. If all of this update is there still, it was carried out, or there is no difference.
	if again, err := edit(data); err == nil && bytes.Equal(again, data) {
		return done
	}
	return unknown
}

// unlessMissing returns err, or nil if it says that there is no node.
func unlessMissing(err error) error {
	if errors.Is(err, zk.ErrNoNode) {
		return nil
	}
	return err
}

// untouched reports whether the metadata show that op was not carried out after the zxid since: whatever it would have
// changed has not been changed from then on, or a version shows it.
func (c *Caller) untouched(ctx context.Context, op any, since int64) (bool, error) {
	path, flags := zkconn.PathOf(op), int32(0)
	switch op := op.(type) {
	case *zk.CheckVersionRequest:
		return false, nil // it changes nothing that could be seen
	case *zk.CreateRequest:
		flags = op.Flags
	case *zk.CreateTTLRequest:
		flags = op.Flags
	}
	if flags&zk.FlagSequence != 0 {
		return c.absentSince(ctx, path, since) // its name is not known, but the parent shows any child that has come
	}
	found, stat, err := c.exists(ctx, path)
	switch {
	case err != nil:
		return false, err
	case !found:
		return c.absentSince(ctx, path, since)
	}
	sameNode := stat.Czxid <= since
	switch op := op.(type) {
	case *zk.SetDataRequest:
		return stat.Mzxid <= since || sameNode && op.Version != AnyVersion && stat.Version <= op.Version, nil
	case *zkconn.SetACL: // a change of the ACL moves no zxid of the node
		return sameNode && op.Version != AnyVersion && stat.Aversion <= op.Version, nil
	}
	// A creation has not made a node that was there before, and a deletion has not deleted one that is there still. A
	// node that has come since may have been made by somebody who found it deleted.
	return sameNode, nil
}

// absentSince reports whether a node that does not exist did not exist at any time after the zxid since. A
// parent's pzxid grows with each creation and deletion of a child; those of the parent show in its own parent.
func (c *Caller) absentSince(ctx context.Context, path string, since int64) (bool, error) {
	for path != "/" {
		path = Parent(path)
		found, stat, err := c.exists(ctx, path)
		if err != nil || found {
			return found && stat.Pzxid <= since, err
		}
	}
	return false, nil
}
