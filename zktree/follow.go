package zktree

import (
	"context"
	"errors"

	"github.com/zkstream/zkstream"
)

// A Resolution is where a path leads.
type Resolution struct {
	// Path is that of the node that the path leads to; if Err is not nil, the one at which that node would be.
	Path string

	// Err is nil if there is a node at Path. Otherwise it is a *zkstream.PathError as of Resolve.
	Err error
}

// Follow streams where path leads, as Resolve finds it: again whenever a link on the way is changed, a node comes that hides
// one, or the node at the end comes or goes. Nothing of that ends the stream: neither a path that leads nowhere, nor links in
// a loop, nor a node on the way that may not be read. It tries such a node again at the interval of
// zkstream.WithRecheck.
//
// After a newer target an older one does not come back, whatever happens to connections and sessions: before another target
// is delivered, what it rests on is read again. The stream has a goroutine, and streams of the nodes on the way, which it
// shares with others.
func Follow(ctx context.Context, c *zkstream.Client, path string) *zkstream.Stream[Resolution] {
	same := func(a, b Resolution) bool {
		return a.Path == b.Path && (a.Err == nil) == (b.Err == nil) && (a.Err == nil || a.Err.Error() == b.Err.Error())
	}
	return compute(ctx, c, "resolve", path, same, func(v *view) (Resolution, error) {
		at, reason, err := v.resolve(path)
		if errors.Is(err, zkstream.ErrClosed) {
			return Resolution{}, err // the client has ended, which says nothing of the path
		}
		if reason == nil {
			reason = err // which ends other streams
		}
		r := Resolution{Path: at}
		if reason != nil {
			r.Err = &zkstream.PathError{Op: "resolve", Path: path, Err: reason}
		}
		return r, nil
	})
}

// Children is Client.Children of the node that path leads to. The stream follows the path: when a link on the way
// is changed, when a node comes that hides it, or when the target goes, the next snapshot is that of the new target. Its Path
// says which node that is. Nothing of an old target is delivered after something of a newer one, and a target that goes while
// the path leads to another is no snapshot whose Exists is false.
//
// While path leads nowhere, or links lead in a loop, there is a snapshot whose Exists is false; [Follow] says why. The stream
// goes on when that is mended. It ends with a *zkstream.PathError if path is not valid, or if the node, or one on the
// way to it, may not be read.
func Children(ctx context.Context, c *zkstream.Client, path string) *zkstream.Stream[zkstream.Children] {
	same := func(a, b zkstream.Children) bool {
		s, t := a.Stat(), b.Stat()
		return a.Path() == b.Path() && a.Exists() == b.Exists() && s.Czxid == t.Czxid && s.Pzxid == t.Pzxid
	}
	return compute(ctx, c, "children", path, same, func(v *view) (zkstream.Children, error) {
		return target(v, path, "children", c.Children)
	})
}

// Instances is Client.Instances of the node that path leads to. It follows the path as [Children] does.
func Instances(ctx context.Context, c *zkstream.Client, path string) *zkstream.Stream[zkstream.Instances] {
	return compute(ctx, c, "instances", path, sameInstances, func(v *view) (zkstream.Instances, error) {
		return target(v, path, "instances", c.Instances)
	})
}

// sameInstances reports whether two snapshots, which may be of different streams, show the same.
func sameInstances(a, b zkstream.Instances) bool {
	if a == b {
		return true
	}
	if a.Path() != b.Path() || a.Exists() != b.Exists() || a.Stat().Czxid != b.Stat().Czxid || a.Len() != b.Len() {
		return false
	}
	for name, p := range a.All() {
		if q, ok := b.Get(name); !ok || !sameData(zkstream.Data(p), zkstream.Data(q)) {
			return false
		}
	}
	return true
}

// Data is Client.Data of the node that path leads to. It follows the path as [Children] does.
func Data(ctx context.Context, c *zkstream.Client, path string) *zkstream.Stream[zkstream.Data] {
	return compute(ctx, c, "data", path, sameData, func(v *view) (zkstream.Data, error) { return data(v, path) })
}

// data returns the content of the node that path leads to.
func data(v *view, path string) (zkstream.Data, error) {
	at, _, err := v.resolve(path)
	if err != nil {
		return zkstream.Data{}, err
	}
	d, err := v.node(at) // which has decided whether it is there
	if err == nil {
		err = d.Err()
	}
	return d, err
}

// target returns the snapshot of the node that path leads to. It waits until the stream and the view agree on whether there is one.
func target[T interface{ Exists() bool }](v *view, path, kind string, open func(context.Context, string) *zkstream.Stream[T]) (T, error) {
	var none T
	at, reason, err := v.resolve(path)
	if err != nil {
		return none, err
	}
	snapshot, err := read(v, kind, at, open)
	if err == nil && snapshot.Exists() == (reason != nil) {
		v.unread = true
	}
	return snapshot, err
}
