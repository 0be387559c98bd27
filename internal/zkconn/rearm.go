package zkconn

import "time"

// Watches are bound to a network connection. On the next one of the same session they are set again by
// SetWatches, which names a zxid: of each node that has changed since then the server sends an event at once.
//
// That zxid is Z. It must not be later than what the watches know, or a change is lost for ever. The server
// sends, on one connection, the events of all changes up to a zxid before any reply whose header names that
// zxid. So Z is the highest zxid in the header of a reply, taken after what came before the reply has been
// handled. It never comes from an event's header, nor from a connection on which watches are still being set
// again. Suppose it did:
//
//  1. Z is 100. The connection is lost, and node /b changes at 150.
//  2. On the next connection, SetWatches for /a is answered, "as of 200"; the one for /b is still on its way.
//  3. The connection is lost again. With Z at 200, the third connection asks for changes of /b since 200:
//     there are none, and the change at 150 is lost.
//
// Too small a Z does no harm: the node is read once more, and is the same as before.

// rearmBytes is how large a SetWatches may be. A server refuses what is larger than its jute.maxbuffer.
const rearmBytes = 128 << 10

// attach takes up work on a connection that the server has accepted. It is called before anything is received
// there, by the goroutine that receives.
func (w *wire) attach(resumed bool) {
	c, r := w.conn, w.own
	again := r.table.Attached(resumed && r.setWatches)
	r.mu.Lock()
	for _, p := range again.split(rearmBytes) {
		r.armLocked(p, c.rearmZxid, forRearm, nil)
	}
	r.attached = true
	// In the first session nothing had been seen before it, so that no server can be behind that. In a later one the
	// server must catch up first. That it is resumed is not enough: if nothing was heard on its first connection, it
	// names no zxid, and so the next server may be one that lags.
	generation := c.generation.Load()
	r.synced = generation == 1 || generation == c.syncedGeneration
	r.mu.Unlock()
	c.own.Store(r)
}

// split cuts p into parts of at most most bytes, or of one path.
func (p Paths) split(most int) []Paths {
	if p.length == 0 {
		return nil
	}
	var parts []Paths
	var part Paths
	add := func(list []string, to func(*Paths) *[]string) {
		for _, path := range list {
			if part.length > 0 && part.length+4+len(path) > most {
				parts = append(parts, part)
				part = Paths{}
			}
			l := to(&part)
			*l = append(*l, path)
			part.length += 4 + len(path)
		}
	}
	add(p.Data, func(p *Paths) *[]string { return &p.Data })
	add(p.Exist, func(p *Paths) *[]string { return &p.Exist })
	add(p.Child, func(p *Paths) *[]string { return &p.Child })
	return append(parts, part)
}

// handled notes that a reply has been handled, whose header has named zxid, and whose request was sent then.
func (w *wire) handled(zxid int64, sent time.Time) {
	c := w.conn
	w.heard = true
	c.lastAnswered.Store(int64(sent.Sub(c.opened)))
	c.zxid.Store(max(c.zxid.Load(), zxid)) // only here, and by one goroutine at a time; errors without a zxid have -1
	if w.own.rearmed() {
		c.rearmZxid = max(c.rearmZxid, zxid)
	}
}
