package content

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
)

// EncodeJSON encodes v without escaping HTML.
func EncodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// DecodeJSON decodes valid JSON; whole numbers become int64 where they fit, other numbers float64.
func DecodeJSON(raw []byte) (any, error) {
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

// pythonNumber returns the number that raw is, if encoding/json does not know it.
func pythonNumber(raw []byte) (float64, bool) {
	if json.Valid(raw) {
		return 0, false
	}
	v, err := DecodeJSON(raw)
	f, ok := v.(float64)
	return f, err == nil && ok
}
