package zkstream_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
)

// plantTree makes a tree of about n nodes below /t: 100 children of a node, paths of 30 bytes at the leaves, content of 20.
func plantTree(t testing.TB, zc *zk.Conn, root string, n int) {
	content := []byte("twenty bytes of text")
	var ops []any
	flush := func() {
		if len(ops) > 0 {
			if _, err := zc.Multi(ops...); err != nil {
				t.Fatal(err)
			}
			ops = nil
		}
	}
	add := func(path string) {
		ops = append(ops, &zk.CreateRequest{Path: root + path, Data: content, Acl: zk.WorldACL(zk.PermAll)})
		if len(ops) == 500 {
			flush()
		}
	}
	add("/t")
	for i := range (n + 99) / 100 {
		if i%100 == 0 {
			add(fmt.Sprintf("/t/g%03d", i/100))
		}
		above := fmt.Sprintf("/t/g%03d/s%03d", i/100, i%100)
		add(above)
		for k := range 99 {
			add(fmt.Sprintf("%s/node%012d", above, k))
		}
	}
	flush()
}

// rawTree reads a tree as it is done by hand: 64 requests at a time, with watches.
func rawTree(t testing.TB, zc *zk.Conn, root string) int {
	var wait sync.WaitGroup
	var mu sync.Mutex
	slots := make(chan struct{}, 64)
	nodes := 0
	var visit func(path string)
	visit = func(path string) {
		defer wait.Done()
		slots <- struct{}{}
		_, _, _, err := zc.GetW(path)
		names, _, _, err2 := zc.ChildrenW(path)
		<-slots
		if err != nil || err2 != nil {
			t.Error(err, err2)
		}
		mu.Lock()
		nodes++
		mu.Unlock()
		for _, name := range names {
			wait.Add(1)
			go visit(path + "/" + name)
		}
	}
	wait.Add(1)
	visit(root)
	wait.Wait()
	return nodes
}

func BenchmarkTree(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		f := onZooKeeper(b)
		plantTree(b, f.admin, f.root, n)
		b.Run(fmt.Sprintf("first snapshot of %d", n), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				c, err := zkstream.Connect(b.Context(), f.direct+f.root)
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if t := next(b, c.Tree(b.Context(), "/t")); t.Len() < n {
					b.Fatal(t.Len())
				}
				b.StopTimer()
				c.Close()
				b.StartTimer()
			}
		})
		b.Run(fmt.Sprintf("by hand %d", n), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				zc := plainClient(b, f.direct)
				b.StartTimer()
				if nodes := rawTree(b, zc, f.root+"/t"); nodes < n {
					b.Fatal(nodes)
				}
				b.StopTimer()
				zc.Close()
				b.StartTimer()
			}
		})
	}
}

func BenchmarkTreeChange(b *testing.B) {
	const n = 100_000
	server := zktest.Start(b)
	zc := plainClient(b, server.Addr())
	plantTree(b, zc, "", n)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	c := connect(b, server.Addr())
	s := c.Tree(b.Context(), "/t")
	nodes := next(b, s).Len()
	settled(b, c)
	b.Logf("memory: %d bytes a node, the test server's watches among them", (heap()-before)/uint64(nodes))
	const path = "/t/g005/s050/node000000000050"
	change := func(b *testing.B, received func()) {
		b.ReportAllocs()
		version := 0
		for b.Loop() {
			version++
			if err := server.Set(path, fmt.Appendf(nil, "%020d", version)); err != nil {
				b.Fatal(err)
			}
			received()
		}
	}
	b.Run("tree", func(b *testing.B) { change(b, func() { <-s.C() }) })
	if err := c.Close(); err != nil {
		b.Fatal(err)
	}
	data := connect(b, server.Addr()).Data(b.Context(), path)
	next(b, data)
	b.Run("single node", func(b *testing.B) { change(b, func() { <-data.C() }) })
}

// What a node of a tree of 100,000 takes at rest: paths of 30 bytes, content of 20.
func BenchmarkBytesPerTreeNode(b *testing.B) {
	f := onZooKeeper(b)
	if there, _, err := f.admin.Exists("/t"); err != nil || !there { // it stays for the next time
		plantTree(b, f.admin, "", 100_000)
	}
	for b.Loop() {
		c := connect(b, f.direct)
		settled(b, c)
		before := heap()
		s := c.Tree(b.Context(), "/t")
		nodes := next(b, s).Len()
		settled(b, c)
		b.ReportMetric(float64(heap()-before)/float64(nodes), "B/node")
		runtime.KeepAlive(s)
		c.Close()
	}
}
