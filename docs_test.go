package zkstream_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each exported name of the package is used in an example, which runs.
func TestEachExportedNameIsInAnExample(t *testing.T) {
	fset := token.NewFileSet()
	var files []*ast.File
	used := map[string]bool{}
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		isTest, isExample := strings.HasSuffix(path, "_test.go"), strings.HasPrefix(path, "example_")
		if isTest && !isExample {
			continue
		}
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if !isTest {
			files = append(files, file)
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if name, ok := n.(*ast.Ident); ok {
				used[name.Name] = true
			}
			return true
		})
	}
	pkg, err := doc.NewFromFiles(fset, files, "github.com/zkstream/zkstream")
	if err != nil {
		t.Fatal(err)
	}
	check := func(name, shown string) {
		if ast.IsExported(name) && !used[name] {
			t.Errorf("no example uses %s", shown)
		}
	}
	values := func(list []*doc.Value) {
		for _, v := range list {
			for _, name := range v.Names {
				check(name, name)
			}
		}
	}
	funcs := func(receiver string, list []*doc.Func) {
		for _, f := range list {
			if f.Name != "Unwrap" && f.Name != "Error" && f.Name != "String" { // which are called by errors and fmt
				check(f.Name, receiver+f.Name)
			}
		}
	}
	values(pkg.Consts)
	values(pkg.Vars)
	funcs("", pkg.Funcs)
	for _, typ := range pkg.Types {
		values(typ.Consts)
		values(typ.Vars)
		funcs("", typ.Funcs)
		funcs(typ.Name+".", typ.Methods)
	}
}

// What the pages link to in this repository is there.
func TestTheLinksOfThePagesLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading := regexp.MustCompile(`(?m)^#+ (.*)$`)
	anchors := func(page string) map[string]bool {
		found := map[string]bool{}
		for _, m := range heading.FindAllStringSubmatch(page, -1) {
			name := strings.ToLower(m[1])
			name = regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(name, "")
			found[strings.ReplaceAll(name, " ", "-")] = true
		}
		return found
	}
	checked := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && strings.HasPrefix(d.Name(), ".") && d.Name() != ".github" {
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".md" {
			return nil
		}
		page, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range link.FindAllStringSubmatch(string(page), -1) {
			target, anchor, hasAnchor := strings.Cut(m[1], "#")
			if strings.Contains(target, ":") || strings.Contains(target, "{{") { // of the web, or of a template
				continue
			}
			checked++
			to := path
			if target != "" {
				to = filepath.Join(filepath.Dir(path), target)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s links to %s: %v", path, m[1], err)
				continue
			}
			if hasAnchor && filepath.Ext(to) == ".md" {
				there, err := os.ReadFile(to)
				if err != nil {
					return err
				}
				if !anchors(string(there))[anchor] {
					t.Errorf("%s links to %s, and there is no such heading", path, m[1])
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if checked < 20 {
		t.Errorf("only %d links found", checked)
	}
}
