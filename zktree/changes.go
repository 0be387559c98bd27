package zktree

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/zktext"
)

// Action is what a Change does.
type Action int

const (
	AddNode        Action = iota + 1 // creates the node
	AddProperty                      // of a node that is there; a link is a property, too
	ChangeProperty                   // from Old to New
	RemoveProperty                   // whose value was Old
	ChangeACL                        // the node's access control list
	DeleteNode                       // after what is below it
	KeepExtra                        // changes nothing: the node is not in the text, and is not trimmed
	KeepEphemeral                    // changes nothing: the node is to go, but is ephemeral
	KeepParent                       // changes nothing: the node is to go, but an ephemeral one is below it
)

// A Change is a part of what an import or a deletion does.
type Change struct {
	Action   Action
	Path     string // of the node
	Name     string // of the property
	Old, New any    // the property's values, of the types that zktext.Parse gives
}

// String returns a line without its end, as zc.zk prints it in a dry run.
func (c Change) String() string {
	link, isLink := strings.CutSuffix(c.Name, " ->")
	switch {
	case c.Action == AddNode:
		return "add " + c.Path
	case c.Action == AddProperty && isLink:
		return fmt.Sprintf("%s add link %s %s", c.Path, c.Name, text(c.New))
	case c.Action == AddProperty:
		return fmt.Sprintf("%s add property %s = %s", c.Path, c.Name, text(c.New))
	case c.Action == ChangeProperty && isLink:
		return fmt.Sprintf("%s %s link change from %s to %s", c.Path, link, text(c.Old), text(c.New))
	case c.Action == ChangeProperty:
		return fmt.Sprintf("%s %s change from %s to %s", c.Path, c.Name, text(c.Old), text(c.New))
	case c.Action == RemoveProperty && isLink:
		return fmt.Sprintf("%s remove link %s %s", c.Path, c.Name, text(c.Old))
	case c.Action == RemoveProperty:
		return fmt.Sprintf("%s remove property %s = %s", c.Path, c.Name, text(c.Old))
	case c.Action == ChangeACL:
		return c.Path + " change access control list"
	case c.Action == DeleteNode:
		return "delete " + c.Path
	case c.Action == KeepExtra:
		return "extra path not trimmed: " + c.Path
	case c.Action == KeepEphemeral:
		return fmt.Sprintf("not deleting %s because it's ephemeral", c.Path)
	case c.Action == KeepParent:
		return c.Path + " not deleted due to ephemeral descendent"
	}
	return fmt.Sprintf("action %d of %s", c.Action, c.Path)
}

// text returns a value as it is shown: a string as it stands, others as in a tree text.
func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	_, literal, _ := strings.Cut((&zktext.Node{Name: "n", Properties: map[string]any{"v": v}}).String(), "v = ")
	return strings.TrimSuffix(literal, "\n")
}

// Changes is what an import or a deletion does, in the order in which it does it. Plan returns it for Apply.
type Changes struct {
	list  []Change
	steps []step
	acls  []aclStep
}

// step is an operation of a transaction. It holds only while the tree is as it was read.
type step struct {
	op   any // of go-zookeeper's types of requests
	path string
	size int // in bytes, about
	span int // how many steps are of this node and those below it, this one first; 1 of a deletion
}

// aclStep is a change of an access control list, which transactions do not have.
type aclStep struct {
	path    string
	acl     []zk.ACL
	version int32
}

// All ranges over the changes, and what is kept, in order.
func (c *Changes) All() iter.Seq[Change] { return slices.Values(c.list) }

// Len returns the number of changes, and of what is kept.
func (c *Changes) Len() int { return len(c.list) }

// Empty reports whether nothing is to be changed.
func (c *Changes) Empty() bool {
	return !slices.ContainsFunc(c.list, func(c Change) bool {
		return c.Action != KeepExtra && c.Action != KeepEphemeral && c.Action != KeepParent
	})
}

// String returns a line for each change.
func (c *Changes) String() string {
	var b strings.Builder
	for _, change := range c.list {
		b.WriteString(change.String())
		b.WriteByte('\n')
	}
	return b.String()
}

func (c *Changes) add(action Action, path string) {
	c.list = append(c.list, Change{Action: action, Path: path})
}

// deleteAll has a node deleted with all below it, but for ephemeral nodes and those above them, unless force. It reports
// whether the node stays.
func (c *Changes) deleteAll(f *found, force bool) (stays bool) {
	for _, child := range f.children {
		stays = c.deleteAll(child, force) || stays
	}
	switch {
	case stays:
		c.add(KeepParent, f.path)
	case f.ephemeral() && !force:
		c.add(KeepEphemeral, f.path)
		stays = true
	default:
		c.add(DeleteNode, f.path)
		c.steps = append(c.steps, step{
			op:   &zk.DeleteRequest{Path: f.path, Version: f.data.Stat().Version},
			path: f.path,
			size: len(f.path) + 100,
			span: 1,
		})
	}
	return stays
}
