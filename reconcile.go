package zkstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/calls"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// sessionWait is how long a step waits for a session that has gone just before it began.
const sessionWait = 10 * time.Millisecond

// A standing is whose a registration's node is, as its own last request has shown.
type standing int

const (
	unseen      standing = iota
	absent               // there is no node
	ours                 // of this session, created by this registration
	predecessor          // created by this registration in an earlier session, with which it goes
	foreign              // of somebody else
)

// standingOf tells whose a node is: in session, for a registration that may have created it in each of the
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

// A keeper keeps the node of a registration in place. It belongs to the registration's goroutine.
//
// It acts on what its own requests show, one after another in one session: a creation that succeeds, or a
// look at the node's owner. So it also serves a node whose events the server hides from a client that may
// not read it. The node's stream only says when to look again. The keeper rests when the node is ours, the
// stream shows the same, and everybody may read the node; else it looks now and then, with growing pauses.
type keeper struct {
	*Registration
	content  []byte         // that the node is to be created with
	creation *zkconn.Change // that creates it; nil when that is to be made anew
	sent     *zkconn.Change // the creation that was sent last, whose losses count on in the next session; or nil

	generation int64 // of the session that standing is about
	session    int64 // its ID
	standing   standing
	doubtful   bool    // standing may have changed
	lagging    bool    // the server may be behind: it has answered no write of ours in this session
	owners     []int64 // the sessions in which the node may have been created

	hints *Stream[*node] // on the node; nil until there is a path to watch
	hint  *node          // its newest snapshot; nil before

	singly      bool           // a batch of updates was refused: they are sent one by one, to see which it is
	transaction *zkconn.Change // the newest for the updates that wait, whose losses count on; or nil
	replacement *zkconn.Change // transaction, if its outcome is not known; or nil
	replaced    int64          // czxid of the node that it was to replace

	claimed    bool  // the path is ours among the registrations of the client; see claims
	createSent bool  // a sequence node is being created, and the outcome is not known
	first      int64 // number that it has at least, if the node above it is still the one that was
	parent     int64 // created by this zxid

	refused  bool // the last creation was refused
	failures int  // steps in a row that did not bring the keeper to rest
}

// run keeps the node in place until the registration ends, then removes it.
func (r *Registration) run(content []byte) {
	k := &keeper{Registration: r, content: content}
	reason := k.claim()
	if reason == nil {
		reason = k.keep()
		r.cancel(reason)
		k.withdraw()
		k.release()
	}
	r.mu.Lock()
	r.err = reason
	r.mu.Unlock()
	r.client.registrations[r.status.get()].Add(-1)
	r.client.registered.remove(r)
	r.status.finish(Withdrawn, reason)
	close(r.done)
}

// keep returns why the registration ends.
func (k *keeper) keep() error {
	sessions := k.client.Session(k.ctx)
	defer sessions.Close()
	defer k.unwatch()
	again := time.NewTimer(0) // the first step needs no event
	defer again.Stop()
	for {
		var hints <-chan *node
		if k.hints != nil {
			hints = k.hints.C()
		}
		select {
		case n, ok := <-hints:
			if !ok { // the end of all, which sessions tells, too; or the server shows nothing of the node now
				k.unwatch()
				again.Reset(zkconn.LookPauses.After(k.failures + 1))
				continue
			}
			k.hint = n
			if k.agrees() {
				if k.atRest() {
					k.failures = 0
					again.Stop()
				}
				continue
			}
			k.doubtful = true
		case _, ok := <-sessions.C():
			if !ok {
				return sessions.Err()
			}
		case <-k.wake:
		case <-again.C:
			k.doubtful = k.standing != absent
		}
		err, final := k.step()
		switch {
		case k.ctx.Err() != nil:
			return context.Cause(k.ctx)
		case k.client.ctx.Err() != nil:
			return ErrClosed
		case final:
			k.client.log.Error("zkstream: registration failed", "path", k.path, "error", err)
			return k.explain("register", err)
		}
		again.Stop()
		if k.atRest() && err == nil {
			k.failures = 0
		} else if k.client.conn.IsUp() { // else the next session event comes here
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
	return k.hint != nil && k.standing != unseen && k.standing == standingOf(k.hint.exists, k.hint.stat.EphemeralOwner, k.session, k.owners)
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
	return slices.ContainsFunc(k.acl, func(a zk.ACL) bool { return a.Scheme == "world" && a.Perms&zk.PermRead != 0 })
}

// watch opens the stream on the node.
func (k *keeper) watch() {
	if k.hints == nil && (!k.sequence || k.Path() != k.path) {
		k.hints = subscribe(k.ctx, k.client.supervisor, kindStat, k.Path(), func(n *node) *node { return n })
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
	conn := k.client.conn
	if !conn.IsUp() {
		if k.client.supervisor.sessions.get().State == Expired {
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
	case errors.Is(err, zk.ErrNoNode): // a parent has gone meanwhile
		return err, false
	}
	k.setStatus(Refused, err)
	return err, k.refused && !k.wasPlaced() && zkconn.Permanent(err)
}

// inSession calls fn in a session, which is then the one that standing is about: no other begins before fn
// returns. If there is none now, it does not wait for one.
func (k *keeper) inSession(fn func(zc *zk.Conn) error) error {
	conn := k.client.conn
	ctx, cancel := context.WithTimeout(k.ctx, sessionWait)
	defer cancel()
	called := false
	err := conn.Run(ctx, func(zc *zk.Conn) error {
		called = true
		if g := conn.Generation(); g != k.generation {
			if session := conn.SessionID(); session != k.session {
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
		// Nothing of ours can be there in this session. Whatever else is, a try to create the node tells, and
		// needs no read before: so a registration is back before all that is watched has been read again.
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

// look asks whose the node is.
func (k *keeper) look(zc *zk.Conn) error {
	abs := k.client.chroot.absolute(k.Path())
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
	found, stat, err = calls.Exists(k.client.ctx, zc, abs)
	if !errors.Is(err, zk.ErrNoAuth) {
		if !found {
			stat = &zk.Stat{}
		}
		return found, stat, err
	}
	own, err := k.client.conn.Ephemerals(k.client.ctx, abs)
	if err != nil {
		return false, nil, err
	}
	stat = &zk.Stat{EphemeralOwner: hidden, Version: AnyVersion}
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
	if k.sequence && k.standing != ours {
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
		if k.status.get() != Refused { // then it is refused as long as no answer says otherwise
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
	return "session " + hex(owner)
}

// create creates the node. If there is one already, it looks whose it is.
func (k *keeper) create(zc *zk.Conn) error {
	if k.sequence {
		if err := k.beginSequence(zc); err != nil {
			return err
		}
	}
	abs := k.client.chroot.absolute(k.path)
	if k.creation == nil {
		request := &zk.CreateRequest{Path: abs, Data: k.content, Acl: k.acl, Flags: zk.FlagEphemeral}
		if k.sequence {
			request.Flags |= zk.FlagSequence
		}
		var err error
		if k.creation, err = k.client.conn.NewChange(request); err != nil {
			k.creation, k.refused = nil, true
			return err
		}
		// The losses themselves may have cost the session, as pauses grow while no connection lasts. If each session
		// began to count anew, no number of connections would ever be enough.
		k.creation.Continue(k.sent)
		if err := calls.LookFirst(k.ctx, zc, k.creation); err != nil {
			return err
		}
	}
	if err := calls.TooLarge(k.creation); err != nil {
		k.refused, k.sent = true, nil // it is not sent again in this session
		return err
	}
	k.replacement, k.sent = nil, k.creation
	added := !slices.Contains(k.owners, k.session)
	if added {
		k.owners = append(k.owners, k.session)
	}
	made, err := k.client.conn.Send(k.ctx, zc, k.creation)
	if errors.Is(err, zk.ErrNoNode) {
		if err = k.client.calls.MakeParents(k.ctx, zc, abs); err == nil {
			made, err = k.client.conn.Send(k.ctx, zc, k.creation)
		}
	}
	if err == nil {
		k.lagging, k.doubtful = false, false
		if k.sequence {
			k.endSequence(k.client.chroot.relative(made.Path))
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
	if k.sequence {
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
