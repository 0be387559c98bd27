package simulation

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/zktest"
)

// What others do to the tree.

func (s *simulation) touched(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastTry[path] = time.Now()
}

func (s *simulation) changeData() {
	path := pick(s, simData)
	content := fmt.Appendf(nil, `{"other": %d}`, s.id())
	switch s.rng.IntN(5) {
	case 0:
		s.direct("create "+path, s.servers.Create(path, content))
	case 1:
		s.direct("delete "+path, s.servers.Delete(path))
	case 2: // a new node that looks like the old one
		old, _, err := s.servers.Get(path)
		if err == nil {
			s.direct("delete "+path, s.servers.Delete(path))
			s.direct("create "+path+" as it was", s.servers.Create(path, old))
		}
	default:
		s.direct("set "+path, s.servers.Set(path, content))
	}
}

func (s *simulation) changeChildren() {
	path := pick(s, simServices) + "/" + pick(s, []string{"x", "y"})
	if s.chance(2) {
		s.direct("create "+path, s.servers.Create(path, nil))
	} else {
		s.direct("delete "+path, s.servers.Delete(path))
	}
}

// changeContent puts what another program may write into a node that clients update.
func (s *simulation) changeContent() {
	path, content := pick(s, simProps), pick(s, foreignContents)
	s.direct(fmt.Sprintf("set %s to %q", path, content), s.servers.Set(path, []byte(content)))
}

// changeLarge puts some hundred KB into a node.
func (s *simulation) changeLarge() {
	size := 100<<10 + s.rng.IntN(500<<10)
	s.direct(fmt.Sprintf("set %s to %d bytes", simLarge, size), s.servers.Set(simLarge, []byte(strings.Repeat("y", size))))
}

// changeLong changes a node with a long name.
func (s *simulation) changeLong() {
	path := pick(s, simLong)
	s.direct("set "+path, s.servers.Set(path, fmt.Appendf(nil, `{"other": %d}`, s.id())))
}

// deleteRegistered deletes a registration's node.
func (s *simulation) deleteRegistered() {
	path := pick(s, places())
	s.touched(path)
	s.direct("delete "+path, s.servers.Delete(path))
}

// block puts a lasting node where a registration may want its own, or takes it away.
func (s *simulation) block() {
	path := pick(s, places())
	s.touched(path)
	if s.chance(2) {
		s.direct("put a lasting node at "+path, s.servers.Create(path, nil))
		return
	}
	s.unblock(path)
}

func (s *simulation) unblock(path string) {
	if n := s.truth(kindData, path); n.exists && n.stat.EphemeralOwner == 0 {
		s.touched(path)
		s.direct("delete the lasting node at "+path, s.servers.Delete(path))
	}
}

// What may be read, and by whom.

var openToAll = zktest.ACL{Perms: zk.PermAll, Scheme: "world", ID: "anyone"}

var closedToClients = zk.DigestACL(zk.PermAll, "operator", "secret")[0]

func (s *simulation) setACL(path string, acl zktest.ACL) {
	s.direct(fmt.Sprintf("set the ACL of %s to %v", path, acl), s.servers.SetACL(path, acl))
}

func (s *simulation) closeNode(path string) {
	s.mu.Lock()
	s.closed[path] = true
	s.mu.Unlock()
	s.setACL(path, zktest.ACL{Perms: closedToClients.Perms, Scheme: closedToClients.Scheme, ID: closedToClients.ID})
}

// slip closes a node for a while in which it changes, and opens it again.
func (s *simulation) slip() {
	path := pick(s, simGuarded)
	s.closeNode(path)
	s.moment()
	s.changeGuarded(path)
	s.moment()
	if !s.chance(6) {
		s.setACL(path, openToAll)
		if s.chance(2) {
			s.changeGuarded(path)
		}
	}
}

// moment lets little time pass, or none.
func (s *simulation) moment() {
	if s.chance(2) {
		time.Sleep(s.upTo(300 * time.Millisecond))
	}
}

func (s *simulation) changeGuarded(path string) {
	child := path + "/child"
	switch s.rng.IntN(6) {
	case 0:
		s.direct("create "+child, s.servers.Create(child, nil))
	case 1:
		s.direct("delete "+child, s.servers.Delete(child))
	case 2:
		s.direct("delete "+child, s.servers.Delete(child))
		s.direct("delete "+path, s.servers.Delete(path))
	default:
		content := fmt.Appendf(nil, `{"other": %d}`, s.id())
		if err := s.servers.Set(path, content); err != nil {
			s.direct("create "+path, s.servers.Create(path, content))
			return
		}
		s.direct("set "+path, nil)
	}
}

// createClosed has a program make a node that may not be read, which somebody opens afterwards.
func (s *simulation) createClosed() {
	c := s.client()
	if c == nil {
		return
	}
	path := pick(s, simGuarded)
	s.mu.Lock()
	s.closed[path] = true
	s.mu.Unlock()
	s.direct("delete "+path+"/child", s.servers.Delete(path+"/child"))
	s.direct("delete "+path, s.servers.Delete(path))
	s.moment()
	s.call(c, "create "+path+", closed to all clients", &simContext{ctx: s.t.Context()}, func(context.Context) error {
		_, err := c.client.Conn().Create(path, []byte(`{"closed": 1}`), zk.FlagPersistent, []zk.ACL{closedToClients})
		return err
	}, nil, errAny)
	s.moment()
	time.Sleep(time.Millisecond)
	if !s.chance(6) {
		s.setACL(path, openToAll)
		s.changeGuarded(path)
	}
}

// openAll opens what is closed, and makes it changeable.
func (s *simulation) openAll() {
	for _, path := range slices.Concat(simGuarded, simServices, treePaths()) {
		if s.wasClosed(path) {
			s.setACL(path, openToAll)
		}
	}
}
