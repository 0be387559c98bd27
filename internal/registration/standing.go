package registration

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/calls"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// A standing is whose a registration's node is, as its own last request has shown.
type standing int

const (
	unseen      standing = iota
	absent               // there is no node
	ours                 // of this session, created by this registration
	predecessor          // created by this registration in an earlier session, with which it goes
	foreign              // of somebody else
)

// standingOf returns whose a node is: in session, for a registration that may have created it in each of the
// sessions mine. A node that is not ephemeral belongs to session 0, which is nobody's.
func standingOf(exists bool, owner, session int64, mine []int64) standing {
	switch {
	case !exists:
		return absent
	case owner == 0 || !slices.Contains(mine, owner):
		return foreign
	case owner != session:
		return predecessor
	}
	return ours
}

// look asks whose the node is.
func (k *keeper) look(zc *zk.Conn) error {
	abs := k.Path()
	if k.lagging && slices.Contains(k.owners, k.session) {
		if err := bringUpToDate(zc, abs); err != nil {
			return err
		}
	}
	if k.createSent {
		found, err := k.find(zc)
		if err != nil {
			return err
		}
		k.conclude(found, k.session)
	} else {
		found, stat, err := k.metadata(zc, abs)
		if err != nil {
			return err
		}
		k.conclude(found, stat.EphemeralOwner)
	}
	k.lagging, k.doubtful = false, false
	return nil
}

// hidden stands for the session that owns a node, where the server does not say more than that it is another.
const hidden = -1

// metadata reads a node's metadata. From ZooKeeper 3.8.4 and 3.9.2 on a server shows it only to who may read the
// node; but it names the nodes of the client's own session. Of such a node only the owner is given, and a version
// that stands for any.
func (k *keeper) metadata(zc *zk.Conn, abs string) (found bool, stat *zk.Stat, err error) {
	if k.registrar.Closing.Err() != nil {
		return false, nil, context.Cause(k.registrar.Closing)
	}
	found, stat, err = zc.Exists(abs)
	switch {
	case err == nil && found:
		return true, stat, nil
	case !errors.Is(err, zk.ErrNoAuth):
		return false, &zk.Stat{}, err
	}
	own, err := k.conn.Ephemerals(k.registrar.Closing, abs)
	if err != nil {
		return false, nil, err
	}
	stat = &zk.Stat{EphemeralOwner: hidden, Version: calls.AnyVersion}
	if slices.Contains(own, abs) {
		stat.EphemeralOwner = k.session
	}
	return true, stat, nil
}

// bringUpToDate has the server catch up with its leader. One that has no sync is taken as it is.
func bringUpToDate(zc *zk.Conn, abs string) error {
	if _, err := zc.Sync(abs); zkconn.Transient(zkconn.Named(err)) {
		return err
	}
	return nil
}

// conclude takes in what a request has shown of the node.
func (k *keeper) conclude(exists bool, owner int64) {
	k.standing = standingOf(exists, owner, k.session, k.owners)
	if k.Node.Sequence && k.standing != ours {
		k.standing = absent // a new one has another name
	}
	switch k.standing {
	case ours:
		k.owners = append(k.owners[:0], k.session) // what was created earlier has gone
		k.setStatus(Registered, nil)
		if !k.wasPlaced() {
			close(k.placed)
		}
	case foreign:
		k.setStatus(Conflict, fmt.Errorf("the node is held by %s", k.holder(owner)))
	case absent:
		if k.Status() != Refused { // then it is refused as long as no answer says otherwise
			k.setStatus(Pending, nil)
		}
	default:
		k.setStatus(Pending, nil)
	}
}

func (k *keeper) holder(owner int64) string {
	switch owner {
	case 0:
		return "nobody: it is not ephemeral"
	case k.session:
		return "this client's session, for something else"
	case hidden:
		return "another session, which the server does not name to this client"
	}
	return fmt.Sprintf("session 0x%x", uint64(owner))
}
