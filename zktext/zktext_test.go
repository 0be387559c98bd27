package zktext_test

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	. "github.com/zkstream/zkstream/zktext"
)

// equal is reflect.DeepEqual, which takes the two zeros of a float for the same.
func equal(a, b any) bool {
	x, okX := a.(float64)
	y, okY := b.(float64)
	if okX && okY {
		return math.Float64bits(x) == math.Float64bits(y)
	}
	return reflect.DeepEqual(a, b)
}

func mustParse(t *testing.T, text string) *Node {
	t.Helper()
	tree, err := Parse(text)
	if err != nil {
		t.Fatalf("Parse(%q): %v", text, err)
	}
	return tree
}

func mustFormat(t *testing.T, n *Node) string {
	t.Helper()
	text, err := Format(n)
	if err != nil {
		t.Fatalf("Format: %v", err)
	}
	if s := n.String(); s != text {
		t.Errorf("Format:\n%s\nString:\n%s", text, s)
	}
	return text
}

func TestLiteralsAreReadAndPrinted(t *testing.T) {
	for _, l := range append(literals, foreign...) {
		for _, text := range []string{l.text, l.print} {
			tree, err := Parse("/a\n  x = " + text)
			if err != nil {
				t.Errorf("%s: %v", text, err)
				continue
			}
			if got := tree.Children[0].Properties["x"]; !equal(got, l.value) {
				t.Errorf("%s: %#v, want %#v", text, got, l.value)
			}
		}
		want := "/a\n  x = " + l.print + "\n"
		if got := mustFormat(t, node("a", dict{"x": l.value})); got != want {
			t.Errorf("%#v is printed as\n%s, want\n%s", l.value, got, want)
		}
	}
}

func TestTreesAreReadAndPrinted(t *testing.T) {
	for _, c := range trees {
		t.Run(c.name, func(t *testing.T) {
			tree := mustParse(t, c.text)
			if !reflect.DeepEqual(tree, c.tree) {
				t.Errorf("read as\n%s, want\n%s", tree, c.tree)
			}
			got := mustFormat(t, c.tree)
			if c.print != "" && got != c.print {
				t.Errorf("printed as\n%s, want\n%s", got, c.print)
			}
			if again := mustParse(t, got); !reflect.DeepEqual(again, c.tree) {
				t.Errorf("what is printed reads as\n%s, want\n%s", again, c.tree)
			}
		})
	}
}

func TestPropertyLinksAreReadAsZcZkExportsThem(t *testing.T) {
	if got := mustParse(t, exported); !reflect.DeepEqual(got, exportedTree) {
		t.Errorf("read as\n%s, want\n%s", got, exportedTree)
	}
	want := "/a\n  b => /c\n  d => /e f\n  g=>h => ../i\n  j => = k\n"
	if got := mustFormat(t, exportedTree); got != want {
		t.Errorf("printed as\n%s, want\n%s", got, want)
	}
	// These are what they look like.
	for _, line := range []string{"x => = u''", "x => = '", "x => = 5", "x => ='='"} {
		tree, err := Parse("/a\n  " + line)
		if err != nil || tree.Children[0].Properties["x =>"] != line[5:] {
			t.Errorf("%s is read as\n%s, %v", line, tree, err)
		}
	}
}

func TestWhatCannotBeReadIsASyntaxError(t *testing.T) {
	for _, c := range []struct {
		text string
		line int
		want string // what the error says
	}{
		// zc.zk refuses these.
		{"a = 1", 1, "outside of a node"},
		{"/a\nb = 1", 2, "outside of a node"},
		{"/a\nb -> /c", 2, "outside of a node"},
		{"/a\n  b = 1\n    /c", 3, "below a property"},
		{"/a\n  b = 1\n    c = 1", 3, "below a property"},
		{"/a\n    /b\n  /c", 3, "like nothing above"},
		{"  /a\n/b", 2, "like nothing above"},
		{"/a\n/b\n/a", 3, "second node"},
		{"/a\n  /b\n    x = 1\n  y = 2\n  /b", 5, "second node"},
		{"/a\n  /b\n    /c\n  y = 2\n    /c", 5, "second node"},
		{"/a\n  x = 1\n\n  x = 2", 4, "second property"},
		{"/a : b\n  type = 'c'", 2, "second property"},
		{"/a\n  x -> /b\n  x -> /b", 3, "second property"},
		{"/a b", 1, "neither a node"},
		{"/", 1, "neither a node"},
		{"/ a", 1, "neither a node"},
		{"/a :", 1, "neither a node"},
		{"/: a", 1, "neither a node"},
		{"a", 1, "neither a node"},
		{"/a\n  b -> c d", 2, "a link"},
		{"/a\n  b ->", 2, "a link"},
		{"/a\n  -> b", 2, "a link"},
		{"/a\n  b =", 2, "neither a node"},
		{"/a\n  b => c d e", 2, "not a literal"},
		{"/a=b", 1, "not a literal"},
		{"/a\n  x='a=b'", 2, "no end"},
		{"/a\n  x y = 1", 2, "neither a node"},
		{"/a\n  x = # 1", 2, "no value"},
		{"/a\n  x = 1 2", 2, `"2"`},
		{"/a\n  x = [1 2]", 2, `"2]"`},
		{"/a\n  x = [1", 2, "no end"},
		{"/a\n  x = [1, # 2]", 2, "no end"},
		{"/a\n  x = [,]", 2, `",]"`},
		{"/a\n  x = ,", 2, `","`},
		{"/a\n  x = (,)", 2, `",)"`},
		{"/a\n  x = {,}", 2, `",}"`},
		{"/a\n  x = {'a'}", 2, `"}"`}, // a set, which no znode can hold
		{"/a\n  x = {'a': 1 'b': 2}", 2, `"'b'`},
		{"/a\n  x = {'a': }", 2, `"}"`},
		{"/a\n  x = {'a': 1", 2, "no end"},
		{"/a\n  x = {[]: 1}", 2, "key"},
		{"/a\n  x = {1e999: 1}", 2, "key"},
		{"/a\n  x = 'a", 2, "no end"},
		{"/a\n  x = 'a\\", 2, "no end"},
		{"/a\n  x = r'a\\'", 2, "no end"},
		{"/a\n  x = '''a''", 2, "no end"},
		{"/a\n  x = '\\x4'", 2, "2 hexadecimal digits"},
		{"/a\n  x = u'\\u12'", 2, "4 hexadecimal digits"},
		{"/a\n  x = u'\\U00110000'", 2, "not a character"},
		{"/a\n  x = u'\\ud800'", 2, "surrogate"},
		{"/a\n  x = '\\ud800\\u0041'", 2, "surrogate"},
		{"/a\n  x = u'\\N{DEGREE SIGN}'", 2, "not supported"},
		{"/a\n  x = 08", 2, "not a number"},
		{"/a\n  x = 0x", 2, "not a number"},
		{"/a\n  x = 1LL", 2, "not a number"},
		{"/a\n  x = 1.5L", 2, "not a number"},
		{"/a\n  x = 1__0", 2, "not a number"},
		{"/a\n  x = 1_.5", 2, "not a number"},
		{"/a\n  x = 1e", 2, "not a number"},
		{"/a\n  x = .", 2, "not a number"},
		{"/a\n  x = 1x", 2, "not a number"},
		{"/a\n  x = -", 2, "no end"},
		{"/a\n  x = -'a'", 2, "not a literal"},
		{"/a\n  x = nil", 2, "not a literal"},
		{"/a\n  x = f'a'", 2, "not a literal"},
		{"/a\n  x = " + strings.Repeat("[", 99) + strings.Repeat("]", 99), 2, "nested"},
		// zc.zk evaluates these.
		{"/a\n  x = 1 + 1", 2, "not a literal"},
		{"/a\n  x = --1", 2, "not a literal"},
		{"/a\n  x = 1j", 2, "not a number"},
		{"/a\n  x = [1][0]", 2, "not a literal"},
		{"/a\n  x = dict(a=1)", 2, "not a literal"},
		{"/a\n  x = __import__('os').system('true')", 2, "not a literal"},
	} {
		tree, err := Parse(c.text)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%q: %v, %v, want a SyntaxError", c.text, tree, err)
			continue
		}
		lines := strings.Split(c.text, "\n")
		if syntax.Line != c.line || syntax.Text != lines[c.line-1] || !strings.Contains(syntax.Reason, c.want) || tree != nil {
			t.Errorf("%q: line %d: %s: %q, want line %d: %s: %q", c.text, syntax.Line, syntax.Reason, syntax.Text, c.line, c.want, lines[c.line-1])
		}
		if strings.Contains(err.Error(), "\n") || len(err.Error()) > 250 {
			t.Errorf("%q: the error is %q", c.text, err)
		}
	}
}

func TestWhatTheTextCannotSayIsAnError(t *testing.T) {
	loop := list{nil}
	loop[0] = loop
	for _, c := range []struct {
		tree *Node
		want string // what the error says
	}{
		{node("", dict{"x": 1}), "without a name"},
		{node("", nil, node("", nil)), "name"},
		{node("a b", nil), "name"},
		{node("a\tb", nil), "name"},
		{node("a\n/b", nil), "name"},
		{node("a\n", nil), "name"},
		{node("a=b", nil), "name"},
		{node("a->b", nil), "name"},
		{node("a", nil, node("b", nil), node("b", nil)), "second node"},
		{node("a", dict{"": 1}), "name"},
		{node("a", dict{"x y": 1}), "name"},
		{node("a", dict{"x\ny": 1}), "name"},
		{node("a", dict{"#x": 1}), "name"},
		{node("a", dict{" ->": "/b"}), "link"},
		{node("a", dict{" =>": "/b"}), "link"},
		{node("a", dict{"x y ->": "/b"}), "link"},
		{node("a", dict{"x=y ->": "/b"}), "link"},
		{node("a", dict{"x ->": "/b c"}), "link"},
		{node("a", dict{"x ->": "/b\n/c"}), "link"},
		{node("a", dict{"x ->": " /b"}), "link"},
		{node("a", dict{"x ->": ""}), "link"},
		{node("a", dict{"x ->": 1}), "link"},
		{node("a", dict{"x ->": nil}), "link"},
		{node("a", dict{"x =>": "/b c d"}), "link"},
		{node("a", dict{"x =>": "/b c /d"}), "link"},
		{node("a", dict{"x =>": "/b "}), "link"},
		{node("a", dict{"x =>": "= 'b'"}), "link"},
		{node("a", dict{"x =>": 1}), "link"},
		{node("a", dict{"x": math.NaN()}), "NaN"},
		{node("a", dict{"x": list{float32(math.NaN())}}), "NaN"},
		{node("a", dict{"x": make(chan int)}), "chan"},
		{node("a", dict{"x": json.Number("one")}), "number"},
		{node("a", dict{"x": nested(99)}), "nested"},
		{node("a", dict{"x": loop}), "nested"},
	} {
		text, err := Format(c.tree)
		if err == nil || !strings.Contains(err.Error(), c.want) || text != "" {
			t.Errorf("%#v: %q, %v, want an error with %q", c.tree, text, err, c.want)
		}
		// String leaves it out, visibly.
		s := c.tree.String()
		rest := mustParse(t, s)
		if !strings.Contains(s, "# left out: ") || reflect.DeepEqual(rest, node("", nil, c.tree)) {
			t.Errorf("%#v: String is\n%s", c.tree, s)
		}
	}
}

func TestEachThingThatTheTextCannotSayIsNamed(t *testing.T) {
	tree := node("", nil,
		node("a", dict{"x y": 1, "z": 2}, node("b c", nil, node("d", nil)), node("e", nil)))
	_, err := Format(tree)
	want := `zktext: "/a": property "x y": the text cannot say this name` + "\n" +
		`zktext: "/a/b c": the text cannot say this name`
	if err == nil || err.Error() != want {
		t.Errorf("the error is\n%v\nwant\n%s", err, want)
	}
	want = "/a\n" +
		`  # left out: zktext: "/a": property "x y": the text cannot say this name` + "\n" +
		"  z = 2\n" +
		`  # left out: zktext: "/a/b c": the text cannot say this name` + "\n" +
		"  /e\n"
	if got := tree.String(); got != want {
		t.Errorf("String is\n%s, want\n%s", got, want)
	}
}

func TestValuesOfOtherTypesArePrintedAsJSONHasThem(t *testing.T) {
	type pair struct {
		A int `json:"a"`
		B any
	}
	for _, c := range []struct {
		value any
		want  string
	}{
		{8, `8`},
		{uint8(8), `8`},
		{uint64(math.MaxUint64), `18446744073709551615L`},
		{float32(0.5), `0.5`},
		{json.Number("1.50"), `1.5`},
		{json.Number("7"), `7`},
		{json.Number("-0"), `0`},
		{json.Number("1e400"), `1e999`},
		{[]string{"a", "b"}, `[u'a', u'b']`},
		{map[string]int{"b": 1, "a": 2}, `{u'a': 2, u'b': 1}`},
		{pair{1, []int{2}}, `{u'B': [2], u'a': 1}`},
		{(*int)(nil), `None`},
		{list(nil), `[]`},
		{dict(nil), `{}`},
		{list{1, dict{"a": uint(2)}}, `[1, {u'a': 2}]`},
	} {
		want := "/a\n  x = " + c.want + "\n"
		if got := mustFormat(t, node("a", dict{"x": c.value})); got != want {
			t.Errorf("%#v is printed as\n%s, want\n%s", c.value, got, want)
		}
	}
}

func TestANodeWithANameIsPrintedItself(t *testing.T) {
	tree := mustParse(t, "/a\n  /b : c\n    x = 1\n")
	if got := mustFormat(t, tree.Children[0].Children[0]); got != "/b : c\n  x = 1\n" {
		t.Error(got)
	}
	if got := mustFormat(t, nil); got != "" {
		t.Error(got)
	}
	if got := mustFormat(t, &Node{Children: []*Node{nil, {Name: "b"}, {Name: "a"}}}); got != "/a\n/b\n" {
		t.Error(got)
	}
}

func TestContentIsWhatZcZkWrites(t *testing.T) {
	for _, c := range []struct {
		properties dict
		want       string
	}{
		{nil, `{}`},
		{dict{"b": int64(2)}, `{"b":2}`},
		{dict{"b": 1.0, "a": list{"<é>", nil, true}, "type": "t", "l ->": "/x"}, `{"a":["<é>",null,true],"b":1.0,"l ->":"/x","type":"t"}`},
		{dict{"n": big, "m": 1e22, "d": dict{"y": 1, "x": list{}}}, `{"d":{"x":[],"y":1},"m":1e+22,"n":9223372036854775808}`},
		{dict{"i": list{math.Inf(1), math.Inf(-1), math.NaN(), float32(math.NaN())}}, `{"i":[Infinity,-Infinity,NaN,NaN]}`},
		{dict{"string_value": "xxx"}, `xxx`},
		{dict{"string_value": "\n{xxx}\n"}, "\n{xxx}\n"},
		{dict{"string_value": "\xff"}, "\xff"},
		{dict{"string_value": "xxx", "a": 1}, `{"a":1,"string_value":"xxx"}`},
		{dict{"string_value": 3}, `{"string_value":3}`},
		// These texts would read as something else.
		{dict{"string_value": ""}, `{"string_value":""}`},
		{dict{"string_value": " \n"}, `{"string_value":" \n"}`},
		{dict{"string_value": `{"a": 1}`}, `{"string_value":"{\"a\": 1}"}`},
		{dict{"string_value": `{"a": NaN}`}, `{"string_value":"{\"a\": NaN}"}`},
	} {
		got, err := node("a", c.properties).Content()
		if err != nil || string(got) != c.want {
			t.Errorf("%v: %s, %v, want %s", c.properties, got, err, c.want)
		}
		again, err := (&Node{Properties: Properties(got)}).Content()
		if err != nil || string(again) != c.want {
			t.Errorf("%s reads as the properties of %s, %v", c.want, again, err)
		}
	}
	for _, bad := range []any{"\xff", list{"\xff"}, dict{"\xff": 1}, make(chan int)} {
		got, err := node("a", dict{"x": bad}).Content()
		if err == nil || !strings.Contains(err.Error(), `"x"`) {
			t.Errorf("%#v: %s, %v, want an error that names the property", bad, got, err)
		}
	}
	if got, err := node("a", dict{"\xff": 1}).Content(); err == nil {
		t.Errorf("a name that is not UTF-8: %s", got)
	}
}

func TestPropertiesAreWhatZcZkReads(t *testing.T) {
	for _, c := range []struct {
		content string
		want    dict
	}{
		{"", dict{}},
		{" \r\n", dict{}},
		{"{}", dict{}},
		{" {\"a\": 1, \"b\": [1.0, 1e2, 9223372036854775808, null, true, {\"c\": \"d\"}]}\n",
			dict{"a": int64(1), "b": list{1.0, 100.0, big, nil, true, dict{"c": "d"}}}},
		{`{"a": 1, "a": 2}`, dict{"a": int64(2)}},
		{`{"a": Infinity, "b": [-Infinity], "c": "NaN \" Infinity"}`, dict{"a": math.Inf(1), "b": list{math.Inf(-1)}, "c": `NaN " Infinity`}},
		{"xxx", dict{"string_value": "xxx"}},
		{"\n{xxx}\n", dict{"string_value": "\n{xxx}\n"}},
		{"[1]", dict{"string_value": "[1]"}},
		{"3", dict{"string_value": "3"}},
		{"{\"a\": \"\xff\"}", dict{"string_value": "{\"a\": \"\xff\"}"}},
		{`{"a": nan}`, dict{"string_value": `{"a": nan}`}},
		{`{"a": 1} {"b": 2}`, dict{"string_value": `{"a": 1} {"b": 2}`}},
	} {
		if got := Properties([]byte(c.content)); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: %#v, want %#v", c.content, got, c.want)
		}
	}
	nan, ok := Properties([]byte(`{"a": NaN}`))["a"].(float64)
	if !ok || !math.IsNaN(nan) {
		t.Errorf("NaN: %v, %v", nan, ok)
	}
}
