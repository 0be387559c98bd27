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
	besides    = "results beside an error, at which nobody looks"
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
	add := func(rule string, parts ...ast.Expr) {
		for _, part := range parts {
			*e = append(*e, excused{part.Pos(), part.End(), rule})
		}
	}
	switch s := node.(type) {
	case *ast.IfStmt: // if err != nil { return false, err }
		if cond, ok := s.Cond.(*ast.BinaryExpr); ok && cond.Op == token.NEQ && isName(cond.X, "err") && isName(cond.Y, "nil") {
			for _, s := range s.Body.List {
				if r, ok := s.(*ast.ReturnStmt); ok && len(r.Results) > 1 && isName(r.Results[len(r.Results)-1], "err") {
					add(besides, r.Results[:len(r.Results)-1]...)
				}
			}
		}
	case *ast.ReturnStmt: // return false, fmt.Errorf("")
		if len(s.Results) > 1 && isNewError(s.Results[len(s.Results)-1]) {
			add(besides, s.Results[:len(s.Results)-1]...)
		}
	case *ast.ExprStmt:
		node = s.X
	}
	call, ok := node.(*ast.CallExpr)
	if !ok {
		return
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
		case isNewError(call):
			add(logs, call.Args...)
		case slices.Contains([]string{"Lock", "Unlock", "RLock", "RUnlock"}, f.Sel.Name):
			add(locking, call)
		case f.Sel.Name == "Grow":
			add(capacities, call)
		}
	}
}

func isName(x ast.Expr, name string) bool {
	ident, ok := x.(*ast.Ident)
	return ok && ident.Name == name
}

// isNewError reports whether x makes an error.
func isNewError(x ast.Expr) bool {
	call, ok := x.(*ast.CallExpr)
	if !ok {
		return false
	}
	f, ok := call.Fun.(*ast.SelectorExpr)
	return ok && (isName(f.X, "fmt") && f.Sel.Name == "Errorf" || isName(f.X, "errors") && f.Sel.Name == "New")
}
