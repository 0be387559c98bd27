package main

import (
	"fmt"
	"slices"
	"strings"
)

// A bar is what a figure must not exceed.
type bar struct {
	what  string
	limit float64
	unit  unit
	got   func(r *results) (float64, bool)
}

// bars returns what zkstream has to show, at the sizes of the plan.
func (p plan) bars() []bar {
	const zkstream = "zkstream"
	most := slices.Max(p.open)
	n := most // for what is asked of 20,000 nodes
	if slices.Contains(p.open, 20_000) {
		n = 20_000
	}
	streams := slices.Max(p.fan)
	against := func(m metric, peer string, m2 metric) func(*results) (float64, bool) {
		return func(r *results) (float64, bool) { return r.ratio(m, zkstream, m2, peer) }
	}
	plain := func(m metric) func(*results) (float64, bool) {
		return func(r *results) (float64, bool) { return r.median(m, zkstream) }
	}
	later := func(r *results) (float64, bool) {
		return r.each(func(round int) (float64, bool) {
			one, ok := r.cells[latency("data")][zkstream][round]
			all, ok2 := r.cells[fanOut("data", streams)][zkstream][round]
			return all - one, ok && ok2
		})
	}
	bars := []bar{
		{"latency / raw go-zookeeper's", 1.03, ratio, against(latency("data"), "raw", latency("data"))},
		{"latency / Curator's", 1, ratio, against(latency("data"), "curator", latency("data"))},
		{"latency / kazoo's", 1, ratio, against(latency("data"), "kazoo", latency("data"))},
		{thousands(streams) + " streams on one node: reads per change", 1, count, plain(fanOutRequests("data", streams))},
		{thousands(streams) + " streams on one node: last delivery later than with one stream", 5e6, duration, later},
		{thousands(most) + " nodes: memory per stream", 1000, size, plain(openBytes("data", most))},
		{thousands(most) + " nodes: goroutines", 99, count, plain(openGoroutines("data", most))},
		{fmt.Sprintf("open %s nodes / pipelined raw GetW", thousands(n)), 1.05, ratio, against(openTime("data", n), "floor", pipelined("GetW", n))},
		{fmt.Sprintf("expiry recovery, %s nodes / pipelined raw GetW", thousands(p.recover)), 1.05, ratio,
			against(recovery(expired, p.recover), "floor", pipelinedRecovery("GetW", p.recover))},
		{fmt.Sprintf("reconnect, nothing changed, %s nodes / pipelined raw Exists", thousands(p.recover)), 1.15, ratio,
			against(recovery(nothing, p.recover), "floor", pipelinedRecovery("Exists", p.recover))},
		{fmt.Sprintf("storm on %s nodes: last snapshot after last write, of the storm", thousands(n)), 0.05, share, plain(stormTail(n))},
		{"second stream on a watched node: requests", 0, count, plain(secondRequests("data"))},
		{"second stream on a watched node: time", 5e3, duration, plain(secondTime("data"))},
		{"second stream on a watched node: allocations", 8, count, plain(secondAllocs("data"))},
		{"publish, per subscriber: time", 150, duration, plain(publishTime)},
		{"publish, per subscriber: allocations", 0, count, plain(publishAllocs)},
	}
	for _, op := range callOps {
		for _, width := range []int{1, inFlight} {
			m := callTime(op, width)
			bars = append(bars, bar{strings.TrimSuffix(m.label, ": per call") + " / raw go-zookeeper's", 1.05, ratio, against(m, "floor", m)})
		}
	}
	return bars
}

// met reports whether a figure keeps to the bar. Counts are exact but for other packets, such as pings,
// that are counted in.
func (b bar) met(x float64) bool {
	if b.unit == count {
		return x < b.limit+0.5
	}
	return x <= b.limit
}
