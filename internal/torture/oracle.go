package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/zkstream/zkstream/internal/history"
)

// oracle watches what one client says, and judges it.
type oracle struct {
	client  string // its name
	service string // path of the service where it registers
	timeout time.Duration
	tally   *tally
	changes *changes
	history *history.History // of the sets

	exact bool // the library says of an update that failed when it does not know whether it was made

	mu       sync.Mutex // guards what follows
	streams  map[string]*stream
	services map[string]*registration
	updates  map[string]*update
	larges   map[string]*largeWrite
	calls    map[string]*call
	session  session
	lastUse  *usage // the answer to stats
	over     bool   // nothing counts any more
}

func newOracle(client, service string, timeout time.Duration, t *tally, c *changes) *oracle {
	return &oracle{
		client: client, service: service, timeout: timeout, tally: t, changes: c, history: new(history.History),
		streams: map[string]*stream{}, services: map[string]*registration{}, updates: map[string]*update{}, larges: map[string]*largeWrite{},
		calls: map[string]*call{},
	}
}

// stream is one that the client keeps open.
type stream struct {
	verb, path string
	last       state
	has        bool      // there is a last one
	at         time.Time // when it came
	snapshots  int
	czxid      int64 // the highest so far
	zxid       int64
	counter    int64 // the highest value so far, where zxids are not told

	// Of a set.
	set   history.Stream
	heard []history.Snapshot // to be judged

	// As of the last judgement.
	missing bool // the stream was behind
	truth   state
	judged  int // snapshots then

	dead bool
}

// update is one of a property.
type update struct {
	path, key, value string
	at               time.Time // when the client was told to
	made, failed     bool
	unknown          bool // failed, and the library does not know whether it was made
}

// largeWrite is a write that is too large for the servers.
type largeWrite struct {
	alone  bool      // nothing else is wrong meanwhile
	answer string    // "" before there is one
	at     time.Time // of the answer
}

// watch notes a stream that the client has been told to open.
func (o *oracle) watch(id, verb, path string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.streams[id] = &stream{verb: verb, path: path, set: history.Stream{Opened: o.history.Zxid()}}
}

// hear takes a line of the client.
func (o *oracle) hear(now time.Time, l line) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over {
		return
	}
	switch l.verb {
	case "data", "children", "instances", "tree":
		if s := o.streams[l.id]; s != nil && !s.dead && s.verb == l.verb {
			o.tally.count(func(t *tally) { t.snapshots++ })
			o.tally.add(now, o.client, s.take(now, l.id, l.node, o.changes)...)
			if setVerbs[s.verb] != "" {
				s.takeSet(now, l.set)
			}
		}
	case "end":
		if s := o.streams[l.id]; s != nil && !s.dead {
			s.dead = true
			if hides(s.path) && strings.Contains(strings.ToLower(l.text), "auth") {
				return // it could not read the node, and says so
			}
			o.tally.add(now, o.client, finding{dead, l.id + " " + s.path, "ended: " + l.text})
		}
	case "session":
		if wrong := o.session.tell(l.text); wrong != "" {
			o.tally.add(now, o.client, finding{wrongState, "session", wrong})
		}
	case "registered", "withdrawn":
		if r := o.services[l.id]; r != nil {
			r.hear(l.verb)
		}
	case "toolarge":
		o.answer(now, l)
	case "unknown":
		if o.answer(now, l) {
			break
		}
		if c := o.calls[l.id]; c != nil {
			c.answer = unknownCall
			o.tally.count(func(t *tally) { t.unknown++ })
		}
		if u := o.updates[l.id]; u != nil {
			u.unknown = true
			o.tally.count(func(t *tally) { t.unknown++ })
		}
		o.failed(now, l)
	case "updated":
		o.answer(now, l)
		if u := o.updates[l.id]; u != nil {
			u.made = true
			o.tally.count(func(t *tally) { t.updated++ })
		}
	case "made":
		o.made(now, l)
	case "failed":
		if !o.answer(now, l) {
			o.failed(now, l)
		}
	case "unable":
		o.unable(l.text)
	case "stats":
		o.lastUse = &l.use
	}
}

// large notes a write that the client has been told to make, and that is too large.
func (o *oracle) large(id string, alone bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.larges[id] = &largeWrite{alone: alone}
}

// answered reports whether the client has said how a write went that is too large.
func (o *oracle) answered(id string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.larges[id] == nil || o.larges[id].answer != ""
}

// answer takes what a client says of a write that is too large, if that is what the line is about.
func (o *oracle) answer(now time.Time, l line) bool {
	w := o.larges[l.id]
	if w != nil {
		w.answer, w.at = strings.TrimSpace(l.verb+" "+l.text), now
	}
	return w != nil
}

// failed takes it that a call has failed. It is early when its user would have expected it to go on: an update
// has its time, unless nobody can know whether it was made, and a registration lasts until it is withdrawn.
func (o *oracle) failed(now time.Time, l line) {
	early := false
	if u := o.updates[l.id]; u != nil {
		u.failed = true
		early = now.Sub(u.at) < updateLimit && !u.unknown
	}
	if c := o.calls[l.id]; c != nil && c.answer == "" {
		c.answer = failedCall
		early = now.Sub(c.at) < updateLimit
	}
	if r := o.services[l.id]; r != nil {
		r.refused = true
		early = early || !r.withdraw
	}
	o.tally.refuse(now, o.client, l.id+": "+l.text, early)
}

// unable takes it that the library cannot do that, and expects nothing of it.
func (o *oracle) unable(command string) {
	o.tally.count(func(t *tally) { t.unable[command] = true })
	switch command {
	case "register":
		clear(o.services)
	case "update":
		clear(o.updates)
	case "large":
		clear(o.larges)
	case "call":
		clear(o.calls)
	default:
		maps.DeleteFunc(o.streams, func(_ string, s *stream) bool { return s.verb == command })
	}
}

// take takes a snapshot, and says what is wrong with it.
func (s *stream) take(now time.Time, id string, n state, c *changes) (found []finding) {
	wrong := func(f failure, format string, args ...any) {
		found = append(found, finding{f, id + " " + s.path, fmt.Sprintf(format, args...)})
	}
	told := n.exists && n.czxid != 0
	switch {
	case !s.has:
	case told && s.last.exists && n.czxid == s.last.czxid && n.zxid == s.last.zxid && n.content == s.last.content:
		wrong(repeated, "%v twice in a row", n)
	case !told && n.exists == s.last.exists && n.content == s.last.content && !c.sinceBefore(s.path, s.at):
		// A node may have come and gone between two equal snapshots, but here nothing was written.
		wrong(repeated, "%v twice in a row, and nothing was written", n)
	}
	if told && (n.czxid < s.czxid || n.zxid < s.zxid) {
		wrong(back, "%v after czxid %#x, zxid %#x", n, s.czxid, s.zxid)
	}
	if n.exists && !told && s.verb == "data" {
		if counter, err := strconv.ParseInt(n.content[strings.LastIndex(n.content, "=")+1:], 10, 64); err == nil {
			if counter < s.counter {
				wrong(back, "%d after %d", counter, s.counter)
			}
			s.counter = max(s.counter, counter)
		}
	}
	if told {
		s.czxid, s.zxid = max(s.czxid, n.czxid), max(s.zxid, n.zxid)
	}
	s.last, s.has, s.at = n, true, now
	s.snapshots++
	return found
}

// pending returns what is not as it should be yet. sessions are those of the client, as the servers have
// them.
func (o *oracle) pending(t *truth, sessions []int64) (found []finding) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(o.streams)) {
		if s := o.streams[id]; !s.dead && s.behind(t) {
			found = append(found, s.missed(id, t))
		}
	}
	found = append(found, o.pendingServices(t, sessions)...)
	found = append(found, o.pendingUpdates(t)...)
	found = append(found, o.pendingCalls(t)...)
	if state := o.session.state; state != "" && state != "connected" {
		found = append(found, finding{stranded, "session", state})
	}
	return found
}

// behind reports whether the stream's last snapshot is not the truth.
func (s *stream) behind(t *truth) bool {
	truth, _ := t.of(s.verb, s.path)
	return !s.has || !s.last.matches(truth)
}

func (s *stream) missed(id string, t *truth) finding {
	truth, _ := t.of(s.verb, s.path)
	has := "no snapshot"
	if s.has {
		has = s.last.String() + ", since " + s.at.Format(clock)
	}
	return finding{missed, id + " " + s.path, fmt.Sprintf("the server has %v, the stream %s", truth, has)}
}

func (o *oracle) pendingUpdates(t *truth) (found []finding) {
	for _, id := range slices.Sorted(maps.Keys(o.updates)) {
		u := o.updates[id]
		switch got, ok := t.props[u.path][u.key]; {
		case u.failed && ok && o.exact && !u.unknown:
			found = append(found, finding{untrue, id, fmt.Sprintf("%s of %s is there, and the update was said to have failed", u.key, u.path)})
		case u.failed:
		case !u.made:
			found = append(found, finding{unwritten, id, "the update has not returned"})
		case !ok:
			found = append(found, finding{unwritten, id, fmt.Sprintf("%s of %s is not there", u.key, u.path)})
		case fmt.Sprint(got) != u.value:
			found = append(found, finding{unwritten, id, fmt.Sprintf("%s of %s is %v, want %s", u.key, u.path, got, u.value)})
		}
	}
	return found
}

// judge counts what is wrong at the end of a calm. It returns the streams that are to be opened anew. What has
// an excuse is not counted: after a machine that stood still the next calm will, and when servers have lost
// changes, what has come of that is put away.
func (o *oracle) judge(t *truth, sessions []int64, e excuse) (reopen []*stream) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var found []finding
	for _, id := range slices.Sorted(maps.Keys(o.streams)) {
		s := o.streams[id]
		if !s.dead && e == none {
			found = append(found, s.judge(id, t)...)
		}
		if e != serversLost && setVerbs[s.verb] != "" {
			found = append(found, s.judgeSet(id, o.history)...)
		}
		if e == serversLost { // zxids and counters may begin again from an earlier one
			s.czxid, s.zxid, s.counter = 0, 0, 0
			s.forgetSet()
		}
		// Not before there is a node: some libraries cannot watch for one.
		if truth, _ := t.of(s.verb, s.path); s.dead && truth.exists {
			reopen = append(reopen, s)
			delete(o.streams, id)
		}
	}
	found = append(found, o.judgeServices(t, sessions, e)...)
	found = append(found, o.pendingUpdates(t)...)
	found = append(found, o.pendingCalls(t)...)
	for id, w := range o.larges {
		// Connections that are lost for another reason are no sign of a write that is too large, and take the time to find out.
		excused := strings.HasPrefix(w.answer, "unknown") || strings.HasPrefix(w.answer, "failed") && strings.Contains(w.answer, context.DeadlineExceeded.Error())
		if w.answer != "toolarge" && (w.alone || !excused) {
			found = append(found, finding{poisoned, id, "a write that the servers do not take: " + w.answer})
		}
	}
	clear(o.updates)
	clear(o.larges)
	clear(o.calls)
	if state := o.session.state; state != "" && state != "connected" {
		found = append(found, finding{stranded, "session", state})
	}
	if len(sessions) == 1 {
		if wrong := o.session.calm(sessions[0]); wrong != "" {
			found = append(found, finding{wrongState, "session", wrong})
		}
	}
	found = slices.DeleteFunc(found, func(f finding) bool { return e.covers(f.failure) })
	o.tally.add(t.at, o.client, found...)
	return reopen
}

// judge counts an update that was missed once, however long it stays so. A stream is dead when it said
// nothing from one judgement to the next, although it was behind and its node changed once more.
func (s *stream) judge(id string, t *truth) (found []finding) {
	truth, settled := t.of(s.verb, s.path)
	behind := s.behind(t)
	if behind && !settled {
		return nil
	}
	again := behind && s.missing && s.snapshots == s.judged
	switch {
	case !behind:
	case again && truth == s.truth: // counted before
	case again:
		s.dead = true
		found = append(found, finding{dead, id + " " + s.path, "silent while its node changed, in two rounds: " + s.missed(id, t).text})
	default:
		found = append(found, s.missed(id, t))
	}
	s.missing, s.truth, s.judged = behind, truth, s.snapshots
	return found
}

// silence takes it that the client has had no answer of any server for so long.
func (o *oracle) silence(now time.Time, lasted time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if wrong := o.session.overdue(lasted, o.timeout); wrong != "" {
		o.tally.add(now, o.client, finding{wrongState, "session", wrong})
	}
}

// update notes an update that the client has been told to make.
func (o *oracle) update(id, path, key, value string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.updates[id] = &update{path: path, key: key, value: value, at: time.Now()}
}

// end makes the oracle deaf: what a client says when it is closed does not count.
func (o *oracle) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.over = true
}

// skip forgets the updates of a round that cannot be judged.
func (o *oracle) skip() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.updates)
	clear(o.larges)
	clear(o.calls)
}

// wrote returns how many updates of a node the client has made for certain, and how many it may have made besides.
func (o *oracle) wrote(path string) (made, maybe int32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, u := range o.updates {
		switch {
		case u.path != path:
		case u.made:
			made++
		case u.unknown || !u.failed || !o.exact:
			maybe++
		}
	}
	return made, maybe
}

// takeUse returns the answer to the latest stats, if it has come.
func (o *oracle) takeUse() (usage, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.lastUse == nil {
		return usage{}, false
	}
	u := *o.lastUse
	o.lastUse = nil
	return u, true
}
