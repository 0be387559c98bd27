package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// progress writes a line about a round, and a log where zkstream broke a promise.
func (r *run) progress(round round, rest map[*contender]time.Duration) error {
	var all []string
	for _, c := range r.contenders {
		took, ok := rest[c]
		note := fmt.Sprintf("%s at rest after %.1fs", c.name, took.Seconds())
		if !ok {
			note = c.name + " not at rest"
		} else {
			c.rest = append(c.rest, took)
		}
		if sum := c.tally.summary(); sum != "" {
			note += " (" + sum + ")"
		}
		all = append(all, note)
	}
	fmt.Fprintf(r.out, "round %d at %v: %v: %s\n", round.number, time.Since(r.begin).Round(time.Second), round, strings.Join(all, "; "))
	for _, c := range r.contenders {
		wrong := c.tally.takeRound()
		if c.name == subject {
			for _, w := range wrong {
				fmt.Fprintf(r.out, "\t%s\n", w)
			}
		}
		if !r.keepAll && (len(wrong) == 0 || c.name != subject) {
			continue
		}
		if err := r.keep(c, round, wrong); err != nil {
			return err
		}
	}
	return nil
}

// keep writes all that is known of a round to files.
func (r *run) keep(c *contender, round round, wrong []string) error {
	dir := filepath.Join(r.logs, fmt.Sprintf("seed%d-round%d", r.seed, round.number))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	texts := map[string]string{
		c.name + "-verdict": fmt.Sprintf("seed %d, round %d: %v\n%s\n", r.seed, round.number, round, strings.Join(wrong, "\n")),
		"arena":             r.arena.log.String(),
	}
	for _, client := range c.clients {
		texts[client.name] = client.process.log.String()
	}
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(dir, name+".log"), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
