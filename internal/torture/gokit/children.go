package main

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-kit/kit/sd"
	kitzk "github.com/go-kit/kit/sd/zk"
	"github.com/go-kit/log"
	"github.com/go-zookeeper/zk"
)

// children tells what an Instancer gives.
func (c *contender) children(id, path string) {
	instancer, err := c.instancer(path)
	if err != nil {
		c.say("end %s %v", id, err)
		return
	}
	events := make(chan sd.Event, 1)
	instancer.Register(events)
	for event := range events {
		switch {
		case event.Err == nil:
			c.say("children %s 0 0 [%s]", id, strings.Join(names(event.Instances), ","))
			continue
		case errors.Is(event.Err, zk.ErrNoNode):
			c.say("children %s 0 0 -", id)
		}
		// An error is the last that an Instancer tells: where it could not read, it has no watch. It does not
		// say so, but it did tell of the error: to take it as the end is better for it than a silent stream.
		c.say("end %s %v", id, event.Err)
		instancer.Deregister(events)
		instancer.Stop()
		return
	}
}

// names makes names of the values of children.
func names(values []string) []string {
	names := make([]string, len(values))
	for i, value := range values {
		names[i], _, _ = strings.Cut(value, "=")
	}
	slices.Sort(names)
	return names
}

// instancer opens an Instancer. Its documentation leaves open what to do where there is no connection just
// now; to try again is the better one for it.
func (c *contender) instancer(path string) (*kitzk.Instancer, error) {
	passing := []error{zk.ErrNoServer, zk.ErrConnectionClosed, zk.ErrSessionExpired, zk.ErrSessionMoved}
	for {
		instancer, err := kitzk.NewInstancer(c.client, path, log.NewNopLogger())
		if !slices.ContainsFunc(passing, func(p error) bool { return errors.Is(err, p) }) {
			return instancer, err
		}
		time.Sleep(time.Second)
	}
}
