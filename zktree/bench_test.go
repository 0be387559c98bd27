package zktree_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktext"
	. "github.com/zkstream/zkstream/zktree"
)

const benchNodes = 10_000

// large is a tree of 10,000 nodes below /bench, and their paths, parents first.
func large() (tree *zktext.Node, paths []string) {
	top := &zktext.Node{Name: "bench", Properties: map[string]any{}}
	paths = []string{"/bench"}
	for i := 0; len(paths) < benchNodes; i++ {
		group := &zktext.Node{Name: fmt.Sprintf("group%03d", i), Properties: map[string]any{"type": "service"}}
		top.Children = append(top.Children, group)
		paths = append(paths, "/bench/"+group.Name)
		for k := 0; k < 99 && len(paths) < benchNodes; k++ {
			n := &zktext.Node{Name: fmt.Sprintf("node%03d", k), Properties: map[string]any{"threads": int64(k)}}
			group.Children = append(group.Children, n)
			paths = append(paths, "/bench/"+group.Name+"/"+n.Name)
		}
	}
	return &zktext.Node{Children: []*zktext.Node{top}}, paths
}

// pipelined calls fn for each path, 64 at a time, and returns how long that takes. The parents are ahead of their children.
func pipelined(b *testing.B, paths []string, fn func(path string) error) time.Duration {
	b.Helper()
	begun := time.Now()
	work := make(chan string)
	var wait sync.WaitGroup
	for range 64 {
		wait.Go(func() {
			for path := range work {
				if err := fn(path); err != nil {
					b.Error(path, err)
				}
			}
		})
	}
	for _, path := range paths {
		work <- path
	}
	close(work)
	wait.Wait()
	return time.Since(begun)
}

// beside reports how long mine takes beside theirs, each measured in each round.
func beside(b *testing.B, mine, theirs func() time.Duration) {
	b.Helper()
	mine() // the server's virtual machine has to warm up
	theirs()
	var a, o time.Duration
	for b.Loop() {
		a += mine()
		o += theirs()
	}
	b.ReportMetric(float64(a)/float64(o), "ratio")
	b.ReportMetric(a.Seconds()*1000/float64(b.N), "ms/mine")
	b.ReportMetric(o.Seconds()*1000/float64(b.N), "ms/theirs")
	b.ReportMetric(0, "ns/op")
}

func benchClient(b *testing.B) (*zkstream.Client, *zk.Conn) {
	b.Helper()
	c, err := zkstream.Connect(b.Context(), zooKeeper.Server(b).Addr())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	DeleteAll(b.Context(), c, "/bench")
	return c, c.Conn()
}

// An import of 10,000 nodes, beside as many creates by hand.
func BenchmarkImport(b *testing.B) {
	c, raw := benchClient(b)
	tree, paths := large()
	acl := zk.WorldACL(zk.PermAll)
	clear := func() {
		if _, err := DeleteAll(b.Context(), c, "/bench"); err != nil {
			b.Fatal(err)
		}
	}
	beside(b, func() time.Duration {
		defer clear()
		begun := time.Now()
		changes, err := Plan(b.Context(), c, "/", tree)
		if err == nil {
			err = Apply(b.Context(), c, changes)
		}
		if err != nil {
			b.Fatal(err)
		}
		return time.Since(begun)
	}, func() time.Duration {
		defer clear()
		content := []byte(`{"threads":50}`)
		create := func(path string) error {
			_, err := raw.Create(path, content, 0, acl)
			return err
		}
		var groups, leaves []string
		for _, path := range paths[1:] {
			if len(path) == len("/bench/group000") {
				groups = append(groups, path)
			} else {
				leaves = append(leaves, path)
			}
		}
		return pipelined(b, paths[:1], create) + pipelined(b, groups, create) + pipelined(b, leaves, create)
	})
}

// A plan over 10,000 nodes that are as in the text, beside as many reads by hand.
func BenchmarkPlanUnchanged(b *testing.B) {
	c, raw := benchClient(b)
	tree, paths := large()
	changes, err := Plan(b.Context(), c, "/", tree)
	if err == nil {
		err = Apply(b.Context(), c, changes)
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { DeleteAll(b.Context(), c, "/bench") })
	beside(b, func() time.Duration {
		begun := time.Now()
		changes, err := Plan(b.Context(), c, "/", tree)
		if err != nil || changes.Len() != 0 {
			b.Fatal(changes, err)
		}
		return time.Since(begun)
	}, func() time.Duration {
		return pipelined(b, paths, func(path string) error { _, _, err := raw.Get(path); return err })
	})
}
