package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

const example = `package example

var shared ensemble.Shared

func TestMain(m *testing.M)      { shared.Close() }
func TestOfTheShared(t *testing.T) { shared.Server(t) }
func TestOfItsOwn(t *testing.T)  { ensemble.Start(t, 3) }
func TestByAHelper(t *testing.T) { t.Run("zookeeper", func(t *testing.T) { onEach(t) }) }
func TestByAMethod(t *testing.T) { fixture{}.begin(t) }
func TestByATable(t *testing.T)  { table["one"](t) }
func FuzzIt(f *testing.F)        { onEach(f) }
func TestOfNone(t *testing.T)    { ensemble.StartProxy(t, "") }

func BenchmarkIt(b *testing.B)           { onEach(b) }
func onEach(t testing.TB)                { onReal(t) }
func onReal(t testing.TB)                { ensemble.Need(t) }
func (fixture) begin(t testing.TB)       { onReal(t) }
var table = map[string]func(testing.TB){ "one": onReal }
`

func TestFind(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"example_test.go": example,
		"example.go":      "package example\n\nfunc TestOfThePackage(t testing.TB) { ensemble.Need(t) }\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := find(dir)
	slices.Sort(got)
	if want := []string{"FuzzIt", "TestByAHelper", "TestByAMethod", "TestByATable", "TestOfItsOwn", "TestOfTheShared"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("find: %q, %v, want %q", got, err, want)
	}
}
