package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// kind is what goes wrong.
type kind string

// The faults. Those of the network hit the proxies of all contenders alike.
const (
	killFollower kind = "kill follower"       // SIGKILL, and started again
	killLeader   kind = "kill leader"         // the same
	stopFollower kind = "stop follower"       // SIGSTOP for less or more than the session timeout
	stopLeader   kind = "stop leader"         // the same
	noQuorum     kind = "no quorum"           // two of three servers are killed
	rolling      kind = "rolling restart"     // each server in turn is killed and started
	cut          kind = "cut"                 // connections are reset, dials refused
	cutServer    kind = "cut from one server" // the same, for one server
	halfOpen     kind = "half open"           // packets vanish both ways, no reset
	hang         kind = "hang"                // connections are accepted and nothing is answered
	slow         kind = "slow"                // each packet is late
	flap         kind = "flap"                // connections are reset again and again
	handshake    kind = "no handshake"        // new connections are closed in the handshake
	expiry       kind = "expiry"              // cut until the servers have surely expired the session
	frozen       kind = "client stands still" // SIGSTOP to the client for less or more than the session timeout

	// Those of nodes.
	closedNode kind = "closed node"     // an ACL hides nodes while they change, and shows them again
	quota      kind = "quota"           // no more nodes below a service
	tooLarge   kind = "too large write" // a request that the servers do not take, by hanging up

	// Those that last through the calm.
	silent   kind = "silent server"  // a server of the list never answers
	nameless kind = "no name server" // it fails, or does not answer: for clients that use names
	thinLine kind = "thin line"      // a large node takes longer than a session's timeout to arrive
)

var (
	serverFaults  = []kind{killFollower, killLeader, stopFollower, stopLeader, noQuorum, rolling}
	networkFaults = []kind{cut, cutServer, halfOpen, hang, slow, flap, handshake, expiry, frozen}
	nodeFaults    = []kind{closedNode, quota, tooLarge}
	wholeFaults   = []kind{silent, nameless, thinLine}
)

func allFaults() []kind { return slices.Concat(serverFaults, networkFaults, nodeFaults, wholeFaults) }

// fault is one thing that goes wrong in a round.
type fault struct {
	kind kind
	at   time.Duration // after the round's begin
	last time.Duration // until it is undone; 0 where that is not a matter of time
	odd  bool          // of the network: only the clients with an odd number are spared
	pick int           // which server, of those that fit
}

func (f fault) String() string {
	s := string(f.kind)
	if f.last > 0 {
		s += fmt.Sprintf(" %.1fs", f.last.Seconds())
	}
	if f.odd {
		s += " for some"
	}
	return s
}

// round is what happens between two calms. Everything in it follows from the seed and its number.
type round struct {
	number int
	faults []fault
	seed   uint64 // of what writers and clients do
}

func (r round) String() string {
	var all []string
	for _, f := range r.faults {
		all = append(all, f.String())
	}
	return strings.Join(all, " + ")
}

// has reports whether a fault of a kind is in the round.
func (r round) has(k kind) bool {
	return slices.ContainsFunc(r.faults, func(f fault) bool { return f.kind == k })
}

// makeRound returns a round of a seed's schedule, the first of which is number 1. Each fault leads one
// round of each cycle; others join it, server, network and node faults at the same time. Kinds that are left out
// have no part in it.
func makeRound(seed uint64, number int, timeout time.Duration, without ...kind) round {
	left := func(kinds []kind) []kind {
		return slices.DeleteFunc(slices.Clone(kinds), func(k kind) bool { return slices.Contains(without, k) })
	}
	all := left(allFaults())
	cycle, place := (number-1)/len(all), (number-1)%len(all)
	order := rand.New(rand.NewPCG(seed, uint64(cycle))).Perm(len(all))
	leading := all[order[place]]

	rng := rand.New(rand.NewPCG(seed, 1<<32+uint64(number)))
	lanes := [][]kind{left(serverFaults), left(networkFaults), left(nodeFaults), left(wholeFaults)}
	chosen := make([][]kind, len(lanes))
	add := func(lane int, chance float64) {
		if draw := rng.Float64(); draw < chance && len(lanes[lane]) > 0 {
			chosen[lane] = append(chosen[lane], lanes[lane][rng.IntN(len(lanes[lane]))])
		}
	}
	const server, network, node, whole = 0, 1, 2, 3
	for lane, kinds := range lanes {
		if slices.Contains(kinds, leading) {
			chosen[lane] = append(chosen[lane], leading)
		}
	}
	if slices.Contains(chosen[whole], leading) {
		add(network, 1) // it matters to who has to connect anew
	}
	add(server, 0.4)
	add(network, 0.4)
	add(network, 0.3)
	add(node, 0.3)
	if len(chosen[whole]) == 0 {
		add(whole, 0.2)
	}

	r := round{number: number, seed: rng.Uint64()}
	for _, k := range chosen[whole] {
		r.faults = append(r.faults, fault{kind: k, pick: rng.IntN(2)})
	}
	// Of each lane one at a time: two faults of one proxy would undo each other.
	for _, lane := range chosen[:whole] {
		at := 200*time.Millisecond + spread(rng, 0, 800*time.Millisecond)
		for _, k := range lane {
			f := fault{kind: k, at: at, last: duration(rng, k, timeout), pick: rng.IntN(3)}
			if slices.Contains(networkFaults, k) {
				f.odd = rng.Float64() < 0.25
			}
			r.faults = append(r.faults, f)
			at += f.last + spread(rng, 50*time.Millisecond, time.Second)
		}
	}
	return r
}

// duration draws how long a fault lasts: half of them less than the session timeout, half of them more.
func duration(rng *rand.Rand, k kind, timeout time.Duration) time.Duration {
	short := spread(rng, timeout/10, timeout*9/10)
	long := spread(rng, timeout*5/4, timeout*9/4)
	pick := short
	if rng.IntN(2) == 0 {
		pick = long
	}
	switch k {
	case expiry:
		return long + timeout*3/4
	case rolling:
		return 0 // until each is back
	case slow, flap, closedNode:
		return short + timeout/2
	case tooLarge:
		return 0 // until each client has its answer
	}
	return pick
}

func spread(rng *rand.Rand, least, most time.Duration) time.Duration {
	d := least + time.Duration(rng.Int64N(int64(most-least)))
	return d.Round(time.Millisecond)
}
