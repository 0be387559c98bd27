package zktext

import (
	"cmp"
	"errors"
	"slices"
	"strings"
)

// space is what counts as white space: that of ASCII, as in zc.zk.
const space = " \t\r\n\v\f"

// How the names of special properties look.
const (
	typeProperty       = "type"
	linkSuffix         = " ->"
	propertyLinkSuffix = " =>"
)

// Parse reads a tree text. The node that it returns has no name; its children are the nodes at the top of
// the text. The error is a *[SyntaxError] for the first line that cannot be read.
//
// A line is indented by the number of white characters in front of it; a tab is one. What is indented
// deeper than the node above belongs to that node. Of the forms that a line could have, the first counts in
// this order: property link, property, link, node.
//
// Where Python 2, Python 3 and JSON differ, a literal means what it means to zc.zk, in Python 2: a number that
// begins with 0 is octal, and \xc3\xa9 in a string without the prefix u is two bytes. There is one exception:
// \u00e9 is one character in any string, as in JSON and Python 3. Keys of a dict that are numbers, True, False
// or None become the strings that Python's json makes of them.
//
// Property links are also read in the form of zc.zk's export, NAME => = 'PATH PROPERTY'.
func Parse(text string) (*Node, error) {
	root := &Node{Properties: map[string]any{}}
	levels := []level{{indent: -1, node: root}}
	number := 0
	for line := range strings.SplitSeq(text, "\n") {
		number++
		line = strings.TrimRight(line, space)
		stripped := strings.TrimLeft(line, space)
		if stripped == "" || stripped[0] == '#' {
			continue
		}
		e, err := readLine(stripped)
		if err == nil {
			levels, err = place(levels, len(line)-len(stripped), e)
		}
		if err != nil {
			return nil, &SyntaxError{number, line, err.Error()}
		}
	}
	sortChildren(root)
	return root, nil
}

// level is a depth of indentation, of those that the present line is in.
type level struct {
	indent int
	node   *Node           // the last node at this depth; nil if there have been properties only
	names  map[string]bool // of node's children
}

// place puts an entry where its indentation says.
func place(levels []level, indent int, e entry) ([]level, error) {
	if top := levels[len(levels)-1]; indent > top.indent {
		if top.node == nil {
			return nil, errors.New("indented below a property")
		}
		levels = append(levels, level{indent: indent})
	}
	for indent < levels[len(levels)-1].indent {
		levels = levels[:len(levels)-1]
	}
	if indent > levels[len(levels)-1].indent {
		return nil, errors.New("indented like nothing above")
	}
	here, above := &levels[len(levels)-1], &levels[len(levels)-2]
	if e.form != nodeForm {
		if above.indent < 0 {
			return nil, errors.New("property outside of a node")
		}
		// The last node at this depth stays what deeper lines belong to, as in zc.zk.
		if _, ok := above.node.Properties[e.name]; ok {
			return nil, errors.New("second property of this name")
		}
		above.node.Properties[e.name] = e.value
		return levels, nil
	}
	if above.names[e.name] {
		return nil, errors.New("second node of this name")
	}
	if above.names == nil {
		above.names = map[string]bool{}
	}
	above.names[e.name] = true
	here.node, here.names = &Node{Name: e.name, Properties: map[string]any{}}, nil
	if e.value != nil {
		here.node.Properties[typeProperty] = e.value
	}
	above.node.Children = append(above.node.Children, here.node)
	return levels, nil
}

func sortChildren(n *Node) {
	slices.SortFunc(n.Children, byName)
	for _, child := range n.Children {
		sortChildren(child)
	}
}

func byName(a, b *Node) int { return cmp.Compare(a.Name, b.Name) }

// form is what a line is.
type form int

const (
	nodeForm         form = iota // /NAME [: TYPE]
	propertyForm                 // NAME = LITERAL
	linkForm                     // NAME -> PATH
	propertyLinkForm             // NAME => PATH [PROPERTY]
)

// entry is what a line says.
type entry struct {
	form  form
	name  string // of the node, or of the property as in Node.Properties
	value any    // of the property; a node's type, or nil
}

// readLine reads a line without white space at its ends.
func readLine(s string) (entry, error) {
	if name, right, ok := split(s, "=>"); ok {
		target, ok := linkTarget(right)
		if text, exported := exportedTarget(right); exported && strings.HasPrefix(s, name+" => = ") {
			target, ok = text, true
		} else if text, exported := exportedTarget(target); exported {
			target = text
		}
		if ok {
			return entry{propertyLinkForm, name + propertyLinkSuffix, target}, nil
		}
	}
	if name, right, ok := split(s, "="); ok {
		v, err := readLiteral(right)
		return entry{propertyForm, name, v}, err
	}
	if name, right, ok := split(s, "->"); ok && !strings.ContainsAny(right, space) {
		return entry{linkForm, name + linkSuffix, right}, nil
	}
	if node, ok := strings.CutPrefix(s, "/"); ok && node != "" && !isSpace(rune(node[0])) {
		if !strings.ContainsAny(node, space) {
			return entry{nodeForm, node, nil}, nil
		}
		if name, kind, ok := split(node, ":"); ok {
			return entry{nodeForm, name, kind}, nil
		}
	}
	if strings.Contains(s, "->") {
		return entry{}, errors.New("neither a link nor anything else")
	}
	return entry{}, errors.New("neither a node, a property nor a link")
}

// split splits s at an operator into a name without white space and what stands right of it, neither of them
// empty. White space around the operator does not count. Of several ways to do so the one with the longest name
// counts; a shorter name never fits a form that the longest does not, as what stands right is longer, too.
func split(s, operator string) (name, right string, ok bool) {
	word, rest := s, ""
	if i := strings.IndexAny(s, space); i >= 0 {
		word, rest = s[:i], strings.TrimLeft(s[i:], space)
	}
	if right, ok := strings.CutPrefix(rest, operator); ok {
		if right = strings.TrimLeft(right, space); right != "" {
			return word, right, true
		}
	}
	for end := len(word); ; {
		if end = strings.LastIndex(word[:end], operator); end <= 0 {
			return "", "", false
		}
		if right := strings.TrimLeft(s[end+len(operator):], space); right != "" {
			return s[:end], right, true
		}
	}
}

// linkTarget returns what stands right of a property link's arrow: a path, or a path and a name. zc.zk reads a
// third word that begins with a slash, and drops it.
func linkTarget(right string) (string, bool) {
	words := strings.FieldsFunc(right, isSpace)
	if len(words) == 3 && len(words[2]) > 1 && words[2][0] == '/' {
		return strings.TrimRight(strings.TrimSuffix(right, words[2]), space), true
	}
	return right, len(words) <= 2
}

// exportedTarget reads what zc.zk's export writes right of the arrow, = 'PATH PROPERTY'. zc.zk itself does not
// read that, or takes the equals sign for the path.
func exportedTarget(right string) (string, bool) {
	text, ok := strings.CutPrefix(right, "=")
	if !ok {
		return "", false
	}
	v, err := readLiteral(text)
	target, ok := v.(string)
	words := len(strings.FieldsFunc(target, isSpace))
	ok = ok && err == nil && (words == 1 || words == 2) && strings.Trim(target, space) == target
	return target, ok && target[0] != '='
}

func isSpace(r rune) bool { return r < 0x80 && strings.ContainsRune(space, r) }
