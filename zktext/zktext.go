// Package zktext reads and writes trees of znodes as text, in the format of zc.zk 2.1, a ZooKeeper
// library for Python. A whole system is one file:
//
//	/search : service
//	  threads = 8
//	  hosts = ['a', 'b']
//	  database -> /databases/main
//	  timeout => /defaults query_timeout
//	  /providers
//
// A line is a node, with an optional type, a property, a link to another node (->), or a link to another
// node's property (=>). Indentation says what belongs to which node. Blank lines and lines that begin with
// # are skipped.
//
// A property's value is a literal, of Python or of JSON: a string, a number, True, False, None, true,
// false, null, a list, a tuple, a dict or an object. zc.zk evaluates any expression there; this package
// evaluates nothing. In a [Node] and in a znode's content the type, the link and the property link above are
// properties too, named "type", "database ->" and "timeout =>".
//
// [Parse] reads what zc.zk reads. [Format] writes what both read back: the same text as zc.zk's export, with
// property links mended, which that export writes in a form that zc.zk does not read.
package zktext

import (
	"errors"
	"fmt"
	"strings"
)

// A Node is a znode with its properties and children.
//
// The node that [Parse] returns stands for the place at which the text is to be put: its name is empty,
// its children are the nodes at the top of the text, and it has no properties.
type Node struct {
	// Name is the last element of the node's path, without a slash.
	Name string

	// Properties holds the node's properties by name. A node's type is the string property "type". A link
	// is a property whose name ends with " ->" and whose value is the path that it leads to. A property link
	// is a property whose name ends with " =>" and whose value is a path, or a path and the name of a
	// property with white space in between. [Parse] sets a map, which may be empty, and values of these
	// types:
	//
	//	string, bool, nil
	//	int64, or json.Number for a whole number that does not fit
	//	float64
	//	[]any for lists and tuples
	//	map[string]any
	Properties map[string]any

	// Children are the nodes below. Parse sorts them by name.
	Children []*Node
}

// A SyntaxError is what is wrong with a line of a tree text.
type SyntaxError struct {
	Line   int    // the line's number, from 1
	Text   string // the line, without white space at its end
	Reason string // what is wrong with it
}

func (e *SyntaxError) Error() string {
	const most = 80
	text := strings.TrimLeft(e.Text, space)
	if len(text) > most {
		text = text[:most] + "..."
	}
	return fmt.Sprintf("zktext: line %d: %s: %q", e.Line, e.Reason, text)
}

// String returns the tree as text: the node and all below it, or only what is below it if its name is
// empty. A node's properties come first, property links among them, then its links, then its children,
// each sorted by name. Strings have the form u'...', as in zc.zk's export.
//
// What the text cannot say is left out, with a comment in its place. [Format] returns an error for it.
func (n *Node) String() string {
	var w writer
	w.top(n)
	return w.b.String()
}

// Format returns n.String(), from which [Parse] reads the same tree: n, or a node with n as its only child if n
// has a name. It returns an error that lists what the text cannot say: a name that is empty or has white
// space in it, a link whose value is not a path, two children of one name, properties of a node without a name,
// the number NaN, a value that encoding/json cannot encode, or one nested more than 98 deep.
func Format(n *Node) (string, error) {
	var w writer
	w.top(n)
	if err := errors.Join(w.errs...); err != nil {
		return "", err
	}
	return w.b.String(), nil
}
