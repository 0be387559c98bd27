package registration

import (
	"errors"
	"slices"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// withdraw deletes the node if it is ours. It waits for a connection, unless the client closes.
func (k *keeper) withdraw() {
	for failures := 0; len(k.owners) > 0; { // else nothing has been created
		err := k.conn.Run(k.registrar.Closing, func(zc *zk.Conn) error {
			k.session = k.conn.SessionID()
			if !slices.Contains(k.owners, k.session) {
				return nil // what was created goes with an earlier session
			}
			return k.remove(zc)
		})
		if err == nil || k.registrar.Closing.Err() != nil { // else it goes with the session
			return
		}
		failures++
		if zkconn.Final(err) {
			k.Node.Log.Error("zkstream: withdrawal failed", "error", err)
			k.withdrawErr = err
			return
		}
		if k.registrar.Calls.Pause(k.registrar.Closing, zkconn.RegistrationPauses.After(failures)) != nil {
			return
		}
	}
}

// remove deletes the node, if it is of the session k.session.
func (k *keeper) remove(zc *zk.Conn) error {
	abs := k.Node.Path
	if k.createSent {
		if err := bringUpToDate(zc, abs); err != nil {
			return err
		}
		if found, err := k.find(zc); err != nil || !found {
			return err
		}
	}
	abs = k.Path()
	for synced := false; ; synced = true {
		found, stat, err := k.metadata(zc, abs)
		switch {
		case err != nil:
			return err
		case standingOf(found, stat.EphemeralOwner, k.session, k.owners) == ours:
			err = zc.Delete(abs, stat.Version)
			if errors.Is(err, zk.ErrNoNode) {
				err = nil
			}
			return err // or bad version: somebody has changed it, so it is looked at again
		case synced:
			return nil
		}
		// The server may lag behind the one that made the node, if nothing has been heard in this session yet.
		// Then it does not show our node, or still shows that of our last session, or of somebody else.
		if err := bringUpToDate(zc, abs); err != nil {
			return err
		}
	}
}
