package zkconn

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// firstXid is the xid of the first request of zkconn's own on a connection. The next ones count down. A server
// echoes a negative xid as it is; from -8 up they have a meaning. go-zookeeper's own are positive.
const firstXid = -1001

// How much may be asked for at once, so that other calls on the connection do not wait behind it, and what
// is unanswered fits into the socket's buffers.
const (
	maxBatch    = 128        // watches in one multiRead
	maxWatches  = 256        // watches whose answers are awaited
	maxExpected = 1024 << 10 // bytes that these answers are expected to have
	maxRemovals = 256        // watches that are being taken back
	batchBytes  = 64 << 10   // bytes that the answer of one multiRead is expected to have
	largeNode   = 32 << 10   // a node of this size is read alone
	fewWatches  = 3          // up to this, each is read alone if nothing else is read: it takes one request, where a batch takes two

	// While so many reads have no answer yet, only full batches are sent: the next answer brings us back, and
	// until then more may have become stale.
	eagerReads = 4
)

// purpose is what a request of zkconn's own is for.
type purpose uint8

const (
	forRead    purpose = iota // of one watch; it sets the watch
	forExists                 // of one watch whose node is missing, where SetWatches is not known
	forBatch                  // of many watches, by multiRead
	forArm                    // SetWatches of what has been read without
	forRearm                  // SetWatches of what was armed on the connection before
	forRecheck                // SetWatches of what has been quiet for a while
	forSync
	forRemoval // removeWatches; nobody waits for the answer
	forCaller  // who waits for the answer: see ask.go
)

// ownRequest is a request of zkconn's own without an answer yet.
type ownRequest struct {
	xid      int32
	op       int32
	purpose  purpose
	watches  []Watch
	size     int // bytes
	expected int // bytes of the answer
	sentAt   time.Time

	// forCaller: answer decodes the answer, in the goroutine that receives, and does not wait. Then done is closed.
	answer func(zxid int64, code int32, b *body)
	done   chan struct{}
}

// requests are zkconn's own requests on one network connection: beside go-zookeeper's, which knows nothing of
// them. They are answered in the order in which they were sent.
//
// mu may be held while the Table's lock is taken, never the other way round.
type requests struct {
	wire  *wire
	table Table
	max   int // reads at once

	mu sync.Mutex // guards what follows
	abilities
	attached bool         // the table has been asked what is to be set again
	settled  bool         // that has been done
	synced   bool         // the server is as new as all that has been seen
	syncing  bool         // it has been asked to become so
	ended    bool         // nothing more is sent
	lastXid  int32        // of the newest request
	waiting  []ownRequest // for an answer, oldest first
	reads    int          // of waiting, for forRead, forExists and forBatch
	watches  int          // in them
	expected int          // bytes of their answers
	rearms   int          // of waiting, for forRearm
	removals int          // of waiting, for forRemoval
	callers  int          // of waiting, for forCaller
	typical  int          // bytes of an answer for one watch, as seen lately
	sized    bool         // which is no guess any more
	out      packet       // not sent yet
	unsent   int          // of waiting, the newest ones, which are in out
	syncs    int          // that have failed
}

// abilities are what a server can do.
type abilities struct {
	multiRead  bool // from ZooKeeper 3.6; also removeWatches, which 3.5 has, too
	setWatches bool // every ZooKeeper; not each ClickHouse Keeper
}

func newRequests(w *wire) *requests {
	return &requests{wire: w, table: w.conn.table, max: w.conn.cfg.MaxReads, lastXid: firstXid + 1, typical: batchBytes / 16}
}

// end ends the sending of requests. After that the table is not asked any more.
func (r *requests) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
}

// pump asks for what is stale, as far as the limits allow, and sends it.
func (r *requests) pump() {
	r.mu.Lock()
	if r.attached && !r.ended {
		for _, k := range r.table.Drained() {
			if r.setWatches {
				r.armLocked(k.Paths, k.Zxid, forArm, k.Watches)
			} else {
				r.table.Unarmed(k.Watches)
			}
		}
		r.removeLocked(r.table.Evicted(maxRemovals - r.removals))
		if !r.synced && !r.syncing && r.staleLocked() {
			r.syncLocked()
		}
	}
	r.fillLocked(1)
	settled := !r.settled && r.idleLocked(r.callers)
	r.settled = r.settled || settled
	r.mu.Unlock()
	r.wire.flush()
	if f := r.wire.conn.cfg.Settled; settled && f != nil {
		f()
	}
}

// refill asks for more of what is stale when a large answer has made room, while the next one is about to be read: the server would have
// nothing to do until all that has arrived was handled.
func (r *requests) refill() {
	r.mu.Lock()
	r.fillLocked(r.fullLocked())
	r.mu.Unlock()
	r.wire.flush()
}

// fillLocked asks for what is stale, as far as the limits allow, by at least so many watches at once. Until it is known how large
// nodes are, it asks for few.
func (r *requests) fillLocked(least int) {
	for r.attached && r.synced && !r.ended && r.reads < r.max && r.expected < maxExpected {
		if r.multiRead && r.reads >= eagerReads {
			if !r.sized {
				return
			}
			least = r.fullLocked()
		}
		ws, bytes := r.nextLocked(least, min(maxBatch, maxWatches-r.watches))
		if len(ws) == 0 {
			return
		}
		r.askLocked(ws, bytes)
	}
}

// fullLocked returns how many watches make a full batch.
func (r *requests) fullLocked() int { return min(maxBatch, max(1, batchBytes/r.typical)) }

// staleLocked reports whether anything is stale.
func (r *requests) staleLocked() (found bool) {
	r.table.Next(1, func(int) bool {
		found = true
		return false
	})
	return found
}

// nextLocked takes at most most stale watches whose answers make a batch, and the bytes that are expected.
func (r *requests) nextLocked(least, most int) (ws []Watch, bytes int) {
	n := 0
	full := false
	ws = r.table.Next(least, func(size int) bool {
		if size == 0 {
			size = r.typical
		}
		if full || n >= most || n > 0 && (bytes+size > batchBytes || size > largeNode) {
			return false
		}
		n++
		bytes += size
		full = size > largeNode
		return true
	})
	return ws, bytes
}

// askLocked asks for ws: one by one if they are few and nothing else is read, or if the server has no multiRead, else as a
// batch. The watches of a batch may be set together with those of other batches that are read meanwhile, or not at all. A large
// node and metadata are always asked for alone: a server has the answer to a multiRead in memory as a whole; and multiRead
// has no exists, while getData needs the permission to read.
func (r *requests) askLocked(ws []Watch, bytes int) {
	single := len(ws) <= fewWatches && r.reads == 0 || len(ws) == 1 && bytes > largeNode || !r.multiRead
	var batch []Watch
	for _, w := range ws {
		if single || w.Kind == Stat {
			r.readLocked(w, bytes/len(ws))
		} else {
			batch = append(batch, w)
		}
	}
	if len(batch) == 0 {
		return
	}
	start := r.beginLocked(opMultiRead)
	for _, w := range batch {
		r.out = r.out.multiRead(w.Kind, w.Path())
	}
	r.out = r.out.multiEnd()
	r.sentLocked(start, ownRequest{op: opMultiRead, purpose: forBatch, watches: batch, expected: bytes})
}

// multiRead adds what reads k of a node to a multiRead.
func (p packet) multiRead(k Kind, path string) packet {
	p = p.multiOp(opGetData, path)
	if k == Children { // which multiRead gives without the metadata, so that getData is needed, too
		p = p.multiOp(opGetChildren, path)
	}
	return p
}

// multiEnd ends the list of operations of a multiRead.
func (p packet) multiEnd() packet { return p.int32(-1).bool(true).int32(-1) }

// sizedLocked notes how many bytes the answers for so many nodes have had. More than lately counts at once: a batch of large nodes
// is an answer of megabytes, which takes a server longer than the nodes one by one.
func (r *requests) sizedLocked(size, nodes int) {
	size /= nodes
	r.typical, r.sized = max(1, size, (3*r.typical+size)/4), true
}

// multiOp adds one operation of a multiRead: its head, the path, and no watch.
func (p packet) multiOp(op int32, path string) packet {
	return p.int32(op).bool(false).int32(-1).string(path).bool(false)
}

// readLocked asks for one watch, and has it set.
func (r *requests) readLocked(w Watch, expected int) {
	r.readByLocked(w.Kind.op(), forRead, w, expected)
}

// op returns the opcode of a request that reads k of one node.
func (k Kind) op() int32 {
	return [...]int32{Data: opGetData, Children: opGetChildren2, Stat: opExists}[k]
}

func (r *requests) readByLocked(op int32, p purpose, w Watch, expected int) {
	start := r.beginLocked(op)
	r.out = r.out.string(w.Path()).bool(true)
	r.sentLocked(start, ownRequest{op: op, purpose: p, watches: []Watch{w}, expected: expected})
}

// armLocked asks for the watches of p, for ws. Of an existing node the server sends an event at once if the
// node has changed since zxid or is gone; of a missing one if it is there.
func (r *requests) armLocked(p Paths, zxid int64, why purpose, ws []Watch) {
	start := r.beginLocked(opSetWatches)
	r.out = r.out.int64(zxid).strings(p.Data).strings(p.Exist).strings(p.Child)
	r.sentLocked(start, ownRequest{op: opSetWatches, purpose: why, watches: ws})
}

// removeLocked takes watches back from the server, if it is one that can. They are go-zookeeper's, too, if that has
// set watches.
func (r *requests) removeLocked(ws []Watch) {
	if !r.multiRead || r.wire.conn.watching.Load() {
		return
	}
	for _, w := range ws {
		const child, data = 1, 2
		watcher := int32(data)
		if w.Kind == Children {
			watcher = child
		}
		start := r.beginLocked(opRemoveWatches)
		r.out = r.out.string(w.Path()).int32(watcher)
		r.sentLocked(start, ownRequest{op: opRemoveWatches, purpose: forRemoval})
	}
}

// syncLocked has the server catch up with the leader.
func (r *requests) syncLocked() {
	r.syncing = true
	start := r.beginLocked(opSync)
	r.out = r.out.string("/")
	r.sentLocked(start, ownRequest{op: opSync, purpose: forSync})
}

func (r *requests) beginLocked(op int32) (start int) {
	r.lastXid = min(r.lastXid-1, firstXid) // below what 32 bits hold comes the highest number
	start = len(r.out)
	r.out = r.out.begin(r.lastXid, op)
	return start
}

// sentLocked completes the request that begins at start, and awaits its answer.
func (r *requests) sentLocked(start int, q ownRequest) {
	r.out = r.out.end(start)
	q.xid, q.size, q.sentAt = r.lastXid, len(r.out)-start, time.Now()
	r.waiting = append(r.waiting, q)
	r.unsent++
	r.wire.conn.counters.requests.Add(1)
	r.countLocked(q, 1)
}

// countLocked counts q in, or with -1 out.
func (r *requests) countLocked(q ownRequest, sign int) {
	switch q.purpose {
	case forRead, forExists, forBatch:
		r.reads += sign
		r.watches += sign * len(q.watches)
		r.expected += sign * q.expected
	case forRearm:
		r.rearms += sign
	case forRemoval:
		r.removals += sign
	case forCaller:
		r.callers += sign
	}
	r.wire.unanswered.Add(int64(sign * q.size))
}

// take removes the oldest request, which the server has answered. One that has not begun to leave has no answer.
func (r *requests) take(xid int32) (ownRequest, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) == r.unsent || r.waiting[0].xid != xid {
		return ownRequest{}, fmt.Errorf("protocol error: an answer to request %d before its turn", xid)
	}
	q := r.waiting[0]
	r.waiting = slices.Delete(r.waiting, 0, 1)
	r.countLocked(q, -1)
	return q, nil
}

// rearmed reports whether all that was armed on the connection before is armed again.
func (r *requests) rearmed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.attached && r.rearms == 0
}

// oldest returns when the oldest request was sent that has no answer, and its opcode.
func (r *requests) oldest() (sent time.Time, op int32, found bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) == 0 {
		return time.Time{}, 0, false
	}
	return r.waiting[0].sentAt, r.waiting[0].op, true
}

// Pump asks for what is stale. It does not wait.
func (c *Conn) Pump() {
	if r := c.own.Load(); r != nil {
		r.pump()
	}
}

// Idle reports whether no request of zkconn's own is without an answer. For tests.
func (c *Conn) Idle() bool {
	r := c.own.Load()
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.idleLocked(0)
}

// idleLocked reports whether there is nothing to do but to await so many answers.
func (r *requests) idleLocked(awaited int) bool {
	return r.attached && !r.ended && len(r.waiting) == awaited && (r.synced || !r.staleLocked())
}

// Recheck has the server compare watches, which p holds, too, with what it has: it sends an event for each that
// has changed since zxid, whether it has sent one before or not. It reports whether the server was asked.
func (c *Conn) Recheck(ws []Watch, p Paths, zxid int64) bool {
	r := c.own.Load()
	if r == nil {
		return false
	}
	r.mu.Lock()
	ok := r.attached && !r.ended && r.setWatches
	if ok {
		r.armLocked(p, zxid, forRecheck, ws)
	}
	r.mu.Unlock()
	r.wire.flush()
	return ok
}
