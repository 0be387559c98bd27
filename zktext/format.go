package zktext

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

var errName = errors.New("the text cannot say this name")

// writer writes trees, and notes what the text cannot say.
type writer struct {
	b    strings.Builder
	errs []error
}

// top writes a tree.
func (w *writer) top(n *Node) {
	if n == nil {
		return
	}
	if n.Name != "" {
		w.node(n, "", "/")
		return
	}
	for _, name := range slices.Sorted(maps.Keys(n.Properties)) {
		w.fail("", "/", fmt.Errorf("property %q of a node without a name", name))
	}
	w.children(n, "", "")
}

func (w *writer) children(n *Node, indent, path string) {
	var last *Node
	children := slices.DeleteFunc(slices.Clone(n.Children), func(n *Node) bool { return n == nil })
	slices.SortStableFunc(children, byName)
	for _, child := range children {
		if last != nil && last.Name == child.Name {
			w.fail(indent, path+"/"+child.Name, errors.New("second node of this name"))
			continue
		}
		last = child
		w.node(child, indent, path+"/")
	}
}

// node writes a node with all below it; parent is the path in front of its name.
func (w *writer) node(n *Node, indent, parent string) {
	path := parent + n.Name
	line, typed := nodeLine(n)
	if !says(line, entry{nodeForm, n.Name, typed}) {
		w.fail(indent, path, errName)
		return
	}
	var properties, links []string
	for _, name := range slices.Sorted(maps.Keys(n.Properties)) {
		switch {
		case name == typeProperty && typed != nil:
		case strings.HasSuffix(name, linkSuffix):
			links = append(links, name)
		default:
			properties = append(properties, name)
		}
	}
	w.line(indent, line)
	indent += "  "
	for _, name := range append(properties, links...) {
		alone := len(n.Properties) == 1
		line, err := propertyLine(name, n.Properties[name], alone)
		if err != nil {
			w.fail(indent, path, fmt.Errorf("property %q: %w", name, err))
			continue
		}
		w.line(indent, line)
	}
	w.children(n, indent, path)
}

// nodeLine returns a node's line, and the node's type if the line has it. A type that does not fit there is
// written like other properties.
func nodeLine(n *Node) (line string, typed any) {
	line = "/" + n.Name
	if text, ok := n.Properties[typeProperty].(string); ok {
		if long := line + " : " + text; says(long, entry{nodeForm, n.Name, text}) {
			return long, text
		}
	}
	return line, nil
}

func (w *writer) line(indent, line string) {
	w.b.WriteString(indent)
	w.b.WriteString(line)
	w.b.WriteByte('\n')
}

// fail notes an error, in the text as a comment.
func (w *writer) fail(indent, path string, err error) {
	err = fmt.Errorf("zktext: %q: %w", path, err)
	w.errs = append(w.errs, err)
	w.line(indent, "# left out: "+strings.Map(printable, err.Error()))
}

// printable replaces what would end a comment.
func printable(r rune) rune {
	if r == '\n' || r == '\r' {
		return ' '
	}
	return r
}

// propertyLine returns the line of a property or link; alone means that its node has no other.
func propertyLine(name string, value any, alone bool) (string, error) {
	switch {
	case strings.HasSuffix(name, linkSuffix):
		return linkLine(linkForm, name, value)
	case strings.HasSuffix(name, propertyLinkSuffix):
		return linkLine(propertyLinkForm, name, value)
	}
	v, err := normalize(value, 0)
	if err != nil {
		return "", err
	}
	if hasNaN(v) {
		return "", errors.New("NaN has no literal")
	}
	line := name + " = "
	if text, ok := v.(string); ok && alone && name == textProperty {
		line += bytesLiteral(text) // it becomes the content as it stands, and zc.zk takes no unicode there
	} else {
		line += string(appendLiteral(nil, v))
	}
	if !says(line, entry{propertyForm, name, v}) {
		// A name that ends with => makes a property link of a short line. A comment makes it longer.
		line += " # not a link"
	}
	if !says(line, entry{propertyForm, name, v}) {
		return "", errName
	}
	return line, nil
}

func linkLine(f form, name string, value any) (string, error) {
	target, ok := value.(string)
	line := name + " " + target
	if !ok || !says(line, entry{f, name, target}) {
		return "", fmt.Errorf("the text cannot say this link to %q", fmt.Sprint(value))
	}
	return line, nil
}

// says reports whether a line reads as e. Whatever the rules of the grammar are, this cannot miss one.
func says(line string, e entry) bool {
	if line == "" || line[0] == '#' || strings.Trim(line, space) != line || strings.Contains(line, "\n") {
		return false
	}
	read, err := readLine(line)
	return err == nil && reflect.DeepEqual(read, e)
}

// normalize returns a value in the types that Parse gives.
func normalize(v any, depth int) (any, error) {
	switch v := v.(type) {
	case nil, bool, string, int64, float64:
		return v, nil
	case int:
		return int64(v), nil
	case float32:
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) { // of which package json knows nothing
			return f, nil
		}
	case json.Number:
		return normalizeNumber(v)
	case []any:
		if depth == maxDepth {
			return nil, errTooDeep
		}
		out := make([]any, len(v))
		for i := range v {
			var err error
			if out[i], err = normalize(v[i], depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		if depth == maxDepth {
			return nil, errTooDeep
		}
		out := make(map[string]any, len(v))
		for key := range v {
			var err error
			if out[key], err = normalize(v[key], depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	// Any other type is what JSON makes of it.
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var plain any
	if err := d.Decode(&plain); err != nil {
		return nil, err
	}
	return normalize(plain, depth)
}

// hasNaN reports whether the number NaN is in a normalized value.
func hasNaN(v any) bool {
	switch v := v.(type) {
	case float64:
		return math.IsNaN(v)
	case []any:
		return slices.ContainsFunc(v, hasNaN)
	case map[string]any:
		return slices.ContainsFunc(slices.Collect(maps.Values(v)), hasNaN)
	}
	return false
}

func normalizeNumber(n json.Number) (any, error) {
	if i, err := n.Int64(); err == nil {
		return i, nil
	}
	if !strings.ContainsAny(n.String(), ".eE") {
		if i, ok := new(big.Int).SetString(n.String(), 10); ok {
			return json.Number(i.String()), nil
		}
	}
	f, err := n.Float64()
	if err != nil && !errors.Is(err, strconv.ErrRange) || math.IsNaN(f) {
		return nil, fmt.Errorf("not a number: %q", short(n.String()))
	}
	return f, nil
}

// appendLiteral appends v as Python 2 prints it, but for the order of keys, which are sorted, and infinity,
// which Python itself could not read.
func appendLiteral(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "None"...)
	case bool:
		if v {
			return append(b, "True"...)
		}
		return append(b, "False"...)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case json.Number: // a whole number beyond int64, which is long in Python 2
		return append(append(b, v...), 'L')
	case float64:
		return append(b, floatText(v)...)
	case string:
		return append(b, stringLiteral(v)...)
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = appendLiteral(b, e)
		}
		return append(b, ']')
	case map[string]any:
		b = append(b, '{')
		for i, key := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = append(append(b, stringLiteral(key)...), ": "...)
			b = appendLiteral(b, v[key])
		}
		return append(b, '}')
	}
	panic(fmt.Sprintf("zktext: %T is not normalized", v))
}

// infinity is the literal of an infinite number: one that is too large.
const infinity = "1e999"

// floatText returns f with as few digits as give f back, and so that it reads as a float.
func floatText(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return infinity
	case math.IsInf(f, -1):
		return "-" + infinity
	}
	// Where Python changes to an exponent.
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	text := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

// stringLiteral returns s as a literal: of unicode, unless it is not UTF-8.
func stringLiteral(s string) string {
	if !utf8.ValidString(s) {
		return bytesLiteral(s)
	}
	quote := quoteFor(s)
	b := []byte{'u', quote}
	for _, r := range s {
		switch {
		case r < 0x80:
			b = appendByte(b, byte(r), quote)
		case r <= 0xff:
			b = fmt.Appendf(b, `\x%02x`, r)
		case r <= 0xffff:
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = fmt.Appendf(b, `\U%08x`, r)
		}
	}
	return string(append(b, quote))
}

// bytesLiteral returns s as a literal of bytes.
func bytesLiteral(s string) string {
	quote := quoteFor(s)
	b := []byte{quote}
	for i := range len(s) {
		b = appendByte(b, s[i], quote)
	}
	return string(append(b, quote))
}

func quoteFor(s string) byte {
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		return '"'
	}
	return '\''
}

func appendByte(b []byte, c, quote byte) []byte {
	switch {
	case c == quote || c == '\\':
		return append(b, '\\', c)
	case c == '\t':
		return append(b, `\t`...)
	case c == '\n':
		return append(b, `\n`...)
	case c == '\r':
		return append(b, `\r`...)
	case c < 0x20 || c >= 0x7f:
		return fmt.Appendf(b, `\x%02x`, c)
	}
	return append(b, c)
}
