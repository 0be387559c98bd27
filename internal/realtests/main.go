// The command realtests prints a pattern for go test -run: the tests in the folders given to it that use a real
// ZooKeeper, themselves or by a function that they call. So a suite runs again on another release without what
// would be the same there. A test that it takes for one by mistake, since a name has two meanings, runs once more.
package main

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	log.SetFlags(0)
	flag.Parse()
	var all []string
	for _, dir := range flag.Args() {
		tests, err := find(dir)
		if err != nil {
			log.Fatal(err)
		}
		if len(tests) == 0 {
			log.Fatalf("realtests: no test in %s uses a real ZooKeeper", dir)
		}
		all = append(all, tests...)
	}
	slices.Sort(all)
	fmt.Printf("^(%s)$\n", strings.Join(slices.Compact(all), "|"))
}

// find returns the names of the tests in a folder that mention a server, or what mentions one.
func find(dir string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		return nil, err
	}
	mentions := map[string]map[string]bool{} // by the name of a function, method or variable
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, decl := range parsed.Decls {
			for _, name := range names(decl) {
				if mentions[name] == nil {
					mentions[name] = map[string]bool{}
				}
				addMentions(mentions[name], decl)
			}
		}
	}

	uses := map[string]bool{"ensemble.Start": true, "ensemble.New": true, "ensemble.Need": true, "ensemble.Shared": true}
	for before := 0; before < len(uses); {
		before = len(uses)
		for name, mentioned := range mentions {
			for other := range mentioned {
				if uses[other] {
					uses[name] = true
				}
			}
		}
	}
	var tests []string
	for name := range mentions {
		if uses[name] && name != "TestMain" && (strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Fuzz")) {
			tests = append(tests, name)
		}
	}
	return tests, nil
}

// names returns what a declaration declares: a function or method, or variables.
func names(decl ast.Decl) (names []string) {
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		names = append(names, decl.Name.Name)
	case *ast.GenDecl:
		for _, spec := range decl.Specs {
			if values, ok := spec.(*ast.ValueSpec); ok {
				for _, name := range values.Names {
					names = append(names, name.Name)
				}
			}
		}
	}
	return names
}

// addMentions adds what a declaration mentions: names, and names with that of their package, such as ensemble.Start.
func addMentions(to map[string]bool, decl ast.Decl) {
	ast.Inspect(decl, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if from, ok := n.X.(*ast.Ident); ok {
				to[from.Name+"."+n.Sel.Name] = true
			}
		case *ast.Ident:
			to[n.Name] = true
		}
		return true
	})
}
