package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// registration is one that a client was told to keep, until it is withdrawn and its node is gone.
type registration struct {
	addr       string
	withdraw   bool // the client was told to withdraw it
	registered bool // the client said so
	withdrawn  bool // the client said so
	refused    bool // the client said that the latest call failed
	tries      int  // to withdraw it
	void       bool // it has been counted as lost or as still there: its node does not matter any more
}

// mostTries is how often a withdrawal that fails, and says so, is tried.
const mostTries = 2

func (r *registration) hear(verb string) {
	if verb == "registered" {
		r.registered = true
	} else {
		r.withdrawn = true
	}
}

// begin notes a registration that the client has been told to keep.
func (o *oracle) begin(id, addr string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.services[id] = &registration{addr: addr}
	o.tally.count(func(t *tally) { t.registered++ })
}

// withdraw notes that the client has been told to withdraw a registration.
func (o *oracle) withdraw(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r := o.services[id]; r != nil {
		r.withdraw, r.refused = true, false
		r.tries++
	}
}

// live returns the IDs of the registrations that are to be kept, sorted, and the addresses that are in use,
// also by those which are on their way out.
func (o *oracle) live() (ids []string, used map[string]bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	used = map[string]bool{}
	for id, r := range o.services {
		used[r.addr] = true
		if !r.withdraw {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, used
}

// refusals returns the calls that the client said have failed, and that its user would make again.
func (o *oracle) refusals() (register, withdraw []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(o.services)) {
		switch r := o.services[id]; {
		case !r.refused || r.void || r.final():
		case r.withdraw:
			withdraw = append(withdraw, id)
		default:
			register = append(register, id)
		}
	}
	return register, withdraw
}

// final reports whether there is no use in waiting: the client refuses to withdraw it.
func (r *registration) final() bool { return r.refused && r.tries >= mostTries }

// replace forgets a registration that has failed, and returns its address.
func (o *oracle) replace(id string) (addr string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	addr = o.services[id].addr
	delete(o.services, id)
	return addr
}

// wrong says what is wrong with a registration; a zero failure means nothing.
func (o *oracle) wrong(id string, t *truth, sessions []int64) finding {
	r := o.services[id]
	nodes := o.nodes(t, r.addr)
	what := id + " " + o.service + "/" + r.addr
	switch {
	case r.void:
	case r.withdraw:
		if len(nodes) > 0 && o.holder(r.addr) == "" {
			return finding{undead, what, fmt.Sprintf("of session %#x, withdrawn told: %v", uint64(nodes[0].owner), r.withdrawn)}
		}
		if !r.withdrawn && !r.refused {
			return finding{undead, what, "the withdrawal has not returned"}
		}
	case len(nodes) == 0:
		return finding{lost, what, fmt.Sprintf("no node; registered told: %v", r.registered)}
	case len(nodes) > 1:
		return finding{doubled, what, fmt.Sprintf("%d nodes", len(nodes))}
	case !slices.Contains(sessions, nodes[0].owner):
		return finding{lost, what, fmt.Sprintf("the node is of session %#x, the client has %s", uint64(nodes[0].owner), hexes(sessions))}
	case !r.registered:
		return finding{lost, what, "the node is there, but registered was not told"}
	}
	return finding{}
}

// nodes returns the nodes of an address.
func (o *oracle) nodes(t *truth, addr string) (nodes []serviceNode) {
	for _, n := range t.owners[o.service] {
		if n.addr == addr {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// holder returns the registration that is to have the address, if there is one.
func (o *oracle) holder(addr string) string {
	for id, r := range o.services {
		if r.addr == addr && !r.withdraw {
			return id
		}
	}
	return ""
}

// pendingServices returns what is wrong with the client's registrations, and may still change.
func (o *oracle) pendingServices(t *truth, sessions []int64) []finding {
	return o.wrongServices(t, sessions, func(r *registration) bool { return !r.final() })
}

// wrongServices returns what is wrong with those of the client's registrations that count.
func (o *oracle) wrongServices(t *truth, sessions []int64, counts func(*registration) bool) (found []finding) {
	for _, id := range slices.Sorted(maps.Keys(o.services)) {
		if f := o.wrong(id, t, sessions); f.failure != "" && counts(o.services[id]) {
			found = append(found, f)
		}
	}
	for _, name := range o.strangers(t) {
		found = append(found, finding{doubled, o.service + "/" + name, "a node that is not of a registration"})
	}
	return found
}

// judgeServices counts each registration that is lost, or still there, once: it is void then, and to be
// withdrawn; not after a round in which the machine stood still. It forgets those which are gone.
func (o *oracle) judgeServices(t *truth, sessions []int64, e excuse) []finding {
	found := o.wrongServices(t, sessions, func(*registration) bool { return true })
	for id, r := range o.services {
		switch {
		case o.wrong(id, t, sessions).failure != "":
			r.void = r.void || e != stalled
		case r.withdraw && (len(o.nodes(t, r.addr)) == 0 || o.holder(r.addr) != ""):
			delete(o.services, id)
		}
	}
	return found
}

// voided returns the IDs of the registrations that were counted as wrong and are not withdrawn yet.
func (o *oracle) voided() (ids []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, r := range o.services {
		if r.void && !r.withdraw {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// strangers returns the nodes of the client's service that are not named by any of its registrations.
func (o *oracle) strangers(t *truth) (names []string) {
	known := map[string]bool{}
	for _, r := range o.services {
		known[r.addr] = true
	}
	for _, n := range t.owners[o.service] {
		if !known[n.addr] {
			names = append(names, n.name)
		}
	}
	slices.Sort(names)
	return names
}

// leftovers returns the nodes that have been counted as wrong, for somebody to delete.
func (o *oracle) leftovers(t *truth) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	names := o.strangers(t)
	for _, r := range o.services {
		if r.void && o.holder(r.addr) == "" {
			for _, n := range o.nodes(t, r.addr) {
				names = append(names, n.name)
			}
		}
	}
	return names
}

func hexes(sessions []int64) string {
	if len(sessions) == 0 {
		return "none"
	}
	var all []string
	for _, s := range sessions {
		all = append(all, fmt.Sprintf("%#x", uint64(s)))
	}
	return strings.Join(all, " ")
}
