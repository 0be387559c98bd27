package registration

import (
	"bytes"
	"errors"
	"slices"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/calls"
	"github.com/zkstream/zkstream/internal/content"
	"github.com/zkstream/zkstream/internal/zkconn"
)

var errNoObject = errors.New("the content that WithContent gave is not a JSON object")

// update puts the properties of the updates that wait into the node, which is ours, in one transaction. An
// error of its own is that the outcome is not known, or that the node is not what it was taken for.
func (k *keeper) update(zc *zk.Conn) error {
	for {
		batch := k.takeUpdates()
		if len(batch) == 0 {
			return nil
		}
		err := k.replace(zc, batch)
		switch {
		case err == nil:
			k.answer(len(batch), nil)
		case k.replacement != nil || zkconn.Transient(err) || errors.Is(err, errNotAsSeen):
			return err
		case len(batch) > 1:
			k.singly, k.transaction = true, nil // so that only those are refused for which there is a reason
		default:
			k.Node.Log.Warn("zkstream: an update of a registration is refused", "error", err)
			k.answer(1, err)
		}
	}
}

// takeUpdates returns the updates that are to be sent together. Until they are answered they stay as they are.
func (k *keeper) takeUpdates() []*update {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := len(k.updates)
	switch {
	case n == 0:
		k.singly, k.tooLarge = false, nil
	case k.replacement != nil:
		n = k.underWay // it is to be found out whether these have been carried out
	case k.singly:
		n = 1
	}
	k.underWay = n
	return slices.Clone(k.updates[:n])
}

// answer returns err to the callers of the first n updates.
func (k *keeper) answer(n int, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, u := range k.updates[:n] {
		u.done <- err
	}
	k.updates = slices.Delete(k.updates, 0, n)
	k.underWay, k.transaction = 0, nil
}

// errNotAsSeen says that the node has changed since it was looked at.
var errNotAsSeen = errors.New("the node has changed meanwhile")

// replace deletes the node and creates it again with the properties of the updates merged into it.
func (k *keeper) replace(zc *zk.Conn, batch []*update) error {
	abs := k.Path()
	lost := k.replacement
	if lost != nil {
		if err := bringUpToDate(zc, abs); err != nil {
			return err
		}
	}
	current, stat, err := zc.Get(abs)
	if errors.Is(err, zk.ErrNoAuth) { // then what others have written cannot be kept
		current = k.content
		_, stat, err = k.metadata(zc, abs)
	}
	if errors.Is(err, zk.ErrNoNode) || err == nil && stat.EphemeralOwner != k.session {
		// Deleted since the last look, or the answer is of a server that is behind. No event has to follow, so
		// the keeper itself looks again.
		k.doubtful, k.lagging = true, true
		return errNotAsSeen
	}
	if err != nil {
		return zkconn.Named(err)
	}
	own, err := k.merge(k.content, batch)
	if err != nil {
		return err
	}
	k.replacement = nil
	switch {
	case lost != nil && stat.Czxid != k.replacedCzxid:
		// The transaction whose answer was lost has been carried out: nobody else makes nodes in this session.
		k.setContent(own)
		return nil
	case k.transaction != nil && k.transaction.TooLarge():
		k.tooLarge = k.transaction
		return calls.TooLarge(k.tooLarge)
	}
	merged, err := k.merge(current, batch)
	if err != nil {
		return err
	}
	if bytes.Equal(merged, current) {
		k.setContent(own)
		return nil
	}
	change, err := k.conn.NewTransaction(
		// The version keeps a change that somebody else makes at the same time from being lost.
		&zk.DeleteRequest{Path: abs, Version: stat.Version},
		&zk.CreateRequest{Path: abs, Data: merged, Acl: k.Node.ACL, Flags: zk.FlagEphemeral},
	)
	if err != nil {
		return err
	}
	// In a new session, too, for the reason that create gives.
	change.Continue(k.transaction)
	if k.tooLarge != nil && change.Size() >= k.tooLarge.Size() {
		// It would cost the same connections once more, and so would all the updates that wait behind it.
		change.Continue(k.tooLarge)
		return calls.TooLarge(change)
	}
	k.transaction = change
	_, err = k.send(change)
	switch {
	case err == nil:
		k.setContent(own)
	case change.Lost():
		k.replacement, k.replacedCzxid = change, stat.Czxid
		return err
	case errors.Is(err, zk.ErrBadVersion) || errors.Is(err, zk.ErrNoNode):
		k.doubtful = true
		return errNotAsSeen
	}
	return err
}

// setContent sets what the node is created with from now on.
func (k *keeper) setContent(content []byte) {
	k.content, k.creation, k.lastCreation = content, nil, nil
}

// merge puts the properties of the updates into a content.
func (k *keeper) merge(old []byte, batch []*update) ([]byte, error) {
	if _, isText := content.Parse(old).Text(); isText && k.Node.Raw {
		return nil, errNoObject
	}
	var err error
	for _, u := range batch {
		if old, err = content.Merge(old, u.props); err != nil {
			return nil, err
		}
	}
	return old, nil
}
