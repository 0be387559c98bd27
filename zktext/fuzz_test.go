package zktext_test

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	. "github.com/zkstream/zkstream/zktext"
)

// Parse, print, parse is the identity, and nothing that Parse reads is beyond what the text can say.
func FuzzParse(f *testing.F) {
	for _, l := range append(literals, foreign...) {
		f.Add("/a\n  x = " + l.text)
	}
	for _, c := range trees {
		f.Add(c.text)
	}
	f.Add(exported)
	f.Fuzz(func(t *testing.T, text string) {
		tree, err := Parse(text)
		var syntax *SyntaxError
		if errors.As(err, &syntax) && tree == nil && syntax.Line > 0 && strings.Contains(text, syntax.Text) {
			return
		}
		if err != nil {
			t.Fatalf("the error is %#v, the tree %v", err, tree)
		}
		printed, err := Format(tree)
		if err != nil {
			t.Fatalf("Format: %v", err)
		}
		again, err := Parse(printed)
		if err != nil || !reflect.DeepEqual(again, tree) {
			t.Fatalf("%q is printed as %q, which reads as\n%s, %v", text, printed, again, err)
		}
		if second, err := Format(again); err != nil || second != printed {
			t.Fatalf("%q is printed as %q the second time, %v", printed, second, err)
		}
	})
}

// Whatever names and values a tree has: Format prints it so that Parse gives it back, or fails; and String
// prints the rest.
func FuzzFormat(f *testing.F) {
	f.Add("a", "x", "y", "z", int64(1), 1.5)
	f.Add("a b", "x ->", "/b c", "type", int64(-1), math.Inf(1))
	f.Add("a=", "x =>", "/b c", "string_value", int64(-1), math.NaN())
	f.Add("a\n/b", "x\n/c", "\n/d", "#", int64(0), 0.0)
	f.Add("é", "x=>", "\xff", "->", int64(0), 1e16)
	f.Fuzz(func(t *testing.T, name, first, text, second string, i int64, float float64) {
		children := []*Node{node(name, dict{first: text, second: i})}
		if name != "b" {
			children = append(children, node("b", dict{second: text, "v": list{text, float, i, dict{first: text}}}))
		}
		if len(children) == 2 && children[0].Name > children[1].Name {
			children[0], children[1] = children[1], children[0]
		}
		tree := node("", nil, children...)
		printed, err := Format(tree)
		s := tree.String()
		rest, parseErr := Parse(s)
		if parseErr != nil {
			t.Fatalf("String is %q: %v", s, parseErr)
		}
		switch same := reflect.DeepEqual(rest, tree); {
		case err == nil && (!same || printed != s):
			t.Fatalf("%#v is printed as %q, which reads as\n%s", tree, printed, rest)
		case err != nil && (same || !strings.Contains(s, "# left out: ")):
			t.Fatalf("Format fails with %v, and String is %q", err, s)
		}
	})
}
