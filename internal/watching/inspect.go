package watching

import "time"

// Info describes what the streams of one kind on one path follow: see zkstream.WatchInfo.
type Info struct {
	Path    string
	Kind    string
	State   string
	Nodes   int
	Zxid    int64
	Streams int
	Behind  int
	Lag     int
	Waiting time.Duration
}

// Inspect returns what the streams of the user's follow now, in no order.
func (s *Supervisor) Inspect() (infos []Info) {
	s.mu.Lock()
	defer s.mu.Unlock()
	worst := make(map[*Assembler]health, len(s.assemblers))
	note := func(m *treeNode, h health) {
		if h != current { // most are
			worst[m.assembler()] = max(worst[m.assembler()], h)
		}
	}
	for w := range s.allLocked() {
		var info Info
		h := w.health()
		for sub := range w.subs.all() {
			switch sub := sub.(type) {
			case *contentTap:
				note((*treeNode)(sub), h)
			case *listTap:
				note((*treeNode)(sub), h)
			case Consumed:
				info.consumer(sub)
			}
		}
		if info.Streams > 0 && w.kind != kindStat { // which are of registrations
			info.Path, info.Kind, info.State = s.chroot.Relative(w.path), w.kind.String(), h.String()
			info.Nodes, info.Zxid = 1, w.zxid
			infos = append(infos, info)
		}
	}
	for _, d := range s.denied {
		if !d.node.gone && (d.node.content == failed || d.node.list == failed) {
			note(d.node, failing)
		}
	}
	for sh, a := range s.assemblers {
		if a.pending > 0 {
			worst[a] = max(worst[a], waiting)
		}
		info := Info{Path: sh.Path, Kind: "tree", State: worst[a].String(), Nodes: a.nodes}
		if sh.Instances {
			info.Kind = "instances"
		}
		for _, sub := range a.subs {
			if sub, ok := sub.(Consumed); ok {
				info.consumer(sub)
			}
		}
		infos = append(infos, info)
	}
	return infos
}

// Consumed is a stream of the user's, as Inspect sees it: how many snapshots its consumer has not received, and for how long.
type Consumed interface {
	Behind() (snapshots int, waiting time.Duration)
}

// consumer counts one of the streams in.
func (info *Info) consumer(s Consumed) {
	info.Streams++
	if snapshots, waiting := s.Behind(); snapshots > 0 {
		info.Behind++
		info.Lag = max(info.Lag, snapshots)
		info.Waiting = max(info.Waiting, waiting)
	}
}

// health is how a watch is, as Stats counts it; the worst is the greatest.
type health uint8

const (
	current health = iota
	waiting        // to be read, or being read
	failing
)

// String returns what Info calls it.
func (h health) String() string { return [...]string{"current", "stale", "failing"}[h] }

func (w Watch) health() health {
	switch w.state {
	case armed, parked:
		return current
	case resting:
		return failing
	default:
		return waiting
	}
}
