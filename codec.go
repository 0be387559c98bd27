package zkstream

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// textKey is the one property of a node whose content is not a JSON object.
const textKey = "string_value"

// properties is a node's content, taken apart: a JSON object into its members, or one text.
type properties struct {
	raw     []byte
	text    bool // raw is the text, and members is empty
	members []member
	index   map[string]int // of the member that counts: the last of its name
}

// member is a key of a JSON object with its value, as positions in the object's text.
type member struct {
	name               string // decoded
	keyStart           int
	valStart, valueEnd int
}

// parseProperties never fails: what is not a JSON object is a text.
func parseProperties(raw []byte) *properties {
	p := &properties{raw: raw}
	body := bytes.TrimLeft(raw, " \t\r\n")
	switch {
	case len(bytes.TrimSpace(raw)) == 0:
	case body[0] != '{' || !json.Valid(raw):
		p.text = true
	default:
		p.scan(len(raw) - len(body) + 1)
	}
	return p
}

// scan finds the members of the valid JSON object whose inside begins at i.
func (p *properties) scan(i int) {
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
		m.valStart = p.skip(i, " \t\r\n:")
		i = p.valueEnd(m.valStart)
		m.valueEnd = i
		p.index[m.name] = len(p.members)
		p.members = append(p.members, m)
	}
}

func (p *properties) skip(i int, set string) int {
	for strings.IndexByte(set, p.raw[i]) >= 0 {
		i++
	}
	return i
}

// stringEnd returns the position after the string that begins at i.
func (p *properties) stringEnd(i int) int {
	for i++; p.raw[i] != '"'; i++ {
		if p.raw[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// valueEnd returns the position after the value that begins at i.
func (p *properties) valueEnd(i int) int {
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

// value returns the JSON text of a property.
func (p *properties) value(key string) (json.RawMessage, bool) {
	if p.text {
		if key != textKey {
			return nil, false
		}
		b, err := encodeJSON(string(p.raw))
		return b, err == nil
	}
	i, ok := p.index[key]
	if !ok {
		return nil, false
	}
	return p.raw[p.members[i].valStart:p.members[i].valueEnd], true
}

func (p *properties) keys() []string {
	if p.text {
		return []string{textKey}
	}
	return slices.Sorted(maps.Keys(p.index))
}

// decodeJSON decodes valid JSON; whole numbers become int64 where they fit, other numbers float64.
func decodeJSON(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return plainNumbers(v), nil
}

func plainNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64() // out of range: infinite, as strconv has it
		return f
	case []any:
		for i := range v {
			v[i] = plainNumbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = plainNumbers(v[k])
		}
	}
	return v
}

// encodeJSON encodes v without escaping HTML.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// encodeProperties is the content of a node with these properties and no others.
func encodeProperties(props map[string]any) ([]byte, error) {
	if text, ok := props[textKey].(string); ok && len(props) == 1 && isText(text) {
		return []byte(text), nil
	}
	return mergeProperties(nil, props)
}

// isText reports whether text, as a node's content, reads as itself and not as a JSON object or as
// nothing.
func isText(text string) bool { return parseProperties([]byte(text)).text }

// mergeProperties is the content of a node whose properties are those of raw, with props put over
// them. Everything in raw that props does not name stays as it is, byte by byte.
func mergeProperties(raw []byte, props map[string]any) ([]byte, error) {
	p := parseProperties(raw)
	if len(props) == 0 && (p.text || len(p.members) > 0) {
		return bytes.Clone(raw), nil
	}
	if p.text {
		text, err := encodeJSON(string(raw))
		if err != nil {
			return nil, err
		}
		p = parseProperties(fmt.Appendf(nil, `{"%s": %s}`, textKey, text))
	}
	if len(p.members) == 0 {
		p = parseProperties([]byte("{}"))
	}
	values := map[int][]byte{} // by member
	var added bytes.Buffer
	for _, key := range slices.Sorted(maps.Keys(props)) {
		value, err := encodeJSON(props[key])
		if err != nil {
			return nil, fmt.Errorf("property %q: %w", key, err)
		}
		if i, ok := p.index[key]; ok {
			values[i] = value
			continue
		}
		name, err := encodeJSON(key)
		if err != nil {
			return nil, fmt.Errorf("property %q: %w", key, err)
		}
		if len(p.members) > 0 || added.Len() > 0 {
			added.WriteString(", ")
		}
		fmt.Fprintf(&added, "%s: %s", name, value)
	}
	var out []byte
	done := 0 // bytes of p.raw copied
	for i, m := range p.members {
		if value, ok := values[i]; ok {
			out = append(out, p.raw[done:m.valStart]...)
			out = append(out, value...)
			done = m.valueEnd
		}
	}
	end := bytes.LastIndexByte(p.raw, '}')
	if len(p.members) > 0 {
		end = max(done, p.members[len(p.members)-1].valueEnd)
	}
	out = append(out, p.raw[done:end]...)
	out = append(out, added.Bytes()...)
	out = append(out, p.raw[end:]...)

	merged := parseProperties(out)
	if raw, ok := merged.value(textKey); ok && len(merged.members) == 1 && len(props) > 0 && raw[0] == '"' {
		var text string
		if err := json.Unmarshal(raw, &text); err == nil && isText(text) {
			return []byte(text), nil
		}
	}
	return out, nil
}

var errNoProperty = errors.New("no such property")
