package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/history"
)

// unsettled is for how long a node must not have changed for a stream to be judged by it. Only nodes of
// registrations change when the writers have stopped.
const unsettled = 2 * time.Second

// truth is what the servers have, read by a plain client.
type truth struct {
	nodes   map[string]state          // of data streams, by path
	names   map[string]state          // of children streams, by path
	sets    map[string][]history.Node // by root
	owners  map[string][]serviceNode  // of services, by path
	props   map[string]map[string]any // of property nodes, by path
	ledgers map[string]ledger         // of the nodes of calls, by path
	writes  map[string]int32          // how often a property node was written, by path
	since   map[string]time.Time      // since when a path is as it is, by kind and path
	at      time.Time
}

// serviceNode is a node of a service.
type serviceNode struct {
	name, addr string
	owner      int64 // the session
}

// of returns the truth for a stream, and whether it has been so for a while.
func (t *truth) of(verb, path string) (s state, settled bool) {
	switch {
	case verb == "data":
		s = t.nodes[path]
	case setVerbs[verb] == "":
		s = t.names[path]
	case len(t.sets[path]) > 0:
		s = state{exists: true, content: listSet(t.sets[path])}
	}
	return s, t.at.Sub(t.since[verb+path]) >= unsettled
}

// reader reads the truth.
type reader struct {
	conn     *plain
	services []string // paths
	props    []string // paths
	ledgers  []string // paths
	last     *truth
}

// read reads all that is judged, after the server has caught up with the leader.
func (r *reader) read() (*truth, error) {
	t := &truth{
		nodes: map[string]state{}, names: map[string]state{},
		owners: map[string][]serviceNode{}, props: map[string]map[string]any{}, writes: map[string]int32{}, ledgers: map[string]ledger{},
		since: map[string]time.Time{}, at: time.Now(),
	}
	if _, err := r.conn.Sync(root); err != nil {
		return nil, err
	}
	for _, path := range slices.Concat(values, closables) {
		value, stat, err := r.conn.Get(path)
		if err := t.note("data", path, state{exists: true, content: strings.TrimRight(string(value), padding)}, stat, err, r.last); err != nil {
			return nil, err
		}
	}
	for _, path := range slices.Concat(parents, closables, r.services) {
		names, stat, err := r.conn.Children(path)
		slices.Sort(names)
		s := state{exists: true, content: listing(names)}
		if err == nil && slices.Contains(r.services, path) {
			if t.owners[path], err = r.service(path, names); err != nil {
				return nil, err
			}
			s.addrs = addrsOf(t.owners[path])
		}
		if err := t.note("children", path, s, stat, err, r.last); err != nil {
			return nil, err
		}
	}
	sets, err := r.conn.readSets()
	if err != nil {
		return nil, err
	}
	t.sets = sets
	for _, path := range r.props {
		data, stat, err := r.conn.Get(path)
		if errors.Is(err, zk.ErrNoNode) {
			continue
		}
		if err != nil {
			return nil, err
		}
		props := map[string]any{}
		if err := json.Unmarshal(data, &props); err != nil {
			props["error"] = fmt.Sprintf("%v: %s", err, data) // so all of its updates are lost
		}
		t.props[path] = props
		t.writes[path] = stat.Version
	}
	for _, path := range r.ledgers {
		value, stat, err := r.conn.Get(path)
		if err != nil {
			return nil, err
		}
		names, _, err := r.conn.Children(path)
		if err != nil {
			return nil, err
		}
		t.ledgers[path] = ledger{stat.Version, string(value), names}
	}
	r.last = t
	return t, nil
}

// service reads the nodes of a service. Where a node's name is not an address, its value is.
func (r *reader) service(path string, names []string) (nodes []serviceNode, err error) {
	for _, name := range names {
		value, stat, err := r.conn.Get(path + "/" + name)
		if errors.Is(err, zk.ErrNoNode) {
			continue
		}
		if err != nil {
			return nil, err
		}
		addr := name
		if _, _, err := net.SplitHostPort(name); err != nil {
			addr = string(value)
		}
		nodes = append(nodes, serviceNode{name, addr, stat.EphemeralOwner})
	}
	return nodes, nil
}

func addrsOf(nodes []serviceNode) string {
	addrs := make([]string, len(nodes))
	for i, n := range nodes {
		addrs[i] = n.addr
	}
	slices.Sort(addrs)
	return listing(addrs)
}

// note puts down what a path is like, and since when.
func (t *truth) note(verb, path string, s state, stat *zk.Stat, err error, before *truth) error {
	switch {
	case errors.Is(err, zk.ErrNoNode):
		s = state{}
	case err != nil:
		return err
	case verb == "data":
		s.czxid, s.zxid = stat.Czxid, stat.Mzxid
	default:
		s.czxid, s.zxid = stat.Czxid, stat.Pzxid
	}
	all := t.nodes
	if verb == "children" {
		all = t.names
	}
	all[path] = s
	key := verb + path
	t.since[key] = t.at
	if before != nil {
		if was, _ := before.of(verb, path); was == s {
			t.since[key] = before.since[key]
		}
	}
	return nil
}
