package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/history"
)

// The sets of nodes that are followed as a whole: one node with the content of its children, and a tree of three
// levels. tick is not in a set. Each change of a set is a transaction that also writes there, so that its zxid is known.
const (
	flock  = root + "/i"
	forest = root + "/t"
	tick   = root + "/tick"
)

const (
	flockSize   = 8 // names that children can have
	forestSize  = 4
	forestDepth = 2 // levels below the root
)

// setVerbs are the kinds of streams of sets, and which set they follow.
var setVerbs = map[string]string{"instances": flock, "tree": forest}

// listSet writes a set as its contenders do, sorted.
func listSet(nodes []history.Node) string {
	texts := make([]string, len(nodes))
	for i, n := range nodes {
		texts[i] = n.String()
	}
	slices.Sort(texts)
	return listing(texts)
}

// parseSet takes apart what listSet has written.
func parseSet(text string) (nodes []history.Node, err error) {
	inner, begun := strings.CutPrefix(text, "[")
	inner, ended := strings.CutSuffix(inner, "]")
	if !begun || !ended {
		return nil, fmt.Errorf("not a set: %q", text)
	}
	for one := range strings.SplitSeq(inner, ",") {
		head, value, _ := strings.Cut(one, "=")
		name, zxids, _ := strings.Cut(head, "@")
		created, changed, _ := strings.Cut(zxids, ".")
		n := history.Node{Name: name, Value: value}
		if n.Czxid, err = strconv.ParseInt(created, 10, 64); err != nil {
			return nil, err
		}
		if n.Mzxid, err = strconv.ParseInt(changed, 10, 64); err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// setWriter changes the sets. It is the only one that does, so history is complete.
//
// A transaction whose answer was lost may still come, but only before the next one: each asks for a version of tick,
// and makes a new one. So open has what can still be made, or was, all of it for one version.
type setWriter struct {
	history *history.History
	changes *changes
	log     *record
	counter int64
	version int32 // of tick, that the next transaction asks for
	open    map[string]transaction
}

type transaction struct {
	begun time.Time
	ops   []any
}

// prepare creates what is needed, and begins the history.
func (w *setWriter) prepare(p *plain) error {
	if _, err := p.Create(tick, []byte("0"), 0, zk.WorldACL(zk.PermAll)); err != nil {
		return fmt.Errorf("create %s: %w", tick, err)
	}
	w.open = map[string]transaction{}
	return w.commit(p, w.create(flock), w.create(forest))
}

func (w *setWriter) create(path string) *zk.CreateRequest {
	return &zk.CreateRequest{Path: path, Data: w.next(path), Acl: zk.WorldACL(zk.PermAll)}
}

func (w *setWriter) next(path string) []byte {
	w.counter++
	return fmt.Appendf(nil, "%s=%d", path[strings.LastIndexByte(path, '/')+1:], w.counter)
}

// write changes a set, as the dice say. Nothing is begun before it is known what became of the changes before.
func (w *setWriter) write(p *plain, rng *rand.Rand) {
	if len(w.open) > 0 && w.settle(p) != nil {
		return
	}
	ops := w.draw(rng)
	_ = w.commit(p, ops...)
}

// commit carries out a transaction.
func (w *setWriter) commit(p *plain, ops ...any) error {
	w.counter++
	id := strconv.FormatInt(w.counter, 10)
	t := transaction{time.Now(), ops}
	w.changes.touch(flock, forest)
	responses, err := p.Multi(append(slices.Clone(ops), &zk.SetDataRequest{Path: tick, Data: []byte(id), Version: w.version})...)
	w.changes.touch(flock, forest) // it may have taken long
	w.log.add("writer", fmt.Sprintf("%s: %v", describe(ops), err))
	w.changes.outcome(err)
	if err != nil {
		w.open[id] = t
		return err
	}
	w.made(t, responses[len(responses)-1].Stat)
	return nil
}

// made notes a transaction with which tick has got this metadata.
func (w *setWriter) made(t transaction, stat *zk.Stat) {
	w.history.Apply(stat.Mzxid, t.begun, applied(t.ops)...)
	w.version = stat.Version
	clear(w.open)
}

// settle finds out what became of transactions whose answer was lost.
func (w *setWriter) settle(p *plain) error {
	if _, err := p.Sync(tick); err != nil {
		return err
	}
	id, stat, err := p.Get(tick)
	if err != nil {
		return err
	}
	if t, ok := w.open[string(id)]; ok {
		w.made(t, stat)
	}
	if stat.Version != w.version {
		w.version = stat.Version // servers have lost changes, which agrees will show
		clear(w.open)
	}
	return nil
}

// draw returns the operations of one change.
func (w *setWriter) draw(rng *rand.Rand) []any {
	set, depth, size := flock, 1, flockSize
	if rng.IntN(2) == 0 {
		set, depth, size = forest, forestDepth, forestSize
	}
	if w.history.Now(set).Czxid == 0 {
		return w.grow(set, depth, size, rng)
	}
	if rng.IntN(40) == 0 {
		ops := w.cut(set)
		if rng.IntN(2) == 0 {
			ops = append(ops, w.grow(set, depth, size, rng)...)
		}
		return ops
	}
	path := set
	for ; ; depth-- {
		path = fmt.Sprintf("%s/n%d", path, rng.IntN(size))
		if w.history.Now(path).Czxid == 0 {
			return w.grow(path, depth-1, size, rng)
		}
		if depth == 1 || rng.IntN(2) == 0 {
			break
		}
	}
	switch rng.IntN(3) {
	case 0:
		return []any{&zk.SetDataRequest{Path: path, Data: w.next(path), Version: -1}}
	case 1:
		return w.cut(path)
	default: // gone and back at once: in between there was nothing that anybody could see
		return append(w.cut(path), w.grow(path, depth-1, size, rng)...)
	}
}

// cut deletes a node with all that is below it.
func (w *setWriter) cut(path string) (ops []any) {
	for _, name := range w.history.Now(path).Children {
		ops = append(ops, w.cut(path+"/"+name)...)
	}
	return append(ops, &zk.DeleteRequest{Path: path, Version: -1})
}

// grow creates a node, with some below it.
func (w *setWriter) grow(path string, depth, size int, rng *rand.Rand) []any {
	ops := []any{w.create(path)}
	for i := range size {
		if depth > 0 && rng.IntN(2) == 0 {
			ops = append(ops, w.grow(fmt.Sprintf("%s/n%d", path, i), depth-1, size, rng)...)
		}
	}
	return ops
}

// applied is what a transaction of go-zookeeper's operations does.
func applied(ops []any) (all []history.Op) {
	for _, op := range ops {
		switch op := op.(type) {
		case *zk.CreateRequest:
			all = append(all, history.Op{Kind: history.Create, Path: op.Path, Value: string(op.Data)})
		case *zk.DeleteRequest:
			all = append(all, history.Op{Kind: history.Delete, Path: op.Path})
		case *zk.SetDataRequest:
			all = append(all, history.Op{Kind: history.Set, Path: op.Path, Value: string(op.Data)})
		}
	}
	return all
}

// describe writes what a transaction does.
func describe(ops []any) string {
	var texts []string
	for _, op := range ops {
		switch op := op.(type) {
		case *zk.CreateRequest:
			texts = append(texts, "create "+op.Path+" "+string(op.Data))
		case *zk.DeleteRequest:
			texts = append(texts, "delete "+op.Path)
		case *zk.SetDataRequest:
			texts = append(texts, "set "+op.Path+" "+string(op.Data))
		}
	}
	return strings.Join(texts, ", ")
}

// run changes the sets until ctx ends.
func (w *setWriter) run(ctx context.Context, writers *writers, seed uint64) error {
	return writers.loop(ctx, rand.New(rand.NewPCG(seed, 4)), w.write)
}

// readSets reads all sets.
func (p *plain) readSets() (map[string][]history.Node, error) {
	sets := map[string][]history.Node{}
	for _, root := range setVerbs {
		nodes, err := p.readSet(root, ".", root != flock)
		if err != nil {
			return nil, err
		}
		sets[root] = nodes
	}
	return sets, nil
}

// readSet reads a node and those below it. Nothing changes meanwhile.
func (p *plain) readSet(root, name string, content bool) ([]history.Node, error) {
	n := history.Node{Name: name}
	value, stat, err := p.Get(n.Path(root))
	if errors.Is(err, zk.ErrNoNode) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	n.Czxid = stat.Czxid
	if content {
		n.Mzxid, n.Value = stat.Mzxid, string(value)
	}
	nodes := []history.Node{n}
	names, _, err := p.Children(n.Path(root))
	if err != nil {
		return nil, err
	}
	for _, child := range names {
		below, err := p.readSet(root, strings.TrimPrefix(name+"/"+child, "./"), true)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, below...)
	}
	return nodes, nil
}
