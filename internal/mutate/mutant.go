package main

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
)

// A mutant is a file with one small fault.
type mutant struct {
	file   string
	line   int
	what   string // such as "== becomes !="
	text   string // the line, as it was
	source []byte
}

func (m mutant) String() string { return fmt.Sprintf("%s:%d: %s: %s", m.file, m.line, m.what, m.text) }

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

// mutants returns all mutants of a file, by line.
func mutants(file string, source []byte) ([]mutant, error) {
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, file, source, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	var all []mutant
	lines := strings.Split(string(source), "\n")
	add := func(from, to token.Pos, what, text string) {
		begin, end := files.Position(from), files.Position(to)
		all = append(all, mutant{
			file: file, line: begin.Line, what: what, text: strings.TrimSpace(lines[begin.Line-1]),
			source: slices.Concat(source[:begin.Offset], []byte(text), source[end.Offset:]),
		})
	}
	swap := func(at token.Pos, op token.Token) {
		if other, ok := others[op]; ok {
			add(at, at+token.Pos(len(op.String())), fmt.Sprintf("%v becomes %v", op, other), other.String())
		}
	}
	negate := func(cond ast.Expr) {
		if _, simple := cond.(*ast.BinaryExpr); cond != nil && !simple { // those have an operator to swap
			text := source[files.Position(cond.Pos()).Offset:files.Position(cond.End()).Offset]
			add(cond.Pos(), cond.End(), "the condition is negated", "!("+string(text)+")")
		}
	}
	ast.Inspect(parsed, func(node ast.Node) bool {
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
			if !locks(node) {
				add(node.Pos(), node.End(), "the call is left out", "")
			}
		case *ast.AssignStmt:
			if node.Tok != token.DEFINE {
				swap(node.TokPos, node.Tok)
				// Kept as an expression, so that what it uses stays in use.
				gone := bytes.Repeat([]byte("\n"), bytes.Count(source[files.Position(node.Pos()).Offset:files.Position(node.End()).Offset], []byte("\n")))
				add(node.Pos(), node.End(), "the assignment is left out", string(gone))
			}
		}
		return true
	})
	slices.SortStableFunc(all, func(a, b mutant) int { return cmp.Compare(a.line, b.line) })
	return all, nil
}

// locks reports whether a statement locks or unlocks. Without it the race detector would notice, and
// few tests else; or all stands still.
func locks(s *ast.ExprStmt) bool {
	call, ok := s.X.(*ast.CallExpr)
	if !ok {
		return false
	}
	selector, ok := call.Fun.(*ast.SelectorExpr)
	return ok && slices.Contains([]string{"Lock", "Unlock", "RLock", "RUnlock"}, selector.Sel.Name)
}
