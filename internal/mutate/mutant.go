package main

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
)

// A mutant is a function with one small fault.
type mutant struct {
	id       int // from 1 on; see instrument
	file     string
	line     int
	function string // with its receiver's type, such as "wire.Read"
	what     string // such as "== becomes !="
	text     string // the line, as it was
	excuse   string // the rule by which it is not judged; empty: it is
	body     string // of the function, with the fault
}

func (m mutant) String() string { return fmt.Sprintf("%s:%d: %s: %s", m.file, m.line, m.what, m.text) }

// key names a mutant wherever its function stands.
func (m mutant) key() string { return fmt.Sprintf("%s: %s: %s", m.function, m.what, m.text) }

// hash changes with the function.
func (m mutant) hash() string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(m.key()+"\n"+m.body)))[:16]
}

// others are the operators that stand in for one, such as a slip of the programmer's would.
var others = map[token.Token]token.Token{
	token.EQL: token.NEQ, token.NEQ: token.EQL,
	token.LSS: token.LEQ, token.LEQ: token.LSS,
	token.GTR: token.GEQ, token.GEQ: token.GTR,
	token.LAND: token.LOR, token.LOR: token.LAND,
	token.ADD: token.SUB, token.SUB: token.ADD,
	token.ADD_ASSIGN: token.SUB_ASSIGN, token.SUB_ASSIGN: token.ADD_ASSIGN,
	token.INC: token.DEC, token.DEC: token.INC,
	token.BREAK: token.CONTINUE, token.CONTINUE: token.BREAK,
}

// mutants returns all mutants of a file's functions, by line. What does not even parse is not among them.
func mutants(file string, source []byte) ([]mutant, error) {
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, file, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var all []mutant
	for _, decl := range parsed.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Body != nil {
			all = append(all, mutantsOf(files, f, file, source)...)
		}
	}
	return all, nil
}

// mutantsOf returns the mutants of one function.
func mutantsOf(files *token.FileSet, f *ast.FuncDecl, file string, source []byte) []mutant {
	var all []mutant
	var excuse excuses
	lines := strings.Split(string(source), "\n")
	offset := func(pos token.Pos) int { return files.Position(pos).Offset }
	add := func(from, to token.Pos, what, text string) (parses bool) {
		line := files.Position(from).Line
		m := mutant{
			file: file, line: line, function: nameOf(f), what: what, text: strings.TrimSpace(lines[line-1]), excuse: excuse.of(from),
			body: string(source[offset(f.Body.Pos()):offset(from)]) + text + string(source[offset(to):offset(f.Body.End())]),
		}
		_, err := parser.ParseFile(token.NewFileSet(), file, "package p\nfunc f() "+m.body, parser.SkipObjectResolution)
		if err == nil {
			all = append(all, m)
		}
		return err == nil
	}
	swap := func(at token.Pos, op token.Token) {
		if other, ok := others[op]; ok {
			add(at, at+token.Pos(len(op.String())), fmt.Sprintf("%v becomes %v", op, other), other.String())
		}
	}
	negate := func(cond ast.Expr) {
		if _, simple := cond.(*ast.BinaryExpr); cond != nil && !simple { // those have an operator to swap
			add(cond.Pos(), cond.End(), "the condition is negated", "!("+string(source[offset(cond.Pos()):offset(cond.End())])+")")
		}
	}
	leaveOut := func(what string, node ast.Node) {
		what = "the " + what + " is left out"
		// What it uses stays in use, or the compiler would complain.
		if !add(node.Pos(), node.End(), what, "if false { "+string(source[offset(node.Pos()):offset(node.End())])+" }") {
			add(node.Pos(), node.End(), what, "") // before the condition of an if
		}
	}
	ast.Inspect(f.Body, func(node ast.Node) bool {
		if node != nil {
			excuse.visit(node)
		}
		switch node := node.(type) {
		case *ast.GenDecl:
			return false // limits and names
		case *ast.BinaryExpr:
			swap(node.OpPos, node.Op)
		case *ast.IncDecStmt:
			swap(node.TokPos, node.Tok)
		case *ast.BranchStmt:
			swap(node.TokPos, node.Tok)
		case *ast.IfStmt:
			negate(node.Cond)
		case *ast.Ident:
			switch node.Name {
			case "true":
				add(node.Pos(), node.End(), "true becomes false", "false")
			case "false":
				add(node.Pos(), node.End(), "false becomes true", "true")
			}
		case *ast.ExprStmt:
			leaveOut("call", node)
		case *ast.AssignStmt:
			if node.Tok != token.DEFINE {
				swap(node.TokPos, node.Tok)
				leaveOut("assignment", node)
			}
		}
		return true
	})
	slices.SortStableFunc(all, func(a, b mutant) int { return cmp.Compare(a.line, b.line) })
	seen := map[string]int{}
	for i := range all {
		key := all[i].key()
		if seen[key]++; seen[key] > 1 {
			all[i].what += fmt.Sprintf(" (%d)", seen[key])
		}
	}
	return all
}

// nameOf returns a function's name, with the type of which it is a method.
func nameOf(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	t := f.Recv.List[0].Type
	for {
		switch inner := t.(type) {
		case *ast.StarExpr:
			t = inner.X
		case *ast.IndexExpr:
			t = inner.X
		case *ast.IndexListExpr:
			t = inner.X
		case *ast.Ident:
			return inner.Name + "." + f.Name.Name
		default:
			return f.Name.Name
		}
	}
}
