package zktext

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"unicode/utf8"
)

// Content returns what zc.zk's import writes into the znode: the text itself if the only property is a
// string named "string_value", otherwise a JSON object of the properties, sorted by name. A text that
// would be read as something else, because it is blank or a JSON object, is written as JSON, too. Numbers that only
// Python's JSON has are NaN, Infinity and -Infinity. The error names the property that JSON has no value for, such as a
// string that is not UTF-8.
func (n *Node) Content() ([]byte, error) {
	if text, ok := n.Properties[textProperty].(string); ok && len(n.Properties) == 1 && isText(text) {
		return []byte(text), nil
	}
	b := []byte{'{'}
	for i, name := range slices.Sorted(maps.Keys(n.Properties)) {
		v, err := normalize(n.Properties[name], 0)
		if err == nil {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendJSON(b, name); err == nil {
				b, err = appendJSON(append(b, ':'), v)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("zktext: property %q: %w", name, err)
		}
	}
	return append(b, '}'), nil
}

// textProperty is the only property of a znode whose content is not a JSON object.
const textProperty = "string_value"

// isText reports whether content reads as one text, and not as a JSON object or as nothing.
func isText(content string) bool {
	text, ok := Properties([]byte(content))[textProperty].(string)
	return ok && text == content
}

// Properties returns the properties that zc.zk reads from a znode's content, with values of the types that Parse
// gives: the members of a JSON object, none if the content is blank, or else "string_value" with the content itself. NaN,
// Infinity and -Infinity are numbers, as they are for Python's json. It is the inverse of Content.
func Properties(content []byte) map[string]any {
	properties := map[string]any{}
	s := bytes.Trim(content, space)
	if len(s) == 0 {
		return properties
	}
	if s[0] != '{' || !utf8.Valid(s) || decodeJSON(s, &properties) != nil {
		return map[string]any{textProperty: string(content)}
	}
	for name, v := range properties {
		properties[name] = exactNumbers(v)
	}
	return properties
}

// Numbers of Python's JSON, and numbers of everybody's that stand for them while they are decoded.
var (
	pythonNumbers = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|NaN|-?Infinity`)
	standIns      = map[string]string{"NaN": "-0e-0999", "Infinity": "1e0999", "-Infinity": "-1e0999"}
)

// decodeJSON decodes a JSON value whose numbers stay as they are written.
func decodeJSON(s []byte, dst any) error {
	if !json.Valid(s) {
		s = pythonNumbers.ReplaceAllFunc(s, func(token []byte) []byte {
			if number, ok := standIns[string(token)]; ok {
				return []byte(number)
			}
			return token // a string
		})
		if !json.Valid(s) {
			return errors.New("not JSON")
		}
	}
	d := json.NewDecoder(bytes.NewReader(s))
	d.UseNumber()
	return d.Decode(dst)
}

// exactNumbers returns a decoded value with its numbers in the types that Parse gives.
func exactNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if v.String() == standIns["NaN"] {
			return math.NaN()
		}
		if n, err := normalizeNumber(v); err == nil {
			return n
		}
	case []any:
		for i := range v {
			v[i] = exactNumbers(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = exactNumbers(v[key])
		}
	}
	return v
}

// appendJSON appends the JSON text of a normalized value. A float64 keeps its point, so that it is
// read as one by languages that tell 1.0 from 1.
func appendJSON(b []byte, v any) ([]byte, error) {
	var err error
	switch v := v.(type) {
	case float64:
		switch {
		case math.IsNaN(v):
			return append(b, "NaN"...), nil
		case math.IsInf(v, 1):
			return append(b, "Infinity"...), nil
		case math.IsInf(v, -1):
			return append(b, "-Infinity"...), nil
		}
		return append(b, floatText(v)...), nil
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendJSON(b, e); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	case map[string]any:
		b = append(b, '{')
		for i, key := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendJSON(b, key); err != nil {
				return nil, err
			}
			if b, err = appendJSON(append(b, ':'), v[key]); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	case string:
		if !utf8.ValidString(v) {
			return nil, fmt.Errorf("%q is not UTF-8", v)
		}
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return append(b, bytes.TrimSuffix(text.Bytes(), []byte("\n"))...), nil
}
