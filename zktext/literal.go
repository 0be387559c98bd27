package zktext

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep a value may be nested. Python 2's parser gives up at the next level.
const maxDepth = 98

var (
	errTooDeep      = fmt.Errorf("nested more than %d deep", maxDepth)
	errUnterminated = errors.New("the value has no end")
)

// readLiteral reads a whole literal of Python or JSON. A comma outside of brackets makes a tuple, and a
// comment may follow, as in Python.
func readLiteral(s string) (any, error) {
	l := &literal{rest: s}
	items, comma, err := l.items(0, end)
	switch {
	case err != nil:
		return nil, err
	case len(items) == 0:
		return nil, errors.New("there is no value")
	case len(items) == 1 && !comma:
		return items[0], nil
	}
	return items, nil
}

// literal is what has not been read yet of a literal.
type literal struct{ rest string }

// end is what ends a literal: not a bracket but the line, or a comment.
const end = 0

// skip leaves out what is white between the parts of an expression.
func (l *literal) skip() { l.rest = strings.TrimLeft(l.rest, " \t\f") }

// accept takes c, if it comes next.
func (l *literal) accept(c byte) bool {
	l.skip()
	if c == end {
		return l.rest == "" || l.rest[0] == '#'
	}
	if l.rest == "" || l.rest[0] != c {
		return false
	}
	l.rest = l.rest[1:]
	return true
}

// items reads values with commas in between up to closing, which it takes, and reports whether a comma came
// last: one makes a tuple of a single value.
func (l *literal) items(depth int, closing byte) (items []any, comma bool, err error) {
	items = []any{}
	for !l.accept(closing) {
		if len(items) > 0 && !comma {
			return nil, false, l.unexpected()
		}
		item, err := l.value(depth)
		if err != nil {
			return nil, false, err
		}
		items = append(items, item)
		comma = l.accept(',')
	}
	return items, comma, nil
}

func (l *literal) unexpected() error {
	if l.rest == "" || l.rest[0] == '#' {
		return errUnterminated
	}
	return fmt.Errorf("not a literal at %q", short(l.rest))
}

// value reads a value at a depth of nesting.
func (l *literal) value(depth int) (any, error) {
	l.skip()
	if l.rest == "" {
		return nil, errUnterminated
	}
	if strings.IndexByte("[({", l.rest[0]) >= 0 && depth == maxDepth {
		return nil, errTooDeep
	}
	switch {
	case l.accept('['):
		items, _, err := l.items(depth+1, ']')
		return items, err
	case l.accept('('):
		items, comma, err := l.items(depth+1, ')')
		if len(items) == 1 && !comma {
			return items[0], err
		}
		return items, err
	case l.accept('{'):
		return l.dict(depth + 1)
	case l.accept('-'):
		l.skip()
		return l.number("-")
	case l.accept('+'):
		l.skip()
		return l.number("")
	case l.rest[0] == '.' || isDigit(l.rest[0]):
		return l.number("")
	}
	if prefix, ok := stringPrefix(l.rest); ok {
		return l.strings(prefix)
	}
	return l.name()
}

// name reads a value that has a name.
func (l *literal) name() (any, error) {
	n := 0
	for n < len(l.rest) && isWordByte(l.rest[n]) {
		n++
	}
	word := l.rest[:n]
	var v any
	switch word {
	case "True", "true":
		v = true
	case "False", "false":
		v = false
	case "None", "null":
	default:
		return nil, l.unexpected()
	}
	l.rest = l.rest[n:]
	return v, nil
}

// dict reads the inside of a dict.
func (l *literal) dict(depth int) (any, error) {
	d := map[string]any{}
	for comma := true; !l.accept('}'); {
		if !comma {
			return nil, l.unexpected()
		}
		key, err := l.value(depth)
		if err != nil {
			return nil, err
		}
		name, err := keyText(key)
		if err != nil {
			return nil, err
		}
		if !l.accept(':') {
			return nil, l.unexpected()
		}
		if d[name], err = l.value(depth); err != nil {
			return nil, err
		}
		comma = l.accept(',')
	}
	return d, nil
}

// keyText returns the string that Python's json makes of a key.
func keyText(key any) (string, error) {
	switch key := key.(type) {
	case string:
		return key, nil
	case nil:
		return "null", nil
	case bool:
		return strconv.FormatBool(key), nil
	case int64:
		return strconv.FormatInt(key, 10), nil
	case json.Number:
		return key.String(), nil
	case float64:
		if text := floatText(key); !strings.HasSuffix(text, infinity) {
			return text, nil
		}
	}
	return "", errors.New("a key must be a string or a number")
}

// number reads a number, after its sign.
func (l *literal) number(sign string) (any, error) {
	n := 0
	for n < len(l.rest) && (isWordByte(l.rest[n]) || l.rest[n] == '.') {
		n++
		if (l.rest[n-1] == 'e' || l.rest[n-1] == 'E') && n < len(l.rest) && (l.rest[n] == '+' || l.rest[n] == '-') && !isBased(l.rest) {
			n++
		}
	}
	token := l.rest[:n]
	if n == 0 || token[0] != '.' && !isDigit(token[0]) {
		return nil, l.unexpected()
	}
	l.rest = l.rest[n:]
	if !isBased(token) && strings.ContainsAny(token, ".eE") {
		return readFloat(sign, token)
	}
	digits := sign + strings.TrimRight(token, "lL")
	if len(token) > len(digits)-len(sign)+1 {
		return nil, badNumber(token)
	}
	// Go's syntax of integers is Python's: that of 3 for prefixes and underscores, that of 2 for
	// octal numbers without the letter o.
	if i, err := strconv.ParseInt(digits, 0, 64); err == nil {
		return i, nil
	}
	i, ok := new(big.Int).SetString(digits, 0)
	if !ok {
		return nil, badNumber(token)
	}
	return json.Number(i.String()), nil
}

// isBased reports whether a number has a prefix that gives its base.
func isBased(token string) bool {
	return len(token) > 1 && token[0] == '0' && strings.IndexByte("xXoObB", token[1]) >= 0
}

func readFloat(sign, token string) (any, error) {
	digits := token
	if strings.Contains(token, "_") {
		for i := range len(token) {
			if token[i] == '_' && (i == 0 || i == len(token)-1 || !isDigit(token[i-1]) || !isDigit(token[i+1])) {
				return nil, badNumber(token)
			}
		}
		digits = strings.ReplaceAll(token, "_", "")
	}
	f, err := strconv.ParseFloat(sign+digits, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // out of range: infinite, as in Python
		return nil, badNumber(token)
	}
	return f, nil
}

func badNumber(token string) error { return fmt.Errorf("not a number: %q", short(token)) }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isWordByte(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

// short returns the beginning of s, for an error.
func short(s string) string {
	const most = 40
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

// stringPrefix returns what stands before the quote with which s begins, in lower case; false if there is no
// quote.
func stringPrefix(s string) (string, bool) {
	i := strings.IndexAny(s[:min(len(s), 3)], `'"`)
	if i < 0 {
		return "", false
	}
	switch p := strings.ToLower(s[:i]); p {
	case "", "u", "b", "r", "ur", "br", "rb":
		return p, true
	}
	return "", false
}

// strings reads a string, and those that follow it.
func (l *literal) strings(prefix string) (any, error) {
	var all strings.Builder
	for ok := true; ok; prefix, ok = stringPrefix(l.rest) {
		l.rest = l.rest[len(prefix):]
		quote := l.rest[:1]
		if long := strings.Repeat(quote, 3); strings.HasPrefix(l.rest, long) {
			quote = long
		}
		l.rest = l.rest[len(quote):]
		if err := l.quoted(&all, quote, prefix); err != nil {
			return nil, err
		}
		l.skip()
	}
	return all.String(), nil
}

// quoted reads the inside of a string, and the quote after it.
func (l *literal) quoted(b *strings.Builder, quote, prefix string) error {
	unicode := strings.Contains(prefix, "u")
	for !strings.HasPrefix(l.rest, quote) {
		switch {
		case l.rest == "":
			return errUnterminated
		case l.rest[0] == '\\':
			if err := l.escape(b, prefix); err != nil {
				return err
			}
		case unicode:
			r, n := utf8.DecodeRuneInString(l.rest)
			if r == utf8.RuneError && n == 1 { // not UTF-8: Python 2 takes bytes for Latin-1
				r = rune(l.rest[0])
			}
			b.WriteRune(r)
			l.rest = l.rest[n:]
		default:
			b.WriteByte(l.rest[0])
			l.rest = l.rest[1:]
		}
	}
	l.rest = l.rest[len(quote):]
	return nil
}

// simpleEscapes are the characters that a backslash gives a meaning of one byte, and those bytes.
var simpleEscapes = map[byte]byte{
	'\\': '\\', '\'': '\'', '"': '"',
	'a': '\a', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v',
}

// escape reads a backslash and what belongs to it. With the prefix u, \x and octal numbers are characters,
// otherwise bytes.
func (l *literal) escape(b *strings.Builder, prefix string) error {
	unicode, raw := strings.Contains(prefix, "u"), strings.Contains(prefix, "r")
	if len(l.rest) < 2 {
		return errUnterminated
	}
	c := l.rest[1]
	if (c == 'u' || c == 'U') && (unicode || prefix == "") {
		r, n, err := unicodeEscape(l.rest)
		if err == nil {
			b.WriteRune(r)
			l.rest = l.rest[n:]
			return nil
		}
		if unicode || errors.Is(err, errSurrogate) {
			return err
		}
		// Python 2 has no \u in such a string: this may be a path of Windows, "C:\users".
	}
	if raw {
		b.WriteString(l.rest[:2])
		l.rest = l.rest[2:]
		return nil
	}
	if simple, ok := simpleEscapes[c]; ok {
		b.WriteByte(simple)
		l.rest = l.rest[2:]
		return nil
	}
	var code uint64
	n := 1
	switch {
	case c == 'x':
		var err error
		if code, err = hex(l.rest[2:], 2); err != nil {
			return err
		}
		n = 4
	case c >= '0' && c <= '7':
		for ; n < len(l.rest) && n < 4 && l.rest[n] >= '0' && l.rest[n] <= '7'; n++ {
			code = code<<3 | uint64(l.rest[n]-'0')
		}
	case c == 'N' && unicode:
		return errors.New(`\N{...} is not supported`)
	default: // it has no meaning, and stands for itself
		b.WriteByte('\\')
		l.rest = l.rest[1:]
		return nil
	}
	l.rest = l.rest[n:]
	if unicode {
		b.WriteRune(rune(code))
	} else {
		b.WriteByte(byte(code))
	}
	return nil
}

var errSurrogate = errors.New("half of a surrogate pair is not a character")

// unicodeEscape reads \uXXXX, two of them for a character beyond, or \UXXXXXXXX. It returns the length, too.
func unicodeEscape(s string) (rune, int, error) {
	if s[1] == 'U' {
		code, err := hex(s[2:], 8)
		switch {
		case err != nil:
			return 0, 0, err
		case code > utf8.MaxRune:
			return 0, 0, fmt.Errorf("%q is not a character", s[:10])
		case utf16.IsSurrogate(rune(code)):
			return 0, 0, errSurrogate
		}
		return rune(code), 10, nil
	}
	code, err := hex(s[2:], 4)
	if err != nil || !utf16.IsSurrogate(rune(code)) {
		return rune(code), 6, err
	}
	if low, ok := strings.CutPrefix(s[6:], `\u`); ok {
		if second, err := hex(low, 4); err == nil {
			if r := utf16.DecodeRune(rune(code), rune(second)); r != utf8.RuneError {
				return r, 12, nil
			}
		}
	}
	return 0, 0, errSurrogate
}

// hex reads n hexadecimal digits.
func hex(s string, n int) (uint64, error) {
	if len(s) >= n {
		if code, err := strconv.ParseUint(s[:n], 16, 32); err == nil {
			return code, nil
		}
	}
	return 0, fmt.Errorf("not %d hexadecimal digits after the backslash: %q", n, short(s))
}
