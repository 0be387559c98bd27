package main

import (
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
	"golang.org/x/sync/errgroup"
)

// rawLib is what people write on go-zookeeper today: a loop around GetW, in a goroutine per watch.
type rawLib struct{ conn *zk.Conn }

func newRaw(servers string, timeout time.Duration) (library, error) {
	conn, err := connect(servers, timeout)
	return &rawLib{conn}, err
}

func connect(servers string, timeout time.Duration) (*zk.Conn, error) {
	conn, events, err := zk.Connect(strings.Split(servers, ","), timeout, zk.WithLogger(quiet{}))
	if err != nil {
		return nil, err
	}
	for limit := time.After(20 * time.Second); ; {
		select {
		case ev := <-events:
			if ev.State == zk.StateHasSession {
				return conn, nil
			}
		case <-limit:
			conn.Close()
			return nil, errors.New("no session in 20 seconds")
		}
	}
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}

func (r *rawLib) share(kind, path string, n int, t *tracker) error {
	for range n {
		go r.loop(kind, path, t.consumer()) // ends with the process
	}
	return nil
}

func (r *rawLib) open(kind string, paths []string, t *tracker) error {
	for _, path := range paths {
		go r.loop(kind, path, t.consumer()) // ends with the process
	}
	return nil
}

// loop keeps the content, as one does who uses it.
func (r *rawLib) loop(kind, path string, got func(int64)) {
	for {
		tag, content, events, err := r.get(kind, path)
		if errors.Is(err, zk.ErrNoNode) {
			// A node that is made between the two requests is read at once.
			var exists bool
			if exists, _, events, err = r.conn.ExistsW(path); exists {
				continue
			}
		}
		if err != nil {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		got(tag)
		<-events
		runtime.KeepAlive(content)
	}
}

func (r *rawLib) get(kind, path string) (tag int64, content []byte, events <-chan zk.Event, err error) {
	if kind == "children" {
		names, _, events, err := r.conn.ChildrenW(path)
		return max(childTag(names), 0), nil, events, err
	}
	content, _, events, err = r.conn.GetW(path)
	switch {
	case err != nil:
		return 0, nil, nil, err
	case kind == "properties":
		return jsonTag(content), content, events, nil
	default:
		return dataTag(content), content, events, nil
	}
}

func (r *rawLib) second(kind, path string, n int) error {
	for range n {
		if _, _, _, err := r.get(kind, path); err != nil {
			return err
		}
	}
	return nil
}

// floor is go-zookeeper with no streams at all: as many requests as are wanted, several at a time.
type floor struct {
	conn  *zk.Conn
	kept  []<-chan zk.Event // the watches that GetW has set
	lists []<-chan zk.Event // those that ChildrenW has set
}

func newFloor(servers string, timeout time.Duration) (library, error) {
	conn, err := connect(servers, timeout)
	return &floor{conn: conn}, err
}

var errNoStreams = errors.New("the floor has no streams")

func (*floor) share(string, string, int, *tracker) error { return errNoStreams }
func (*floor) open(string, []string, *tracker) error     { return errNoStreams }
func (*floor) second(kind, path string, n int) error     { return errNoStreams }
func (f *floor) pipeline(op string, paths []string) error {
	f.kept, f.lists = make([]<-chan zk.Event, len(paths)), make([]<-chan zk.Event, len(paths))
	return parallel(len(paths), func(i int) (err error) {
		switch op {
		case "get":
			_, _, err = f.conn.Get(paths[i])
		case "getw":
			_, _, f.kept[i], err = f.conn.GetW(paths[i])
		case "exists":
			_, _, err = f.conn.Exists(paths[i])
		case "nodes": // as a tree is read
			if _, _, f.kept[i], err = f.conn.GetW(paths[i]); err == nil {
				_, _, f.lists[i], err = f.conn.ChildrenW(paths[i])
			}
		}
		return err
	})
}

// parallel calls fn for 0 to n-1, in order, as many at a time as a pipeline has requests in flight.
func parallel(n int, fn func(int) error) error { return parallelBy(n, inFlight, fn) }

// parallelBy calls fn for 0 to n-1, in order, width at a time.
func parallelBy(n, width int, fn func(int) error) error {
	var next atomic.Int64
	var g errgroup.Group
	for range min(n, width) {
		g.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return nil
				}
				if err := fn(i); err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}
