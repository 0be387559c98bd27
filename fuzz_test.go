package zkstream_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/internal/address"
	"github.com/zkstream/zkstream/internal/content"
	"github.com/zkstream/zkstream/zktest"
)

// What users, configuration and other writers may hand in. Server replies are fuzzed in internal/zkconn.

// pathIsValid is the rule of ZooKeeper's PathUtils.validatePath, put plainly. Java counts UTF-16 units.
func pathIsValid(path string) bool {
	if path == "/" {
		return true
	}
	if !utf8.ValidString(path) || len(path) > address.MaxPath || !strings.HasPrefix(path, "/") || strings.HasSuffix(path, "/") {
		return false
	}
	for _, name := range strings.Split(path, "/")[1:] {
		if name == "" || name == "." || name == ".." {
			return false
		}
	}
	for _, c := range utf16.Encode([]rune(path)) {
		switch {
		case c <= 0x1f, 0x7f <= c && c <= 0x9f, 0xd800 <= c && c <= 0xf8ff, 0xfff0 <= c:
			return false
		}
	}
	return true
}

// counted returns a client on a server in the process, and the counter of its requests.
func counted(f *testing.F) (*zkstream.Client, *zktest.Server, *counter) {
	f.Helper()
	server := zktest.Start(f)
	var requests counter
	c := connect(f, server.Addr(), requests.option())
	settled(f, c)
	requests.take()
	return c, server, &requests
}

// quiet checks that no request was sent.
func (c *counter) quiet(t *testing.T, what string) {
	t.Helper()
	if sent := c.take(); len(sent) != 0 {
		t.Errorf("%s: requests were sent, by opcode: %v", what, sent)
	}
}

// FuzzPath compares address.ValidatePath with ZooKeeper's rule. A bad path is an error everywhere, and no request
// leaves for it.
func FuzzPath(f *testing.F) {
	for _, path := range []string{
		"", "/", "a", "/a", "/a/", "//", "/a//b", "/.", "/..", "/...", "/a/./b", "/a/../b", "/.a", "/a.", "/a..b",
		"/\x00", "/\x1f", "/ ", "/\x7f", "/\u009f", "/\u00a0", "/\ud7ff", "/\ue000", "/\uf8ff", "/\uf900", "/\uffef", "/\ufff0", "/\uffff",
		"/\U00010000", "/\U0001f600", "/\xff", "/\xed\xa0\x80", "/" + strings.Repeat("x", 300),
	} {
		f.Add(path)
	}
	c, _, requests := counted(f)
	f.Fuzz(func(t *testing.T, path string) {
		err := address.ValidatePath(path)
		if valid := pathIsValid(path); valid != (err == nil) {
			t.Fatalf("%q: ValidatePath says %v, ZooKeeper's rule %t", path, err, valid)
		}
		if err == nil {
			for _, root := range []address.Chroot{"", "/app/x"} {
				if abs := root.Absolute(path); !pathIsValid(abs) || root.Relative(abs) != path {
					t.Errorf("%q is %q on the server, and that is %q here", path, abs, root.Relative(abs))
				}
			}
			return
		}
		ctx := t.Context()
		_, registerErr := c.Register(ctx, path, "127.0.0.1:80", nil)
		for op, err := range map[string]error{
			"data":     ended(t, c.Data(ctx, path)),
			"children": ended(t, c.Children(ctx, path)),
			"props":    ended(t, c.Properties(ctx, path).Stream),
			"create":   c.Create(ctx, path, nil),
			"set":      c.SetProperties(ctx, path, nil),
			"update":   c.UpdateProperties(ctx, path, nil),
			"delete":   c.Delete(ctx, path),
			"register": registerErr,
		} {
			var pathErr *zkstream.PathError
			if !errors.As(err, &pathErr) || pathErr.Path != path || !errors.Is(err, zk.ErrInvalidPath) {
				t.Errorf("%s of %q: %v", op, path, err)
			}
		}
		requests.quiet(t, strconv.Quote(path))
	})
}

// FuzzAddress registers addresses. A server takes the name of each that is accepted; no request leaves for
// one that is not; and each host and port that can be told apart are accepted.
func FuzzAddress(f *testing.F) {
	for _, a := range [][2]string{
		{"127.0.0.1", "80"}, {"::1", "80"}, {"fe80::1%eth0", "http"}, {"", "80"}, {"host", ""}, {"a/b", "80"}, {"..", "80"},
		{".", "."}, {"a\n", "80"}, {"[::1]", "80"}, {"[", "80"}, {"a:b", "c:d"}, {"\xff", "80"}, {"\U0001f600", "80"}, {"host", "80/../x"},
	} {
		f.Add(a[0], a[1])
	}
	c, server, requests := counted(f)
	f.Fuzz(func(t *testing.T, host, port string) {
		joined := net.JoinHostPort(host, port)
		for _, addr := range []string{host + ":" + port, joined} {
			r, err := c.Register(t.Context(), "/svc", addr, nil)
			if err != nil {
				if r != nil {
					t.Errorf("%q: a registration and %v", addr, err)
				}
				requests.quiet(t, strconv.Quote(addr))
				continue
			}
			if got, err := server.Children("/svc"); err != nil || !slices.Equal(got, []string{addr}) {
				t.Errorf("%q is registered as %q, %v", addr, got, err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			settled(t, c)
			requests.take()
			if h, p, err := net.SplitHostPort(addr); err != nil || h == "" || address.IsUnspecified(h) || !isPort(p) {
				t.Errorf("%q is accepted: %q, %q, %v", addr, h, p, err)
			}
		}
		plain := host != "" && !strings.ContainsAny(host, "/[]") && !strings.ContainsFunc(host, unicode.IsSpace) && !address.IsUnspecified(host) &&
			isPort(port) && pathIsValid("/"+joined)
		if err := address.Validate(joined); plain && err != nil {
			t.Errorf("%q is a host and a port: %v", joined, err)
		}
	})
}

// isPort reports whether s is a number of digits from 1 to 65535.
func isPort(s string) bool {
	digits := strings.TrimLeft(s, "0")
	return digits != "" && len(digits) <= 5 && strings.Trim(digits, "0123456789") == "" && (len(digits) < 5 || digits <= "65535")
}

// FuzzServers takes connection strings apart. What is accepted can be dialled, and says the same when
// put together again; for what is not, nothing is dialled.
func FuzzServers(f *testing.F) {
	for _, s := range []string{
		"", "/", "zk1", "zk1:1, zk2:2 ,zk3/app", "[::1]", "[::1]:80,10.0.0.1/x", "a,,b", "a:b:c", "a:", "a:0", "a:65536", ":80", "a/b/", "a//b", "::1",
		"[", "]", "[a", "a]", "[a]b]", "[]", "[]:1", "[ a]", "a b", "a\x00", "a:+80", "a:0080", "fe80::1%eth0", "[fe80::1%eth0]:2181", "a/\U0001f600", "a/..",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		hosts, chroot, err := address.ParseServers(s)
		if err != nil {
			c, err := zkstream.Connect(t.Context(), s, zkstream.WithDialer(func(_ context.Context, _, addr string) (net.Conn, error) {
				t.Errorf("%q has %s dialled", s, addr)
				return nil, errors.ErrUnsupported
			}))
			if err == nil {
				c.Close()
				t.Errorf("%q is accepted", s)
			}
			return
		}
		if len(hosts) == 0 || len(hosts) > strings.Count(s, ",")+1 {
			t.Errorf("%q has the servers %q", s, hosts)
		}
		for _, server := range hosts {
			host, port, err := net.SplitHostPort(server)
			if n, _ := strconv.Atoi(port); err != nil || host == "" || n < 1 || n > math.MaxUint16 {
				t.Errorf("%q has a server %q that cannot be dialled: %v", s, server, err)
			}
		}
		if chroot != "" && (!pathIsValid(chroot) || chroot == "/") {
			t.Errorf("%q has the chroot %q", s, chroot)
		}
		again, root, err := address.ParseServers(strings.Join(hosts, ",") + chroot)
		if err != nil || !slices.Equal(again, hosts) || root != chroot {
			t.Errorf("%q: %q %q, read again %q %q, %v", s, hosts, chroot, again, root, err)
		}
	})
}

// FuzzProperties reads content, writes what was read, and updates it with one property.
func FuzzProperties(f *testing.F) {
	for _, data := range []string{
		"", " \n", "{}", "xxx", "{xxx}", "[1]", "null", `{"a": 1, "b": [2, {"c": "}"}]}`, "{ \"\\u0061\" :1,\n\t\"b\":[ 1 ] }\n",
		`{"a":1,"a":2}`, `{"n": 12345678901234567890123, "f": 1.10, "e": 1e3, "z": -0.0}`, `{"x": 1e999}`, `{"string_value": "s"}`,
		`{"string_value": "{}"}`, "{\"\xff\": 1, \"\xfe\": \"\xff\"}", `{"\ud800": "\udfff"}`, `{"a": "\\\""} x`, "\xef\xbb\xbf{}", "{\"a\":\u00a01}",
	} {
		f.Add([]byte(data), "a", []byte(`{"x": null}`))
		f.Add([]byte(data), "string_value", []byte("text"))
	}
	f.Fuzz(func(t *testing.T, data []byte, key string, value []byte) {
		if bytes.Contains(data, []byte("NaN")) || bytes.Contains(data, []byte("Infinity")) {
			return // numbers that encoding/json does not know
		}
		read := checkReading(t, data)
		checkRoundTrip(t, read)
		checkUpdate(t, data, key, value)
	})
}

// members is what data should read as, in the words of encoding/json; nil if it is a text.
func members(data []byte) map[string]json.RawMessage {
	m := map[string]json.RawMessage{}
	switch {
	case len(bytes.TrimSpace(data)) == 0:
		return m
	case json.Unmarshal(data, &m) != nil || m == nil: // no object: null makes m nil
		return nil
	}
	return m
}

func checkReading(t *testing.T, data []byte) zkstream.Properties {
	t.Helper()
	p, want := propertiesOf(string(data)), members(data)
	if !bytes.Equal(p.Bytes(), data) {
		t.Errorf("%q has the bytes %q", data, p.Bytes())
	}
	var decoded map[string]json.RawMessage
	if err := p.Decode(&decoded); (err == nil) != (want != nil || string(bytes.TrimSpace(data)) == "null") {
		t.Errorf("%q decodes with %v", data, err)
	}
	if want == nil {
		text, ok := p.Get(content.TextKey)
		same, err := zkstream.Value[string](p, content.TextKey)
		if !ok || text != string(data) || same != string(data) || err != nil || p.Len() != 1 {
			t.Errorf("%q is a text, and reads as %q, %q, %v, %q", data, text, same, err, p.Keys())
		}
		return p
	}
	if !slices.Equal(p.Keys(), slices.Sorted(maps.Keys(want))) || p.Len() != len(want) {
		t.Errorf("%q has the keys %q, want %v", data, p.Keys(), want)
	}
	for key, raw := range want {
		got, err := zkstream.Value[json.RawMessage](p, key)
		if err != nil || !bytes.Equal(got, raw) {
			t.Errorf("%q: %q is %q, %v, want %q", data, key, got, err, raw)
		}
		if _, ok := p.Get(key); !ok {
			t.Errorf("%q: there is no %q", data, key)
		}
	}
	return p
}

// checkRoundTrip writes what was read, and reads it again. A number may then be a whole one.
func checkRoundTrip(t *testing.T, p zkstream.Properties) {
	t.Helper()
	props := maps.Collect(p.All())
	written, err := content.Encode(props)
	if err != nil {
		if !hasInf(props) {
			t.Errorf("%q cannot be written again: %v", p, err)
		}
		return
	}
	again := maps.Collect(propertiesOf(string(written)).All())
	if !reflect.DeepEqual(floats(again), floats(props)) {
		t.Errorf("%q is %v, and written as %q %v", p, props, written, again)
	}
}

// floats makes a float64 of each number in v.
func floats(v any) any {
	switch v := v.(type) {
	case int64:
		return float64(v)
	case []any:
		for i := range v {
			v[i] = floats(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = floats(v[k])
		}
	}
	return v
}

// hasInf reports whether a number in v is too large for JSON to say.
func hasInf(v any) bool {
	switch v := v.(type) {
	case float64:
		return math.IsInf(v, 0)
	case []any:
		return slices.ContainsFunc(v, hasInf)
	case map[string]any:
		return slices.ContainsFunc(slices.Collect(maps.Values(v)), hasInf)
	}
	return false
}

// part is a member of an object, as encoding/json's decoder finds it in the object's text.
type part struct {
	name            string
	valueAt, endsAt int
}

func parts(t *testing.T, object []byte) (list []part) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(object))
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			t.Fatal(err)
		}
		end := int(d.InputOffset())
		list = append(list, part{name.(string), end - len(value), end})
	}
	return list
}

// refused reports whether data is none that a property can be put into.
func refused(data []byte) bool {
	return !utf8.Valid(data) || members(data) == nil && strings.HasPrefix(strings.TrimSpace(string(data)), "{")
}

// checkUpdate changes one property. All else must stay as it is, byte by byte.
func checkUpdate(t *testing.T, data []byte, key string, value []byte) {
	t.Helper()
	var v any = string(value)
	if json.Valid(value) {
		v = json.RawMessage(value)
	}
	after, err := content.Merge(data, map[string]any{key: v})
	if refused(data) {
		if err == nil {
			t.Errorf("%q with %q: %q is %q", data, key, value, after)
		}
		return
	}
	if err != nil {
		t.Fatalf("%q with %q: %q: %v", data, key, value, err)
	}
	name, _ := content.EncodeJSON(key)
	want, _ := content.EncodeJSON(v)
	old, now := members(data), members(after)
	if now == nil {
		// Only one string is written as a text, and only under this name.
		var text string
		if json.Unmarshal(want, &text) != nil || key != content.TextKey || text != string(after) || len(old) > 1 {
			t.Errorf("%q with %q: %q is the text %q", data, key, value, after)
		}
		return
	}
	if old == nil {
		if key == content.TextKey {
			old = map[string]json.RawMessage{}
		} else {
			text, _ := content.EncodeJSON(string(data))
			old = map[string]json.RawMessage{content.TextKey: text}
		}
		for k, v := range old {
			if !bytes.Equal(now[k], v) {
				t.Errorf("%q with %q: the text is lost: %q", data, key, after)
			}
		}
		return
	}
	if len(old) == 0 {
		if got := string(after); got != "{"+string(name)+": "+string(want)+"}" && len(bytes.TrimSpace(data)) == 0 {
			t.Errorf("nothing with %q: %q is %q", key, value, got)
		}
		return
	}
	list := parts(t, data)
	i := len(list) - 1
	for ; i >= 0 && list[i].name != key; i-- {
	}
	var expected []byte
	if i >= 0 {
		expected = slices.Concat(data[:list[i].valueAt], want, data[list[i].endsAt:])
	} else {
		end := list[len(list)-1].endsAt
		expected = slices.Concat(data[:end], []byte(", "), name, []byte(": "), want, data[end:])
	}
	if !bytes.Equal(after, expected) {
		t.Errorf("%q with %q: %q\nis   %q\nwant %q", data, key, value, after, expected)
	}
}
