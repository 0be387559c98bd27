package zkstream

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
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
	case body[0] != '{' || !validJSON(raw):
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
	masks := maskNumbers(raw)
	d := json.NewDecoder(bytes.NewReader(masks.text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return masks.plain(v), nil
}

func (m masked) plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		if f, ok := m.values[v]; ok {
			return f
		}
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64() // out of range: infinite, as strconv has it
		return f
	case []any:
		for i := range v {
			v[i] = m.plain(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = m.plain(v[k])
		}
	}
	return v
}

// Python's json, which zc.zk uses, also writes and reads the numbers NaN, Infinity and -Infinity. Package json does not
// know them. So it is given a text that has other numbers in their places.

// masked is a JSON text without these numbers.
type masked struct {
	text   []byte
	values map[json.Number]float64 // what the numbers in their places stand for
}

func validJSON(raw []byte) bool { return json.Valid(maskNumbers(raw).text) }

// maskNumbers returns raw with each NaN and Infinity that is a value of its own replaced.
func maskNumbers(raw []byte) masked {
	if !bytes.Contains(raw, []byte("NaN")) && !bytes.Contains(raw, []byte("Infinity")) {
		return masked{text: raw}
	}
	mask := "1e-7" // and then a number that raw does not have
	for bytes.Contains(raw, []byte(mask)) {
		mask += "7"
	}
	masks := map[string]string{"NaN": mask + "0", "Infinity": mask + "1"}
	m := masked{values: map[json.Number]float64{
		json.Number(mask + "0"):       math.NaN(),
		json.Number(mask + "1"):       math.Inf(1),
		json.Number("-" + mask + "1"): math.Inf(-1),
	}}
	inString := false
	for i := 0; i < len(raw); {
		switch c := raw[i]; {
		case inString && c == '\\' && i+1 < len(raw):
			m.text = append(m.text, c, raw[i+1])
			i += 2
			continue
		case c == '"':
			inString = !inString
		case !inString:
			if word := numberWord(raw, i); word != "" {
				m.text = append(m.text, masks[word]...)
				i += len(word)
				continue
			}
		}
		m.text = append(m.text, raw[i])
		i++
	}
	return m
}

// numberWord returns which of the words is a value that begins at i, without its sign; "" for none.
func numberWord(raw []byte, i int) string {
	for word, before := range map[string]string{"NaN": ":[, \t\r\n", "Infinity": "-:[, \t\r\n"} {
		if bytes.HasPrefix(raw[i:], []byte(word)) && (i == 0 || strings.IndexByte(before, raw[i-1]) >= 0) {
			if end := i + len(word); end == len(raw) || strings.IndexByte(",]} \t\r\n", raw[end]) >= 0 {
				return word
			}
		}
	}
	return ""
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

// Content that nobody could put a property into without harm.
var (
	errNotUTF8    = errors.New("the content is not UTF-8, so it cannot have properties: nothing is written")
	errBrokenJSON = errors.New(`the content begins with "{" and is not JSON, so it cannot have properties: nothing is written`)
	errNoProperty = errors.New("no such property")
)

// mergeProperties is the content of a node whose properties are those of raw, with props put over
// them. Everything in raw that props does not name stays as it is, byte by byte.
func mergeProperties(raw []byte, props map[string]any) ([]byte, error) {
	p := parseProperties(raw)
	switch {
	case len(props) == 0 && (p.text || len(p.members) > 0):
		return bytes.Clone(raw), nil
	case !utf8.Valid(raw):
		return nil, errNotUTF8
	case p.text && bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")):
		return nil, errBrokenJSON
	case p.text:
		text, err := encodeJSON(string(raw))
		if err != nil {
			return nil, err
		}
		p = parseProperties(fmt.Appendf(nil, `{"%s": %s}`, textKey, text))
	case len(p.members) == 0:
		p = parseProperties([]byte("{}"))
	}
	edits, err := p.edits(props)
	if err != nil {
		return nil, err
	}
	out := splice(p.raw, edits)
	if text, ok := parseProperties(out).onlyText(); ok && len(props) > 0 {
		return []byte(text), nil
	}
	return out, nil
}

// edit replaces what stands between two positions of a text.
type edit struct {
	from, to int
	text     []byte
}

// edits are what puts props into the object p, in the order of the text.
func (p *properties) edits(props map[string]any) ([]edit, error) {
	end := bytes.LastIndexByte(p.raw, '}')
	if n := len(p.members); n > 0 {
		end = p.members[n-1].valueEnd
	}
	var edits []edit
	added := edit{from: end, to: end}
	for _, key := range slices.Sorted(maps.Keys(props)) {
		value, err := encodeJSON(props[key])
		if err != nil {
			return nil, fmt.Errorf("property %q: %w", key, err)
		}
		if i, ok := p.index[key]; ok {
			edits = append(edits, edit{p.members[i].valStart, p.members[i].valueEnd, value})
			continue
		}
		name, err := encodeJSON(key)
		if err != nil {
			return nil, fmt.Errorf("property %q: %w", key, err)
		}
		if len(p.members) > 0 || len(added.text) > 0 {
			added.text = append(added.text, ", "...)
		}
		added.text = fmt.Appendf(added.text, "%s: %s", name, value)
	}
	slices.SortFunc(edits, func(a, b edit) int { return a.from - b.from })
	return append(edits, added), nil
}

// splice makes edits to text, which are in its order and do not overlap.
func splice(text []byte, edits []edit) []byte {
	var out []byte
	done := 0 // bytes of text that are copied or replaced
	for _, e := range edits {
		out = append(out, text[done:e.from]...)
		out = append(out, e.text...)
		done = e.to
	}
	return append(out, text[done:]...)
}

// onlyText returns the text that an object stands for whose only property is a string named textKey.
func (p *properties) onlyText() (text string, ok bool) {
	raw, ok := p.value(textKey)
	if !ok || len(p.members) != 1 || raw[0] != '"' {
		return "", false
	}
	return text, json.Unmarshal(raw, &text) == nil && isText(text)
}
