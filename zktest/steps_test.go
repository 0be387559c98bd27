package zktest

// choices turns bytes into decisions; when they are used up every decision is 0.
type choices struct{ data []byte }

func (c *choices) below(n int) int {
	if len(c.data) == 0 {
		return 0
	}
	b := c.data[0]
	c.data = c.data[1:]
	return int(b) % n
}

func pick[T any](c *choices, from []T) T { return from[c.below(len(from))] }

const maxSteps = 100

// stepsFrom makes a sequence of steps of a fuzzer's bytes. Most begin with a few nodes, so that there
// is something to work on.
func stepsFrom(data []byte) []step {
	c := &choices{data}
	var steps []step
	if c.below(5) > 0 {
		for _, path := range []string{"~/a", "~/a/x", "~/b"} {
			steps = append(steps, step{req: request{op: OpCreate, path: path, acl: c.acl()}})
		}
	}
	for len(c.data) > 0 && len(steps) < maxSteps {
		steps = append(steps, c.step())
	}
	return steps
}

var (
	mainPaths  = []string{"~/a", "~/a", "~/b", "~/a/x"}
	otherPaths = []string{"~/a/y", "~/c", "~/a/x/1", "~/b/x", "~"}
)

// oddPaths are refused by some operations and taken by others.
var oddPaths = []string{
	"", "/", "a", "~/", "~//a", "~/./a", "~/a/..", "~/a/", "~/a\x00b", "~/\x01", "~/a\u0085", "~/é", "~/\ue000",
	"~/\U0001F600", "~/...", "~/a..b", "/zookeeper", "/zookeeper/config", "//", "~/\xff\xfe", "~/missing/deep",
}

func (c *choices) path() string {
	switch n := c.below(32); {
	case n == 0:
		return pick(c, oddPaths)
	case n < 10:
		return pick(c, otherPaths)
	}
	return pick(c, mainPaths)
}

// writable leaves out the nodes outside of the world's root, which later sequences need as they are.
func (c *choices) writable() string {
	p := c.path()
	if p == "/" || p == "" || p == "/zookeeper" {
		return "~"
	}
	return p
}

const (
	userA = "a:secret"
	userB = "b:secret"
)

func (c *choices) acl() []aclEntry {
	switch n := c.below(16); {
	case n < 9:
		return openACL
	case n < 15:
		return pick(c, goodACLs)
	}
	return pick(c, badACLs)
}

var goodACLs = [][]aclEntry{
	readOnlyACL,
	{{perms: permRead | permDelete, scheme: "world", id: "anyone"}, {perms: permAll, scheme: "digest", id: digestID(userA)}},
	{{perms: permRead | permWrite | permCreate, scheme: "world", id: "anyone"}, {perms: permAll, scheme: "digest", id: digestID(userB)}},
	{{perms: permAdmin | permCreate | permDelete, scheme: "world", id: "anyone"}},
	{{perms: permAll, scheme: "auth"}},
	{{perms: permRead, scheme: "world", id: "anyone"}, {perms: permAll, scheme: "auth", id: "ignored"}},
	{{perms: permAll, scheme: "digest", id: digestID(userA)}},
	{{perms: permAll &^ permAdmin, scheme: "world", id: "anyone"}, {perms: permAdmin, scheme: "digest", id: digestID(userB)}},
	{{perms: permAll, scheme: "ip", id: "127.0.0.1"}},
	{{perms: permAll, scheme: "ip", id: "127.9.9.9/8"}, {perms: permAll, scheme: "ip", id: "127.9.9.9/8"}},
	{{perms: permAll, scheme: "ip", id: "10.0.0.0/8"}, {perms: permRead, scheme: "world", id: "anyone"}},
	{{perms: permAll, scheme: "digest", id: "a:b:"}, {perms: permAll, scheme: "world", id: "anyone"}},
	{{perms: 0, scheme: "world", id: "anyone"}},
	{{perms: 255, scheme: "world", id: "anyone"}},
}

var badACLs = [][]aclEntry{
	{},
	{{perms: permAll, scheme: "ip", id: "::1"}},
	{{perms: permAll, scheme: "ip", id: "127.0.0.1/33"}},
	{{perms: permAll, scheme: "ip", id: "127.0.0.256"}},
	{{perms: permAll, scheme: "digest", id: "nocolon"}},
	{{perms: permAll, scheme: "digest", id: "a:b:c"}},
	{{perms: permAll, scheme: "world", id: "someone"}},
	{{perms: permAll, scheme: "nosuch", id: "x"}},
	{{perms: permAll, scheme: "x509", id: "x"}},
	{{perms: permAll, scheme: "sasl", id: "x"}},
	{{perms: permAll, scheme: "super", id: ""}},
	{{perms: permAll, scheme: "world", id: "anyone"}, {perms: permAll, scheme: "nosuch", id: "x"}},
}

var (
	contents = [][]byte{[]byte("x"), []byte("other"), {}, nil, make([]byte, 2000)}
	versions = []int32{-1, -1, -1, -1, -1, -1, 0, 0, 1, 1, 2, 7, -2}
	someTTLs = []int64{100000, 1, 1 << 39, 1<<40 - 1, 1 << 40, 0, -1}
)

func (c *choices) step() step {
	st := step{who: c.below(worldClients)}
	switch c.below(24) {
	case 0:
		st.act = pick(c, []string{"drop", "drop", "open", "attach", "steal"})
		if c.below(10) == 0 {
			st.req.version = 1
		}
		st.req.watch = c.below(4) == 0
		return st
	case 1, 2: // a client that is gone comes back, so that sequences do not run dry
		st.act = "attach"
		return st
	case 3: // with its watches
		st.req = c.withLists(pick(c, []Op{OpSetWatches, OpSetWatches2}))
		return st
	}
	st.req = c.request()
	if c.below(64) == 0 && st.req.op != OpAuth {
		st.raw = make([]byte, c.below(30))
	}
	if c.below(24) == 0 && !dangerous[st.req.op] {
		for range 1 + c.below(4) {
			at := c.below(64)
			st.mutations = append(st.mutations, mutation{at, pick(c, []byte{0, 1, 0xff, 0x7f, 0x80, '/', byte(at)})})
		}
	}
	return st
}

// dangerous requests, if changed at random, crash the real server, are not answered by it, lock the
// sequences to come out, or (checkWatches) fail in ways that depend on other watches.
var dangerous = map[Op]bool{
	OpCreateTTL: true, OpCheck: true, OpSetACL: true, OpAuth: true, OpReconfig: true, OpCheckWatches: true,
}

var mostOps = []Op{
	OpCreate, OpCreate, OpCreate, OpCreate2, OpCreate2, OpDelete, OpDelete, OpDelete, OpSetData, OpSetData,
	OpExists, OpExists, OpGetData, OpGetData, OpGetChildren, OpGetChildren2, OpGetChildren2,
	OpMulti, OpMulti, OpMulti, OpSetACL, OpGetACL, OpGetACL, OpCreateContainer, OpCreateTTL, OpSync,
	OpGetAllChildrenNumber, OpGetEphemerals, OpGetEphemerals, OpMultiRead, OpSetWatches, OpSetWatches2, OpAddWatch, OpAddWatch,
	OpCheckWatches, OpRemoveWatches, OpAuth, OpAuth, OpWhoAmI, OpPing,
}

// rareOps end the connection, or are hardly ever used.
var rareOps = []Op{OpCloseSession, OpCloseSession, OpCheck, OpDeleteContainer, OpReconfig, OpSASL, 99, 0, -3, 10, 108}

func (c *choices) request() request {
	op := pick(c, mostOps)
	if c.below(60) == 0 {
		op = pick(c, rareOps)
	}
	return c.withLists(op)
}

// withLists makes a request of any kind.
func (c *choices) withLists(op Op) request {
	r := c.simple(op)
	switch op {
	case OpCheck:
		r.version = 99 // outside of a multi one that succeeds is never answered
	case OpMulti, OpMultiRead:
		kinds := []Op{OpCreate, OpCreate, OpCreate2, OpDelete, OpSetData, OpSetData, OpCheck, OpCreateContainer, OpCreateTTL}
		if op == OpMultiRead {
			kinds = []Op{OpGetData, OpGetChildren}
			if c.below(16) == 0 { // what cannot be in one fails all of it
				kinds = append(kinds, OpExists, OpGetChildren2, OpGetACL, OpCheck)
			}
		} else if c.below(32) == 0 {
			kinds = append(kinds, OpGetData, OpGetChildren)
		}
		for range c.below(5) {
			r.multi = append(r.multi, c.simple(pick(c, kinds)))
		}
		if op == OpMulti && c.below(3) == 0 {
			// What succeeded before this has to be undone without a trace.
			r.multi = append(r.multi, request{op: OpCheck, path: "~/a", version: 99})
		}
	case OpSetWatches, OpSetWatches2:
		w := &watchLists{relativeZxid: int64(c.below(5))} // counted back from the last one that the client has seen
		lists := []*[]string{&w.data, &w.exist, &w.child}
		if op == OpSetWatches2 {
			lists = append(lists, &w.persistent, &w.recursive)
		}
		for _, list := range lists {
			for range c.below(4) {
				*list = append(*list, c.path())
			}
		}
		r.watches = w
	case OpAuth:
		r.scheme = pick(c, []string{"digest", "digest", "digest", "digest", "digest", "digest", "ip", "nosuch"})
		r.data = []byte(pick(c, []string{userA, userB, "nopassword", ""}))
	}
	return r
}

// simple makes a request that has no list of others.
func (c *choices) simple(op Op) request {
	r := request{op: op}
	switch op {
	case OpMulti, OpMultiRead, OpSetWatches, OpSetWatches2, OpAuth, OpPing, OpWhoAmI, OpCloseSession, OpReconfig:
	case OpCreate, OpCreate2, OpCreateContainer, OpCreateTTL:
		r.path = c.path()
		if r.path == "/zookeeper" {
			r.path = "/"
		}
		r.data, r.acl, r.flags = pick(c, contents), c.acl(), c.flags(op)
		if op == OpCreateTTL {
			r.ttl = pick(c, someTTLs)
		}
	case OpDelete:
		r.path, r.version = c.path(), pick(c, versions)
	case OpCheck:
		r.path, r.version = c.path(), pick(c, versions)
	case OpSetData:
		r.path, r.data, r.version = c.writable(), pick(c, contents), pick(c, versions)
	case OpSetACL:
		r.path, r.acl, r.version = c.writable(), c.acl(), pick(c, versions)
	default:
		r.path, r.watch, r.mode = c.path(), c.below(2) == 0, int32(c.below(3))
		switch op {
		case OpCheckWatches, OpRemoveWatches:
			r.mode = pick(c, []int32{1, 1, 2, 2, 3, 3, 4, 5, 6})
		case OpGetEphemerals:
			r.path = pick(c, []string{"/", "", " ", "~", "~/a", r.path})
		}
	}
	return r
}

func (c *choices) flags(op Op) int32 {
	switch op {
	case OpCreateTTL:
		return int32(5 + c.below(2)) // others crash the real server
	case OpCreateContainer:
		return pick(c, []int32{4, 4, 4, 4, 0, 1, 2, 3, 7, -1})
	}
	return pick(c, []int32{0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5, 6, 7, -1})
}
