package main

import (
	"context"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/zkstream/zkstream"
)

// zkstreamLib is this repository's library. All of its streams share a context that can be cancelled, as
// those of a service do.
type zkstreamLib struct {
	client *zkstream.Client
	ctx    context.Context
	cancel context.CancelFunc // of ctx; never called, as the streams live as long as the process
	nodes  atomic.Int64       // in the last snapshot of a tree
}

func newZkstream(servers string, timeout time.Duration) (library, error) {
	ctx, cancel := context.WithCancel(context.Background())
	options := []zkstream.Option{zkstream.WithSessionTimeout(timeout)}
	if os.Getenv(recheckEnv) != "" {
		options = append(options, zkstream.WithRecheck(0))
	}
	client, err := zkstream.Connect(ctx, servers, options...)
	return &zkstreamLib{client: client, ctx: ctx, cancel: cancel}, err
}

// share has a goroutine for each consumer.
func (z *zkstreamLib) share(kind, path string, n int, t *tracker) error {
	for range n {
		got := t.consumer()
		switch kind {
		case "children":
			s := z.client.Children(z.ctx, path)
			go each(s, func(c zkstream.Children) { got(childTag(c.Names())) })
		case "properties":
			s := z.client.Properties(z.ctx, path)
			go each(s.Stream, func(p zkstream.Properties) { got(propertyTag(p)) })
		default:
			s := z.client.Data(z.ctx, path)
			go each(s, func(d zkstream.Data) { got(tagOf(d)) })
		}
	}
	return nil
}

// each ends with the process, as the streams do.
func each[T any](s *zkstream.Stream[T], fn func(T)) {
	for v := range s.All() {
		fn(v)
	}
	panic(s.Err())
}

// tagOf returns the tag in a node's content, 0 of a node that does not exist.
func tagOf(d zkstream.Data) int64 {
	if !d.Exists() {
		return 0
	}
	return number(strings.TrimRight(d.String(), " "))
}

func propertyTag(p zkstream.Properties) int64 {
	tag, err := zkstream.Value[int64](p, "tag")
	if err != nil {
		panic(err)
	}
	return tag
}

// open has one goroutine that receives from all streams: they need none of their own.
func (z *zkstreamLib) open(kind string, paths []string, t *tracker) error {
	if kind == "children" {
		walk(z, z.client.Children, paths, t, func(c zkstream.Children) int64 { return max(childTag(c.Names()), 0) })
	} else {
		walk(z, z.client.Data, paths, t, tagOf)
	}
	return nil
}

func walk[T any](z *zkstreamLib, open func(context.Context, string) *zkstream.Stream[T], paths []string, t *tracker, tag func(T) int64) {
	streams := make([]*zkstream.Stream[T], len(paths))
	for i, path := range paths {
		streams[i] = open(z.ctx, path)
	}
	// Ends with the process.
	go func() {
		seen := slices.Repeat([]int64{-1}, len(streams))
		for oldest := int64(-1); ; oldest = slices.Min(seen) {
			if oldest >= 0 {
				t.all(oldest)
			}
			for i, s := range streams {
				for seen[i] <= oldest {
					v, ok := <-s.C()
					if !ok {
						panic(s.Err())
					}
					seen[i] = tag(v)
				}
			}
		}
	}()
}

func (z *zkstreamLib) second(kind, path string, n int) error {
	if kind == "children" {
		return more(z, z.client.Children, path, n)
	}
	return more(z, z.client.Data, path, n)
}

func more[T any](z *zkstreamLib, open func(context.Context, string) *zkstream.Stream[T], path string, n int) error {
	for range n {
		s := open(z.ctx, path)
		if _, ok := <-s.C(); !ok {
			return s.Err()
		}
	}
	return nil
}
