package simulation

import (
	"flag"
	"fmt"
	"slices"
	"strings"
)

// feature is something that a simulated world may have besides clients, writers and lost connections.
type feature string

const (
	closedNodes    feature = "acl"        // nodes that are closed to the clients, and opened again
	hardened       feature = "hardened"   // services whose nodes clients may create and not delete
	blindOwners    feature = "unreadable" // registrations whose nodes their own clients may not read
	lostEvents     feature = "events"     // watch events that never arrive
	foreignContent feature = "content"    // what other programs write into a node
	smallServers   feature = "sizes"      // servers that take small requests only
	quotas         feature = "quota"      // writes that are refused for a while
	serverErrors   feature = "codes"      // errors that are the server's own, and pass
	longThrottles  feature = "pressure"   // minutes in which a server answers the same error each time
	rivals         feature = "rivals"     // somebody writes between a lost reply and what follows it
	slowLines      feature = "lines"      // large nodes over connections that carry little
	longOutages    feature = "outages"    // hours without a server
	slowLogs       feature = "logs"       // a logger that blocks for seconds
	crowds         feature = "crowd"      // many clients at once
	ensembles      feature = "ensemble"   // three servers instead of one
	laggards       feature = "lag"        // followers that are behind, or cut off from their leader
	versions       feature = "versions"   // old and new servers
	names          feature = "names"      // one name for all servers, and one address of it at which nobody is
	exactWrites    feature = "writes"     // each write is judged by the server's history
	trees          feature = "trees"      // streams of several nodes, and calls
	longPaths      feature = "long"       // nodes with names so long that their watches are set again one by one
	noRechecks     feature = "rechecks"   // clients that recheck nothing
	promptExpiry   feature = "clock"      // the time at which a session is taken for over is judged
)

// features are all of them: one simulation in so many has it; and whether the library is held to it.
var features = []struct {
	name feature
	in   int
	held bool
}{
	{closedNodes, 2, true},
	{hardened, 3, true},
	{blindOwners, 6, true},
	{lostEvents, 3, true},
	{foreignContent, 2, true},
	{smallServers, 5, true},
	{quotas, 3, true},
	{serverErrors, 2, true},
	{longThrottles, 8, true},
	{rivals, 2, true},
	{slowLines, 6, true},
	{longOutages, 12, true},
	{slowLogs, 6, true},
	{crowds, 40, true},
	{ensembles, 2, true},
	{laggards, 1, true},
	{versions, 2, true},
	{names, 3, true},
	{trees, 2, true},
	{exactWrites, 1, true},
	{longPaths, 2, true},
	{noRechecks, 3, true},
	{promptExpiry, 1, true},
}

var onlyFeatures = flag.String("world", "", "the features that simulated worlds may have, separated by commas; all: each there is; none given: those that the library is held to")

// chooseFeatures decides what this world has. It makes as many choices whatever the flag says.
func (s *simulation) chooseFeatures() {
	s.features = map[feature]bool{}
	wanted := strings.Split(*onlyFeatures, ",")
	for _, f := range features {
		chosen := s.chance(f.in)
		switch *onlyFeatures {
		case "all":
		case "":
			chosen = chosen && f.held
		default:
			chosen = slices.Contains(wanted, string(f.name))
		}
		s.features[f.name] = chosen
	}
	if s.has(smallServers) || s.has(slowLines) {
		s.features[longPaths] = false // they do not go through
	}
	if s.has(noRechecks) { // then nothing finds changes of which no event tells
		s.features[lostEvents], s.features[closedNodes], s.features[blindOwners] = false, false, false
	}
}

func (s *simulation) has(f feature) bool { return s.features[f] }

// The tree of a simulation. All clients work below simRoot, which is the chroot of some of them.
const simRoot = "/app"

var (
	simData     = []string{"/app/d0", "/app/d1", "/app/d2"} // come, go and change
	simProps    = []string{"/app/p0", "/app/p1"}            // changed by UpdateProperties, and by foreign programs
	simGuarded  = []string{"/app/g0", "/app/g1"}            // closed and opened again
	simServices = []string{"/app/s0", "/app/s1"}
	simLong     = []string{"/app/l0" + longPart, "/app/l1" + longPart, "/app/l2" + longPart, "/app/l3" + longPart}
	simAddrs    = []string{"a:1", "b:2", "c:3"}
)

const (
	simName   = "zk.test"   // of all servers
	simNobody = "10.0.0.99" // an address at which there is no server

	simLarge  = "/app/large"  // holds some hundred KB
	simToggle = "/app/toggle" // has a property that is switched on and off
	simTree   = "/app/t"      // has children, which have children
	simQuiet  = "/app/quiet"  // is there and never changes
	simNever  = "/app/never"  // is never there
	simDenied = "/app/denied" // may not be read
	simStart  = `{"big": 12345678901234567890 , "list":[ 1,2 ]}`
)

// longPart is what makes a path long. Two of these do not fit into one request that sets watches again.
var longPart = strings.Repeat("g", 70<<10)

// places are all nodes where registrations may be.
func places() (all []string) {
	for _, service := range simServices {
		for _, addr := range simAddrs {
			all = append(all, service+"/"+addr)
		}
	}
	return all
}

// String lists the features, for the schedule.
func (s *simulation) String() string {
	var has []string
	for _, f := range features {
		if s.has(f.name) {
			has = append(has, string(f.name))
		}
	}
	return fmt.Sprintf("a world with %s", strings.Join(has, ", "))
}
