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

// driver tells a client what to do, as its service would.
type driver struct {
	client *client
	rng    *rand.Rand
	props  string // path of the node of properties
	ledger string // path of the node of calls
	ids    int
}

// id returns a new one.
func (d *driver) id(what string) string {
	d.ids++
	return fmt.Sprintf("%s%d", what, d.ids)
}

// open has a stream opened.
func (d *driver) open(verb, path string) {
	if !d.client.alive() || !d.client.owner.tally.can(verb) {
		return
	}
	id := d.id(verb[:1])
	d.client.oracle.watch(id, verb, path)
	d.client.process.send("%s %s %s", verb, id, path)
}

// work registers, withdraws and updates until ctx ends. The seed makes all contenders do the same.
func (d *driver) work(ctx context.Context, seed uint64) {
	d.rng = rand.New(rand.NewPCG(seed, uint64(d.client.number)))
	for d.client.alive() {
		if pause(ctx, spread(d.rng, 50*time.Millisecond, 500*time.Millisecond)) != nil {
			return
		}
		// Drawn also where it cannot be done, so that all do the same.
		switch draw := d.rng.IntN(10); {
		case draw < 4:
			d.update()
		case draw < 8:
			d.call()
		default:
			d.churn()
		}
	}
}

// update sets a property that nobody else sets.
func (d *driver) update() {
	if !d.client.owner.tally.can("update") {
		return
	}
	id := d.id("u")
	key, value := d.client.name+id, fmt.Sprint(d.ids)
	d.client.oracle.update(id, d.props, key, value)
	d.client.process.send("update %s %s %s %s", id, d.props, key, value)
}

// call makes one call.
func (d *driver) call() {
	kind := callKinds[d.rng.IntN(len(callKinds))]
	if !d.client.owner.tally.can("call") {
		return
	}
	id, path := d.client.name+d.id("k"), d.ledger
	if kind == deleteCall {
		if path = d.client.oracle.deletable(); path == "" {
			kind, path = createCall, d.ledger
		}
	}
	d.client.oracle.call(id, kind, path)
	d.client.process.send("call %s %s %s", id, kind, path)
}

// churn withdraws a registration, begins one, or both.
func (d *driver) churn() {
	ids, _ := d.client.oracle.live()
	draw, which := d.rng.IntN(3), d.rng.IntN(slots)
	if len(ids) > 0 && (len(ids) == slots || draw > 0) {
		d.withdraw(ids[which%len(ids)])
		if draw == 1 {
			return
		}
	}
	d.register()
}

// fill begins registrations until there are enough.
func (d *driver) fill() {
	for {
		if ids, _ := d.client.oracle.live(); len(ids) >= slots || !d.register() {
			return
		}
	}
}

// register begins a registration at an address that is free, if there is one.
func (d *driver) register() bool {
	if !d.client.alive() || !d.client.owner.tally.can("register") {
		return false
	}
	_, used := d.client.oracle.live()
	for i := range slots * addresses {
		addr := fmt.Sprintf("10.0.%d.%d:80", d.client.number, (d.ids+i)%(slots*addresses))
		if !used[addr] {
			d.registerAt(addr)
			return true
		}
	}
	return false
}

func (d *driver) registerAt(addr string) {
	id := d.id("r")
	d.client.oracle.begin(id, addr)
	d.client.process.send("register %s %s %s", id, d.client.service(), addr)
}

func (d *driver) withdraw(id string) {
	d.client.oracle.withdraw(id)
	d.client.process.send("withdraw %s", id)
}

// again makes the calls again that have failed and said so.
func (d *driver) again() {
	if !d.client.alive() {
		return
	}
	register, withdraw := d.client.oracle.refusals()
	for _, id := range register {
		d.registerAt(d.client.oracle.replace(id))
	}
	for _, id := range withdraw {
		d.withdraw(id)
	}
}

// mend withdraws what was counted as lost.
func (d *driver) mend() {
	if !d.client.alive() {
		return
	}
	for _, id := range d.client.oracle.voided() {
		d.withdraw(id)
	}
}
