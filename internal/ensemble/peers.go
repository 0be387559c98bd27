package ensemble

import (
	"errors"
	"fmt"
	"net"
	"strconv"
)

// peerLink is the way from one server to the port on which another, if it leads, takes in its followers.
type peerLink struct {
	from, to int // server IDs
	proxy    *Proxy
}

// linkPeers puts a proxy between each server and the others.
func (e *Ensemble) linkPeers() error {
	for _, from := range e.servers {
		for _, to := range e.servers {
			if from == to {
				continue
			}
			p, err := NewProxy(net.JoinHostPort(loopback, strconv.Itoa(to.ports.quorum)))
			if err != nil {
				return err
			}
			e.links = append(e.links, peerLink{from.id, to.id, p})
			if from.peers == nil {
				from.peers = map[int]string{}
			}
			from.peers[to.id] = p.Addr()
		}
	}
	return nil
}

// PeerLinks returns the proxies between a server and the others, in both directions: those through which it
// follows a leader, and those through which others follow it. Hold cuts it off without its noticing, Delay has it lag.
// The servers' elections do not go through them. There are none without Options.PeerLinks.
func (e *Ensemble) PeerLinks(s *Server) []*Proxy {
	var proxies []*Proxy
	for _, l := range e.links {
		if l.from == s.id || l.to == s.id {
			proxies = append(proxies, l.proxy)
		}
	}
	return proxies
}

func (e *Ensemble) closeLinks() error {
	var errs []error
	for _, l := range e.links {
		if err := l.proxy.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close the link from %d to %d: %w", l.from, l.to, err))
		}
	}
	return errors.Join(errs...)
}
