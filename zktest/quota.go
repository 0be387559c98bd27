package zktest

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A quota on /a is two nodes: /zookeeper/quota/a/zookeeper_limits, which somebody writes, and zookeeper_stats
// beside it, whose content ZooKeeper itself keeps up to date without a transaction: how many nodes there are from /a
// down, /a included, and how many bytes they hold. Of several quotas above a node only the deepest counts.
const (
	quotaRoot  = "/zookeeper/quota"
	limitsName = "zookeeper_limits"
	statsName  = "zookeeper_stats"
)

// quota is the one that counts for some path. stats may be missing.
type quota struct{ limits, stats *node }

// quotaFor finds the quota that counts for a path, or nil.
func (t *tree) quotaFor(path string) (found *quota) {
	at := t.lookup(quotaRoot)
	for i := 1; at != nil && len(at.children) > 0 && i <= len(path); {
		end := i + strings.IndexByte(path[i:], '/')
		if end < i {
			end = len(path)
		}
		at = at.children[path[i:end]]
		if at != nil && at.children[limitsName] != nil {
			found = &quota{at.children[limitsName], at.children[statsName]}
		}
		i = end + 1
	}
	return found
}

// quotaData is the content of a quota's nodes; nil for a node that is missing.
type quotaData struct{ limits, stats []byte }

// quotas gives the content of all quotas, by prefix.
func (t *tree) quotas() map[string]quotaData {
	all := map[string]quotaData{}
	var walk func(prefix string, at *node)
	walk = func(prefix string, at *node) {
		if limits := at.children[limitsName]; limits != nil {
			all[prefix] = quota{limits, at.children[statsName]}.data()
		}
		for name, below := range at.children {
			walk(prefix+"/"+name, below)
		}
	}
	if root := t.lookup(quotaRoot); root != nil {
		walk("", root)
	}
	return all
}

func (q quota) data() (d quotaData) {
	d.limits = q.limits.data
	if q.stats != nil {
		d.stats = q.stats.data
	}
	return d
}

// checkQuota refuses a change that would break a hard limit, if the server keeps quotas. Operations of a
// multi are measured against what there was before the multi, each by itself, as in the real server: together they can
// break a limit.
func (t *txn) checkQuota(path string, bytes, count int) Code {
	if t.super || !t.s.cfg.quotas {
		return 0
	}
	if t.quotas == nil {
		if q := t.s.tree.quotaFor(path); q != nil {
			return q.data().exceededBy(bytes, count)
		}
		return 0
	}
	for prefix := path; prefix != ""; prefix = prefix[:strings.LastIndexByte(prefix, '/')] {
		if data, ok := t.quotas[prefix]; ok {
			return data.exceededBy(bytes, count)
		}
	}
	return 0
}

// sizeOf is by how much a change makes the tree larger. It has not been made yet.
func (t *tree) sizeOf(ch change) (bytes, count int) {
	switch ch.kind {
	case nodeMade:
		return len(ch.data), 1
	case nodeRemoved:
		return -len(t.lookup(ch.path).data), -1
	case dataSet:
		return len(ch.data) - len(t.lookup(ch.path).data), 0
	}
	return 0, 0
}

// countQuota keeps the quota on a path up to date after a change, and gives a function that undoes it.
func (t *tree) countQuota(path string, bytes, count int) (undo func()) {
	if at, ok := strings.CutPrefix(path, quotaRoot); ok && count > 0 {
		if prefix, ok := strings.CutSuffix(at, "/"+statsName); ok && prefix != "" {
			return t.recount(prefix)
		}
	}
	if bytes == 0 && count == 0 {
		return func() {}
	}
	q := t.quotaFor(path)
	if q == nil || q.stats == nil {
		return func() {}
	}
	now, ok := parseTrack(q.stats.data)
	if !ok {
		return func() {}
	}
	now["bytes"] = now.value("bytes") + int64(bytes)
	now["count"] = now.value("count") + int64(count)
	return q.stats.replaceData(now.encode())
}

// recount is for a zookeeper_stats node that has just been made.
func (t *tree) recount(prefix string) (undo func()) {
	all := track{"bytes": 0, "count": 0}
	if n := t.lookup(prefix); n != nil {
		n.addTo(all)
	}
	return t.lookup(quotaRoot + prefix + "/" + statsName).replaceData(all.encode())
}

func (n *node) addTo(all track) {
	all["count"]++
	all["bytes"] += int64(len(n.data))
	for _, c := range n.children {
		c.addTo(all)
	}
}

// replaceData sets data without a trace in the node's metadata.
func (n *node) replaceData(data []byte) (undo func()) {
	old := n.data
	n.data = data
	return func() { n.data = old }
}

// exceededBy refuses a change that breaks a hard limit. (A soft limit only makes the real server log.) Limits
// that make no sense make the real server fail.
func (d quotaData) exceededBy(bytes, count int) Code {
	limits, ok := parseTrack(d.limits)
	if !ok {
		return ErrMarshalling
	}
	checkCount := count != 0 && max(limits.value("count"), limits.value("countHardLimit")) > -1
	checkBytes := bytes != 0 && max(limits.value("bytes"), limits.value("byteHardLimit")) > -1
	if !checkCount && !checkBytes || d.stats == nil {
		return 0
	}
	stats, ok := parseTrack(d.stats)
	if !ok {
		return ErrMarshalling
	}
	breaks := func(name, hard string, more int) bool {
		most := limits.value(hard)
		return most > -1 && stats.value(name)+int64(more) > most
	}
	if checkCount && breaks("count", "countHardLimit", count) || checkBytes && breaks("bytes", "byteHardLimit", bytes) {
		return ErrQuotaExceeded
	}
	return 0
}

// track is the content of both nodes, "count=5,bytes=-1=;byteHardLimit=100;countHardLimit=10".
type track map[string]int64

// value is -1 where there is none.
func (t track) value(name string) int64 {
	if v, ok := t[name]; ok {
		return v
	}
	return -1
}

// parseTrack reads what StatsTrack of the real server reads. ok is false where that throws.
func parseTrack(data []byte) (t track, ok bool) {
	if data == nil {
		return nil, false
	}
	t = track{}
	separates := func(r rune) bool { return r == ',' || r == ';' }
	text := strings.TrimRightFunc(string(data), separates)
	if strings.IndexFunc(text, separates) == 0 {
		return nil, false
	}
	for _, pair := range strings.FieldsFunc(text, separates) {
		name, value, found := strings.Cut(strings.TrimRight(pair, "="), "=")
		if !found {
			return nil, false
		}
		value, _, _ = strings.Cut(value, "=")
		if value == "" {
			value = "-1"
		}
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return nil, false
		}
		t[name] = n
	}
	return t, true
}

// encode writes count and bytes first, and an odd "=" behind them if there is more, as the real server does
// for old clients.
func (t track) encode() []byte {
	text := "count=" + strconv.FormatInt(t.value("count"), 10) + ",bytes=" + strconv.FormatInt(t.value("bytes"), 10)
	names := slices.Sorted(maps.Keys(t))
	names = slices.DeleteFunc(names, func(name string) bool { return name == "count" || name == "bytes" })
	if len(names) > 0 {
		text += "="
	}
	for _, name := range names {
		text += ";" + name + "=" + strconv.FormatInt(t[name], 10)
	}
	return []byte(text)
}
