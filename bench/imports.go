package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/zktext"
	"github.com/zkstream/zkstream/zktree"
)

// An importer makes whole trees, and compares them with what is to be there.
type importer interface {
	importTree(l leaves) (time.Duration, error) // where there is nothing yet
	planTree(l leaves) (time.Duration, error)   // where all is there already
}

const importBlocks = 3 // in which the contenders take turns, per round

// imports measures the import of a tree by zktree, and a plan over a tree that is as it should be, against single
// creates and reads.
func (b *bench) imports() error {
	l := leaves{top: root + "/import", n: b.plan.imports}
	peers, processes, err := b.pair()
	defer endChildren(processes)
	if err != nil {
		return err
	}
	imported, planned := make([]float64, len(peers)), make([]float64, len(peers))
	measure := func(into []float64, i, block int, what string) error {
		took, err := processes[i].number("took", "%s %s %d", what, l.top, l.n)
		if block > 0 { // the first is to warm up
			into[i] += took / importBlocks
		}
		return err
	}
	for block := range importBlocks + 1 {
		for k := range peers {
			first := (k + block) % len(peers)
			if err := measure(imported, first, block, "import"); err != nil {
				return err
			}
			// Each plans what either of them has imported.
			for i := range peers {
				if err := measure(planned, (first+i)%len(peers), block, "plan"); err != nil {
					return err
				}
			}
			if err := b.tree.remove(l); err != nil {
				return err
			}
		}
	}
	for i, p := range peers {
		b.add(importTime(l.n), p, imported[i])
		b.add(planTime(l.n), p, planned[i]/float64(len(peers)))
	}
	return nil
}

// text returns the tree as zktext.Parse would.
func (l leaves) text() *zktext.Node {
	node := func(path string) *zktext.Node {
		return &zktext.Node{Name: path[strings.LastIndexByte(path, '/')+1:], Properties: map[string]any{"threads": int64(50)}}
	}
	top := node(l.top)
	nodes := map[string]*zktext.Node{l.top: top}
	for _, path := range l.all()[1:] {
		n, parent := node(path), nodes[path[:strings.LastIndexByte(path, '/')]]
		parent.Children = append(parent.Children, n)
		nodes[path] = n
	}
	return top
}

func (z *zkstreamLib) importTree(l leaves) (time.Duration, error) {
	text := l.text()
	begin := time.Now()
	changes, err := zktree.Plan(z.ctx, z.client, root, text)
	if err == nil {
		err = zktree.Apply(z.ctx, z.client, changes)
	}
	return time.Since(begin), err
}

func (z *zkstreamLib) planTree(l leaves) (time.Duration, error) {
	text := l.text()
	begin := time.Now()
	changes, err := zktree.Plan(z.ctx, z.client, root, text)
	took := time.Since(begin)
	if err == nil && changes.Len() > 0 {
		err = errors.New("the plan has changes")
	}
	return took, err
}

// importTree creates each node by a request of its own, and all parents before their children.
func (f *floor) importTree(l leaves) (time.Duration, error) {
	content, err := l.text().Content()
	if err != nil {
		return 0, err
	}
	levels := map[int][]string{}
	for _, path := range l.all() {
		depth := strings.Count(path, "/")
		levels[depth] = append(levels[depth], path)
	}
	begin := time.Now()
	for depth := strings.Count(l.top, "/"); len(levels[depth]) > 0 && err == nil; depth++ {
		err = parallel(len(levels[depth]), func(i int) error {
			_, err := f.conn.Create(levels[depth][i], content, 0, zk.WorldACL(zk.PermAll))
			return err
		})
	}
	return time.Since(begin), err
}

func (f *floor) planTree(l leaves) (time.Duration, error) {
	paths := l.all()
	begin := time.Now()
	err := f.pipeline("get", paths)
	return time.Since(begin), err
}

func importTime(n int) metric {
	return metric{fmt.Sprintf("import of %s nodes", thousands(n)), duration}
}

func planTime(n int) metric {
	return metric{fmt.Sprintf("plan over %s unchanged nodes", thousands(n)), duration}
}
