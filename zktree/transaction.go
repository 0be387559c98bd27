package zktree

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/go-zookeeper/zk"
	"golang.org/x/sync/errgroup"
)

// Limits of a transaction: well below what servers accept, and so large that its cost is that of its operations.
const (
	maxOperations = 1000
	maxBytes      = 256 << 10
)

// mostUnderWay is how many transactions are under way at once: so many keep a server busy while others travel.
const mostUnderWay = 4

// A transaction is a part of a plan that is carried out at once.
type transaction struct {
	ops   []any
	size  int            // bytes, about
	after []*transaction // that are to be carried out before
	ended chan struct{}  // closed when it has been carried out, or has failed, or is not to be sent
	err   error          // why it was not carried out; set before ended is closed
}

// fits reports whether steps, of which at least one is to be taken, can be added.
func (t *transaction) fits(steps []step) bool {
	size := t.size
	for _, s := range steps {
		size += s.size
	}
	return len(t.ops)+len(steps) <= maxOperations && size <= maxBytes
}

func (t *transaction) follows(others ...*transaction) {
	for _, other := range others {
		if other != nil && other != t && !slices.Contains(t.after, other) {
			t.after = append(t.after, other)
		}
	}
}

// split makes transactions of steps, in their order. A node and all below it are in one, if they fit into one: then it
// need not wait for many others, and nobody sees a part of them.
func split(steps []step) (all []*transaction) {
	var (
		t       *transaction
		of      = map[string]*transaction{}   // by node, but for deletions
		deletes = map[string][]*transaction{} // of children, by their parent
	)
	for i, s := range steps {
		below := steps[i : i+s.span]
		if t == nil || !t.fits(steps[i:i+1]) || !t.fits(below) && (&transaction{}).fits(below) {
			t = &transaction{ended: make(chan struct{})}
			all = append(all, t)
		}
		t.ops, t.size = append(t.ops, s.op), t.size+s.size
		above := s.path[:strings.LastIndexByte(s.path, '/')]
		t.follows(of[above])
		if _, ok := s.op.(*zk.DeleteRequest); ok {
			t.follows(deletes[s.path]...)
			if last := len(deletes[above]) - 1; last < 0 || deletes[above][last] != t {
				deletes[above] = append(deletes[above], t)
			}
		} else {
			of[s.path] = t
		}
	}
	return all
}

// carryOut has do carry out transactions, several at once, until one fails. It returns the errors of those that have.
func carryOut(all []*transaction, do func(ops []any) error) error {
	var (
		g      errgroup.Group
		failed atomic.Bool
	)
	g.SetLimit(mostUnderWay)
	for _, t := range all {
		for _, before := range t.after {
			<-before.ended
		}
		// Ends with its transaction, and is waited for below.
		g.Go(func() error {
			defer close(t.ended)
			if failed.Load() {
				return nil
			}
			if t.err = do(t.ops); t.err != nil {
				failed.Store(true)
			}
			return nil
		})
	}
	_ = g.Wait() // the errors are the transactions'
	var errs []error
	for _, t := range all {
		errs = append(errs, t.err)
	}
	return errors.Join(errs...)
}
