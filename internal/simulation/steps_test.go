package simulation

import (
	"slices"

	"github.com/zkstream/zkstream"
)

// A step of the schedule, and how often it is chosen. One that does not apply does nothing.
var simSteps = []struct {
	weight int
	needs  feature // "": it belongs to each world
	do     func(*simulation)
}{
	// What users do.
	{14, "", (*simulation).openSome},
	{3, "", (*simulation).closeStream},
	{3, "", (*simulation).cancelStream},
	{3, "", (*simulation).pollStreams},
	{7, "", (*simulation).registerSome},
	{2, "", (*simulation).withdraw},
	{2, "", (*simulation).cancelRegistration},
	{4, "", (*simulation).updateRegistration},
	{10, "", (*simulation).updateProperties},
	{7, "", (*simulation).callData},
	{3, "", (*simulation).cancelCall},
	{2, "", (*simulation).openClient},
	{2, "", (*simulation).closeClient},
	{4, exactWrites, (*simulation).toggle},
	{3, closedNodes, (*simulation).callGuarded},
	{3, slowLines, (*simulation).callLarge},
	{4, smallServers, (*simulation).callTooLarge},
	{3, smallServers, (*simulation).updateTooLarge},
	{8, trees, (*simulation).openSets},
	{8, trees, (*simulation).callTree},
	{5, trees, (*simulation).readTree},
	// What others do.
	{12, "", (*simulation).changeData},
	{4, "", (*simulation).changeChildren},
	{3, "", (*simulation).deleteRegistered},
	{2, "", (*simulation).block},
	{6, closedNodes, (*simulation).slip},
	{3, closedNodes, (*simulation).createClosed},
	{3, hardened, (*simulation).harden},
	{6, foreignContent, (*simulation).changeContent},
	{5, slowLines, (*simulation).changeLarge},
	{12, trees, (*simulation).changeTree},
	{4, longPaths, (*simulation).changeLong},
	{4, trees, (*simulation).changeDuringReads},
	{3, trees, (*simulation).replant},
	{3, trees, (*simulation).deepenSome},
	// What goes wrong.
	{5, "", (*simulation).disconnect},
	{3, "", (*simulation).partition},
	{3, "", (*simulation).freeze},
	{1, "", (*simulation).silence},
	{4, "", (*simulation).expire},
	{2, "", (*simulation).restart},
	{1, "", (*simulation).wipe},
	{12, "", (*simulation).fail},
	{2, "", (*simulation).throttle},
	{2, ensembles, (*simulation).stop},
	{4, laggards, (*simulation).fallBehind},
	{3, laggards, (*simulation).isolate},
	{7, laggards, (*simulation).moveUnheard},
	{4, laggards, (*simulation).loseWrite},
	{3, quotas, (*simulation).refuse},
	{3, lostEvents, (*simulation).loseEvents},
	{2, longThrottles, (*simulation).press},
	{2, longOutages, (*simulation).outage},
	{3, names, (*simulation).confuse},
}

// step does one thing.
func (s *simulation) step() {
	if s.healing > 0 {
		if s.healing--; s.healing == 0 {
			s.note("heal")
			s.heal()
		}
	}
	total := 0
	for _, st := range simSteps {
		if st.needs == "" || s.has(st.needs) {
			total += st.weight
		}
	}
	n := s.rng.IntN(total)
	for _, st := range simSteps {
		if st.needs != "" && !s.has(st.needs) {
			continue
		}
		if n -= st.weight; n < 0 {
			st.do(s)
			return
		}
	}
}

func (s *simulation) client() *simClient {
	open := s.openClients()
	if len(open) == 0 {
		return nil
	}
	return pick(s, open)
}

func (s *simulation) openSome() {
	c := s.client()
	if c == nil {
		return
	}
	paths := slices.Concat(simData, simProps, simServices, simServices, []string{simQuiet, simNever, simRoot})
	if s.has(closedNodes) {
		paths = slices.Concat(paths, simGuarded, simGuarded, simGuarded)
	}
	if s.has(slowLines) {
		paths = append(paths, simLarge, simLarge)
	}
	if s.has(longPaths) {
		paths = slices.Concat(paths, simLong, simLong)
	}
	for range 1 + s.rng.IntN(4) {
		switch draw := s.rng.IntN(30); {
		case draw == 0 && !s.has(noRechecks): // no event says that a node was made which may not be read
			s.open(c, simDenied)
		case draw < 4:
			s.open(c, pick(s, places()))
		default:
			s.open(c, pick(s, paths))
		}
	}
}

// openLong has all clients follow the nodes with long names.
func (s *simulation) openLong() {
	for _, c := range s.openClients() {
		for _, path := range simLong {
			s.open(c, path)
		}
	}
	s.startAbsent()
}

// openStreams are those that nothing has ended yet, as far as the schedule knows.
func (s *simulation) openStreams() (open []*watcher) {
	for _, w := range s.streams {
		if len(w.reasons) == 0 {
			open = append(open, w)
		}
	}
	return open
}

func (s *simulation) closeStream() {
	if open := s.openStreams(); len(open) > 0 {
		w := pick(s, open)
		s.note("%v: close", w)
		w.reasons = append(w.reasons, zkstream.ErrClosed)
		w.close()
		if s.chance(2) {
			s.open(w.client, w.path)
		}
	}
}

func (s *simulation) cancelStream() {
	open := slices.DeleteFunc(s.openStreams(), func(w *watcher) bool { return w.ctx.cancel == nil })
	if len(open) > 0 {
		w := pick(s, open)
		s.note("%v: cancel", w)
		w.reasons = append(w.reasons, w.ctx.cause)
		w.ctx.cancel()
		if s.chance(2) {
			s.open(w.client, w.path)
		}
	}
}

// pollStreams has the consumers that never come receive once.
func (s *simulation) pollStreams() {
	for _, w := range s.streams {
		if w.absent {
			w.poll()
		}
	}
}
