package simulation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"unicode/utf8"
)

// foreignContents are what other programs may have put into a node.
var foreignContents = []string{
	simStart,
	simStart,
	`{"threads": 4, "ratio": NaN, "limits": [Infinity, -Infinity]}`, // as Python's json writes it
	"\x1f\x8b\x08\x00\xf2\xff\x80\xfe",                              // compressed
	"caf\xe9",                                                       // Latin-1
	"\xff\xfe{\x00}\x00",                                            // UTF-16
	"\xef\xbb\xbf{\"a\": 1}",                                        // with a byte order mark
	`{"a": 1, "b": 2,}`,                                             // a trailing comma
	"{a: 1}",                                                        // YAML
	"a: 1\nb: 2\n",
	"plain text",
	"  \n",
	"",
	`[1, 2]`,
	`{"twice": 1, "twice": 2, "é": "\ud83d\ude00", "deep": {"}": [{"]": "\\\""}]}}`,
	"{\"latin\": \"caf\xe9\", \"a\": 1}",
}

// property is one of an object, as its bytes stand.
type property struct{ key, value string }

// propertiesOf takes a JSON object apart; NaN and Infinity are values. ok is false if it is none.
func propertiesOf(data []byte) (all []property, ok bool) {
	data = bytes.TrimSpace(data)
	if !json.Valid(plain(data)) || len(data) == 0 || data[0] != '{' {
		return nil, false
	}
	depth, quoted, start := 0, false, 1
	var key string
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == ':' && depth == 1:
			key, start = string(bytes.TrimSpace(data[start:i])), i+1
		case c == ',' && depth == 1, c == '}' && depth == 1:
			if value := bytes.TrimSpace(data[start:i]); key != "" {
				all = append(all, property{key, string(value)})
			}
			key, start = "", i+1
			if c == '}' {
				depth--
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return all, true
}

// plain has null where Python writes a number that JSON does not know, outside of strings.
func plain(data []byte) []byte {
	var out []byte
	quoted := false
	for i := 0; i < len(data); i++ {
		if !quoted {
			if word := wordAt(data[i:]); word != "" {
				out = append(out, "null"...)
				i += len(word) - 1
				continue
			}
		}
		switch {
		case quoted && data[i] == '\\' && i+1 < len(data):
			out = append(out, data[i])
			i++
		case data[i] == '"':
			quoted = !quoted
		}
		out = append(out, data[i])
	}
	return out
}

func wordAt(data []byte) string {
	for _, word := range []string{"NaN", "-Infinity", "Infinity"} {
		if bytes.HasPrefix(data, []byte(word)) {
			return word
		}
	}
	return ""
}

// damage says what an update of the named properties has done to the rest of a node's content; nothing, if
// all is well.
func damage(before, after []byte, names ...string) string {
	now, ok := propertiesOf(after)
	if !ok {
		return "it is no JSON object"
	}
	old, ok := propertiesOf(before)
	trimmed := bytes.TrimSpace(before)
	switch {
	case ok:
	case !utf8.Valid(before):
		return "content that is not UTF-8 cannot be updated"
	case len(trimmed) > 0 && trimmed[0] == '{':
		return "it looked like JSON, and has become a text"
	case len(trimmed) > 0:
		quoted := slices.IndexFunc(now, func(p property) bool { return p.key == `"string_value"` })
		var text string
		if quoted < 0 || json.Unmarshal([]byte(now[quoted].value), &text) != nil || text != string(before) {
			return "the text is not what it was"
		}
		return ""
	}
	rest := func(all []property) []property {
		return slices.DeleteFunc(slices.Clone(all), func(p property) bool {
			return slices.ContainsFunc(names, func(name string) bool { return p.key == fmt.Sprintf("%q", name) })
		})
	}
	if !slices.Equal(rest(old), rest(now)) {
		return fmt.Sprintf("%q is not %q", rest(now), rest(old))
	}
	return ""
}

func TestDamageIsSeen(t *testing.T) {
	for _, test := range []struct {
		before, after string
		well          bool
	}{
		{`{}`, `{"n": 1}`, true},
		{``, `{"n": 1}`, true},
		{`{"a": NaN}`, `{"a": NaN, "n": 1}`, true},
		{`{"a": NaN}`, `{"a": null, "n": 1}`, false},
		{`{"a": 1.0, "n": 1}`, `{"a": 1.0, "n": 2}`, true},
		{`{"a": 1.0, "n": 1}`, `{"a": 1, "n": 2}`, false},
		{`{"a": "NaN, \" }", "b": {"c": [1, 2]}}`, `{"a": "NaN, \" }", "b": {"c": [1, 2]}, "n": 1}`, true},
		{`{"a": "NaN, \" }", "b": {"c": [1, 2]}}`, `{"a": "NaN, \" }", "b": {"c": [1]}, "n": 1}`, false},
		{`{"a": 1, "b": 2}`, `{"a": 1, "n": 1}`, false},
		{`text`, `{"string_value": "text", "n": 1}`, true},
		{`text`, `{"n": 1}`, false},
		{"caf\xe9", "{\"string_value\": \"caf\ufffd\", \"n\": 1}", false},
		{`{a: 1}`, `{"string_value": "{a: 1}", "n": 1}`, false},
	} {
		if got := damage([]byte(test.before), []byte(test.after), "n"); (got == "") != test.well {
			t.Errorf("%q to %q: %q", test.before, test.after, got)
		}
	}
}
