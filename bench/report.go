package main

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"text/template"
)

// report.md is the report, but for the figures.
//
//go:embed report.md
var reportText string

// report prints the tables, and writes them with the picture into dir.
func (b *bench) report(dir string, spent []spending) error {
	const picture = "BENCHMARKS.svg"
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	drawn, err := b.draw(filepath.Join(dir, picture))
	if err != nil {
		return err
	}
	if ahead, _ := b.results.ahead("zkstream", "curator", "kazoo"); len(ahead) > 0 {
		var labels []string
		for _, m := range ahead {
			labels = append(labels, m.label)
		}
		b.note("Curator or kazoo is ahead in: " + strings.Join(labels, "; "))
	}
	if !drawn {
		b.note("no picture: what it shows was not measured")
	}
	version := "of an unknown version"
	server, _, _ := strings.Cut(b.tree.servers, ",")
	if text, err := fourLetters(server, "srvr"); err == nil {
		if found := versionLine.FindStringSubmatch(text); found != nil {
			version = found[1]
		}
	}
	t, err := template.New("report.md").Parse(reportText)
	if err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, "BENCHMARKS.md"))
	if err != nil {
		return err
	}
	defer f.Close()
	table, bars := b.table(), b.barTable()
	fmt.Printf("%s\n%s\n", table, bars)
	err = t.Execute(f, map[string]any{
		"Rounds": b.plan.rounds, "Go": runtime.Version(), "OS": runtime.GOOS + "/" + runtime.GOARCH,
		"CPUs": runtime.NumCPU(), "ZooKeeper": version, "Quick": b.plan.quick,
		"Table": table, "Bars": bars, "Spent": spendingTable(spent), "Skipped": b.skipped, "Notes": b.notes,
		"Picture": picture, "Drawn": drawn, "Warm": b.plan.warmUp, "Latencies": b.plan.latencies,
		"Second": thousands(b.plan.second), "Calls": thousands(b.plan.calls),
	})
	if err != nil {
		return err
	}
	return f.Close()
}

// table has a row for each metric and a column for each contender.
func (b *bench) table() string {
	var s strings.Builder
	s.WriteString("| work |")
	rule := "| --- |"
	columns := b.columns()
	for _, p := range columns {
		s.WriteString(" " + p.title + " |")
		rule += " ---: |"
	}
	s.WriteString("\n" + rule + "\n")
	for _, m := range b.results.order {
		s.WriteString("| " + m.label + " |")
		for _, p := range columns {
			s.WriteString(" " + b.cell(m, p) + " |")
		}
		s.WriteByte('\n')
	}
	return s.String()
}

// columns are the contenders that have figures.
func (b *bench) columns() (peers []*peer) {
	for _, p := range b.peers {
		for _, m := range b.results.order {
			if _, ok := b.results.median(m, p.name); ok {
				peers = append(peers, p)
				break
			}
		}
	}
	return peers
}

func (b *bench) cell(m metric, p *peer) string {
	x, ok := b.results.median(m, p.name)
	if !ok {
		return "-"
	}
	text := m.unit.format(x)
	if p.name == "zkstream" || m.unit == count || m.unit == share {
		return text
	}
	if r, ok := b.results.ratio(m, p.name, m, "zkstream"); ok {
		text += " (×" + ratio.format(r) + ")"
	}
	return text
}

func (b *bench) barTable() string {
	var s strings.Builder
	s.WriteString("| zkstream | at most | measured | |\n| --- | ---: | ---: | --- |\n")
	for _, bar := range b.plan.bars() {
		x, ok := bar.got(&b.results)
		text, verdict := bar.unit.format(x), "met"
		if !ok {
			text, verdict = "-", "not measured"
		} else if !bar.met(x) {
			verdict = "**not met**"
		}
		fmt.Fprintf(&s, "| %s | %s | %s | %s |\n", bar.what, bar.unit.format(bar.limit), text, verdict)
	}
	return s.String()
}

func spendingTable(all []spending) string {
	var s strings.Builder
	for _, one := range all {
		var parts []string
		for _, l := range one.layers {
			if l.share >= 0.01 {
				parts = append(parts, fmt.Sprintf("%s %.0f %%", l.name, 100*l.share))
			}
		}
		fmt.Fprintf(&s, "- **%s**: %s\n", one.work, strings.Join(parts, ", "))
	}
	return s.String()
}
