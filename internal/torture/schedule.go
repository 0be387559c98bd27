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
	silent       kind = "silent server"       // a server of the list never answers, in the calm neither
)

var (
	serverFaults  = []kind{killFollower, killLeader, stopFollower, stopLeader, noQuorum, rolling}
	networkFaults = []kind{cut, cutServer, halfOpen, hang, slow, flap, handshake, expiry}
)

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

// silent reports whether a server of the list does not answer in this round.
func (r round) silent() bool {
	return slices.ContainsFunc(r.faults, func(f fault) bool { return f.kind == silent })
}

// makeRound returns a round of a seed's schedule, the first of which is number 1. Each fault leads one
// round of each cycle; others join it, server and network faults at the same time.
func makeRound(seed uint64, number int, timeout time.Duration) round {
	all := slices.Concat(serverFaults, networkFaults, []kind{silent})
	cycle, place := (number-1)/len(all), (number-1)%len(all)
	order := rand.New(rand.NewPCG(seed, uint64(cycle))).Perm(len(all))
	leading := all[order[place]]

	rng := rand.New(rand.NewPCG(seed, 1<<32+uint64(number)))
	var server, network, whole []kind
	switch {
	case slices.Contains(serverFaults, leading):
		server = append(server, leading)
	case slices.Contains(networkFaults, leading):
		network = append(network, leading)
	default: // which matters to who has to connect anew
		whole = append(whole, leading)
		network = append(network, networkFaults[rng.IntN(len(networkFaults))])
	}
	add := func(chance float64, lane *[]kind, from []kind) {
		if rng.Float64() < chance {
			*lane = append(*lane, from[rng.IntN(len(from))])
		}
	}
	add(0.4, &server, serverFaults)
	add(0.4, &network, networkFaults)
	add(0.3, &network, networkFaults)
	if len(whole) == 0 && rng.Float64() < 0.15 {
		whole = append(whole, silent)
	}

	r := round{number: number, seed: rng.Uint64()}
	for _, k := range whole {
		r.faults = append(r.faults, fault{kind: k})
	}
	// Of each lane one at a time: two faults of one proxy would undo each other.
	for _, lane := range [][]kind{server, network} {
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
	case slow, flap:
		return short + timeout/2
	}
	return pick
}

func spread(rng *rand.Rand, least, most time.Duration) time.Duration {
	d := least + time.Duration(rng.Int64N(int64(most-least)))
	return d.Round(time.Millisecond)
}
