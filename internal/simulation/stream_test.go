package simulation

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/internal/history"
)

// watcher is a stream, its consumer, and what it has delivered.
type watcher struct {
	s      *simulation
	id     int
	client *simClient
	kind   kind
	path   string // absolute
	pace   time.Duration
	absent bool // nobody receives until the end of the schedule
	start  func()
	poll   func() (got bool)

	ctx     *simContext
	reasons []error   // why it may have ended, and then it has
	set     *setWatch // nil for a stream of one node
	close   func()
	err     func() error
	newest  func() (seen, bool)

	// Guarded by s.mu.
	last, lastThere *seen // nil: none yet
	count           int
	ended           bool
}

func (w *watcher) String() string {
	return fmt.Sprintf("stream %d of %v on the %v of %s", w.id, w.client, w.kind, w.path)
}

// seen is any kind of snapshot.
type seen struct {
	exists bool
	stat   zk.Stat
	text   string // content, or names, or all nodes of a set

	nodes []history.Node // of a set
	marks string         // what tells one set from another: all zxids
}

func (n seen) String() string {
	if !n.exists {
		return "missing"
	}
	if n.nodes != nil {
		return n.text
	}
	return fmt.Sprintf("%.60q (czxid %d, mzxid %d, pzxid %d, version %d, of %d)",
		n.text, n.stat.Czxid, n.stat.Mzxid, n.stat.Pzxid, n.stat.Version, n.stat.Ctime)
}

// open opens a stream on a path.
func (s *simulation) open(c *simClient, abs string) {
	ctx := s.context()
	path := c.path(abs)
	switch s.rng.IntN(9) {
	case 0, 1, 2:
		consume(s, c, ctx, kindChildren, abs, "", c.client.Children(ctx.ctx, path), func(n zkstream.Children) seen {
			return seen{exists: n.Exists(), stat: n.Stat(), text: strings.Join(n.Names(), " ")}
		})
	case 3, 4:
		consume(s, c, ctx, kindData, abs, "", c.client.Data(ctx.ctx, path), func(n zkstream.Data) seen {
			return seen{exists: n.Exists(), stat: n.Stat(), text: n.String()}
		})
	case 5, 6:
		consume(s, c, ctx, kindData, abs, "as properties", c.client.Properties(ctx.ctx, path).Stream, func(n zkstream.Properties) seen {
			n.Len()
			return seen{exists: n.Exists(), stat: n.Stat(), text: n.String()}
		})
	case 7:
		mapped := zkstream.Map(c.client.Data(ctx.ctx, path), func(n zkstream.Data) seen { return seen{exists: n.Exists(), stat: n.Stat(), text: n.String()} })
		consume(s, c, ctx, kindData, abs, "through Map", mapped, func(n seen) seen { return n })
	case 8:
		merged := zkstream.Merge(c.client.Properties(ctx.ctx, path).Stream)
		consume(s, c, ctx, kindData, abs, "through Merge", merged, func(n zkstream.Properties) seen {
			return seen{exists: n.Exists(), stat: n.Stat(), text: n.String()}
		})
	}
}

// consume reads a stream: at once, slowly, when the schedule says so, or only at the end.
func consume[T any](s *simulation, c *simClient, ctx *simContext, k kind, abs, how string, st *zkstream.Stream[T], look func(T) seen) {
	consumeSet(s, c, ctx, k, abs, how, nil, st, look)
}

// consumeSet is consume of a stream of a set, if that is not nil.
func consumeSet[T any](s *simulation, c *simClient, ctx *simContext, k kind, abs, how string, set *setWatch, st *zkstream.Stream[T], look func(T) seen) {
	w := &watcher{s: s, id: s.id(), client: c, kind: k, path: abs, ctx: ctx, set: set, close: st.Close, err: st.Err}
	w.newest = func() (seen, bool) {
		v, ok := st.Latest()
		if !ok {
			return seen{}, false
		}
		return look(v), true
	}
	w.start = func() {
		// Ends with the stream, which the simulation closes at its end.
		go func() {
			take := func(v T) error {
				w.deliver(look(v))
				time.Sleep(w.pace)
				return nil
			}
			if w.id%2 == 0 {
				for v := range st.All() {
					take(v)
				}
			} else if err := st.ForEach(take); err != st.Err() {
				s.breach("every end has a reason", "%v: ForEach returns %v", w, err)
			}
			s.mu.Lock()
			w.ended = true
			s.mu.Unlock()
		}()
	}
	w.poll = func() bool {
		select {
		case v, ok := <-st.C():
			if ok {
				w.deliver(look(v))
			}
			return ok
		default:
			return false
		}
	}
	consumer := "consumed at once"
	switch s.rng.IntN(6) {
	case 0:
		w.absent = true
		consumer = "not consumed"
	case 1:
		w.pace = s.upTo(2 * time.Second)
		consumer = fmt.Sprintf("consumed each %v", w.pace)
	}
	if !w.absent {
		w.start()
	}
	if c.closing {
		w.reasons = append(w.reasons, zkstream.ErrClosed)
	}
	if abs == simDenied {
		w.reasons = append(w.reasons, zk.ErrNoAuth)
	}
	if !ctx.ends.IsZero() {
		w.reasons = append(w.reasons, context.DeadlineExceeded)
	}
	s.streams = append(s.streams, w)
	s.note("%v: open %s, %s, %v", w, how, consumer, ctx)
}
