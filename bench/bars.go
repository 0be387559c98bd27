package main

import (
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
	// A metric of the client against another of its own.
	own := func(m, m2 metric) func(*results) (float64, bool) { return against(m, zkstream, m2) }
	bars := []bar{
		{"one node: write to snapshot / raw go-zookeeper's", 0.97, ratio, against(latency("data"), "raw", latency("data"))},
		{"one node: processor time per change / raw go-zookeeper's", 0.92, ratio, against(cpuPerChange("data"), "raw", cpuPerChange("data"))},
		{"open " + thousands(n) + " nodes, data / raw go-zookeeper's", 0.10, ratio, against(openTime("data", n), "raw", openTime("data", n))},
		{"open " + thousands(n) + " nodes, children / raw go-zookeeper's", 0.10, ratio, against(openTime("children", n), "raw", openTime("children", n))},
		{"reconnect, content and children of " + thousands(p.recover) + " nodes, nothing changed / go-zookeeper's own", 1.2, ratio, against(rearmTime(p.recover), "raw", rearmTime(p.recover))},
		{"the same: requests", 30, count, plain(rearmRequests(p.recover))},
		{"the same: bytes sent", 2.5e6, size, plain(rearmBytes(p.recover))},
		{"reconnect, 1 % of " + thousands(p.recover) + " nodes changed, deleted or made anew / go-zookeeper's own", 1.5, ratio, against(recovery(some, p.recover), "raw", recovery(some, p.recover))},
		{"the same: snapshots per change", 1, count, plain(snapshotsPerChange(p.recover))},
		{"session expired, " + thousands(p.recover) + " nodes / raw go-zookeeper's", 0.15, ratio, against(recovery(expired, p.recover), "raw", recovery(expired, p.recover))},
		{"storm, " + thousands(n) + " nodes set in transactions / raw go-zookeeper's", 0.30, ratio, against(batchStormTime(n), "raw", batchStormTime(n))},
		{"open " + thousands(p.large) + " nodes of 200 KB / raw go-zookeeper's", 1.15, ratio, against(largeOpen(p.large), "raw", largeOpen(p.large))},
		{"the same: memory at the peak / raw go-zookeeper's", 1.3, ratio, against(largePeak(p.large), "raw", largePeak(p.large))},
		{thousands(p.once) + " streams opened, read once and closed / as many Gets", 0.8, ratio, against(readOnceTime(p.once), "floor", readOnceTime(p.once))},
		{thousands(n) + " nodes: memory per stream", 650, size, plain(openBytes("data", n))},
		{thousands(streams) + " streams on one node: write to last delivery / one loop's around GetW, and bare channels", 1.08, ratio, against(fanOut("data", streams), "channels", fanOut("data", streams))},
		{thousands(streams) + " streams on one node: reads per change", 1, count, plain(fanOutRequests("data", streams))},
		{thousands(most) + " streams: goroutines of the whole client", 12, count, plain(openGoroutines("data", most))},
		{"Get while " + thousands(2*p.recover) + " streams are opened: the slowest over the usual", 5e6, duration, func(r *results) (float64, bool) {
			return r.each(func(round int) (float64, bool) {
				usual, ok := r.cells[usualGet(p.recover)][zkstream][round]
				slowest, ok2 := r.cells[slowestGet(p.recover)][zkstream][round]
				return slowest - usual, ok && ok2
			})
		}},
		{"second stream on a watched node: requests", 0, count, plain(secondRequests("data"))},
		{"second stream on a watched node: time", 5e3, duration, plain(secondTime("data"))},
		{"second stream on a watched node: allocations", 8, count, plain(secondAllocs("data"))},
		{"publish, per subscriber: time", 150, duration, plain(publishTime)},
		{"publish, per subscriber: allocations", 0, count, plain(publishAllocs)},
	}
	bars = append(bars, bar{"figures in which Curator or kazoo is ahead", 0, count, func(r *results) (float64, bool) {
		ahead, measured := r.ahead(zkstream, "curator", "kazoo")
		return float64(len(ahead)), measured
	}})
	if p.recheck > 0 {
		bars = append(bars,
			bar{"recheck of " + thousands(p.recheck) + " quiet nodes: paths a second", 256, count, plain(recheckRate(p.recheck))},
			bar{"the same: the server's processor time for a round", 40e6, duration, plain(recheckCPU(p.recheck))},
			bar{"the same: snapshots", 0, count, plain(recheckSnapshots(p.recheck))},
		)
	}
	for _, size := range p.trees {
		open, what := treeOpen("tree", size), "tree of "+thousands(size)+" nodes: "
		bars = append(bars,
			bar{what + "first snapshot / pipelined GetW and ChildrenW", 0.06, ratio, against(open, "floor", open)},
			bar{what + "first snapshot / CuratorCache's", 1, ratio, against(open, "curator", open)},
			bar{what + "first snapshot / TreeCache's of kazoo", 1, ratio, against(open, "kazoo", open)},
		)
	}
	largest := slices.Max(p.trees)
	what := "tree of " + thousands(largest) + " nodes: "
	bars = append(bars,
		bar{"instances of " + thousands(p.instances) + ": first snapshot / Children and pipelined GetW", 0.10, ratio,
			against(treeOpen("instances", p.instances), "floor", treeOpen("instances", p.instances))},
		bar{what + "write to snapshot / one node's stream", 1.1, ratio, own(treeChange("tree", largest), treeChangeBeside("tree", largest))},
		bar{what + "requests per change", 1, count, plain(treeChangeRequests("tree", largest))},
		bar{what + "bytes allocated per change", 20_000, size, plain(treeChangeBytes("tree", largest))},
		bar{what + "memory per node", 400, size, plain(treeBytes("tree", largest))},
		bar{what + "reconnect, nothing changed / reading it again", 0.05, ratio, against(treeReconnect(largest), "floor", treeOpen("tree", largest))},
		bar{what + "snapshots of that reconnect", 0, count, plain(treeReconnectSnapshots(largest))},
		bar{thousands(p.second-1) + " more trees on one root: requests", 0, count, plain(moreTrees(p.second, "requests"))},
		bar{thousands(p.second-1) + " more trees on one root: watches", 0, count, plain(moreTrees(p.second, "watches"))},
	)
	bars = append(bars,
		bar{"import of " + thousands(p.imports) + " nodes / pipelined creates", 0.20, ratio, against(importTime(p.imports), "floor", importTime(p.imports))},
		bar{"plan over " + thousands(p.imports) + " unchanged nodes / pipelined Gets", 0.10, ratio, against(planTime(p.imports), "floor", planTime(p.imports))},
	)
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
