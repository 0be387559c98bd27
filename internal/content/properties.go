// Package content reads and edits the content of nodes as properties: a JSON object's members, or one text. It has no
// other state than what it is given.
package content

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
)

// TextKey is the name of the one property of a content that is not a JSON object.
const TextKey = "string_value"

// Properties is a content taken apart. It is immutable.
type Properties struct {
	raw     []byte
	text    bool // raw is the text, and members is empty
	members []member
	index   map[string]int // of the member that counts: the last of its name
}

// member is a key of a JSON object with its value, as positions in the object's text.
type member struct {
	name                 string // decoded
	keyStart             int
	valueStart, valueEnd int
}

// Parse takes raw apart, which must not be changed from then on. It never fails: blank content has no properties, and
// what is not a JSON object is a text.
func Parse(raw []byte) *Properties {
	p := &Properties{raw: raw}
	body := bytes.TrimLeft(raw, " \t\r\n")
	switch {
	case len(bytes.TrimSpace(raw)) == 0:
	case body[0] != '{' || !validJSON(raw):
		p.text = true
	default:
		p.scan(len(raw) - len(body) + 1)
	}
	return p
}

// scan finds the members of the valid JSON object whose inside begins at i.
func (p *Properties) scan(i int) {
	p.index = map[string]int{}
	for {
		i = p.skip(i, " \t\r\n,")
		if p.raw[i] == '}' {
			return
		}
		m := member{keyStart: i}
		i = p.stringEnd(i)
		// Valid JSON, so this cannot fail.
		json.Unmarshal(p.raw[m.keyStart:i], &m.name)
		m.valueStart = p.skip(i, " \t\r\n:")
		i = p.valueEnd(m.valueStart)
		m.valueEnd = i
		p.index[m.name] = len(p.members)
		p.members = append(p.members, m)
	}
}

func (p *Properties) skip(i int, set string) int {
	for strings.IndexByte(set, p.raw[i]) >= 0 {
		i++
	}
	return i
}

// stringEnd returns the position after the string that begins at i.
func (p *Properties) stringEnd(i int) int {
	for i++; p.raw[i] != '"'; i++ {
		if p.raw[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// valueEnd returns the position after the value that begins at i.
func (p *Properties) valueEnd(i int) int {
	for depth := 0; ; {
		switch p.raw[i] {
		case '"':
			i = p.stringEnd(i)
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
		i++
	}
}

// Text returns the content if it is a text.
func (p *Properties) Text() (text string, ok bool) {
	if !p.text {
		return "", false
	}
	return string(p.raw), true
}

// Keys returns the names of the properties, sorted.
func (p *Properties) Keys() []string {
	if p.text {
		return []string{TextKey}
	}
	return slices.Sorted(maps.Keys(p.index))
}

// Raw returns the JSON text of a property, and whether there is one of that name.
func (p *Properties) Raw(key string) (json.RawMessage, bool) {
	if p.text {
		if key != TextKey {
			return nil, false
		}
		b, err := EncodeJSON(string(p.raw))
		return b, err == nil
	}
	i, ok := p.index[key]
	if !ok {
		return nil, false
	}
	return p.raw[p.members[i].valueStart:p.members[i].valueEnd], true
}

// Get returns a property, and whether there is one of that name. Its value is a string, bool, int64, float64, nil, []any or
// map[string]any. A whole number that does not fit into an int64 is a float64.
func (p *Properties) Get(key string) (any, bool) {
	if p.text && key == TextKey {
		return string(p.raw), true
	}
	raw, ok := p.Raw(key)
	if !ok {
		return nil, false
	}
	v, err := DecodeJSON(raw)
	return v, err == nil
}

var errNoProperty = errors.New("no such property")

// Decode decodes a property into dst, a pointer, as encoding/json would. An any gets what Get returns, and a float64 may be
// NaN or infinite.
func (p *Properties) Decode(key string, dst any) error {
	raw, ok := p.Raw(key)
	if !ok {
		return errNoProperty
	}
	switch dst := dst.(type) {
	case *any:
		*dst, _ = p.Get(key)
		return nil
	case *json.RawMessage:
		*dst = bytes.Clone(raw)
		return nil
	case *string:
		if p.text { // as it is, even if it is not UTF-8
			*dst = string(p.raw)
			return nil
		}
	case *float64:
		if f, ok := pythonNumber(raw); ok {
			*dst = f
			return nil
		}
	}
	return json.Unmarshal(raw, dst)
}
