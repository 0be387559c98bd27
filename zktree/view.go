package zktree

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"golang.org/x/sync/errgroup"
)

// A view keeps what a function reads of a tree up to date. Which nodes that are turns out as the function runs: one
// link leads to the next. So each read opens a stream, and what was not read in the last run is closed.
//
// It belongs to one goroutine, that of compute.
type view struct {
	ctx     context.Context
	client  *zkstream.Client
	sources map[sourceKey]source
	round   int                      // of the function's runs
	unread  bool                     // in this run something was read that has no snapshot yet
	passed  map[string]zkstream.Data // the nodes by which paths were resolved in this run
	known   int64                    // the zxid of the newest of those by which what has been delivered was resolved
	leads   []string                 // where those paths led
	retry   <-chan time.Time         // nil, and so never ready, if nothing is to be tried again
}

type sourceKey struct {
	kind string
	path string
}

// errUnread is the error of a read whose first snapshot has not come yet.
var errUnread = errors.New("not read yet")

// source is a feed of any type.
type source interface {
	channel() reflect.Value
	receive(v reflect.Value, ok bool)
	poll() bool
	usedIn() (round int)
	close()
}

// A feed is a stream with its newest snapshot.
type feed[T any] struct {
	stream *zkstream.Stream[T]
	newest T
	has    bool
	err    error // why the stream has ended
	round  int   // in which it was read last
}

func (f *feed[T]) channel() reflect.Value {
	if f.err != nil {
		return reflect.Value{}
	}
	return reflect.ValueOf(f.stream.C())
}

func (f *feed[T]) receive(v reflect.Value, ok bool) {
	if !ok {
		f.err = f.stream.Err()
		return
	}
	f.newest, f.has = v.Interface().(T), true
}

func (f *feed[T]) poll() bool {
	if f.err != nil {
		return false
	}
	select {
	case v, ok := <-f.stream.C():
		f.receive(reflect.ValueOf(&v).Elem(), ok)
		return true
	default:
		return false
	}
}

func (f *feed[T]) usedIn() int { return f.round }
func (f *feed[T]) close()      { f.stream.Close() }

// read returns the newest snapshot of the stream that open gives for path. The error is errUnread before the first one, or
// why the stream has ended.
func read[T any](v *view, kind, path string, open func(context.Context, string) *zkstream.Stream[T]) (T, error) {
	key := sourceKey{kind, path}
	f, ok := v.sources[key].(*feed[T])
	if !ok {
		f = &feed[T]{stream: open(v.ctx, path)}
		v.sources[key] = f
		f.poll() // what another stream has read is there at once
	}
	f.round = v.round
	switch {
	case f.err != nil:
		return f.newest, f.err
	case !f.has:
		v.unread = true
		return f.newest, errUnread
	}
	return f.newest, nil
}

// node returns the node at path. One that may not be read is there, and says so by its Err.
func (v *view) node(path string) (zkstream.Data, error) {
	t, err := read(v, "node", path, func(ctx context.Context, path string) *zkstream.Stream[zkstream.Tree] {
		return v.client.Tree(ctx, path, zkstream.WithDepth(0))
	})
	if err != nil {
		return zkstream.Data{}, err
	}
	d, _ := t.Get(path)
	return d, nil
}

// resolve returns the path of the node that path leads to, and whether it is there. The error is of what cannot be told.
func (v *view) resolve(path string) (at string, reason, err error) {
	at, reason = resolver(func(path string) (zkstream.Data, error) {
		d, err := v.node(path)
		if err == nil {
			v.passed[path] = d
		}
		return d, err
	}).resolve(path)
	switch {
	case reason == nil:
		v.leads = append(v.leads, at)
	case leadsNowhere(reason):
		v.leads = append(v.leads, at+" "+reason.Error())
	default:
		return at, nil, reason
	}
	return at, reason, nil
}

// confirm reports whether the nodes by which paths were resolved are still as the view has them.
//
// The streams of different nodes may be of different times. Say that a link was moved from a to b while a child hid it,
// and then the child went. If the child's end is known before the link's change, as may happen after
// a reconnect, the link seems to lead to a once more. So what decides is read again, the nodes that are missing first:
// then those that are there, and have not changed, were so when the others were missing.
//
// One node is not read again: that which has changed last of all, if that was after all that has been delivered. The others
// were as they are now when it was read. So a link that moves faster than it can be read twice is followed, too.
func (v *view) confirm() bool {
	v.retry = nil
	last, lastZxid := "", v.known
	for path, d := range v.passed {
		if zxid := d.Stat().Mzxid; zxid > lastZxid {
			last, lastZxid = path, zxid
		}
	}
	for _, there := range []bool{false, true} {
		g, ctx := errgroup.WithContext(v.ctx)
		g.SetLimit(inFlight)
		for path, known := range v.passed {
			if known.Exists() == there && path != last {
				g.Go(func() error { return v.confirmNode(ctx, path, known) })
			}
		}
		if err := g.Wait(); err != nil {
			if err != errUnread { // which the stream mends
				v.retry = time.After(time.Second)
			}
			return false
		}
	}
	return true
}

func (v *view) confirmNode(ctx context.Context, path string, known zkstream.Data) error {
	now, err := v.client.Get(ctx, path)
	switch {
	case errors.Is(err, zk.ErrNoAuth) && known.Err() != nil:
		return nil
	case err != nil:
		return err
	case !sameData(now, known):
		return errUnread
	}
	return nil
}

// wait returns when something that was read has changed.
func (v *view) wait() error {
	cases := []reflect.SelectCase{
		{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(v.ctx.Done())},
		{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(v.retry)},
	}
	sources := make([]source, len(cases), len(cases)+len(v.sources))
	for _, s := range v.sources {
		cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: s.channel()})
		sources = append(sources, s)
	}
	chosen, value, ok := reflect.Select(cases)
	if chosen == 0 {
		return context.Cause(v.ctx)
	}
	if chosen > 1 {
		sources[chosen].receive(value, ok)
	}
	for again := true; again; { // until all is as new as can be
		again = false
		for _, s := range v.sources {
			again = s.poll() || again
		}
	}
	return nil
}

// begin begins a run of the function.
func (v *view) begin() {
	v.round++
	v.unread, v.passed, v.leads = false, map[string]zkstream.Data{}, nil
}

// end closes what the function has not read in this run.
func (v *view) end() {
	for key, s := range v.sources {
		if s.usedIn() != v.round {
			s.close()
			delete(v.sources, key)
		}
	}
}

func (v *view) close() {
	for _, s := range v.sources {
		s.close()
	}
}

// compute streams what fn makes of the nodes that it reads, again whenever one of them changes. Results that are the same as
// the one before are left out. Where a path that fn resolves leads to a newer target in one result, it does not lead to an older one in
// the next. An error of fn ends the stream, unless something was not read yet.
func compute[T any](ctx context.Context, c *zkstream.Client, op, path string, same func(a, b T) bool, fn func(*view) (T, error)) *zkstream.Stream[T] {
	return zkstream.Generate(ctx, c, func(ctx context.Context, deliver func(T)) error {
		v := &view{ctx: ctx, client: c, sources: map[sourceKey]source{}}
		defer v.close()
		var last T
		var led []string // nil before the first result
		for {
			v.begin()
			value, err := fn(v)
			if !v.unread { // else it may come to read what it has not reached yet
				v.end()
			}
			switch {
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case v.unread:
			case errors.Is(err, zkstream.ErrClosed):
				return zkstream.ErrClosed
			case err != nil:
				if led == nil || v.confirm() { // else the path may lead elsewhere by now
					return &zkstream.PathError{Op: op, Path: path, Err: err}
				}
			case led != nil && same(last, value):
			case led == nil || slices.Equal(led, v.leads) || v.confirm():
				deliver(value)
				last, led = value, v.leads
				for _, d := range v.passed {
					v.known = max(v.known, d.Stat().Mzxid)
				}
			}
			if err := v.wait(); err != nil {
				return err
			}
		}
	})
}

// sameData reports whether two snapshots show the same content of the same node.
func sameData(a, b zkstream.Data) bool {
	s, t := a.Stat(), b.Stat()
	return a.Path() == b.Path() && a.Exists() == b.Exists() && s.Czxid == t.Czxid && s.Mzxid == t.Mzxid && (a.Err() == nil) == (b.Err() == nil)
}
