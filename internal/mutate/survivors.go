package main

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// survivors are mutants that do no harm, by key, each with the reason.
type survivors map[string]string

// readSurvivors reads survivors.txt: a line with a mutant's key, and indented lines with the reason.
func readSurvivors(name string) (survivors, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	s := survivors{}
	key := ""
	for i, line := range strings.Split(string(text), "\n") {
		indented := strings.HasPrefix(line, "\t")
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case !indented:
			if _, twice := s[line]; twice {
				return nil, fmt.Errorf("%s:%d: this mutant stands there twice", name, i+1)
			}
			key = line
			s[key] = ""
		case key == "":
			return nil, fmt.Errorf("%s:%d: a reason without a mutant", name, i+1)
		default:
			s[key] = strings.TrimSpace(s[key] + " " + line)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s)) {
		if s[key] == "" {
			return nil, fmt.Errorf("%s: %s has no reason", name, key)
		}
	}
	return s, nil
}

// without returns the keys of which there is no mutant.
func (s survivors) without(all []mutant) []string {
	stale := maps.Clone(s)
	for _, m := range all {
		delete(stale, m.key())
	}
	return slices.Sorted(maps.Keys(stale))
}

// results remember which mutants were noticed, and by what. A function that has changed has other mutants.
type results struct {
	by   map[string]string
	file *os.File // nil: nothing is kept
}

func openResults(name string) (*results, error) {
	r := &results{by: map[string]string{}}
	if name == "" {
		return r, nil
	}
	var err error
	if r.file, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(r.file)
	for lines.Scan() {
		if hash, by, ok := strings.Cut(lines.Text(), "\t"); ok {
			r.by[hash], _, _ = strings.Cut(by, "\t")
		}
	}
	return r, lines.Err()
}

// add notes that v was noticed. Its callers take turns.
func (r *results) add(v verdict) error {
	if r.file == nil {
		return nil
	}
	_, err := fmt.Fprintf(r.file, "%s\t%s\t%v\n", v.hash(), v.killer, v.mutant)
	return err
}

func (r *results) close() {
	if r.file != nil {
		r.file.Close()
	}
}
