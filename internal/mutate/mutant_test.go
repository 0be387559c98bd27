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
	c := make([]int, 0, a+b)
	w.log.Info("text", "sum", a+b)
	return true
}

func (s *set[T]) add(_ T, more ...T) (n int) { n = n + n + n; return n }

func g() (bool, error) {
	if err != nil {
		return false, err
	}
	if ok != nil {
		return true, err
	}
	return false, errors.New("text")
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
		if m.excuse != "" {
			got[len(got)-1] += " (" + m.excuse + ")"
		}
		if strings.Contains(example, m.body) {
			t.Errorf("%v changes nothing", m)
		}
	}
	want := []string{
		"p.go:6: the call is left out: mu.Lock() (" + locking + ")",
		"p.go:7: && becomes ||: if a == b && ok {",
		"p.go:7: == becomes !=: if a == b && ok {",
		"p.go:8: the call is left out: g()",
		"p.go:9: the assignment is left out: a = b",
		"p.go:11: the condition is negated: if ok {",
		"p.go:12: ++ becomes --: a++",
		"p.go:14: < becomes <=: for a < b {",
		"p.go:15: break becomes continue: break",
		"p.go:17: + becomes -: c := make([]int, 0, a+b) (" + capacities + ")",
		"p.go:18: the call is left out: w.log.Info(\"text\", \"sum\", a+b) (" + logs + ")",
		"p.go:18: + becomes -: w.log.Info(\"text\", \"sum\", a+b) (" + logs + ")",
		"p.go:19: true becomes false: return true",
		"p.go:22: the assignment is left out: func (s *set[T]) add(_ T, more ...T) (n int) { n = n + n + n; return n }",
		"p.go:22: + becomes -: func (s *set[T]) add(_ T, more ...T) (n int) { n = n + n + n; return n }",
		"p.go:22: + becomes - (2): func (s *set[T]) add(_ T, more ...T) (n int) { n = n + n + n; return n }",
		"p.go:25: != becomes ==: if err != nil {",
		"p.go:26: false becomes true: return false, err (" + besides + ")",
		"p.go:28: != becomes ==: if ok != nil {",
		"p.go:29: true becomes false: return true, err",
		"p.go:31: false becomes true: return false, errors.New(\"text\") (" + besides + ")",
	}
	if !slices.Equal(got, want) {
		t.Errorf("mutants are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if key := all[15].key(); !strings.HasPrefix(key, "set.add: + becomes - (2): ") {
		t.Errorf("the key of the second + is %q", key)
	}
	if _, err := mutants("p.go", []byte("package")); err == nil {
		t.Error("a file that is no Go has mutants")
	}
}

func TestAFunctionRunsTheMutantThatIsAskedFor(t *testing.T) {
	source := []byte("package p\n\nfunc (s *set[T]) add(_ T, more ...T) (n int) { return n + 1 }\n\nfunc get[K, V any](K, V) { done() }\n")
	all, err := mutants("p.go", source)
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		all[i].id = 7 + i
	}
	got, pkg, err := instrument(source, all)
	if err != nil || pkg != "p" {
		t.Fatal(pkg, err)
	}
	want := `package p

func (s *set[T]) add(unnamed00 T, more ...T) (n int) { switch mutantID { case 7: return s.mutant7(unnamed00, more...); }
 return n + 1 }

func get[K, V any](unnamed00 K, unnamed10 V) { switch mutantID { case 8: mutant8[K, V](unnamed00, unnamed10); return; }
 done() }

//line /mutant/7:1
func (s *set[T]) mutant7(unnamed00 T, more ...T) (n int) { return n - 1 }

//line /mutant/8:1
func mutant8[K, V any](unnamed00 K, unnamed10 V) { if false { done() } }
`
	if string(got) != want {
		t.Errorf("the file is\n%s\nwant\n%s", got, want)
	}
}

// A package of its own, whose test notices one mutant of three that compile.
func TestAJudgeTellsWhoIsNoticed(t *testing.T) {
	t.Chdir(t.TempDir())
	write := func(name, text string) {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module p\n\ngo 1.25.0\n")
	write("p.go", "package p\n\nfunc f(a, b int) int {\n\tn := 0\n\tif a < b {\n\t\tn = a + b\n\t}\n\treturn n\n}\n\nfunc g() (a int) { a = len(``); return a }\nfunc h(s string) string { return s + s }\n")
	write("p_test.go", "package p\n\nimport \"testing\"\n\nfunc TestF(t *testing.T) {\n\tif f(1, 2) != 3 {\n\t\tt.Error()\n\t}\n\tg()\n}\n")
	const flags = "package s\n\nimport (\n\t\"flag\"\n\t\"testing\"\n)\n\nvar _, _, _ = flag.Int(\"seed\", 0, \"\"), flag.Int(\"seeds\", 0, \"\"), flag.Bool(\"stop-at-first\", false, \"\")\n\nfunc TestSimulation(*testing.T) {}\n"
	write("internal/simulation/s_test.go", flags)
	all, err := readMutants([]string{"p.go"})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	j := &judge{seeds: 60}
	defer j.close()
	if err := j.build(ctx, all); err != nil {
		t.Fatal(err)
	}
	noticed, err := openResults("noticed.txt")
	if err != nil {
		t.Fatal(err)
	}
	verdicts, err := j.judge(ctx, all, noticed, 2)
	if err != nil {
		t.Fatal(err)
	}
	noticed.close()
	text, unknown := summary(verdicts, survivors{"g: the assignment is left out: func g() (a int) { a = len(``); return a }": "it is zero"})
	want := `   2 of    4 noticed ( 50.0 %): p.go
   2 of    4 noticed ( 50.0 %): all
    2 by root
    1 do not compile
SURVIVED: p.go:5: < becomes <=: if a < b {
	f: < becomes <=: if a < b {
survived, known: p.go:11: the assignment is left out: func g() (a int) { a = len(` + "``" + `); return a }
	it is zero
`
	if text != want || unknown != 1 {
		t.Errorf("%d unknown, the summary is\n%s\nwant\n%s", unknown, text, want)
	}
	again, err := openResults("noticed.txt")
	if err != nil || len(again.by) != 2 {
		t.Errorf("%v are remembered, %v", again.by, err)
	}
	again.close()
}

func TestSurvivorsHaveReasons(t *testing.T) {
	name := filepath.Join(t.TempDir(), "survivors.txt")
	for text, good := range map[string]bool{
		"# of f\nf: w: x\n\tA reason\n\tof two lines.\n": true,
		"f: w: x\n":                      false,
		"\tA reason\n":                   false,
		"f: w: x\n\tA.\nf: w: x\n\tB.\n": false,
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := readSurvivors(name)
		if (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
		if good && s["f: w: x"] != "A reason of two lines." {
			t.Errorf("%q: %q", text, s)
		}
	}
}

// Each entry of survivors.txt is a mutant that there is.
func TestTheSurvivorsAreMutants(t *testing.T) {
	reasons, err := readSurvivors("survivors.txt")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Join("..", ".."))
	all, err := readMutants(files)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range reasons.without(all) {
		t.Errorf("no mutant any more: %s", key)
	}
}

func TestTheTestsThatWereUnderWayWhenTimeWasUp(t *testing.T) {
	const out = "panic: test timed out after 1s\n\trunning tests:\n\t\tTestA (1s)\n\t\tTestA/one_of_(it) (1s)\n\t\tTestB (0s)\n\ngoroutine 5 [running]:\n"
	if got := underWay([]byte(out)); got != "TestA|TestB" {
		t.Errorf("they are %q", got)
	}
}
