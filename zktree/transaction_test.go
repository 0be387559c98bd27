package zktree_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
	"github.com/zkstream/zkstream/zktext"
	. "github.com/zkstream/zkstream/zktree"
)

// services is a tree of six parts of 600 nodes: each part fits into a transaction, two of them do not.
func services() *zktext.Node {
	top := &zktext.Node{Name: "top"}
	for i := range 6 {
		part := &zktext.Node{Name: fmt.Sprint("part", i)}
		for k := range 599 {
			part.Children = append(part.Children, &zktext.Node{Name: fmt.Sprintf("n%03d", k), Properties: map[string]any{"k": k}})
		}
		top.Children = append(top.Children, part)
	}
	return &zktext.Node{Children: []*zktext.Node{top}}
}

const servicesNodes = 1 + 6*600

func planOf(t *testing.T, c *zkstream.Client, tree *zktext.Node) *Changes {
	t.Helper()
	changes, err := Plan(t.Context(), c, "/", tree)
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

// transactions notes those that a server is asked for.
type transactions struct {
	mu  sync.Mutex // guards what follows
	all []zktest.Request
}

// see has each transaction noted, and given the fault that there is for its number.
func (s *transactions) see(server *zktest.Server, fault func(number int, r zktest.Request) zktest.Fault) {
	server.Intercept(func(r zktest.Request) zktest.Fault {
		if r.Op != zktest.OpMulti {
			return zktest.Fault{}
		}
		s.mu.Lock()
		s.all = append(s.all, r)
		n := len(s.all)
		s.mu.Unlock()
		return fault(n, r)
	})
}

func (s *transactions) number() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

func first(r zktest.Request) string { return r.Multi[0].Path }

func TestPartsOfAnImportAreCarriedOutSideBySide(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		changes := planOf(t, c, services())
		var seen transactions
		seen.see(server, func(int, zktest.Request) zktest.Fault { return zktest.Fault{} })
		last := 0
		if err := Apply(t.Context(), c, changes, WithProgress(func(done, total int) {
			if done <= last || total != servicesNodes {
				t.Errorf("%d of %d, after %d", done, total, last)
			}
			last = done
		})); err != nil {
			t.Fatal(err)
		}
		if last != servicesNodes {
			t.Errorf("%d nodes are reported", last)
		}
		parents := map[string]int{} // the transaction of each node that has children
		for i, r := range seen.all {
			for _, op := range r.Multi {
				above := op.Path[:strings.LastIndexByte(op.Path, '/')]
				if above != "" && above != "/top" {
					if parents[above] != i+1 {
						t.Errorf("%s is not in the transaction of %s", op.Path, above)
					}
				}
				parents[op.Path] = i + 1
			}
		}
		if len(seen.all) != 6 || first(seen.all[0]) != "/top" {
			t.Errorf("%d transactions", len(seen.all))
		}
		if changes := planOf(t, c, services()); changes.Len() != 0 {
			t.Errorf("%d changes are left", changes.Len())
		}
	})
}

func TestAtMostFourTransactionsAreUnderWay(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		changes := planOf(t, c, services())
		var seen transactions
		seen.see(server, func(n int, _ zktest.Request) zktest.Fault {
			if n == 2 {
				return zktest.Fault{Delay: time.Second} // those behind it wait, too
			}
			return zktest.Fault{}
		})
		var wait sync.WaitGroup
		wait.Go(func() {
			if err := Apply(t.Context(), c, changes); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(time.Second / 2) // of the bubble
		if n := c.Stats().Calls; n != 4 {
			t.Errorf("%d calls are under way", n)
		}
		wait.Wait()
	})
}

// What happens to one transaction does nothing to another, and what is not done is found by the next plan.
func TestFaultsAmongTransactionsThatAreUnderWay(t *testing.T) {
	for what, fault := range map[string]zktest.Fault{
		"the connection is lost before it":   {Drop: true},
		"its reply is lost":                  {LoseReply: true},
		"the server fails":                   {Code: zktest.ErrSystem},
		"it is late":                         {Delay: time.Second},
		"it is late and the connection lost": {Delay: time.Second, Drop: true},
	} {
		for _, at := range []int{1, 2, 3, 4} {
			t.Run(fmt.Sprintf("%s, transaction %d", what, at), func(t *testing.T) {
				inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
					changes := planOf(t, c, services())
					var seen transactions
					seen.see(server, func(n int, _ zktest.Request) zktest.Fault {
						if n == at {
							return fault
						}
						return zktest.Fault{}
					})
					if err := Apply(t.Context(), c, changes); err != nil && !errors.Is(err, zkstream.ErrUnknown) {
						t.Error(err)
					}
					again := planOf(t, c, services())
					if again.Len()%600 > 1 {
						t.Errorf("a transaction is half done: %d nodes are missing", again.Len())
					}
					if err := Apply(t.Context(), c, again); err != nil {
						t.Error(err)
					}
					if changes := planOf(t, c, services()); changes.Len() != 0 {
						t.Errorf("%d changes are left", changes.Len())
					}
				})
			})
		}
	}
}

func TestAConflictStopsWhatIsBelowAndWhatComesAfter(t *testing.T) {
	for _, meddled := range []string{"/top", "/top/part1", "/top/part5"} {
		inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
			changes := planOf(t, c, services())
			var seen transactions
			seen.see(server, func(n int, r zktest.Request) zktest.Fault {
				isOf := func(op zktest.Request) bool { return op.Path == meddled }
				if slices.ContainsFunc(r.Multi, isOf) {
					server.Create(meddled, []byte("somebody else's"))
				}
				return zktest.Fault{}
			})
			err := Apply(t.Context(), c, changes)
			var pe *zkstream.PathError
			if !errors.Is(err, ErrConflict) || !errors.Is(err, zk.ErrNodeExists) || !errors.As(err, &pe) || pe.Path != meddled {
				t.Errorf("%s: %v", meddled, err)
			}
			sent := seen.number()
			if meddled == "/top" && sent != 1 || sent > 6 {
				t.Errorf("%s: %d transactions were sent: %q", meddled, sent, first(seen.all[sent-1]))
			}
			server.Intercept(nil)
			if again := planOf(t, c, services()); again.Len()%600 > 2 {
				t.Errorf("%s: a transaction is half done: %d changes are left", meddled, again.Len())
			}
		})
	}
}

func TestAnImportThatIsGivenUpBeginsNoMoreTransactions(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		changes := planOf(t, c, services())
		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("cause")
		var seen transactions
		seen.see(server, func(n int, _ zktest.Request) zktest.Fault {
			if n == 1 {
				cancel(cause)
			}
			return zktest.Fault{Delay: time.Millisecond}
		})
		if err := Apply(ctx, c, changes); !errors.Is(err, cause) {
			t.Error(err)
		}
		if n := seen.number(); n != 1 {
			t.Errorf("%d transactions were sent", n)
		}
	})
}
