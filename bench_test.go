package zkstream_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/internal/watching"
)

// Publishing one snapshot to 10,000 streams; ns/stream is the figure to look at.
func BenchmarkPublish(b *testing.B) {
	const streams = 10_000
	c := connect(b, onZktest(b).Addr())
	all := make([]*zkstream.Stream[zkstream.Data], streams)
	for i := range all {
		all[i] = c.Data(b.Context(), "/a")
	}
	subs := zkstream.Subscribers(all...)
	settled(b, c)
	r := watching.Reading{Node: &watching.Node{}, Changed: true}
	b.ReportAllocs()
	for b.Loop() {
		for _, s := range subs {
			s.Put(r)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/streams, "ns/stream")
}

// Opening a stream on a node that is watched, receiving its snapshot and closing it.
func BenchmarkSecondStream(b *testing.B) {
	f := onZktest(b)
	c := f.connect()
	f.create("/a", "x")
	first := c.Data(b.Context(), "/a")
	next(b, first)
	b.ReportAllocs()
	for b.Loop() {
		s := c.Data(b.Context(), "/a")
		<-s.C()
		s.Close()
	}
}

// What a stream on a node of its own costs, at rest, with go-zookeeper's part.
func BenchmarkBytesPerStream(b *testing.B) {
	const streams = 20_000
	for b.Loop() {
		f := onZooKeeper(b)
		c := f.connect()
		settled(b, c)
		goroutines, before := runtime.NumGoroutine(), heap()
		all := make([]*zkstream.Stream[zkstream.Data], streams)
		for i := range all {
			all[i] = c.Data(b.Context(), fmt.Sprintf("/a-node-of-thirty-bytes/%05d", i))
		}
		for _, s := range all {
			next(b, s)
		}
		settled(b, c)
		b.ReportMetric(float64(heap()-before)/streams, "B/stream")
		b.ReportMetric(float64(runtime.NumGoroutine()-goroutines), "goroutines")
		runtime.KeepAlive(all)
		c.Close()
	}
}
