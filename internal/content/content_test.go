package content

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestPropertiesAreWrittenAsZcZkReadsThem(t *testing.T) {
	for _, row := range []struct {
		props map[string]any
		want  string
	}{
		{nil, `{}`},
		{map[string]any{}, `{}`},
		{map[string]any{"b": 2}, `{"b": 2}`},
		{map[string]any{"b": "<&>", "a": nil, "c": []int{1}}, `{"a": null, "b": "<&>", "c": [1]}`},
		{map[string]any{"string_value": "xxx"}, `xxx`},
		{map[string]any{"string_value": "\xff"}, "\xff"},
		{map[string]any{"string_value": 3}, `{"string_value": 3}`},
		{map[string]any{"string_value": "x", "a": 1}, `{"a": 1, "string_value": "x"}`},
		// As plain text these would read back as something else.
		{map[string]any{"string_value": ""}, `{"string_value": ""}`},
		{map[string]any{"string_value": " "}, `{"string_value": " "}`},
		{map[string]any{"string_value": `{"a": 1}`}, `{"string_value": "{\"a\": 1}"}`},
	} {
		got, err := Encode(row.props)
		if err != nil || string(got) != row.want {
			t.Errorf("%v is written as %q (%v), want %q", row.props, got, err, row.want)
		}
	}
	if _, err := Encode(map[string]any{"fine": 1, "bad": func() {}}); err == nil || !strings.Contains(err.Error(), `"bad"`) {
		t.Errorf("a value that has no JSON: %v", err)
	}
}

func TestContentThatAnUpdateWouldDestroyIsRefused(t *testing.T) {
	for content, want := range map[string]error{
		"\x1f\x8b\x08\x00\xf2\xff\x80\xfe": errNotUTF8,
		"caf\xe9":                          errNotUTF8,
		"{\"a\": \"\xff\"}":                errNotUTF8,
		`{"a": 1`:                          errBrokenJSON,
		`{"a": 1,}`:                        errBrokenJSON,
		" \n{yaml: true}":                  errBrokenJSON,
		`{"a": -NaN}`:                      errBrokenJSON,
		`{"a": 1Infinity}`:                 errBrokenJSON,
		`{"a": NaNs}`:                      errBrokenJSON,
		`{"a": 1, NaN: 2}`:                 errBrokenJSON,
		`{"a": 5-Infinity}`:                errBrokenJSON,
		`{"a": "b\", "c": NaN`:             errBrokenJSON,
	} {
		if got, err := Merge([]byte(content), map[string]any{"b": 2}); !errors.Is(err, want) {
			t.Errorf("%q becomes %q, %v", content, got, err)
		}
	}
}

func TestMergeKeepsTheBytesOfWhatItDoesNotName(t *testing.T) {
	for _, row := range []struct {
		before string
		props  map[string]any
		want   string
	}{
		{``, map[string]any{"a": 1}, `{"a": 1}`},
		{" \n", map[string]any{"a": 1}, `{"a": 1}`},
		{`{}`, map[string]any{"b": 1, "a": nil}, `{"a": null, "b": 1}`},
		{`{"a": 12345678901234567890123, "f": 1.10}`, map[string]any{"b": 2}, `{"a": 12345678901234567890123, "f": 1.10, "b": 2}`},
		{"{ \"\\u0061\" :1,\n\t\"b\":[ 1 ] }\n", map[string]any{"c": "x"}, "{ \"\\u0061\" :1,\n\t\"b\":[ 1 ], \"c\": \"x\" }\n"},
		{`{"\u0061": 1, "b": 2}`, map[string]any{"a": 3}, `{"\u0061": 3, "b": 2}`},
		{`{"a":1,"b":2,"c":3}`, map[string]any{"c": 6, "a": 4}, `{"a":4,"b":2,"c":6}`},
		{`{"a":1,"a":2}`, map[string]any{"a": 3}, `{"a":1,"a":3}`},
		{`xxx`, map[string]any{"a": 1}, `{"string_value": "xxx", "a": 1}`},
		{`xxx`, map[string]any{"string_value": "yyy"}, `yyy`},
		{`{"string_value": 3}`, map[string]any{"string_value": "yyy"}, `yyy`},
		{`{"a": "}"}`, map[string]any{"b": "{"}, `{"a": "}", "b": "{"}`},
		{`{"a": {"b": [1, {}]}}`, map[string]any{"a": 1, "b": 2}, `{"a": 1, "b": 2}`},
		{`xxx`, nil, `xxx`},
		{`{"threads":4,"ratio":NaN}`, map[string]any{"b": 2}, `{"threads":4,"ratio":NaN, "b": 2}`},
		{`{"a": [Infinity, -Infinity], "s": "NaN"}`, map[string]any{"s": 1}, `{"a": [Infinity, -Infinity], "s": 1}`},
		{"\xff", map[string]any{}, "\xff"},
		{"{\"a\" : 1}\n", nil, "{\"a\" : 1}\n"},
		{``, nil, `{}`},
	} {
		got, err := Merge([]byte(row.before), row.props)
		if err != nil || string(got) != row.want {
			t.Errorf("%q with %v is %q (%v), want %q", row.before, row.props, got, err, row.want)
		}
	}
}

func FuzzMerge(f *testing.F) {
	f.Add([]byte(`{"a": 1, "b": [2, {"c": "}"}]}`), "a", "x")
	f.Add([]byte("\n{xxx}\n"), "string_value", "{}")
	f.Add([]byte(`{"string_value": "s"}`), "k", "")
	f.Fuzz(func(t *testing.T, before []byte, key, value string) {
		old := Parse(before)
		after, err := Merge(before, map[string]any{key: value})
		if err != nil && (errors.Is(err, errNotUTF8) || errors.Is(err, errBrokenJSON)) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		merged := Parse(after)
		// A string that is not UTF-8 has no exact JSON.
		want, _ := EncodeJSON(value)
		var name string
		if b, _ := EncodeJSON(key); json.Unmarshal(b, &name) != nil {
			t.Fatal("key")
		}
		got, ok := merged.Raw(name)
		if !ok || !equalJSON(got, want) {
			t.Fatalf("%q with %q: %q is %q; has %q", before, key, value, after, got)
		}
		for _, k := range old.Keys() {
			a, _ := old.Raw(k)
			b, ok := merged.Raw(k)
			if k != name && (!ok || string(a) != string(b)) {
				t.Fatalf("%q with %q: %q lost %q: %q", before, key, value, k, after)
			}
		}
	})
}

func equalJSON(a, b []byte) bool {
	va, errA := DecodeJSON(a)
	vb, errB := DecodeJSON(b)
	return errA == nil && errB == nil && reflect.DeepEqual(va, vb)
}
