package zktest

import "testing"

// Who may not read a node learns nothing of its changes, and his watch is used up: compared at random, with nodes that
// close and open, or are made closed, under watches of every kind.
func TestEventsAreHiddenAsOnZooKeeper(t *testing.T) {
	t.Parallel()
	startPair(t, extendedTypes).random(t, 3, aclSteps)
}

// closingACLs close a node to everybody, to all but userA, or only to those who want to read it.
var closingACLs = [][]aclEntry{
	{{perms: permAll &^ permRead, scheme: "world", id: "anyone"}},
	{{perms: permAll &^ permRead, scheme: "world", id: "anyone"}, {perms: permRead, scheme: "digest", id: digestID(userA)}},
	{{perms: permAdmin | permDelete | permCreate, scheme: "world", id: "anyone"}},
	{{perms: permAll, scheme: "ip", id: "10.0.0.0/8"}, {perms: permAll &^ permRead, scheme: "world", id: "anyone"}},
}

func aclSteps(data []byte) []step {
	c := &choices{data}
	steps := []step{
		{who: 1, req: request{op: OpAuth, scheme: "digest", data: []byte(userA)}},
		{req: request{op: OpCreate, path: "~/a", acl: openACL}},
		{req: request{op: OpCreate, path: "~/a/x", acl: openACL}},
	}
	acl := func() []aclEntry {
		if c.below(2) == 0 {
			return openACL
		}
		return pick(c, closingACLs)
	}
	paths := []string{"~/a", "~/a", "~/a/x", "~/a/x", "~/a/x/1", "~/b", "~"}
	for len(c.data) > 0 && len(steps) < maxSteps {
		st := step{who: c.below(worldClients)}
		path := pick(c, paths)
		switch c.below(12) {
		case 0, 1:
			st.req = request{op: OpSetACL, path: path, acl: acl(), version: -1}
			if path == "~" {
				st.req.acl = openACL // the sequences to come need it
			}
		case 2:
			st.req = request{op: OpSetData, path: path, version: -1}
		case 3:
			st.req = request{op: OpCreate, path: path, acl: acl()}
		case 4:
			st.req = request{op: OpDelete, path: path, version: -1}
		case 5:
			st.req = request{op: OpMulti, multi: []request{
				{op: OpCreate, path: path, acl: acl()}, {op: OpSetData, path: "~/a", version: -1}, {op: OpDelete, path: path, version: -1},
			}}
		case 6, 7, 8:
			st.req = request{op: pick(c, []Op{OpExists, OpGetData, OpGetChildren, OpGetChildren2}), path: path, watch: true}
		case 9:
			st.req = request{op: OpAddWatch, path: path, mode: int32(c.below(2))}
		case 10:
			st.req = c.withLists(pick(c, []Op{OpSetWatches, OpSetWatches2}))
		default:
			st.act = pick(c, []string{"drop", "attach"})
		}
		steps = append(steps, st)
	}
	return steps
}
