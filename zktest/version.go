package zktest

import (
	"fmt"
	"strconv"
	"strings"
)

// release is a version of ZooKeeper, 3.line.patch. The methods say what differs between versions.
type release struct{ line, patch int }

const defaultVersion = "3.8"

// newest is the last patch of each line that is served.
var newest = map[int]int{5: 10, 6: 4, 7: 2, 8: 6, 9: 5}

// parseVersion reads "3.9", which is the newest of its line, or "3.9.5".
func parseVersion(version string) (r release, err error) {
	rest, ok := strings.CutPrefix(version, "3.")
	line, patch, exact := strings.Cut(rest, ".")
	r.line, err = strconv.Atoi(line)
	last, known := newest[r.line]
	if exact && err == nil {
		r.patch, err = strconv.Atoi(patch)
	} else {
		r.patch = last
	}
	if !ok || !known || err != nil || r.patch < 0 {
		return release{}, fmt.Errorf("zktest: version %q is not served, 3.5 to 3.9 are", version)
	}
	return r, nil
}

func (r release) String() string { return fmt.Sprintf("3.%d.%d", r.line, r.patch) }

// serves tells the opcodes that a client may send, besides auth and sasl.
func (r release) serves(op Op) bool {
	switch op {
	case OpMultiRead, OpGetEphemerals, OpGetAllChildrenNumber, OpSetWatches2, OpAddWatch:
		return r.line >= 6
	case OpWhoAmI:
		return r.line >= 7
	case OpCheck: // outside of a multi
		return r.line < 8 || r.line == 8 && r.patch < 5 || r.line == 9 && r.patch < 3
	}
	return served[op]
}

// hidesEvents: a watch event is for those only who may read the node (CVE-2024-23944). Of 3.8 and 3.9 this
// is so from 3.8.4 and 3.9.2 on, and in Debian's 3.8.0; the earlier ones are served as if they had the fix.
func (r release) hidesEvents() bool { return r.line >= 8 }

// guardsExists: exists is refused to who may not read the node, and sets no watch then (ZOOKEEPER-2590).
func (r release) guardsExists() bool {
	return r.line == 8 && r.patch >= 4 || r.line == 9 && r.patch >= 2
}

// tellsZxids: the header of a watch event has the zxid of the change, not -1.
func (r release) tellsZxids() bool { return r.line >= 9 }

// combinesWatches: a connection may have watches of several modes on one path. Each can be asked for and
// removed by itself, a recursive one is a watch on data only, and checkWatches finds the connection's
// own watches, not any connection's. Before, a new mode takes the place of the old one.
func (r release) combinesWatches() bool { return r.line >= 9 }

// keepsMultiOps: a create2 within a multi is answered with a stat, not as a create is, and a create with
// flags that make no sense fails the whole multi (ZOOKEEPER-4026).
func (r release) keepsMultiOps() bool {
	return r.line >= 9 || r.line == 8 && r.patch >= 2 || r.line == 7 && r.patch >= 2
}

// failsFirst: a request of that opcode that cannot be decoded takes no zxid. From 3.9 on that goes for writes
// other than multi, too.
func (r release) failsFirst(op Op) bool {
	return !isWrite(op) || op == OpReconfig || r.line >= 9 && op != OpMulti
}

// reapsForClients: deleteContainer, which the server's own sweep uses, works for any client.
func (r release) reapsForClients() bool { return r.line >= 9 }

// matchesIPv6: ACLs of the scheme ip take IPv6 addresses.
func (r release) matchesIPv6() bool { return r.line == 9 && r.patch >= 4 }
