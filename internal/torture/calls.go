package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The kinds of calls.
const (
	createCall     = "create"
	sequentialCall = "createseq"
	ephemeralCall  = "createeph"
	deleteCall     = "delete"
	writeCall      = "write"
	multiCall      = "multi"
	getCall        = "get"
)

var callKinds = []string{createCall, createCall, sequentialCall, ephemeralCall, deleteCall, writeCall, multiCall, getCall}

// What a client says of a call.
const (
	madeCall    = "made"
	failedCall  = "failed"
	unknownCall = "unknown"
)

// call is one that a client was told to make. All calls of a contender in a round are made below one node, which
// nobody else writes: its ledger.
type call struct {
	kind, path string
	at         time.Time
	least      int32 // of get: the version that the client knew of when it began
	answer     string
	version    int32
}

// writes reports whether the call replaces the content of the ledger.
func (c *call) writes() bool { return c.kind == writeCall || c.kind == multiCall }

// ledger is the node below which a contender's calls of a round were made.
type ledger struct {
	version int32
	content string
	names   []string
}

// count returns how many nodes there are that a call has created.
func (l ledger) count(id string) (n int) {
	for _, name := range l.names {
		if name == id || len(name) == len(id)+10 && strings.HasPrefix(name, id) { // a number has ten digits
			n++
		}
	}
	return n
}

// ledgerOf returns the path of a contender's ledger in a round.
func ledgerOf(c *contender, round int) string { return fmt.Sprintf("%s-%d", c.ledger(), round) }

// call notes a call that the client has been told to make.
func (o *oracle) call(id, kind, path string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := &call{kind: kind, path: path, at: time.Now()}
	for _, other := range o.calls {
		if other.answer == madeCall {
			c.least = max(c.least, other.version)
		}
	}
	o.calls[id] = c
}

// made takes it that a call was made.
func (o *oracle) made(now time.Time, l line) {
	c := o.calls[l.id]
	if c == nil {
		return
	}
	c.answer, c.version = madeCall, l.version
	o.tally.count(func(t *tally) { t.called++ })
	if c.kind == getCall && c.version < c.least {
		o.tally.add(now, o.client, finding{back, l.id, fmt.Sprintf("version %d was read, after version %d was known", c.version, c.least)})
	}
}

// deletable returns the path of a node that the client has created for certain, and that it was not told to delete; "" if
// there is none.
func (o *oracle) deletable() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(o.calls)) {
		c := o.calls[id]
		if path := c.path + "/" + id; c.kind == createCall && c.answer == madeCall && o.deletion(path) == nil {
			return path
		}
	}
	return ""
}

// deletion returns the call that was to delete a node, nil if there was none.
func (o *oracle) deletion(path string) *call {
	for _, c := range o.calls {
		if c.kind == deleteCall && c.path == path {
			return c
		}
	}
	return nil
}

// pendingCalls returns the calls of which the servers have something else than the client has said.
func (o *oracle) pendingCalls(t *truth) (found []finding) {
	for _, id := range slices.Sorted(maps.Keys(o.calls)) {
		c := o.calls[id]
		there := t.ledgers[c.path]
		wrong := func(f failure, format string, args ...any) {
			found = append(found, finding{f, id, c.kind + " " + c.path + ": " + fmt.Sprintf(format, args...)})
		}
		if c.answer == "" {
			wrong(unwritten, "it has not returned")
			continue
		}
		switch c.kind {
		case createCall, sequentialCall, ephemeralCall:
			n := there.count(id)
			deletion := o.deletion(c.path + "/" + id)
			switch {
			case n > 1:
				wrong(twice, "%d nodes", n)
			case n == 1 && c.answer == failedCall:
				wrong(untrue, "the node is there, and the call was said to have failed")
			case n == 1 && deletion != nil && deletion.answer == madeCall:
				wrong(unwritten, "the node is there, and was said to be deleted")
			case n == 0 && deletion != nil && deletion.answer == failedCall:
				wrong(untrue, "the node is not there, and its deletion was said to have failed")
			case n == 0 && c.answer == madeCall && c.kind != ephemeralCall && deletion == nil: // an ephemeral one goes with its session
				wrong(unwritten, "the node is not there")
			}
		case multiCall:
			switch n := there.count(id+"a") + there.count(id+"b"); {
			case n == 1:
				wrong(untrue, "one of two nodes is there")
			case n == 2 && c.answer == failedCall:
				wrong(untrue, "the nodes are there, and the call was said to have failed")
			case n == 0 && c.answer == madeCall:
				wrong(unwritten, "the nodes are not there")
			}
		}
	}
	return found
}

// countCalls judges whether each write to the ledgers was made once, if it was made at all, and none undone by a later
// try of another: each has a version of its own, and the last one is what is there.
func (c *contender) countCalls(t *truth, e excuse) {
	made := map[string]map[int32]string{} // by ledger and version, the call
	maybe := map[string]int32{}           // by ledger
	wrong := func(f failure, path, format string, args ...any) {
		if !e.covers(f) {
			c.tally.add(t.at, c.name, finding{f, path, fmt.Sprintf(format, args...)})
		}
	}
	for _, client := range c.clients {
		client.oracle.mu.Lock()
		for _, id := range slices.Sorted(maps.Keys(client.oracle.calls)) {
			one := client.oracle.calls[id]
			if made[one.path] == nil {
				made[one.path] = map[int32]string{}
			}
			switch other := made[one.path][one.version]; {
			case !one.writes():
			case one.answer == madeCall && other != "":
				wrong(untrue, one.path, "%s and %s were both told to have made version %d", id, other, one.version)
			case one.answer == madeCall:
				made[one.path][one.version] = id
			case one.answer != failedCall:
				maybe[one.path]++
			}
		}
		client.oracle.mu.Unlock()
	}
	for path, l := range t.ledgers {
		certain, open := int32(len(made[path])), maybe[path]
		last, known := made[path][l.version]
		switch {
		case made[path] == nil: // of another contender
		case l.version > certain+open:
			wrong(twice, path, "written %d times by %d calls that were made and %d that may have been", l.version, certain, open)
		case l.version < certain:
			wrong(unwritten, path, "written %d times, although %d calls were made", l.version, certain)
		case known && l.content != last:
			wrong(unwritten, path, "it has %s, although version %d was made by %s", l.content, l.version, last)
		case !known && open == 0 && l.version > 0:
			wrong(untrue, path, "version %d was made by no call that was said to be made", l.version)
		}
	}
}
