package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/zkstream/zkstream"
)

// noNodeText is shown in place of a node that is not there.
const noNodeText = "no node"

// dataView shows the content of a node.
type dataView struct{ d zkstream.Data }

func newDataView(now, _ zkstream.Data) view { return dataView{now} }

func (v dataView) path() string  { return v.d.Path() }
func (v dataView) exists() bool  { return v.d.Exists() }
func (v dataView) input() []byte { return v.d.Bytes() }

func (v dataView) json(at string) any {
	return struct {
		Time string `json:"time"`
		nodeJSON
	}{at, newNodeJSON(v.d, true)}
}

func (v dataView) line() string {
	if !v.d.Exists() {
		return noNodeText
	}
	return fmt.Sprintf("v%d %s", v.d.Stat().Version, oneLine(v.d.String(), 0))
}

// childrenView shows the names of a node's children.
type childrenView struct {
	c              zkstream.Children
	added, removed []string
}

func newChildrenView(now, before zkstream.Children) view {
	v := childrenView{c: now}
	v.added, v.removed = now.Diff(before)
	return v
}

func (v childrenView) path() string  { return v.c.Path() }
func (v childrenView) exists() bool  { return v.c.Exists() }
func (v childrenView) input() []byte { return lines(v.c.Names()) }

func (v childrenView) line() string {
	if !v.c.Exists() {
		return noNodeText
	}
	return counted(plural(v.c.Len(), "child"), slices.Concat(signed("+", v.added), signed("-", v.removed))...)
}

func (v childrenView) json(at string) any {
	return struct {
		Time     string   `json:"time"`
		Path     string   `json:"path"`
		Exists   bool     `json:"exists"`
		Children []string `json:"children"`
		Added    []string `json:"added,omitempty"`
		Removed  []string `json:"removed,omitempty"`
	}{at, v.c.Path(), v.c.Exists(), append([]string{}, v.c.Names()...), v.added, v.removed}
}

// treeView shows what has changed in a tree.
type treeView struct {
	t                       zkstream.Tree
	added, changed, removed []zkstream.Data
}

func newTreeView(now, before zkstream.Tree) view {
	v := treeView{t: now}
	for change := range now.Diff(before) {
		switch {
		case !change.Old.Exists():
			v.added = append(v.added, change.New)
		case !change.New.Exists():
			v.removed = append(v.removed, change.Old)
		default:
			v.changed = append(v.changed, change.New)
		}
	}
	return v
}

func (v treeView) path() string { return v.t.Path() }
func (v treeView) exists() bool { return v.t.Exists() }

func (v treeView) input() []byte {
	var paths []string
	for d := range v.t.All() {
		paths = append(paths, d.Path())
	}
	return lines(paths)
}

func (v treeView) line() string {
	if !v.t.Exists() {
		return noNodeText
	}
	return counted(plural(v.t.Len(), "node"), slices.Concat(
		signed("+", paths(v.added)), signed("~", paths(v.changed)), signed("-", paths(v.removed)))...)
}

func (v treeView) json(at string) any {
	return struct {
		Time    string     `json:"time"`
		Path    string     `json:"path"`
		Exists  bool       `json:"exists"`
		Nodes   int        `json:"nodes"`
		Added   []nodeJSON `json:"added,omitempty"`
		Changed []nodeJSON `json:"changed,omitempty"`
		Removed []string   `json:"removed,omitempty"`
	}{at, v.t.Path(), v.t.Exists(), v.t.Len(), nodesJSON(v.added), nodesJSON(v.changed), paths(v.removed)}
}

func paths(nodes []zkstream.Data) []string {
	var list []string
	for _, d := range nodes {
		list = append(list, d.Path())
	}
	return list
}

func nodesJSON(nodes []zkstream.Data) []nodeJSON {
	var list []nodeJSON
	for _, d := range nodes {
		list = append(list, newNodeJSON(d, true))
	}
	return list
}

// lines returns the names, each with a newline.
func lines(names []string) []byte {
	if len(names) == 0 {
		return nil
	}
	return []byte(strings.Join(names, "\n") + "\n")
}

// commandInput returns what a command reads from its standard input.
func commandInput(v view, format outputFormat) ([]byte, error) {
	if format == textOutput {
		return v.input(), nil
	}
	text, err := json.Marshal(v.json(nowText()))
	return append(text, '\n'), err
}
