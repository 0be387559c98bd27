package simulation

import (
	"fmt"
	"path"
	"testing/synctest"
	"time"

	"github.com/zkstream/zkstream/zktest"
)

// What changes at the very time at which it is read, or while nobody can see it.

// slowReads has the answers to some of the next reads take their time.
func (s *simulation) slowReads() {
	for _, op := range []zktest.Op{zktest.OpGetData, zktest.OpGetChildren2, zktest.OpMultiRead, zktest.OpMultiRead, zktest.OpSetWatches} {
		if s.chance(2) {
			continue
		}
		r := &rule{op: op, skip: s.rng.IntN(3), left: 1 + s.rng.IntN(4), until: time.Now().Add(3 * time.Second)}
		r.fault.Delay = time.Millisecond + s.upTo(400*time.Millisecond)
		s.note("the next %d %v: %s", r.left, r.op, r)
		s.addRule(r)
	}
}

// changeDuringReads has a client open streams on the tree while it changes. Each stream asks at once for what nobody has
// read yet, so that several reads are under way, and changes fall between their answers.
func (s *simulation) changeDuringReads() {
	if c := s.client(); c != nil {
		if s.chance(2) {
			s.expireOne(c)
		}
		s.readDuringChanges(c)
	}
}

func (s *simulation) readDuringChanges(c *simClient) {
	s.slowReads()
	for range 1 + s.rng.IntN(3) {
		if s.chance(2) {
			s.openSet(c)
		}
		for range 1 + s.rng.IntN(3) {
			s.open(c, s.treePath())
		}
		if s.chance(3) {
			s.moment()
		}
	}
	for range 3 + s.rng.IntN(8) {
		time.Sleep(s.upTo(100 * time.Millisecond))
		s.changeTree()
	}
}

// replant has branches of the tree deleted and made again, with others below them, while no client is connected. What then comes to know
// of it comes to know of it bit by bit.
func (s *simulation) replant() {
	if c := s.client(); c != nil && s.chance(2) {
		s.openSet(c)
		s.moment()
	}
	s.note("branches of the tree are made again while nobody is connected")
	s.servers.Partition(true)
	for range 1 + s.rng.IntN(3) {
		path := fmt.Sprintf("%s/n%d", simTree, s.rng.IntN(3))
		if s.chance(4) {
			path = simTree
		}
		s.cutTree(path)
		s.growTree(path, s.treeContent())
	}
	s.slowReads()
	s.servers.Partition(false)
	time.Sleep(s.upTo(3 * time.Second))
}

func (s *simulation) deepenSome() {
	if c := s.client(); c != nil {
		s.deepen(c)
	}
}

// deepen has nodes get children whose content a client follows, and not their lists. Their content is read or confirmed once more, and only
// then a tree is opened that has those children.
func (s *simulation) deepen(c *simClient) {
	var leaves []string
	for range 1 + s.rng.IntN(3) {
		leaf := s.treePath()
		if leaf == simTree {
			continue
		}
		s.cutTree(leaf)
		for _, node := range []string{simTree, path.Dir(leaf), leaf} {
			s.direct("create "+node, s.servers.Create(node, s.treeContent()))
		}
		s.open(c, leaf)
		leaves = append(leaves, leaf)
	}
	s.moment()
	for _, leaf := range leaves {
		s.direct("create a child of "+leaf, s.servers.Create(leaf+"/n0", s.treeContent()))
	}
	synctest.Wait()
	switch s.rng.IntN(4) {
	case 0:
		s.note("all is quiet for more than a minute")
		time.Sleep(70 * time.Second)
	case 1:
		s.disconnect()
	default:
		s.expireOne(c)
	}
	time.Sleep(s.upTo(2 * time.Second))
	synctest.Wait()
	if c.ready.Load() {
		s.openSet(c)
	}
}
