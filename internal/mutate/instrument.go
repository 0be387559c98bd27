package main

import (
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"strings"
)

// All mutants are built into one program, so that each costs a run of the tests and no build: of each function there is a copy
// for each of its mutants, and the function itself begins by asking which mutant is to be run.
//
//	func (w *wire) f(n int) bool { switch mutantID { case 7: return w.mutant7(n) }
//		...
//	}

// variable is how a test learns which mutant it is to run.
const variable = "ZKSTREAM_MUTANT"

// selector returns the source of a file that reads variable.
func selector(pkg string) string {
	return fmt.Sprintf(`package %s

import (
	"os"
	"strconv"
)

var mutantID, _ = strconv.Atoi(os.Getenv(%q))
`, pkg, variable)
}

// instrument returns source with the mutants in it, and the name of its package.
func instrument(source []byte, all []mutant) (out []byte, pkg string, err error) {
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, "", source, parser.SkipObjectResolution)
	if err != nil {
		return nil, "", err
	}
	offset := func(pos token.Pos) int { return files.Position(pos).Offset }
	var copies strings.Builder
	done := 0
	for _, decl := range parsed.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Body == nil {
			continue
		}
		var of []mutant
		for _, m := range all {
			if m.function == nameOf(f) {
				of = append(of, m)
			}
		}
		if len(of) == 0 {
			continue
		}
		body := f.Body
		out = append(out, source[done:offset(f.Pos())]...)
		done = offset(body.Pos()) + 1
		head, err := header(f, f.Name.Name)
		if err != nil {
			return nil, "", err
		}
		out = append(out, head...)
		out = append(out, " { switch mutantID {"...)
		for _, m := range of {
			name := fmt.Sprintf("mutant%d", m.id)
			out = append(out, fmt.Sprintf(" case %d: %s;", m.id, callOf(f, name))...)
			head, err := header(f, name)
			if err != nil {
				return nil, "", err
			}
			fmt.Fprintf(&copies, "\n//line %s%d:1\n%s %s\n", compiled, m.id, head, m.body)
		}
		out = append(out, " }\n"...)
	}
	out = append(out, source[done:]...)
	return append(out, copies.String()...), parsed.Name.Name, nil
}

// compiled begins the name of the file in which the compiler takes a mutant to be; the rest is the mutant's number.
const compiled = "/mutant/"

// header returns a function's declaration up to its body, under another name. Each parameter has a name afterwards.
func header(f *ast.FuncDecl, name string) (string, error) {
	for _, list := range []*ast.FieldList{f.Recv, f.Type.Params} {
		if list == nil {
			continue
		}
		for i, field := range list.List {
			if len(field.Names) == 0 {
				field.Names = []*ast.Ident{ast.NewIdent("_")}
			}
			for j, n := range field.Names {
				if n.Name == "_" {
					field.Names[j] = ast.NewIdent(fmt.Sprintf("unnamed%d%d", i, j))
				}
			}
		}
	}
	var text strings.Builder
	err := format.Node(&text, token.NewFileSet(), &ast.FuncDecl{Recv: f.Recv, Name: ast.NewIdent(name), Type: f.Type})
	return text.String(), err
}

// callOf returns the statement by which f has the function of that name do its work.
func callOf(f *ast.FuncDecl, name string) string {
	if f.Recv != nil {
		name = f.Recv.List[0].Names[0].Name + "." + name
	}
	if f.Type.TypeParams != nil {
		name += "[" + strings.Join(namesOf(f.Type.TypeParams), ", ") + "]"
	}
	args := strings.Join(namesOf(f.Type.Params), ", ")
	if n := len(f.Type.Params.List); n > 0 {
		if _, variadic := f.Type.Params.List[n-1].Type.(*ast.Ellipsis); variadic {
			args += "..."
		}
	}
	if f.Type.Results == nil {
		return fmt.Sprintf("%s(%s); return", name, args)
	}
	return fmt.Sprintf("return %s(%s)", name, args)
}

func namesOf(list *ast.FieldList) (names []string) {
	for _, field := range list.List {
		for _, n := range field.Names {
			names = append(names, n.Name)
		}
	}
	return names
}
