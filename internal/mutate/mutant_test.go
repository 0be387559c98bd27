package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const example = `package p

const limit = 3 == 3 // declarations stay

func f(a, b int, ok bool) bool {
	mu.Lock()
	if a == b && ok {
		g()
		a = b
	}
	if ok {
		a++
	}
	for a < b {
		break
	}
	return true
}
`

func TestMutantsOfAFile(t *testing.T) {
	all, err := mutants("p.go", []byte(example))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range all {
		got = append(got, m.String())
		if string(m.source) == example {
			t.Errorf("%v changes nothing", m)
		}
		if strings.Count(string(m.source), "\n") != strings.Count(example, "\n") {
			t.Errorf("%v moves lines", m)
		}
	}
	want := []string{
		"p.go:7: && becomes ||: if a == b && ok {",
		"p.go:7: == becomes !=: if a == b && ok {",
		"p.go:8: the call is left out: g()",
		"p.go:9: the assignment is left out: a = b",
		"p.go:11: the condition is negated: if ok {",
		"p.go:12: ++ becomes --: a++",
		"p.go:14: < becomes <=: for a < b {",
		"p.go:15: break becomes continue: break",
		"p.go:17: true becomes false: return true",
	}
	if !slices.Equal(got, want) {
		t.Errorf("mutants are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if _, err := mutants("p.go", []byte("package")); err == nil {
		t.Error("a file that is no Go has mutants")
	}
}

func TestWhatDoesNotCompileIsNotCounted(t *testing.T) {
	t.Chdir(filepath.Join("..", ".."))
	source, err := os.ReadFile("internal/mutate/mutant.go")
	if err != nil {
		t.Fatal(err)
	}
	broken := mutant{file: "internal/mutate/mutant.go", what: "nonsense", source: append(source, "nonsense"...)}
	v, err := try(context.Background(), filepath.Join(t.TempDir(), "0"), broken, 1)
	if err != nil || v.built || v.killer != "" {
		t.Errorf("the verdict is %v, %v", v, err)
	}
}

func TestTheSummaryNamesSurvivors(t *testing.T) {
	got := summary([]verdict{
		{mutant{file: "a.go", line: 1, what: "w", text: "x"}, "simulation", true},
		{mutant{file: "b.go", line: 2, what: "w", text: "y"}, "", true},
		{mutant{file: "c.go", line: 3, what: "w", text: "z"}, "", false},
	})
	want := "1 of 2 mutants were noticed (50.0 %); 1 do not compile\n    1 by simulation\nsurvived: b.go:2: w: y\n"
	if got != want {
		t.Errorf("the summary is %q, want %q", got, want)
	}
}
