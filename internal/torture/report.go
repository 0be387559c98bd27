package main

import (
	_ "embed"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/template"
	"time"
)

//go:embed report.md
var reportText string

// result is what came of a run.
type result struct {
	options
	length      time.Duration
	rounds      int // that were judged
	stalled     int // in which the machine stood still
	lost        int // in which the servers lost acknowledged changes
	faults      map[kind]int
	made, maybe int // changes by the writers
	contenders  []*contender
	skipped     []string
	zookeeper   string // the version of the servers
	herds       []string
}

// row is a line of the table.
type row struct {
	title string
	cells func(c *contender) string
}

func (r *result) rows() []row {
	rows := []row{
		{"clients", func(c *contender) string { return fmt.Sprint(len(c.clients)) }},
		{"streams", func(c *contender) string {
			n := 0
			for _, client := range c.clients {
				n += len(client.oracle.streams)
			}
			return fmt.Sprint(n)
		}},
		{"rounds judged", func(*contender) string { return fmt.Sprint(r.rounds) }},
		{"faults injected", func(*contender) string { return fmt.Sprint(r.injected()) }},
		{"changes made", func(*contender) string { return fmt.Sprint(r.made) }},
		{"snapshots delivered", func(c *contender) string { return fmt.Sprint(c.tally.snapshots) }},
		{"registrations begun", counted("register", func(t *tally) int { return t.registered })},
		{"property updates made", counted("update", func(t *tally) int { return t.updated })},
		{"other calls made", counted("call", func(t *tally) int { return t.called })},
		{"calls that failed and said so", func(c *contender) string { return fmt.Sprint(c.tally.refused) }},
		{"of these not known to be made or not", counted("update", func(t *tally) int { return t.unknown })},
		{"of these before their time", func(c *contender) string { return fmt.Sprint(c.tally.early) }},
		{"at rest after, median / longest", rested},
	}
	needs := map[failure]string{incomplete: "tree", mixed: "tree", lost: "register", doubled: "register", undead: "register", unwritten: "update", untrue: "update", twice: "update", poisoned: "large", restless: "large"}
	for _, f := range failures {
		rows = append(rows, row{"**" + string(f) + "**", func(c *contender) string {
			if (f == wrongState || f == stranded) && !c.tellsSession() || needs[f] != "" && !c.tally.can(needs[f]) {
				return "-"
			}
			return fmt.Sprint(c.tally.failures[f])
		}})
	}
	return append(rows,
		row{"goroutines or threads: start / middle / end", used(func(u usage) string { return fmt.Sprint(u.goroutines) })},
		row{"memory, MB: start / middle / end", used(func(u usage) string { return fmt.Sprintf("%.1f", float64(u.heap)/(1<<20)) })},
		row{"file descriptors: start / middle / end", used(func(u usage) string { return fmt.Sprint(u.files) })},
	)
}

func counted(command string, n func(*tally) int) func(*contender) string {
	return func(c *contender) string {
		if !c.tally.can(command) {
			return "-"
		}
		return fmt.Sprint(n(c.tally))
	}
}

// tellsSession reports whether the library tells how the session is.
func (c *contender) tellsSession() bool {
	return slices.ContainsFunc(c.clients, func(client *client) bool { return client.oracle.session.state != "" })
}

func rested(c *contender) string {
	if len(c.rest) == 0 {
		return "never"
	}
	all := slices.Sorted(slices.Values(c.rest))
	return fmt.Sprintf("%.1f / %.1f s", all[len(all)/2].Seconds(), all[len(all)-1].Seconds())
}

// used tells what a contender's first client used.
func used(text func(usage) string) func(*contender) string {
	return func(c *contender) string {
		start, middle, end, ok := c.samples.thirds(0)
		if !ok {
			return "too short a run"
		}
		return text(start) + " / " + text(middle) + " / " + text(end)
	}
}

func (r *result) injected() (n int) {
	for _, count := range r.faults {
		n += count
	}
	return n
}

// table is the table of all contenders.
func (r *result) table() string {
	var b strings.Builder
	line := func(title string, cell func(*contender) string) {
		b.WriteString("| " + title + " |")
		for _, c := range r.contenders {
			b.WriteString(" " + cell(c) + " |")
		}
		b.WriteString("\n")
	}
	line("", func(c *contender) string { return c.title })
	line("---", func(*contender) string { return "---" })
	for _, row := range r.rows() {
		line(row.title, row.cells)
	}
	return b.String()
}

// broken lists what a contender did wrong, "" if it took part and nothing was.
func (r *result) broken(name string) string {
	for _, c := range r.contenders {
		if c.name != name {
			continue
		}
		broken := c.tally.summary()
		if c.tally.early > 0 {
			broken = strings.TrimPrefix(fmt.Sprintf("%s, %d calls failed before their time", broken, c.tally.early), ", ")
		}
		return broken
	}
	return ""
}

// short tells a length of time, without seconds where they do not matter.
func short(d time.Duration) string {
	if d < 10*time.Minute {
		return d.Round(time.Second).String()
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}

// write writes the report.
func (r *result) write(path string) error {
	t, err := template.New("report").Parse(reportText)
	if err != nil {
		return err
	}
	var faults []string
	for _, k := range allFaults() {
		faults = append(faults, fmt.Sprintf("%d %s", r.faults[k], k))
	}
	var names []string
	for _, c := range r.contenders {
		names = append(names, c.name)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	err = t.Execute(f, map[string]any{
		"Table": r.table(), "Faults": strings.Join(faults, ", "), "Length": short(r.length), "Seed": r.seed,
		"Command": fmt.Sprintf("go run ./internal/torture -for %v -seed %d -clients %d -contenders %s",
			r.options.length, r.seed, r.clients, strings.Join(names, ",")),
		"ZooKeeper": r.zookeeper, "Herds": r.herds, "HerdSize": herdSize, "HerdOutage": herdOutage, "Maybe": r.maybe, "Skipped": r.skipped, "Rounds": r.rounds, "Stalled": r.stalled, "Lost": r.lost, "StallLimit": stallLimit,
		"Large": largeSize, "Thin": thinLimit, "Hidden": hiddenLimit, "Refused": refusedLimit, "Timeout": sessionTimeout, "Limit": calmLimit, "Silent": silentLimit, "Slack": slack,
	})
	if err != nil {
		return err
	}
	return f.Close()
}
