package zktext

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

// Content returns what zc.zk's import writes into the znode: the text itself if the only property is a
// string named "string_value", otherwise a JSON object of the properties, sorted by name. A text that
// would be read as something else, because it is blank or a JSON object, is written as JSON, too. The error
// names the property that JSON has no value for: a string that is not UTF-8, or an infinite number.
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
	s := strings.Trim(content, space)
	return s != "" && (s[0] != '{' || !json.Valid([]byte(pythonNumbers.Replace(s))))
}

// pythonNumbers replaces the numbers that only Python's JSON has.
var pythonNumbers = strings.NewReplacer("NaN", "0", "-Infinity", "0", "Infinity", "0")

// appendJSON appends the JSON text of a normalized value. A float64 keeps its point, so that it is
// read as one by languages that tell 1.0 from 1.
func appendJSON(b []byte, v any) ([]byte, error) {
	var err error
	switch v := v.(type) {
	case float64:
		if math.IsInf(v, 0) {
			return nil, errors.New("JSON has no infinite numbers")
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
