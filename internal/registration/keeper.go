package registration

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// sessionWait is how long a step waits for a session that has gone just before it began.
const sessionWait = 10 * time.Millisecond

// A keeper keeps the node of a registration in place. It belongs to the registration's goroutine.
//
// It acts on what its own requests show, one after another in one session: a creation that succeeds, or a
// look at the node's owner. So it also serves a node whose events the server hides from a client that may
// not read it. The node's stream only says when to look again. The keeper rests when the node is ours, the
// stream shows the same, and everybody may read the node; else it looks now and then, with growing pauses.
type keeper struct {
	*Registration
	conn         *zkconn.Conn
	content      []byte         // that the node is to be created with
	creation     *zkconn.Change // that creates it; nil when that is to be made anew
	lastCreation *zkconn.Change // the creation that was sent last, whose losses count on in the next session; or nil

	generation int64 // of the session that standing is about
	session    int64 // its ID
	standing   standing
	doubtful   bool    // standing may have changed
	lagging    bool    // the server may be behind: it has answered no write of ours in this session
	owners     []int64 // the sessions in which the node may have been created

	hints Stream    // on the node; nil until there is a path to watch
	hint  *Presence // its newest snapshot; nil before

	singly        bool           // a batch of updates was refused: they are sent one by one, to see which it is
	transaction   *zkconn.Change // the newest for the updates that wait, whose losses count on; or nil
	tooLarge      *zkconn.Change // the smallest for the updates that wait that the server does not take; or nil
	replacement   *zkconn.Change // transaction, if its outcome is not known; or nil
	replacedCzxid int64          // czxid of the node that it was to replace

	claimed     bool  // the path is ours among the registrations of the client; see claims
	createSent  bool  // a sequence node is being created, and the outcome is not known
	firstNumber int64 // number that it has at least, if the node above it is still the one that was
	parentCzxid int64 // created by this zxid

	refused  bool // the last creation was refused
	failures int  // steps in a row that did not bring the keeper to rest
}

// keep returns why the registration ends.
func (k *keeper) keep() error {
	defer k.unwatch()
	again := time.NewTimer(0) // the first step needs no event
	defer again.Stop()
	for {
		var hints <-chan Presence
		if k.hints != nil {
			hints = k.hints.C()
		}
		select {
		case p, ok := <-hints:
			if !ok { // the client closes, or the server shows nothing of the node now
				k.unwatch()
				again.Reset(zkconn.LookPauses.After(k.failures + 1))
				continue
			}
			k.hint = &p
			if k.agrees() {
				if k.atRest() {
					k.failures = 0
					again.Stop()
				}
				continue
			}
			k.doubtful = true
		case <-k.ctx.Done():
			return context.Cause(k.ctx)
		case <-k.registrar.Closing.Done():
			return zkconn.ErrClosed
		case <-k.wake:
		case <-again.C:
			k.doubtful = k.standing != absent
		}
		err, final := k.step()
		switch {
		case k.ctx.Err() != nil:
			return context.Cause(k.ctx)
		case k.registrar.Closing.Err() != nil:
			return zkconn.ErrClosed
		case final:
			k.Node.Log.Error("zkstream: registration failed", "error", err)
			return err
		}
		again.Stop()
		if k.atRest() && err == nil {
			k.failures = 0
		} else if k.conn.IsUp() { // else the next session event comes here
			k.failures++
			pauses := zkconn.RegistrationPauses
			if err == nil {
				pauses = zkconn.LookPauses
			}
			again.Reset(pauses.After(k.failures))
		}
	}
}

// agrees reports whether the stream shows what the keeper knows.
func (k *keeper) agrees() bool {
	return k.hint != nil && k.standing != unseen && k.standing == standingOf(k.hint.Exists, k.hint.Owner, k.session, k.owners)
}

// atRest reports whether there is nothing to do until something happens.
func (k *keeper) atRest() bool {
	k.mu.Lock()
	waiting := len(k.updates)
	k.mu.Unlock()
	return k.standing == ours && !k.doubtful && k.agrees() && k.isPublic() && waiting == 0
}

// isPublic reports whether everybody may read the node. If not, the server may hide its events from this client.
func (k *keeper) isPublic() bool {
	return slices.ContainsFunc(k.Node.ACL, func(a zk.ACL) bool { return a.Scheme == "world" && a.Perms&zk.PermRead != 0 })
}

// watch opens the stream on the node.
func (k *keeper) watch() {
	if k.hints == nil && (!k.Node.Sequence || k.Path() != k.Node.Path) {
		k.hints = k.registrar.Watch(k.ctx, k.Path())
	}
}

func (k *keeper) unwatch() {
	if k.hints != nil {
		k.hints.Close()
	}
	k.hints, k.hint = nil, nil
}

// step does what can be done now. A final error ends the registration.
func (k *keeper) step() (err error, final bool) {
	if !k.conn.IsUp() {
		if k.registrar.expired.Load() {
			k.standing = unseen
			k.setStatus(Pending, nil)
		}
		return zkconn.ErrDown, false
	}
	for {
		err = k.inSession(k.advance)
		if !errors.Is(err, errNoTurn) {
			break
		}
		if err := k.claim(); err != nil { // waits, so not within inSession
			return err, false
		}
	}
	switch {
	case err == nil || k.ctx.Err() != nil || errors.Is(err, errNotAsSeen):
		return err, false
	case zkconn.Transient(err) && !zkconn.ServerFailed(err): // the connection was lost, or the server has too much to do
		return err, false
	case k.standing == ours: // a look failed, and there is no sign that the node is gone
		return err, false
	case errors.Is(err, zk.ErrNoNode) && !k.Node.NoParents: // a parent has gone meanwhile
		return err, false
	}
	k.setStatus(Refused, err)
	final = zkconn.Permanent(err) || errors.Is(err, zk.ErrNoNode)
	return err, k.refused && !k.wasPlaced() && final
}

// inSession calls fn in a session, which is then the one that standing is about: no other begins before fn
// returns. If there is none now, it does not wait for one.
func (k *keeper) inSession(fn func(zc *zk.Conn) error) error {
	ctx, cancel := context.WithTimeout(k.ctx, sessionWait)
	defer cancel()
	called := false
	err := k.conn.Run(ctx, func(zc *zk.Conn) error {
		called = true
		if g := k.conn.Generation(); g != k.generation {
			if session := k.conn.SessionID(); session != k.session {
				k.session, k.replacement = session, nil
			}
			k.generation, k.creation, k.failures = g, nil, 0
			k.standing, k.doubtful, k.lagging = unseen, false, true
		}
		return fn(zc)
	})
	if !called && ctx.Err() != nil {
		return zkconn.ErrDown
	}
	return err
}

// wasPlaced reports whether the node has ever been in place.
func (k *keeper) wasPlaced() bool {
	select {
	case <-k.placed:
		return true
	default:
		return false
	}
}

// advance brings the node closer to what it should be, in the session that standing is about.
func (k *keeper) advance(zc *zk.Conn) error {
	k.refused = false
	if k.standing == unseen && !slices.Contains(k.owners, k.session) {
		// Nothing of ours can be there in this session. If somebody else's node is, the creation is refused, so no read
		// is needed first. Thus a registration is back before all that is watched has been read again.
		k.standing, k.doubtful, k.createSent = absent, false, false
		k.setStatus(Pending, nil)
	}
	if k.standing == unseen || k.doubtful {
		if err := k.look(zc); err != nil {
			return err
		}
	}
	if k.standing == absent {
		if err := k.create(zc); err != nil {
			return err
		}
	}
	k.watch()
	switch k.standing {
	case absent:
		return zk.ErrNoNode // it has gone between the requests of create
	case ours:
		return k.update(zc)
	}
	return nil
}
