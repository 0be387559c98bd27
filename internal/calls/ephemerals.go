package calls

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/zkconn"
	"golang.org/x/sync/semaphore"
)

// ephemerals is the set of ephemeral nodes that belong to calls under way. A call whose answer was lost looks for its node among
// those of its session. If other calls create nodes with the same content at the same time, theirs are there, too: of the same
// path, or of the same name with another number. Of the latter it does not matter which of these calls gets which. But each node
// must belong to one call.
//
// gate prevents this race. Call A has lost its answer, and searches. Call B has been answered with node 7, but has not taken
// it yet. A sees node 7, which nobody has taken, and takes it. Then both have it. So a try holds a part of gate until it has
// taken its node, and a search holds all of it. It is no mutex, since both wait for the server meanwhile.
//
// A nil *ephemerals does nothing.
type ephemerals struct {
	gate *semaphore.Weighted

	mu           sync.Mutex // guards what follows
	older, newer *cohort
}

// A cohort is calls that have begun one after the other, and the nodes that calls have taken meanwhile.
type cohort struct {
	calls int // under way
	taken map[string]bool
}

func newEphemerals() *ephemerals {
	return &ephemerals{gate: semaphore.NewWeighted(wholeGate), older: newCohort(), newer: newCohort()}
}

func newCohort() *cohort { return &cohort{taken: map[string]bool{}} }

// enter begins a call, which ends when the returned function is called.
//
// A node is forgotten when there is no call left that could take it for its own. Each call looks only for what was created after
// it had begun. So what was taken while a cohort was the newer one matters to the calls of that one and of the one before, and
// to none that have begun since.
func (s *ephemerals) enter() (leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.newer
	c.calls++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		c.calls--
		for range 2 {
			if s.older.calls == 0 && len(s.older.taken)+len(s.newer.taken) > 0 {
				s.older, s.newer = s.newer, newCohort()
			}
		}
	}
}

// wholeGate is more than there can be tries at once.
const wholeGate = 1 << 30

// hold begins a try, which holds 1 of gate, or a search, which holds wholeGate. It ends when the returned function is called.
func (s *ephemerals) hold(ctx context.Context, part int64) (end func(), err error) {
	if s == nil {
		return func() {}, nil
	}
	if err := s.gate.Acquire(ctx, part); err != nil {
		return nil, context.Cause(ctx)
	}
	return func() { s.gate.Release(part) }, nil
}

// take reports whether no other call has that node, and takes it.
func (s *ephemerals) take(path string) bool {
	if s == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.older.taken[path] || s.newer.taken[path] {
		return false
	}
	s.newer.taken[path] = true
	return true
}

// findSequential looks for the node that a lost request may have made: an ephemeral one of the session in which it was
// sent, created since, with its content. Names are looked at from the highest number down, which is the order of their
// creation backwards, to the first that was there before. The caller holds the whole gate.
func (w *write) findSequential(ctx context.Context, request *zk.CreateRequest) (string, fate, error) {
	c, since := w.caller, w.change.Since()
	if same, err := c.untouched(ctx, request, since); err != nil || same {
		return "", notDone, err
	}
	parent, prefix := Parent(request.Path), request.Path[strings.LastIndexByte(request.Path, '/')+1:]
	children, err := c.conn.Look(ctx, zkconn.Children, parent)
	if err != nil {
		return "", unknown, err
	}
	numbers := map[string]int64{}
	names := slices.DeleteFunc(children.Names, func(name string) bool {
		digits, ok := strings.CutPrefix(name, prefix)
		n, err := strconv.ParseInt(digits, 10, 32)
		numbers[name] = n
		return !ok || err != nil || len(digits) < 10
	})
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(numbers[b], numbers[a]) })
	session := w.change.Owner()
	for _, name := range names {
		path := strings.TrimSuffix(parent, "/") + "/" + name
		found, stat, err := c.exists(ctx, path)
		switch {
		case err != nil:
			return "", unknown, err
		case !found:
			continue
		case stat.Czxid <= since:
			return "", unknown, nil // it may have been deleted since
		case stat.EphemeralOwner != session:
			continue
		}
		data, _, err := c.get(ctx, path)
		switch {
		case errors.Is(err, zk.ErrNoNode):
		case err != nil:
			return "", unknown, err
		case bytes.Equal(data, request.Data) && c.ephemerals.take(path):
			return path, done, nil
		}
	}
	return "", unknown, nil
}
