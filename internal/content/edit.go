package content

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"
)

// Encode is the content of a node with these properties and no others.
func Encode(props map[string]any) ([]byte, error) {
	if text, ok := props[TextKey].(string); ok && len(props) == 1 && isText(text) {
		return []byte(text), nil
	}
	return Merge(nil, props)
}

// isText reports whether text, as a node's content, reads as itself and not as a JSON object or as
// nothing.
func isText(text string) bool { return Parse([]byte(text)).text }

// Content that nobody could put a property into without harm.
var (
	errNotUTF8    = errors.New("the content is not UTF-8, so it cannot have properties: nothing is written")
	errBrokenJSON = errors.New(`the content begins with "{" and is not JSON, so it cannot have properties: nothing is written`)
)

// Merge is the content of a node whose properties are those of raw, with props put over
// them. Everything in raw that props does not name stays as it is, byte by byte.
func Merge(raw []byte, props map[string]any) ([]byte, error) {
	values := make(map[string]json.RawMessage, len(props))
	for _, key := range slices.Sorted(maps.Keys(props)) {
		value, err := EncodeJSON(props[key])
		if err != nil {
			return nil, fmt.Errorf("property %q: %w", key, err)
		}
		values[key] = value
	}
	return merge(raw, values)
}

// MergeRaw is Merge with values that are JSON texts, also those that only Python's JSON has. The error names the one that
// is not.
func MergeRaw(raw []byte, values map[string]json.RawMessage) ([]byte, error) {
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if !validJSON(values[key]) {
			return nil, fmt.Errorf("property %q: the value is not JSON", key)
		}
	}
	return merge(raw, values)
}

func merge(raw []byte, values map[string]json.RawMessage) ([]byte, error) {
	p := Parse(raw)
	switch {
	case len(values) == 0 && (p.text || len(p.members) > 0):
		return bytes.Clone(raw), nil
	case !utf8.Valid(raw):
		return nil, errNotUTF8
	case p.text && bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")):
		return nil, errBrokenJSON
	case p.text:
		text, err := EncodeJSON(string(raw))
		if err != nil {
			return nil, err
		}
		p = Parse(fmt.Appendf(nil, `{"%s": %s}`, TextKey, text))
	case len(p.members) == 0:
		p = Parse([]byte("{}"))
	}
	edits, err := p.edits(values)
	if err != nil {
		return nil, err
	}
	out := splice(p.raw, edits)
	if text, ok := Parse(out).onlyText(); ok && len(values) > 0 {
		return []byte(text), nil
	}
	return out, nil
}

// edit replaces what stands between two positions of a text.
type edit struct {
	from, to int
	text     []byte
}

// edits are what puts values into the object p, in the order of the text.
func (p *Properties) edits(values map[string]json.RawMessage) ([]edit, error) {
	end := bytes.LastIndexByte(p.raw, '}')
	if n := len(p.members); n > 0 {
		end = p.members[n-1].valueEnd
	}
	var edits []edit
	added := edit{from: end, to: end}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		value := values[key]
		if i, ok := p.index[key]; ok {
			edits = append(edits, edit{p.members[i].valueStart, p.members[i].valueEnd, value})
			continue
		}
		name, err := EncodeJSON(key)
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

// onlyText returns the text that an object stands for whose only property is a string named TextKey.
func (p *Properties) onlyText() (text string, ok bool) {
	raw, ok := p.Raw(TextKey)
	if !ok || len(p.members) != 1 || raw[0] != '"' {
		return "", false
	}
	return text, json.Unmarshal(raw, &text) == nil && isText(text)
}
