package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// A metric is a row of the table.
type metric struct {
	label string
	unit  unit
}

type unit int

const (
	duration unit = iota // nanoseconds
	size                 // bytes
	count
	share // of 1
	ratio
)

func (u unit) format(x float64) string {
	switch {
	case u == duration && x < 1e3:
		return fmt.Sprintf("%.0f ns", x)
	case u == duration && x < 1e6:
		return fmt.Sprintf("%.3g µs", x/1e3)
	case u == duration && x < 1e9:
		return fmt.Sprintf("%.3g ms", x/1e6)
	case u == duration:
		return fmt.Sprintf("%.3g s", x/1e9)
	case u == ratio && x < 100:
		return strconv.FormatFloat(x, 'f', 2, 64)
	case u == share:
		return fmt.Sprintf("%.1f %%", 100*x)
	case u == count && x < 100 && x != math.Trunc(x):
		return strconv.FormatFloat(x, 'f', 1, 64)
	case u == size:
		return thousands(int(math.Round(x))) + " B"
	default:
		return thousands(int(math.Round(x)))
	}
}

func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// results holds a figure, at most, for each metric, contender and round.
type results struct {
	order []metric
	cells map[metric]map[string]map[int]float64
}

func (r *results) add(m metric, peer string, round int, x float64) {
	if r.cells == nil {
		r.cells = map[metric]map[string]map[int]float64{}
	}
	if r.cells[m] == nil {
		r.order = append(r.order, m)
		r.cells[m] = map[string]map[int]float64{}
	}
	if r.cells[m][peer] == nil {
		r.cells[m][peer] = map[int]float64{}
	}
	r.cells[m][peer][round] = x
}

// median returns the median over the rounds; false if there is none.
func (r *results) median(m metric, peer string) (float64, bool) {
	return r.each(func(round int) (float64, bool) { x, ok := r.cells[m][peer][round]; return x, ok })
}

// ratio returns the median of the ratios within a round.
func (r *results) ratio(m metric, peer string, m2 metric, peer2 string) (float64, bool) {
	return r.each(func(round int) (float64, bool) {
		x, ok := r.cells[m][peer][round]
		y, ok2 := r.cells[m2][peer2][round]
		return x / y, ok && ok2 && y != 0
	})
}

// ahead returns the metrics of time and memory in which one of others has less than the peer, and whether any could be
// compared.
func (r *results) ahead(peer string, others ...string) (ahead []metric, measured bool) {
	for _, m := range r.order {
		for _, other := range others {
			x, ok := r.ratio(m, other, m, peer)
			if !ok || m.unit != duration && m.unit != size {
				continue
			}
			measured = true
			if x < 1 && !slices.Contains(ahead, m) {
				ahead = append(ahead, m)
			}
		}
	}
	return ahead, measured
}

// each returns the median of what fn returns for the rounds.
func (r *results) each(fn func(round int) (float64, bool)) (float64, bool) {
	var all []float64
	for round := range 1000 {
		if x, ok := fn(round); ok {
			all = append(all, x)
		}
	}
	return median(all), len(all) > 0
}

// median sorts its argument; it is 0 of nothing.
func median(x []float64) float64 {
	slices.Sort(x)
	n := len(x)
	if n == 0 {
		return 0
	}
	return (x[n/2] + x[(n-1)/2]) / 2
}

// The metrics.

func latency(kind string) metric {
	return metric{"write to snapshot, " + kind + " of one node", duration}
}

func cpuPerChange(kind string) metric {
	return metric{"processor time per change, " + kind + " of one node", duration}
}

func fanOut(kind string, n int) metric {
	if n == 1 {
		return latency(kind)
	}
	return metric{fmt.Sprintf("%s streams on %s of one node: write to last delivery", thousands(n), kind), duration}
}

func fanOutRequests(kind string, n int) metric {
	return metric{fmt.Sprintf("%s streams on %s of one node: requests per change", thousands(n), kind), count}
}

func openTime(kind string, n int) metric {
	return metric{fmt.Sprintf("open %s nodes, %s", thousands(n), kind), duration}
}

func openBytes(kind string, n int) metric {
	return metric{fmt.Sprintf("%s nodes, %s: memory per stream", thousands(n), kind), size}
}

func openGoroutines(kind string, n int) metric {
	return metric{fmt.Sprintf("%s nodes, %s: goroutines or threads", thousands(n), kind), count}
}

func pipelined(op string, n int) metric {
	return metric{fmt.Sprintf("%s pipelined %s, no streams", thousands(n), op), duration}
}

func stormTime(n int) metric {
	return metric{fmt.Sprintf("storm, %s nodes: first write to last snapshot", thousands(n)), duration}
}

func stormTail(n int) metric {
	return metric{fmt.Sprintf("storm, %s nodes: last snapshot after last write, of the storm", thousands(n)), share}
}

func stormCPU(n int) metric {
	return metric{fmt.Sprintf("storm, %s nodes: processor time per change", thousands(n)), duration}
}

func batchStormTime(n int) metric {
	return metric{fmt.Sprintf("storm, %s nodes set in transactions of 500: first write to last snapshot", thousands(n)), duration}
}

func recovery(what string, n int) metric {
	return metric{fmt.Sprintf("recover %s nodes, %s", thousands(n), what), duration}
}

func pipelinedRecovery(op string, n int) metric {
	return metric{fmt.Sprintf("%s pipelined %s, same network", thousands(n), op), duration}
}

var (
	publishTime   = metric{"publish, per subscriber", duration}
	publishAllocs = metric{"publish: allocations per subscriber", count}
)

func secondTime(kind string) metric {
	return metric{"second stream on " + kind + " of a watched node", duration}
}

func secondRequests(kind string) metric {
	return metric{"second stream on " + kind + ": requests", count}
}

func secondAllocs(kind string) metric {
	return metric{"second stream on " + kind + ": allocations", count}
}

func decodeTime(n int) metric {
	return metric{fmt.Sprintf("%s property streams, node of 100 KB: write to last value", thousands(n)), duration}
}

func decodeCPU(n int) metric {
	return metric{fmt.Sprintf("%s property streams, node of 100 KB: processor time per change", thousands(n)), duration}
}

// since returns the nanoseconds between two times as a contender and this program tell them.
func since(begin, end int64) float64 { return float64(time.Duration(end - begin)) }
