package main

import (
	"path"

	kitzk "github.com/go-kit/kit/sd/zk"
)

// A registration is a Registrar and what it says. It is registered once, and not again in a later session:
// go-kit has nothing for that, and its documentation does not ask it of its users.
type registration struct {
	registrar *kitzk.Registrar
	ear       ear
	returned  chan struct{} // closed when Register has returned
}

func newRegistration(client kitzk.Client, node, addr string) *registration {
	r := &registration{returned: make(chan struct{})}
	// The service's name is a node, and its instances are that node's children.
	parent, name := path.Split(node)
	r.registrar = kitzk.NewRegistrar(client, kitzk.Service{Path: parent, Name: name, Data: []byte(addr)}, &r.ear)
	return r
}

// An ear is a logger: a Registrar returns nothing, and tells how it went only to its log.
type ear struct{ err error }

func (e *ear) Log(keyvals ...any) error {
	e.err = nil
	for i := 0; i+1 < len(keyvals); i += 2 {
		if keyvals[i] == "err" {
			e.err, _ = keyvals[i+1].(error)
		}
	}
	return nil
}

func (c *contender) register(id string, r *registration) {
	defer close(r.returned)
	r.registrar.Register()
	if r.ear.err != nil {
		c.say("failed %s %v", id, r.ear.err)
		return
	}
	c.say("registered %s", id)
}

func (c *contender) withdraw(id string, r *registration) {
	if r == nil {
		c.say("failed %s not registered", id)
		return
	}
	<-r.returned
	r.registrar.Deregister()
	if r.ear.err != nil {
		c.say("failed %s %v", id, r.ear.err)
		return
	}
	c.say("withdrawn %s", id)
}
