package main

import (
	"go/ast"
	"go/token"
	"slices"
)

// The rules by which mutants are not judged, since no test should notice them.
const (
	logs       = "what is logged, and the texts of errors and panics"
	locking    = "locks: without one the race detector would notice, or all stands still"
	capacities = "capacities"
)

// excuses are the parts of a function whose mutants are not judged.
type excuses []excused

type excused struct {
	from, to token.Pos
	rule     string
}

// of returns the rule for what stands at pos; empty: there is none.
func (e excuses) of(pos token.Pos) string {
	for _, part := range e {
		if part.from <= pos && pos < part.to {
			return part.rule
		}
	}
	return ""
}

// visit notes the parts of node. It is called before what is in them is looked at.
func (e *excuses) visit(node ast.Node) {
	if s, ok := node.(*ast.ExprStmt); ok {
		node = s.X
	}
	call, ok := node.(*ast.CallExpr)
	if !ok {
		return
	}
	add := func(rule string, parts ...ast.Expr) {
		for _, part := range parts {
			*e = append(*e, excused{part.Pos(), part.End(), rule})
		}
	}
	switch f := call.Fun.(type) {
	case *ast.Ident:
		switch {
		case f.Name == "panic":
			add(logs, call.Args...)
		case f.Name == "make" && len(call.Args) == 3:
			add(capacities, call.Args[2])
		}
	case *ast.SelectorExpr:
		of, _ := f.X.(*ast.Ident)
		inner, _ := f.X.(*ast.SelectorExpr)
		switch {
		case inner != nil && inner.Sel.Name == "log", of != nil && of.Name == "log":
			add(logs, call)
		case of != nil && (of.Name == "fmt" && f.Sel.Name == "Errorf" || of.Name == "errors" && f.Sel.Name == "New"):
			add(logs, call.Args...)
		case slices.Contains([]string{"Lock", "Unlock", "RLock", "RUnlock"}, f.Sel.Name):
			add(locking, call)
		case f.Sel.Name == "Grow":
			add(capacities, call)
		}
	}
}
