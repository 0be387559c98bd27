package simulation

import (
	"time"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/internal/nameserver"
	"github.com/zkstream/zkstream/zktest"
)

// What goes wrong with a server of an ensemble, or with all of them. It lasts until all is healed, a few steps
// later.

// some gives one of the servers, or all.
func (s *simulation) some() []*zktest.Server {
	all := s.servers.Members()
	if s.chance(2) {
		return all
	}
	return []*zktest.Server{pick(s, all)}
}

// last has what began last for a few steps.
func (s *simulation) last() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.healing = 1 + s.rng.IntN(8)
}

// heal ends all of it, silence, and the loss of events.
func (s *simulation) heal() {
	s.mu.Lock()
	s.healing = 0
	s.swallow = false
	s.unheard = 0
	if s.silent != nil {
		close(s.silent)
		s.silent = nil
	}
	s.mu.Unlock()
	s.resolver.SetMode(nameserver.Answer)
	for _, member := range s.servers.Members() {
		member.Partition(false)
		member.Stop(false)
		member.Isolate(false)
		member.Freeze(false)
		member.Hold(false)
		member.Lag(0)
	}
}

func (s *simulation) partition() {
	for _, member := range s.some() {
		s.note("partition %v", member)
		member.Partition(true)
	}
	s.last()
}

func (s *simulation) freeze() {
	for _, member := range s.some() {
		s.note("freeze %v", member)
		member.Freeze(true)
	}
	s.last()
}

// silence is a freeze of all servers in which not even dialling is answered.
func (s *simulation) silence() {
	s.note("silence")
	for _, member := range s.servers.Members() {
		member.Freeze(true)
	}
	s.mu.Lock()
	if s.silent == nil {
		s.silent = make(chan struct{})
	}
	s.mu.Unlock()
	s.last()
}

func (s *simulation) restart() {
	for _, member := range s.some() {
		s.note("restart %v", member)
		member.Restart()
	}
}

func (s *simulation) stop() {
	for _, member := range s.some() {
		s.note("stop %v", member)
		member.Stop(true)
	}
	s.last()
}

// isolate cuts a server off from the others: they may give its clients' sessions to death, while it goes on
// answering.
func (s *simulation) isolate() {
	member := pick(s, s.servers.Members())
	s.note("isolate %v, which leads: %v", member, member.Leads())
	member.Isolate(true)
	s.last()
}

// fallBehind has servers that follow show what was, for a time or until all is healed.
func (s *simulation) fallBehind() {
	for _, member := range s.servers.Followers() {
		switch s.rng.IntN(4) {
		case 0:
		case 1:
			s.note("hold %v", member)
			member.Hold(true)
		default:
			d := time.Millisecond + s.upTo(3*time.Second)
			s.note("%v is %v behind", member, d)
			member.Lag(d)
		}
	}
	s.last()
}

// confuse has names not be resolved.
func (s *simulation) confuse() {
	mode := pick(s, []nameserver.Mode{nameserver.Fail, nameserver.Silent})
	s.note("no name is resolved (mode %v of the name server)", mode)
	s.resolver.SetMode(mode)
	s.last()
	if s.chance(2) {
		s.disconnect()
	}
}

// moveUnheard has clients lose their sessions, and the first connections of their new ones before they hear
// anything in them: so nothing keeps the server that they come to next from showing what was long ago.
func (s *simulation) moveUnheard() {
	s.holdSome()
	path := s.treePath()
	if s.has(trees) {
		for _, c := range s.openClients() {
			s.writeTree(c, path, zkstream.AnyVersion)
		}
		time.Sleep(20 * time.Millisecond)
	}
	for range 3 + s.rng.IntN(6) {
		s.changeData()
	}
	s.changeChildren()
	s.note("all sessions expire, and the next connections end before anything is heard on them")
	s.mu.Lock()
	s.unheard = 1 + s.rng.IntN(4)
	s.mu.Unlock()
	s.servers.ExpireAll()
	if s.has(trees) { // who reads what it has written must find it
		for _, c := range s.openClients() {
			s.readNode(c, path)
		}
	}
	time.Sleep(time.Second + s.upTo(3*time.Second))
}

// holdSome has most followers stay behind until all is healed.
func (s *simulation) holdSome() {
	for _, member := range s.servers.Followers() {
		if !s.chance(4) {
			s.note("hold %v", member)
			member.Hold(true)
		}
	}
	s.last()
}

// loseWrite has the answer to a write get lost while followers are behind. Who asks one of them what became of it, and does not have it
// catch up first, is shown the tree as it was before.
func (s *simulation) loseWrite() {
	s.holdSome()
	r := &rule{
		op:   pick(s, []zktest.Op{zktest.OpSetData, zktest.OpSetData, zktest.OpCreate, zktest.OpDelete, zktest.OpMulti}),
		left: 1, fault: zktest.Fault{LoseReply: true}, until: time.Now().Add(time.Second),
	}
	s.note("the next %v: %s", r.op, r)
	s.addRule(r)
	switch {
	case r.op == zktest.OpSetData:
		s.updateProperties()
		s.callData()
	case s.has(trees):
		s.callTree()
		s.callTree()
	default:
		s.callData()
	}
	time.Sleep(s.upTo(time.Second))
}

// wipe has the servers lose their data. A freeze before it keeps the two worlds some milliseconds apart, so
// that a node's time of creation tells to which it belongs.
func (s *simulation) wipe() {
	if !s.wiping {
		return
	}
	s.note("wipe")
	for _, member := range s.servers.Members() {
		member.Freeze(true)
	}
	time.Sleep(2 * time.Millisecond)
	s.mu.Lock()
	s.wipes = append(s.wipes, time.Now())
	s.mu.Unlock()
	s.servers.Wipe()
	s.grow()
}
