package zktext_test

import (
	"encoding/json"
	"math"
	"strings"

	. "github.com/zkstream/zkstream/zktext"
)

// big is a whole number beyond int64.
const big = json.Number("9223372036854775808")

type (
	list = []any
	dict = map[string]any
)

// literals are literals that zc.zk reads, their values, and how they are printed. The values were taken
// from zc.zk 2.1.0 in Python 2.7.18, which also read the printed ones back to the same, and its own export
// prints them so, but for the order of a dict's keys.
var literals = []struct {
	text  string
	value any
	print string
}{
	// Strings.
	{`'x'`, "x", `u'x'`},
	{`"x"`, "x", `u'x'`},
	{`u'x'`, "x", `u'x'`},
	{`U"x"`, "x", `u'x'`},
	{`b'x'`, "x", `u'x'`},
	{`''`, "", `u''`},
	{`'''x'y'''`, "x'y", `u"x'y"`},
	{`"""it's "x" """`, `it's "x" `, `u'it\'s "x" '`},
	{`'it\'s'`, "it's", `u"it's"`},
	{`"say \"x\""`, `say "x"`, `u'say "x"'`},
	{`'a' "b" u'c'`, "abc", `u'abc'`},
	{`('a'  'b')`, "ab", `u'ab'`},
	{`'a''b'`, "ab", `u'ab'`},
	{`'\a\b\f\n\r\t\v\\'`, "\a\b\f\n\r\t\v\\", `u'\x07\x08\x0c\n\r\t\x0b\\'`},
	{`'\0\01\012\1234'`, "\x00\x01\nS4", `u'\x00\x01\nS4'`},
	{`'\x41\x7f'`, "A\x7f", `u'A\x7f'`},
	{`'\d+\.\w'`, `\d+\.\w`, `u'\\d+\\.\\w'`},
	{`'C:\users\N'`, `C:\users\N`, `u'C:\\users\\N'`},
	{`'\/'`, `\/`, `u'\\/'`},
	{`r'\d+\n'`, `\d+\n`, `u'\\d+\\n'`},
	{`R"\""`, `\"`, `u'\\"'`},
	{`br'\x41'`, `\x41`, `u'\\x41'`},
	{`ur'\u00e9\n'`, `é\n`, `u'\xe9\\n'`},
	{`ur'\\u00e9'`, `\\u00e9`, `u'\\\\u00e9'`},
	{`u'\xe9\u20ac\U0001f600'`, "é€😀", `u'\xe9\u20ac\U0001f600'`},
	{`u'\351\777'`, "é\u01ff", `u'\xe9\u01ff'`},
	{`'é€😀'`, "é€😀", `u'\xe9\u20ac\U0001f600'`},
	{`'\xc3\xa9'`, "é", `u'\xe9'`},
	{`b'\u00e9'`, `\u00e9`, `u'\\u00e9'`},
	{`'\xff\xfe'`, "\xff\xfe", `'\xff\xfe'`},
	{"u'\xe9'", "é", `u'\xe9'`}, // a file in Latin-1
	{`'a # b'`, "a # b", `u'a # b'`},
	{`'x' # a comment`, "x", `u'x'`},
	{"u'a\tb'", "a\tb", `u'a\tb'`},

	// Numbers.
	{`0`, int64(0), `0`},
	{`1`, int64(1), `1`},
	{`-1`, int64(-1), `-1`},
	{`- 1`, int64(-1), `-1`},
	{`+1`, int64(1), `1`},
	{`00`, int64(0), `0`},
	{`0777`, int64(511), `511`},
	{`0o17`, int64(15), `15`},
	{`0O17`, int64(15), `15`},
	{`0x1F`, int64(31), `31`},
	{`0Xff`, int64(255), `255`},
	{`0xe`, int64(14), `14`},
	{`0b101`, int64(5), `5`},
	{`5L`, int64(5), `5`},
	{`0x10l`, int64(16), `16`},
	{`9223372036854775807`, int64(math.MaxInt64), `9223372036854775807`},
	{`9223372036854775808`, big, `9223372036854775808L`},
	{`-9223372036854775808`, int64(math.MinInt64), `-9223372036854775808`},
	{`-9223372036854775809L`, json.Number("-9223372036854775809"), `-9223372036854775809L`},
	{`0x8000000000000000`, big, `9223372036854775808L`},
	{`1.5`, 1.5, `1.5`},
	{`1.`, 1.0, `1.0`},
	{`.5`, 0.5, `0.5`},
	{`-.5e1`, -5.0, `-5.0`},
	{`010.5`, 10.5, `10.5`},
	{`1e3`, 1000.0, `1000.0`},
	{`1E+3`, 1000.0, `1000.0`},
	{`1e-3`, 0.001, `0.001`},
	{`0.00001`, 0.00001, `1e-05`},
	{`1e15`, 1e15, `1000000000000000.0`},
	{`1e16`, 1e16, `1e+16`},
	{`1e22`, 1e22, `1e+22`},
	{`1.5e300`, 1.5e300, `1.5e+300`},
	{`0.1`, 0.1, `0.1`},
	{`-0.0`, math.Copysign(0, -1), `-0.0`},
	{`1e999`, math.Inf(1), `1e999`},
	{`-1e999`, math.Inf(-1), `-1e999`},

	// The others.
	{`True`, true, `True`},
	{`False`, false, `False`},
	{`None`, nil, `None`},
	{`[]`, list{}, `[]`},
	{`[1, 'a', None]`, list{int64(1), "a", nil}, `[1, u'a', None]`},
	{`[1,]`, list{int64(1)}, `[1]`},
	{`()`, list{}, `[]`},
	{`(1)`, int64(1), `1`},
	{`(1,)`, list{int64(1)}, `[1]`},
	{`(1, 2)`, list{int64(1), int64(2)}, `[1, 2]`},
	{`1, 2`, list{int64(1), int64(2)}, `[1, 2]`},
	{`1,`, list{int64(1)}, `[1]`},
	{`[(1, 2), [3]]`, list{list{int64(1), int64(2)}, list{int64(3)}}, `[[1, 2], [3]]`},
	{`{}`, dict{}, `{}`},
	{`{'b': 1, "a": [u'x'], 'c': {}}`, dict{"a": list{"x"}, "b": int64(1), "c": dict{}}, `{u'a': [u'x'], u'b': 1, u'c': {}}`},
	{`{1: 2, None: 3, 2.5: 4, 'a': 5,}`, dict{"1": int64(2), "null": int64(3), "2.5": int64(4), "a": int64(5)}, `{u'1': 2, u'2.5': 4, u'a': 5, u'null': 3}`},
	{"[1,\f 2]", list{int64(1), int64(2)}, `[1, 2]`},
	{`[1] # [2`, list{int64(1)}, `[1]`},
	{strings.Repeat("[", 98) + strings.Repeat("]", 98), nested(98), strings.Repeat("[", 98) + strings.Repeat("]", 98)},
}

// foreign are literals that zc.zk does not read, or reads differently: those of JSON and of Python 3.
var foreign = []struct {
	text  string
	value any
	print string
}{
	{`true`, true, `True`},
	{`false`, false, `False`},
	{`null`, nil, `None`},
	{`{"a": [true, null, 1.5e3]}`, dict{"a": list{true, nil, 1500.0}}, `{u'a': [True, None, 1500.0]}`},
	{`"caf\u00e9"`, "café", `u'caf\xe9'`},
	{`"\u20ac\ud83d\ude00"`, "€😀", `u'\u20ac\U0001f600'`},
	{`'\U0001f600'`, "😀", `u'\U0001f600'`},
	{`u'é'`, "é", `u'\xe9'`},
	{`1_000`, int64(1000), `1000`},
	{`0x_ff`, int64(255), `255`},
	{`1_0.2_5`, 10.25, `10.25`},
	{`rb'\n'`, `\n`, `u'\\n'`},
}

// exported is what zc.zk's export makes of property links, and does not read back.
const exported = "/a\n  b => = u'/c'\n  d => = '/e f'\n  g=>h => = u'../i'\n  j => = k\n"

var exportedTree = node("", nil, node("a", dict{"b =>": "/c", "d =>": "/e f", "g=>h =>": "../i", "j =>": "= k"}))

func nested(depth int) any {
	v := list{}
	for range depth - 1 {
		v = list{v}
	}
	return v
}

func node(name string, properties dict, children ...*Node) *Node {
	if properties == nil {
		properties = dict{}
	}
	return &Node{Name: name, Properties: properties, Children: children}
}

// trees are texts that zc.zk reads, what they say, and how that is printed. They, too, were compared with
// zc.zk 2.1.0.
var trees = []struct {
	name  string
	text  string
	tree  *Node
	print string
}{
	{"nothing", "", node("", nil), ""},
	{"blank lines and comments", "\n  \t\n# x\n   # /y\n/a\n    \n  # z\n  /b\n", node("", nil, node("a", nil, node("b", nil))), "/a\n  /b\n"},
	{"types", "/a : x\n/b: y z\n/c :v\n/d:w\n/e:f g\n/1.2.3.4:80 : s\n/1.2.3.4:81:s t\n/h : i : j\n/k : l = 1\n/m : n -> o\n/p: : q",
		node("", nil,
			node("1.2.3.4:80", dict{"type": "s"}), node("1.2.3.4:81", dict{"type": "s t"}),
			node("a", dict{"type": "x"}), node("b", dict{"type": "y z"}), node("c", dict{"type": "v"}), node("d:w", nil),
			node("e", dict{"type": "f g"}), node("h", dict{"type": "i : j"}), node("k", dict{"type": "l = 1"}),
			node("m", dict{"type": "n -> o"}), node("p:", dict{"type": "q"})),
		"/1.2.3.4:80 : s\n/1.2.3.4:81 : s t\n/a : x\n/b : y z\n/c : v\n/d:w\n/e : f g\n/h : i : j\n/k : l = 1\n/m : n -> o\n/p: : q\n"},
	{"properties, links, children", "/a\n  /d\n  z -> /x\n  y=>/x  p\n  x = 1\n  c->../e\n  b=2\n  /b\n    q =  'r'\n  w => /x",
		node("", nil, node("a", dict{"z ->": "/x", "y =>": "/x  p", "x": int64(1), "c ->": "../e", "b": int64(2), "w =>": "/x"},
			node("b", dict{"q": "r"}), node("d", nil))),
		"/a\n  b = 2\n  w => /x\n  x = 1\n  y => /x  p\n  c -> ../e\n  z -> /x\n  /b\n    q = u'r'\n  /d\n"},
	{"indentation", "    /a\n      x = 1\n      /b\n\t\t\t\t\t\t\t\t/c\n      y = 2\n    /d\n     /e",
		node("", nil, node("a", dict{"x": int64(1), "y": int64(2)}, node("b", nil, node("c", nil))), node("d", nil, node("e", nil))),
		"/a\n  x = 1\n  y = 2\n  /b\n    /c\n/d\n  /e\n"},
	{"a property between a node and its children", "/a\n  /b\n  x = 1\n    /c",
		node("", nil, node("a", dict{"x": int64(1)}, node("b", nil, node("c", nil)))), "/a\n  x = 1\n  /b\n    /c\n"},
	{"Windows and trailing white space", "/a \r\n  x = 1\t\r\n  y -> /z \v\r\n", node("", nil, node("a", dict{"x": int64(1), "y ->": "/z"})), "/a\n  x = 1\n  y -> /z\n"},
	{"operators in names", "/a\n  b==1\n  c=d = 2\n  e->f->g\n  h=>i=>j\n  =k -> l\n  /m = 3\n  /n -> o\n  /p->\n  ->q = 4\n  /r=\n  s-> = 5\n  => = 6\n  ->->x",
		node("", nil, node("a", dict{"b=": int64(1), "c=d": int64(2), "e->f ->": "g", "h=>i =>": "j", "=k ->": "l", "/m": int64(3), "/n ->": "o",
			"->q": int64(4), "s->": int64(5), "=>": int64(6), "-> ->": "x"}, node("p->", nil), node("r=", nil))),
		""},
	{"a third word after a property link is dropped", "/a\n  b => /c d /e\n  f => g /h\n  i => j  k\t/l",
		node("", nil, node("a", dict{"b =>": "/c d", "f =>": "g /h", "i =>": "j  k"})), "/a\n  b => /c d\n  f => g /h\n  i => j  k\n"},
	{"a property that looks like a link", "/a\n  b=> = [1, 2]\n  c=> = 1 # x\n  d=> = 'x  \\x2fy'",
		node("", nil, node("a", dict{"b=>": list{int64(1), int64(2)}, "c=>": int64(1), "d=>": "x  /y"})),
		"/a\n  b=> = [1, 2]\n  c=> = 1 # not a link\n  d=> = u'x  /y' # not a link\n"},
	{"a type that does not fit behind its node", "/a\n  type = ' x'\n/b\n  type = 1\n/c=\n  type = 'x'\n/d\n  type = ''\n/e\n  type = 'x'",
		node("", nil, node("a", dict{"type": " x"}), node("b", dict{"type": int64(1)}), node("c=", dict{"type": "x"}), node("d", dict{"type": ""}), node("e", dict{"type": "x"})),
		"/a\n  type = u' x'\n/b\n  type = 1\n/c=\n  type = u'x'\n/d\n  type = u''\n/e : x\n"},
	{"a node that would be a link without its type", "/a->b : c", node("", nil, node("a->b", dict{"type": "c"})), "/a->b : c\n"},
	{"content that is a text", "/a\n  string_value = 'caf\xc3\xa9\\n'\n/b\n  string_value = 'x'\n  y = 1",
		node("", nil, node("a", dict{"string_value": "café\n"}), node("b", dict{"string_value": "x", "y": int64(1)})),
		"/a\n  string_value = 'caf\\xc3\\xa9\\n'\n/b\n  string_value = u'x'\n  y = 1\n"},
	{"names beyond ASCII", "/é\n  ü = 1\n  ö -> /ä\n/\xff", node("", nil, node("é", dict{"ü": int64(1), "ö ->": "/ä"}), node("\xff", nil)), "/é\n  ü = 1\n  ö -> /ä\n/\xff\n"},
	{"a path as a name", "/a/b\n  x = 1\n/..", node("", nil, node("..", nil), node("a/b", dict{"x": int64(1)})), "/..\n/a/b\n  x = 1\n"},
	{"zc.zk's README", readme, node("", nil,
		node("cms", dict{"database ->": "/databases/cms", "threads": int64(4), "type": "application", "favorite_color": "red"},
			node("providers", nil)),
		node("lb", dict{"type": "loadbalancer"}, node("pool", dict{"cms ->": "/cms/providers", "retries": int64(3)})),
	), "/cms : application\n  favorite_color = u'red'\n  threads = 4\n  database -> /databases/cms\n  /providers\n/lb : loadbalancer\n  /pool\n    retries = 3\n    cms -> /cms/providers\n"},
}

const readme = `
  /lb : loadbalancer
    /pool
      cms -> /cms/providers
      retries = 3

  # The application.
  /cms : application
    threads = 4
    favorite_color= "red"
    /providers
    database -> /databases/cms
`
