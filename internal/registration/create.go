package registration

import (
	"context"
	"errors"
	"slices"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/calls"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// create creates the node. If there is one already, it looks whose it is.
func (k *keeper) create(zc *zk.Conn) error {
	if k.Node.Sequence {
		if err := k.beginSequence(zc); err != nil {
			return err
		}
	}
	abs := k.Node.Path
	if k.creation == nil {
		request := &zk.CreateRequest{Path: abs, Data: k.content, Acl: k.Node.ACL, Flags: zk.FlagEphemeral}
		if k.Node.Sequence {
			request.Flags |= zk.FlagSequence
		}
		var err error
		if k.creation, err = k.conn.NewChange(request); err != nil {
			k.creation, k.refused = nil, true
			return err
		}
		// The losses themselves may have cost the session, as pauses grow while no connection lasts. If each session
		// began to count anew, no number of connections would ever be enough.
		k.creation.Continue(k.lastCreation)
		if err := k.registrar.Calls.LookFirst(k.ctx, k.creation); err != nil {
			return err
		}
	}
	if err := calls.TooLarge(k.creation); err != nil {
		k.refused, k.lastCreation = true, nil // it is not sent again in this session
		return err
	}
	k.replacement, k.lastCreation = nil, k.creation
	added := !slices.Contains(k.owners, k.session)
	if added {
		k.owners = append(k.owners, k.session)
	}
	made, err := k.send(k.creation)
	if errors.Is(err, zk.ErrNoNode) && !k.Node.NoParents {
		if err = k.registrar.Calls.MakeParents(k.ctx, abs); err == nil {
			made, err = k.send(k.creation)
		}
	}
	if err == nil {
		k.lagging, k.doubtful = false, false
		if k.Node.Sequence {
			k.endSequence(made.Path)
		}
		k.conclude(true, k.session)
		return nil
	}
	if k.creation.Lost() {
		k.standing, k.lagging = unseen, true
		return err
	}
	if added {
		k.owners = k.owners[:len(k.owners)-1]
	}
	if k.Node.Sequence {
		k.endSequence("")
	}
	if !errors.Is(err, zk.ErrNodeExists) {
		k.refused = true
		return err
	}
	// The server that has answered so has seen the node.
	k.lagging = false
	return k.look(zc)
}

// send makes one try of a change, unless the registration has ended. It waits for the answer even if the registration ends
// meanwhile, since the withdrawal has to know what there is.
func (k *keeper) send(change *zkconn.Change) (zkconn.Result, error) {
	if k.ctx.Err() != nil {
		return zkconn.Result{}, context.Cause(k.ctx)
	}
	return k.conn.Send(context.WithoutCancel(k.ctx), change)
}
