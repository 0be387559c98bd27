package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
)

// leaves are the nodes of a tree, or of a flat list, that have content of their own: 20 bytes, the tag and
// blanks.
type leaves struct {
	top  string
	n    int
	flat bool // children of top; otherwise there are 100 below each node at the bottom, and 100 of these below each above
}

const fanOutOfTree = 100

// path returns that of a leaf: 31 bytes in a tree of 100,000.
func (l leaves) path(i int) string {
	if l.flat {
		return fmt.Sprintf("%s/%08d", l.top, i)
	}
	return fmt.Sprintf("%s/%02d", l.parent(i), i%fanOutOfTree)
}

func (l leaves) parent(i int) string {
	return fmt.Sprintf("%s/%02d/%02d", l.top, i/fanOutOfTree/fanOutOfTree, i/fanOutOfTree%fanOutOfTree)
}

// inner returns the nodes above the leaves, without the top, parents first.
func (l leaves) inner() (paths []string) {
	if l.flat {
		return nil
	}
	for i := 0; i < l.n; i += fanOutOfTree {
		if i%(fanOutOfTree*fanOutOfTree) == 0 {
			paths = append(paths, strings.TrimSuffix(l.parent(i), "/00"))
		}
		paths = append(paths, l.parent(i))
	}
	return paths
}

// all returns all paths, the top's first.
func (l leaves) all() []string {
	paths := append([]string{l.top}, l.inner()...)
	for i := range l.n {
		paths = append(paths, l.path(i))
	}
	return paths
}

func contentOf(tag int64) []byte { return fmt.Appendf(nil, "%-20d", tag) }

// plantTree has a tree of so many leaves exist, or a flat list of them.
func (t *tree) plantTree(name string, n int, flat bool) (leaves, error) {
	l := leaves{top: root + "/" + name, n: n, flat: flat}
	if _, ok := t.planted[name]; ok {
		return l, nil
	}
	t.planted[name] = l
	paths := l.all()
	data := contentOf(0)
	return l, t.batches(len(paths), func(i int) any {
		return &zk.CreateRequest{Path: paths[i], Data: data, Acl: zk.WorldACL(zk.PermAll)}
	})
}

// uproot deletes all that plantTree has made.
func (t *tree) uproot() error {
	for name, l := range t.planted {
		if err := t.remove(l); err != nil {
			return err
		}
		delete(t.planted, name)
	}
	return nil
}

func (t *tree) remove(l leaves) error {
	paths := l.all()
	return t.batches(len(paths), func(i int) any {
		return &zk.DeleteRequest{Path: paths[len(paths)-1-i], Version: -1}
	})
}

// changeLeaf writes a new tag, and returns when it began to.
func (t *tree) changeLeaf(path string) (tag, begin int64, err error) {
	t.tag++
	begin = time.Now().UnixNano()
	_, err = t.conn.Set(path, contentOf(t.tag), -1)
	return t.tag, begin, err
}

// trees measures streams on whole trees.
func (b *bench) trees() error {
	for _, n := range b.plan.trees {
		l, err := b.tree.plantTree(strconv.Itoa(n), n, false)
		if err != nil {
			return err
		}
		if err := b.wholeTree(l, "tree"); err != nil {
			return err
		}
	}
	flat, err := b.tree.plantTree("flat", b.plan.instances, true)
	if err != nil {
		return err
	}
	if err := b.wholeTree(flat, "instances"); err != nil {
		return err
	}
	return b.manyTrees()
}

// wholeTree measures the first snapshot of a tree, or of a node's children with their content, what it takes at
// rest, a change of one node, and a reconnect. One contender runs at a time.
func (b *bench) wholeTree(l leaves, kind string) error {
	work := fmt.Sprintf("%s of %s nodes", kind, thousands(l.n))
	stations := b.stations("tree", 1)
	defer func() { endAll(stations) }()
	err := b.each(work, &stations, func(s *station) error {
		defer s.end()
		return b.oneTree(s, l, kind)
	})
	if err != nil {
		return err
	}
	b.progress(work + ": no watching")
	floor := &station{peer: b.floor()}
	defer floor.end()
	if err := floor.startBehindProxy(b); err != nil {
		return err
	}
	begin := time.Now()
	if l.flat {
		if _, _, err := b.tree.conn.Children(l.top); err != nil {
			return err
		}
	}
	took, err := floor.pipelineOf(l, kind)
	if l.flat {
		took = float64(time.Since(begin))
	}
	b.add(treeOpen(kind, l.n), floor.peer, took)
	return err
}

// pipelineOf reads the nodes one by one, 64 at a time.
func (s *station) pipelineOf(l leaves, kind string) (took float64, err error) {
	return s.number("took", "pipelinetree %s %s %d", kind, l.top, l.n)
}

func (b *bench) oneTree(s *station, l leaves, kind string) error {
	if err := s.startBehindProxy(b); err != nil {
		return err
	}
	before, _, err := s.mem()
	if err != nil {
		return err
	}
	unwatched, err := b.settledWatches()
	if err != nil {
		return err
	}
	began, err := s.ask("ok", "%s %s", kind, l.top)
	if err != nil {
		return err
	}
	at, err := s.await(0)
	if err != nil {
		return err
	}
	nodes := len(l.all())
	if kind == "instances" && s.peer.name == "zkstream" {
		nodes = l.n
	}
	has, err := s.ask("nodes", "nodes")
	if err != nil {
		return err
	}
	if int(has[0]) != nodes {
		return fmt.Errorf("its first snapshot has %v nodes of %d", has[0], nodes)
	}
	after, _, err := s.mem()
	if err != nil {
		return err
	}
	b.add(treeOpen(kind, l.n), s.peer, float64(at)-began[0])
	b.add(treeBytes(kind, l.n), s.peer, (after-before)/float64(nodes))
	if err := b.changesOfTree(s, l, kind); err != nil {
		return err
	}
	if kind == "instances" {
		return nil
	}
	watched, err := b.settledWatches()
	if err != nil {
		return err
	}
	snapshots, err := s.snapshots()
	if err != nil {
		return err
	}
	connections := s.proxy.Accepted() + 1
	s.proxy.Drop()
	begin, end, err := b.quiet(s.proxy, connections, watched)
	if err != nil {
		return err
	}
	later, err := s.snapshots()
	b.add(treeReconnect(l.n), s.peer, since(begin, end))
	if s.peer.name == "zkstream" {
		b.add(treeWatches(l.n), s.peer, float64(watched-unwatched)/float64(nodes))
		b.add(treeReconnectSnapshots(l.n), s.peer, later-snapshots)
	}
	return err
}

// changesOfTree measures the time from a write of one leaf to the snapshot, and beside it that of one
// node's stream, in turns.
func (b *bench) changesOfTree(s *station, l leaves, kind string) error {
	single := &station{peer: s.peer}
	defer single.end()
	if s.peer.name == "zkstream" {
		node, err := b.tree.single("data", "beside-tree")
		if err != nil {
			return err
		}
		single.node = node
		if err := single.startBehindProxy(b); err != nil { // as the tree is
			return err
		}
		if err := single.grow(1); err != nil {
			return err
		}
	}
	requests, allocated := 0.0, 0.0
	for i := range b.plan.warmUp + b.plan.latencies {
		before, err := b.tree.received()
		if err != nil {
			return err
		}
		bytesBefore, err := s.allocated()
		if err != nil {
			return err
		}
		tag, begin, err := b.tree.changeLeaf(l.path(i * 7919 % l.n))
		if err != nil {
			return err
		}
		at, err := s.await(tag)
		if err != nil {
			return err
		}
		bytesAfter, err := s.allocated()
		if err != nil {
			return err
		}
		after, err := b.tree.received()
		if err != nil {
			return err
		}
		if i < b.plan.warmUp {
			continue
		}
		s.times = append(s.times, since(begin, at))
		requests += float64(after - before - 1) // without the write
		allocated += bytesAfter - bytesBefore
		if single.child != nil {
			took, err := single.change()
			if err != nil {
				return err
			}
			single.times = append(single.times, took)
		}
	}
	changes := float64(b.plan.latencies)
	b.add(treeChange(kind, l.n), s.peer, median(s.times))
	b.add(treeChangeRequests(kind, l.n), s.peer, requests/changes)
	if single.child != nil {
		b.add(treeChangeBeside(kind, l.n), s.peer, median(single.times))
		b.add(treeChangeBytes(kind, l.n), s.peer, allocated/changes)
	}
	return nil
}

// manyTrees opens many trees on one root, after the first, and counts what they cost the server.
func (b *bench) manyTrees() error {
	n := b.plan.trees[0]
	l := b.tree.planted[strconv.Itoa(n)]
	zkstream := b.stations("tree", 1)
	for _, s := range zkstream {
		if s.peer.name != "zkstream" {
			continue
		}
		defer s.end()
		if err := s.start(b.tree.servers, longTimeout); err != nil {
			return err
		}
		if _, err := s.ask("took", "trees %s 1", l.top); err != nil {
			return err
		}
		watches, err := b.settledWatches()
		if err != nil {
			return err
		}
		before, err := b.tree.received()
		if err != nil {
			return err
		}
		if _, err := s.ask("took", "trees %s %d", l.top, b.plan.second-1); err != nil {
			return err
		}
		after, err := b.tree.received()
		if err != nil {
			return err
		}
		more, err := b.settledWatches()
		if err != nil {
			return err
		}
		b.add(moreTrees(b.plan.second, "requests"), s.peer, float64(after-before))
		b.add(moreTrees(b.plan.second, "watches"), s.peer, float64(more-watches))
	}
	return nil
}

// settledWatches returns how many watches are set once that does not change any more: a first snapshot may be there
// before the server has the last watch, and the watches of a client that has ended go later.
func (b *bench) settledWatches() (int, error) {
	for last, since := -1, time.Now(); ; time.Sleep(20 * time.Millisecond) {
		set, err := b.tree.watches()
		if err != nil {
			return 0, nil // a server that does not tell has none to compare
		}
		if set != last {
			last, since = set, time.Now()
		}
		if time.Since(since) > 500*time.Millisecond {
			return set, nil
		}
	}
}

// snapshots and allocated are 0 of a contender that does not count them.
func (s *station) snapshots() (float64, error) { return s.counted("snapshots") }
func (s *station) allocated() (float64, error) { return s.counted("allocated") }

func (s *station) counted(what string) (float64, error) {
	if s.peer.name != "zkstream" {
		return 0, nil
	}
	return s.number(what, "%s", what)
}

// openTree has one stream on a tree, or on a node's children with their content. Its goroutine ends with the process.
func (z *zkstreamLib) openTree(kind, path string, t *tracker) {
	got := t.consumer()
	if kind == "instances" {
		go func() {
			var last zkstream.Instances
			for s := range z.client.Instances(z.ctx, path).All() {
				z.nodes.Store(int64(s.Len()))
				_, changed, _ := s.Diff(last)
				tag := int64(0)
				for _, name := range changed {
					p, _ := s.Get(name)
					tag = max(tag, number(strings.TrimRight(p.String(), " ")))
				}
				last = s
				got(tag)
			}
		}()
		return
	}
	go func() {
		var last zkstream.Tree
		for s := range z.client.Tree(z.ctx, path).All() {
			z.nodes.Store(int64(s.Len()))
			tag := int64(0)
			if last.Exists() {
				for change := range s.Diff(last) {
					tag = max(tag, tagOf(change.New))
				}
			}
			last = s
			got(tag)
		}
	}()
}

// trees opens n streams on one tree, and waits for the first snapshot of each.
func (z *zkstreamLib) trees(path string, n int) error {
	streams := make([]*zkstream.Stream[zkstream.Tree], n)
	for i := range streams {
		streams[i] = z.client.Tree(z.ctx, path)
	}
	for _, s := range streams {
		if _, err := s.Next(z.ctx); err != nil {
			return err
		}
	}
	return nil
}

// The metrics.

func treeOpen(kind string, n int) metric {
	return metric{fmt.Sprintf("%s of %s nodes: first snapshot", kind, thousands(n)), duration}
}

func treeBytes(kind string, n int) metric {
	return metric{fmt.Sprintf("%s of %s nodes: memory per node", kind, thousands(n)), size}
}

func treeWatches(n int) metric {
	return metric{fmt.Sprintf("tree of %s nodes: watches per node", thousands(n)), count}
}

func treeChange(kind string, n int) metric {
	return metric{fmt.Sprintf("%s of %s nodes: write to snapshot", kind, thousands(n)), duration}
}

func treeChangeBeside(kind string, n int) metric {
	return metric{fmt.Sprintf("%s of %s nodes: beside it, one node's stream", kind, thousands(n)), duration}
}

func treeChangeRequests(kind string, n int) metric {
	return metric{fmt.Sprintf("%s of %s nodes: requests per change", kind, thousands(n)), count}
}

func treeChangeBytes(kind string, n int) metric {
	return metric{fmt.Sprintf("%s of %s nodes: bytes allocated per change", kind, thousands(n)), size}
}

func treeReconnect(n int) metric {
	return metric{fmt.Sprintf("tree of %s nodes: reconnect, nothing changed", thousands(n)), duration}
}

func treeReconnectSnapshots(n int) metric {
	return metric{fmt.Sprintf("tree of %s nodes: snapshots of that reconnect", thousands(n)), count}
}

func moreTrees(n int, what string) metric {
	return metric{fmt.Sprintf("%s more trees on one root: %s", thousands(n-1), what), count}
}
