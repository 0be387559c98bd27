package registration

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/calls"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// How a registration with WithSequence makes its node, and finds it again when the answer is lost.
//
// The node's name is not known then, so it is looked for: a child with the registration's name and a number
// that was free before, of the same session, with the same content. No other registration of the client can have
// made it: only one at a time creates a node of that name, and the next one waits until its outcome is known.
// So those of the others were there before.

// errNoTurn says that a sequence node may not be created before the others of its name.
var errNoTurn = errors.New("another registration is creating a node of that name")

// claim waits until the keeper may create its node: until no other registration of the client has it, or with
// a sequence, until none is creating one of that name. It returns why the registration ends, if it ends
// meanwhile.
func (k *keeper) claim() error {
	for {
		released := k.registrar.claims.try(k.Node.Path)
		if released == nil {
			k.claimed = true
			return nil
		}
		if !k.Node.Sequence {
			k.setStatus(Conflict, errors.New("the node is held by another registration of this client"))
		}
		select {
		case <-released:
		case <-k.ctx.Done():
			return context.Cause(k.ctx)
		case <-k.registrar.Closing.Done():
			return zkconn.ErrClosed
		}
	}
}

func (k *keeper) release() {
	if k.claimed {
		k.registrar.claims.release(k.Node.Path)
	}
	k.claimed = false
}

// beginSequence prepares the creation of a sequence node: it notes the first number that the node may get. A
// server numbers the children of a node by a count of creations, which follows from the node's metadata:
// its Cversion counts each creation twice and takes off the children that there are.
func (k *keeper) beginSequence(zc *zk.Conn) error {
	if !k.claimed {
		return errNoTurn
	}
	exists, stat, err := zc.Exists(calls.Parent(k.Node.Path))
	if err != nil {
		return err
	}
	k.firstNumber, k.parentCzxid = 0, 0
	if exists {
		k.firstNumber, k.parentCzxid = (int64(stat.Cversion)+int64(stat.NumChildren))/2, stat.Czxid
	}
	k.createSent = true
	return nil
}

// endSequence notes the outcome of a creation: the path of the node, as the user names it, or "" if there is none.
func (k *keeper) endSequence(path string) {
	k.createSent = false
	if path != "" {
		k.unwatch()
		k.mu.Lock()
		k.nodePath = path
		k.mu.Unlock()
	}
	k.release()
}

// find looks for the node that a creation has made whose answer was lost, on a server that is not behind, and
// reports whether there is one.
func (k *keeper) find(zc *zk.Conn) (bool, error) {
	abs := k.Node.Path
	parent := calls.Parent(abs)
	names, stat, err := zc.Children(parent)
	switch {
	case errors.Is(err, zk.ErrNoNode):
	case err != nil:
		return false, err
	case stat.Czxid != k.parentCzxid:
		k.firstNumber = 0 // it has been deleted and created again, and counts anew
	}
	for _, name := range names {
		digits, ok := strings.CutPrefix(strings.TrimSuffix(parent, "/")+"/"+name, abs)
		if !ok || len(digits) < 10 {
			continue
		}
		if number, err := strconv.ParseInt(digits, 10, 64); err != nil || number >= 0 && number < k.firstNumber {
			continue // of another name that begins alike, or there before; numbers turn negative after 2^31
		}
		data, stat, err := zc.Get(abs + digits)
		if errors.Is(err, zk.ErrNoAuth) {
			data = k.content
			_, stat, err = k.metadata(zc, abs+digits)
		}
		switch {
		case errors.Is(err, zk.ErrNoNode):
		case err != nil:
			return false, err
		case stat.EphemeralOwner == k.session && bytes.Equal(data, k.content):
			k.endSequence(abs + digits)
			return true, nil
		}
	}
	k.endSequence("")
	return false, nil
}
