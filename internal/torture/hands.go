package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	slots     = 3 // registrations that a client has, most of the time
	addresses = 4 // that each of them can have
)

// hands tell a client what to do, as its service would.
type hands struct {
	client *client
	rng    *rand.Rand
	props  string // path of the node of properties
	ids    int
}

// id returns a new one.
func (h *hands) id(what string) string {
	h.ids++
	return fmt.Sprintf("%s%d", what, h.ids)
}

// open has a stream opened.
func (h *hands) open(verb, path string) {
	if !h.client.alive() || !h.client.owner.tally.can(verb) {
		return
	}
	id := h.id(verb[:1])
	h.client.oracle.watch(id, verb, path)
	h.client.process.send("%s %s %s", verb, id, path)
}

// work registers, withdraws and updates until ctx ends. The seed makes all contenders do the same.
func (h *hands) work(ctx context.Context, seed uint64) {
	h.rng = rand.New(rand.NewPCG(seed, uint64(h.client.number)))
	for h.client.alive() {
		if pause(ctx, spread(h.rng, 50*time.Millisecond, 500*time.Millisecond)) != nil {
			return
		}
		// Drawn also where it cannot be done, so that all do the same.
		switch draw := h.rng.IntN(6); {
		case draw < 4:
			h.update()
		default:
			h.churn()
		}
	}
}

// update sets a property that nobody else sets.
func (h *hands) update() {
	if !h.client.owner.tally.can("update") {
		return
	}
	id := h.id("u")
	key, value := h.client.name+id, fmt.Sprint(h.ids)
	h.client.oracle.update(id, h.props, key, value)
	h.client.process.send("update %s %s %s %s", id, h.props, key, value)
}

// churn withdraws a registration, begins one, or both.
func (h *hands) churn() {
	ids, _ := h.client.oracle.live()
	draw, which := h.rng.IntN(3), h.rng.IntN(slots)
	if len(ids) > 0 && (len(ids) == slots || draw > 0) {
		h.withdraw(ids[which%len(ids)])
		if draw == 1 {
			return
		}
	}
	h.register()
}

// fill begins registrations until there are enough.
func (h *hands) fill() {
	for {
		if ids, _ := h.client.oracle.live(); len(ids) >= slots || !h.register() {
			return
		}
	}
}

// register begins a registration at an address that is free, if there is one.
func (h *hands) register() bool {
	if !h.client.alive() || !h.client.owner.tally.can("register") {
		return false
	}
	_, used := h.client.oracle.live()
	for i := range slots * addresses {
		addr := fmt.Sprintf("10.0.%d.%d:80", h.client.number, (h.ids+i)%(slots*addresses))
		if !used[addr] {
			h.registerAt(addr)
			return true
		}
	}
	return false
}

func (h *hands) registerAt(addr string) {
	id := h.id("r")
	h.client.oracle.begin(id, addr)
	h.client.process.send("register %s %s %s", id, h.client.service(), addr)
}

func (h *hands) withdraw(id string) {
	h.client.oracle.withdraw(id)
	h.client.process.send("withdraw %s", id)
}

// again makes the calls again that have failed and said so.
func (h *hands) again() {
	if !h.client.alive() {
		return
	}
	register, withdraw := h.client.oracle.refusals()
	for _, id := range register {
		h.registerAt(h.client.oracle.replace(id))
	}
	for _, id := range withdraw {
		h.withdraw(id)
	}
}

// mend withdraws what was counted as lost.
func (h *hands) mend() {
	if !h.client.alive() {
		return
	}
	for _, id := range h.client.oracle.voided() {
		h.withdraw(id)
	}
}
