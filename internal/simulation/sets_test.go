package simulation

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/internal/history"
)

// Streams of several nodes, and what they follow.

// setWatch is what is known of a stream of a set.
type setWatch struct {
	shape  string
	depth  int  // levels below the root; -1: all
	bare   bool // without content
	stream history.Stream
}

// inTree reports whether a path is of the tree that is followed as a whole.
func inTree(path string) bool { return path == simTree || strings.HasPrefix(path, simTree+"/") }

// treePaths are the paths that nodes of the tree can have, the root left out; others have numbers in their names.
func treePaths() (all []string) {
	for i := range 3 {
		child := fmt.Sprintf("%s/n%d", simTree, i)
		all = append(all, child)
		for j := range 3 {
			all = append(all, fmt.Sprintf("%s/n%d", child, j))
		}
	}
	return all
}

func (s *simulation) treePath() string {
	if s.chance(4) {
		return simTree
	}
	return pick(s, treePaths())
}

// openSets opens streams of sets, and at times has something happen while they are being read.
func (s *simulation) openSets() {
	c := s.client()
	if c == nil {
		return
	}
	for range 1 + s.rng.IntN(2) {
		s.openSet(c)
	}
	if s.chance(2) {
		s.moment()
		s.changeTree()
	}
}

func (s *simulation) openSet(c *simClient) {
	ctx := s.context()
	if s.chance(3) {
		root := pick(s, append(simServices, simTree, simTree))
		set := &setWatch{shape: "instances of " + root, depth: 1}
		s.beginSet(c, set, root)
		consumeSet(s, c, ctx, kindInstances, root, "", set, c.client.Instances(ctx.ctx, c.path(root)), func(all zkstream.Instances) seen {
			if !all.Exists() {
				return seen{}
			}
			n := seenSet{}
			n.add(history.Root, all.Stat(), "", false, nil)
			for name, p := range all.All() {
				n.add(name, p.Stat(), p.String(), true, p.Err())
			}
			return n.seen()
		})
		return
	}
	set := &setWatch{depth: s.rng.IntN(6) - 3, bare: s.chance(4)}
	var opts []zkstream.TreeOption
	if set.depth >= 0 {
		opts = append(opts, zkstream.WithDepth(set.depth))
	} else {
		set.depth = -1
	}
	if set.bare {
		opts = append(opts, zkstream.WithoutData())
	}
	set.shape = fmt.Sprintf("depth %d, without data %v", set.depth, set.bare)
	s.beginSet(c, set, simTree)
	consumeSet(s, c, ctx, kindTree, simTree, "with "+set.shape, set, c.client.Tree(ctx.ctx, c.path(simTree), opts...), func(t zkstream.Tree) seen {
		n := seenSet{}
		for d := range t.All() {
			name := strings.TrimPrefix(strings.TrimPrefix(d.Path(), t.Path()), "/")
			if name == "" {
				name = history.Root
			}
			n.add(name, d.Stat(), d.String(), !set.bare, d.Err())
		}
		return n.seen()
	})
}

// beginSet begins to judge a stream of a set.
func (s *simulation) beginSet(c *simClient, set *setWatch, root string) {
	set.stream = history.Stream{History: &s.past, Root: root, Depth: set.depth, Opened: s.servers.Zxid()}
	if set.depth == 0 {
		set.stream.Depth = 100 // the list of the root is not shown
	}
	for _, w := range s.streams {
		// What one stream of a shape has read is the first snapshot of the next.
		set.stream.Late = set.stream.Late || w.client == c && w.set != nil && w.set.shape == set.shape && w.err() == nil
	}
}

// seenSet is a snapshot of a set that is being put together.
type seenSet struct {
	nodes []history.Node
	marks strings.Builder
}

func (n *seenSet) add(name string, stat zk.Stat, content string, told bool, err error) {
	one := history.Node{Name: name}
	if err == nil {
		one.Czxid = stat.Czxid
	}
	if err == nil && told {
		one.Mzxid, one.Value = stat.Mzxid, content
	}
	n.nodes = append(n.nodes, one)
	fmt.Fprintf(&n.marks, "%s %+v %v\n", name, stat, err)
}

func (n *seenSet) seen() seen {
	if len(n.nodes) == 0 {
		return seen{}
	}
	var texts []string
	for _, one := range n.nodes {
		texts = append(texts, one.String())
	}
	return seen{exists: true, text: strings.Join(texts, "\n"), nodes: n.nodes, marks: n.marks.String()}
}

// deliverSet checks a snapshot of a set against those that came before it, and against all that there has been.
func (w *watcher) deliverSet(n seen) {
	s := w.s
	s.mu.Lock()
	last := w.last
	w.last = &n
	w.count++
	wiped := len(s.wipes) > 0 // then zxids have begun anew
	s.mu.Unlock()
	if s.verbose {
		s.note("%v: %v", w, n)
	}
	if last != nil && last.exists && last.marks == n.marks && !(w.kind == kindTree && w.set.stream.Moved()) {
		s.breach("no noise", "%v: %v, twice", w, n)
	}
	if wiped {
		return
	}
	for _, wrong := range w.set.stream.Take(history.Snapshot{At: time.Now(), Nodes: n.nodes}) {
		promise := "a set is complete"
		if wrong.Fault == history.Back {
			promise = "no going back"
		}
		before := seen{}
		if last != nil {
			before = *last
		}
		s.breach(promise, "%v: %s: %s:\n%v\nafter:\n%v", w, wrong.Path, wrong.Text, n, before)
	}
}

// truth is what the servers have of what the stream is on.
func (w *watcher) truth() seen {
	if w.set == nil {
		return w.s.truth(w.kind, w.path)
	}
	n := seenSet{}
	w.s.truthOf(&n, w.path, history.Root, w.set.depth, w.kind == kindTree && !w.set.bare, !w.set.bare)
	return n.seen()
}

// truthOf adds a node and those below it.
func (s *simulation) truthOf(n *seenSet, root, name string, depth int, told, below bool) {
	path := history.Node{Name: name}.Path(root)
	data, stat, err := s.servers.Get(path)
	if err != nil {
		return
	}
	n.add(name, zk.Stat{Czxid: stat.Czxid, Mzxid: stat.Mzxid}, string(data), told, nil)
	if depth == 0 {
		return
	}
	names, _ := s.servers.Children(path)
	for _, child := range names {
		s.truthOf(n, root, strings.TrimPrefix(name+"/"+child, history.Root+"/"), depth-1, below, below)
	}
}

// sameSet compares what two snapshots of a set show. A node that may not be read shows nothing.
func sameSet(n, m seen) bool {
	return n.exists == m.exists && slices.EqualFunc(n.nodes, m.nodes, func(a, b history.Node) bool {
		if a.Czxid == 0 || b.Czxid == 0 {
			return a.Name == b.Name
		}
		if a.Mzxid == 0 || b.Mzxid == 0 {
			a.Mzxid, a.Value, b.Mzxid, b.Value = 0, "", 0, ""
		}
		return a == b
	})
}

// changeTree changes the tree: a node, or a branch, which may go and come back, all at once or in more than one moment.
func (s *simulation) changeTree() {
	for range 1 + s.rng.IntN(3) {
		path, content := s.treePath(), s.treeContent()
		_, _, err := s.servers.Get(path)
		switch draw := s.rng.IntN(8); {
		case err != nil:
			s.growTree(path, content)
		case draw < 2 && (path != simTree || s.chance(3)):
			s.cutTree(path)
		case draw < 5 && (path != simTree || s.chance(3)):
			s.cutTree(path)
			if s.chance(4) {
				s.moment()
			}
			s.growTree(path, content)
		case draw == 5 && path != simTree && s.has(closedNodes) && !s.finishing:
			s.closeNode(path)
		case draw == 6 && s.wasClosed(path):
			s.setACL(path, openToAll)
		default:
			s.direct("set "+path, s.servers.Set(path, content))
		}
		if s.chance(3) {
			s.moment()
		}
	}
}

// treeContent is one that no node had before. Some is so large that two nodes are not read by one request.
func (s *simulation) treeContent() []byte {
	pad := ""
	if s.limit == 0 && s.chance(6) {
		pad = longPart[:25<<10+s.rng.IntN(10<<10)]
	}
	return fmt.Appendf(nil, `{"other": %d, "pad": %q}`, s.id(), pad)
}

// growTree makes a node with some below it.
func (s *simulation) growTree(path string, content []byte) {
	s.direct("create "+path, s.servers.Create(path, content))
	for _, below := range treePaths() {
		if strings.HasPrefix(below, path+"/") && s.chance(3) {
			s.direct("create "+below, s.servers.Create(below, content))
		}
	}
}

// cutTree deletes a node with all below it.
func (s *simulation) cutTree(path string) {
	names, _ := s.servers.Children(path)
	for _, name := range names {
		s.cutTree(path + "/" + name)
	}
	s.direct("delete "+path, s.servers.Delete(path))
}
