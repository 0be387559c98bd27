package simulation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/internal/history"
	"github.com/zkstream/zkstream/zktest"
)

// writes is what has become of the writes that clients were asked for. Each has a number, which the content
// that it writes holds as property "n"; and the server's journal has each change of a node, with its content.
// Where there is no content, as with a
// delete, the changes are counted, by client and node.
type writes struct {
	numbered map[int]*write
	counts   map[place]*count
	contents map[string][]byte // of each node, as it is after the last change
	armed    map[string]bool   // nodes that a rival is to write as soon as a client has
	toggles  [][]byte          // the contents of the toggle, from the first on
}

// write is a numbered call of SetProperties, UpdateProperties or Create.
type write struct {
	name     string
	path     string // of a sequential node, up to its number; it ends with a dash
	number   int
	applied  int       // how often it is in the history
	returned time.Time // zero: not yet
	done     bool      // it is known what the call says
	err      error     // of the call, when done
}

// isOf reports whether w may have changed the node at path.
func (w *write) isOf(path string) bool {
	return path == w.path || strings.HasSuffix(w.path, "-") && strings.HasPrefix(path, w.path)
}

// place is a node and who works on it.
type place struct {
	client *simClient
	path   string
}

// count is what became of the calls of one client on one node that have no number.
type count struct{ applied, succeeded, unknown int }

func newWrites() writes {
	return writes{
		numbered: map[int]*write{},
		counts:   map[place]*count{},
		contents: map[string][]byte{},
		armed:    map[string]bool{},
	}
}

const promiseWrites = "a write says what became of it"

// isUnknown reports whether err leaves open what became of a write.
func isUnknown(err error) bool { return errors.Is(err, zkstream.ErrUnknown) }

// write makes a call that writes once. fn writes content with the number that it gets.
func (s *simulation) write(c *simClient, op, path string, fn func(ctx context.Context, n int) error, allowed ...error) *simCall {
	w := &write{path: path, number: s.id()}
	ctx := s.context()
	s.mu.Lock()
	s.history.numbered[w.number] = w
	s.mu.Unlock()
	call := s.call(c, fmt.Sprintf("%s of %s with number %d", op, path, w.number), ctx, func(ctx context.Context) error {
		return fn(ctx, w.number)
	}, func(err error) {
		s.mu.Lock()
		w.returned = time.Now()
		w.done, w.err = err == nil || !isUnknown(err), err
		done, applied := w.done, w.applied
		s.mu.Unlock()
		switch {
		case !done:
		case err == nil && applied == 0:
			s.breach(promiseWrites, "%s has succeeded, and was not carried out", w.name)
		case err != nil && applied > 0 && s.has(exactWrites):
			s.breach(promiseWrites, "%s fails with %v, and was carried out", w.name, err)
		}
	}, allowed...)
	w.name = call.name
	return call
}

// counted makes a call that writes once, but no number: a Delete, or an update of the toggle.
func (s *simulation) counted(c *simClient, op, path string, fn func(ctx context.Context) error, allowed ...error) *simCall {
	ctx := s.context()
	return s.call(c, op+" of "+path, ctx, fn, func(err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		n := s.countLocked(c, path)
		switch {
		case err == nil:
			n.succeeded++
		case isUnknown(err):
			n.unknown++
		}
	}, allowed...)
}

// toggled: while a toggle that has succeeded was called, the property once had its value. It may have been
// somebody else who set it: nobody can see the difference.
func (s *simulation) toggled(name string, on bool, since int) {
	s.mu.Lock()
	seen := s.history.toggles[since:]
	s.mu.Unlock()
	value := fmt.Appendf(nil, `"on": %v`, on)
	if !slices.ContainsFunc(seen, func(data []byte) bool { return bytes.Contains(data, value) }) {
		s.breach(promiseWrites, "%s has succeeded; meanwhile the content was never so, but %q", name, seen)
	}
}

func (s *simulation) countLocked(c *simClient, path string) *count {
	n := s.history.counts[place{c, path}]
	if n == nil {
		n = new(count)
		s.history.counts[place{c, path}] = n
	}
	return n
}

// record notes a change. The server calls it, under its lock.
func (s *simulation) record(ch zktest.Change) {
	if inTree(ch.Path) || slices.ContainsFunc(simServices, func(service string) bool { return ch.Path == service || strings.HasPrefix(ch.Path, service+"/") }) {
		kinds := map[zktest.Op]history.Kind{zktest.OpCreate: history.Create, zktest.OpDelete: history.Delete, zktest.OpSetData: history.Set}
		s.past.Apply(ch.Zxid, time.Now(), history.Op{Kind: kinds[ch.Op], Path: ch.Path, Value: string(ch.Data)})
	}
	if s.verbose {
		s.note("    transaction %d of session %s: %v %s", ch.Zxid, hex(ch.Session), ch.Op, ch.Path)
	}
	s.mu.Lock()
	client := s.owners[ch.Session]
	before := s.history.contents[ch.Path]
	s.history.contents[ch.Path] = ch.Data
	armed := s.history.armed[ch.Path] && client != nil
	if armed {
		delete(s.history.armed, ch.Path)
	}
	if ch.Path == simToggle {
		s.history.toggles = append(s.history.toggles, ch.Data)
	}
	n, known := numberIn(ch.Data)
	w := s.history.numbered[n]
	known = known && w != nil && w.isOf(ch.Path) && client != nil && ch.Op != zktest.OpDelete
	var failed error
	if known {
		w.applied++
		if w.done {
			failed = w.err
		}
	}
	if client != nil && (ch.Op == zktest.OpDelete && (slices.Contains(simData, ch.Path) || slices.Contains(treePaths(), ch.Path) || ch.Path == simTree) || ch.Path == simToggle) {
		s.countLocked(client, ch.Path).applied++
	}
	s.mu.Unlock()
	if armed {
		go s.rival(ch.Path) // ends at once
	}
	switch {
	case !known || !s.has(exactWrites):
	case w.applied > 1:
		s.breach(promiseWrites, "%s was carried out for the %d. time; the content before it was %.80q", w.name, w.applied, before)
	case failed != nil:
		s.breach(promiseWrites, "%s was carried out after it had failed with %v", w.name, failed)
	}
	if known && ch.Op == zktest.OpSetData && slices.Contains(simProps, ch.Path) && !s.wiping {
		if lost := damage(before, ch.Data, "n", fmt.Sprintf("u%d", n)); lost != "" {
			s.breach("an update keeps what it does not name", "%s has made %.200q of %.200q: %s", w.name, ch.Data, before, lost)
		}
	}
}

// rival writes what a client has just written, as another program does.
func (s *simulation) rival(path string) {
	content := fmt.Appendf(nil, `{"rival": %d}`, s.rivals.Add(1))
	if slices.Contains(simProps, path) {
		content = append([]byte(simStart[:len(simStart)-1]), fmt.Sprintf(`, "rival": %d}`, s.rivals.Add(1))...)
	}
	if err := s.servers.Set(path, content); err != nil {
		s.direct("another client creates "+path, s.servers.Create(path, content))
		return
	}
	s.direct("another client sets "+path, nil)
}

var numberPattern = regexp.MustCompile(`"n": ?(\d+)`)

// numberIn finds the number of the write that has made a content.
func numberIn(data []byte) (n int, ok bool) {
	if len(data) > 8<<10 { // then it is at the beginning
		data = data[:100]
	}
	m := numberPattern.FindSubmatch(data)
	if m == nil {
		return 0, false
	}
	n, err := strconv.Atoi(string(m[1]))
	return n, err == nil
}

// checkSent: nothing is sent for a call that has returned, unless it said that its request was under way.
func (s *simulation) checkSent(c *simClient, packet []byte) {
	if !s.has(exactWrites) || c.speed.Load() != 0 {
		return
	}
	n, ok := numberIn(packet[min(16, len(packet)):])
	if !ok {
		return
	}
	s.mu.Lock()
	w := s.history.numbered[n]
	late := w != nil && w.done && time.Since(w.returned) > 10*time.Millisecond && bytes.Contains(packet, []byte(w.path))
	s.mu.Unlock()
	if late {
		s.breach(promiseWrites, "%s has returned, and then its request was sent", w.name)
	}
}

// checkCounts: each Delete that has succeeded is in the history, and no other is; no toggle is there twice.
func (s *simulation) checkCounts(when string) {
	if !s.has(exactWrites) {
		return
	}
	s.mu.Lock()
	counts := map[place]count{}
	for p, n := range s.history.counts {
		counts[p] = *n
	}
	s.mu.Unlock()
	for p, n := range counts {
		if n.applied < n.succeeded && p.path != simToggle || n.applied > n.succeeded+n.unknown {
			s.breach(promiseWrites, "%v: %s, its writes of %s were carried out %d times; %d succeeded, of %d it is unknown",
				p.client, when, p.path, n.applied, n.succeeded, n.unknown)
		}
	}
}
