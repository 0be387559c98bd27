package zktest

import "time"

// request is a decoded request, or one operation of a multi. Fields that an opcode does not have are
// zero.
type request struct {
	xid     int32
	op      Op
	path    string
	noPath  bool // the path is null
	data    []byte
	acl     []aclEntry
	flags   int32
	version int32
	ttl     int64
	watch   bool
	mode    int32  // of addWatch; type of checkWatches and removeWatches
	scheme  string // of auth
	multi   []request
	session int64 // of a connect request, as the next two
	zxid    int64
	timeout time.Duration
	watches *watchLists
}

// watchLists is what setWatches and setWatches2 carry.
type watchLists struct {
	relativeZxid                              int64
	data, exist, child, persistent, recursive []string
}

// decodeRequest reads what follows the request header. A false result means that the packet is
// truncated or makes no sense; req then holds what could be read, for the log and for Intercept.
func decodeRequest(op Op, d *decoder) (req request, ok bool) {
	req.op = op
	switch op {
	case OpMulti, OpMultiRead:
		ok = req.readMulti(d)
	case OpSetWatches, OpSetWatches2:
		ok = req.readWatchLists(d)
	case OpAuth:
		d.int32() // "type", always 0
		req.scheme, _ = d.string()
		req.data = d.bytes()
		ok = true
	case OpSASL:
		req.data = d.bytes()
		ok = req.data != nil
	default:
		ok = req.readBody(d)
	}
	return req, ok && !d.bad
}

// readBody reads the fields of a simple operation. It is false for a null path, except where the
// real server takes one.
func (r *request) readBody(d *decoder) bool {
	switch r.op {
	case OpPing, OpCloseSession, OpWhoAmI, OpConnect:
		return true
	}
	var ok bool
	r.path, ok = d.string()
	r.noPath = !ok
	r.ttl = -1
	switch r.op {
	case OpCreate, OpCreate2, OpCreateContainer, OpCreateTTL:
		r.data = d.bytes()
		r.acl = readACL(d)
		r.flags = d.int32()
		if r.op == OpCreateTTL {
			r.ttl = d.int64()
		}
	case OpDelete, OpCheck:
		r.version = d.int32()
	case OpSetData:
		r.data = d.bytes()
		r.version = d.int32()
	case OpSetACL:
		r.acl = readACL(d)
		r.version = d.int32()
	case OpExists, OpGetData, OpGetChildren, OpGetChildren2:
		r.watch = d.bool()
	case OpAddWatch, OpCheckWatches, OpRemoveWatches:
		r.mode = d.int32()
	case OpReconfig:
		// The first string was joiningServers. The answer is the same whatever stands here.
		d.string()
		d.string()
		d.int64()
		return true
	case OpSync, OpGetEphemerals:
		return true
	}
	return ok
}

func readACL(d *decoder) []aclEntry {
	n, _ := d.count(12)
	list := make([]aclEntry, 0, n)
	for range n {
		a := aclEntry{perms: d.int32()}
		var ok bool
		a.scheme, ok = d.string()
		a.nullScheme = !ok
		a.id, ok = d.string()
		a.nullID = !ok
		list = append(list, a)
	}
	return list
}

// readMulti reads operations, each behind a header, until a header says that it is the last. Only when
// all of them make sense is there memory for them.
func (r *request) readMulti(d *decoder) bool {
	count, probe := 0, *d
	for {
		_, done, ok := nextOp(&probe)
		if !ok {
			return false
		}
		if done {
			break
		}
		count++
	}
	r.multi = make([]request, count)
	for i := range r.multi {
		r.multi[i], _, _ = nextOp(d)
	}
	return r.sameKind()
}

func nextOp(d *decoder) (sub request, done, ok bool) {
	sub.op, done = Op(d.int32()), d.bool()
	d.int32() // error, unused in requests
	if done || d.bad {
		return sub, done, !d.bad
	}
	switch sub.op {
	case OpCreate, OpCreate2, OpCreateContainer, OpCreateTTL, OpDelete, OpSetData, OpCheck,
		OpGetData, OpGetChildren:
		ok = sub.readBody(d) && !d.bad
	}
	return sub, false, ok
}

// normalise gives each create within a multi the opcode that the real server works with there. The flags
// decide, and from ZOOKEEPER-4026 on the opcode that was sent where they do not. It is false if a create
// makes no sense.
func (r *request) normalise(version release) bool {
	for i := range r.multi {
		sub := &r.multi[i]
		switch sub.op {
		case OpCreate, OpCreate2, OpCreateContainer, OpCreateTTL:
		default:
			continue
		}
		mode, known := createModes[sub.flags]
		switch {
		case mode.ttl && sub.op == OpCreateTTL:
			continue
		case version.keepsMultiOps() && sub.op != OpCreateTTL && (mode.ttl || !known):
			return false
		case mode.ttl:
			sub.op = opError // it has no TTL, and makes the multi fail
		case mode.container:
			sub.op = OpCreateContainer
		case !version.keepsMultiOps() || sub.op == OpCreateTTL:
			sub.op = OpCreate
		}
		sub.ttl = -1
	}
	return true
}

// sameKind is false for a multi that mixes reads and writes, which is none.
func (r *request) sameKind() bool {
	for _, sub := range r.multi {
		if isRead(sub.op) != isRead(r.multi[0].op) {
			return false
		}
	}
	return true
}

func isRead(op Op) bool { return op == OpGetData || op == OpGetChildren }

func (r *request) readWatchLists(d *decoder) bool {
	w := &watchLists{relativeZxid: d.int64()}
	r.watches = w
	lists := []*[]string{&w.data, &w.exist, &w.child}
	if r.op == OpSetWatches2 {
		lists = append(lists, &w.persistent, &w.recursive)
	}
	for _, list := range lists {
		n, ok := d.count(4)
		if !ok {
			return false
		}
		*list = make([]string, 0, n)
		for range n {
			path, ok := d.string()
			if !ok {
				return false
			}
			*list = append(*list, path)
		}
	}
	return true
}
