package discovery

import (
	"errors"
	"iter"
	"slices"
	"strings"
)

// Endpoints is a snapshot of the servers of a service. It is immutable, and a value that may be copied. The zero
// value is a service whose node does not exist.
type Endpoints struct {
	path   string
	exists bool
	nodes  []decoded // sorted by name
}

// decoded is what became of one node.
type decoded struct {
	endpoint Endpoint // its Name is set also if err is not nil
	err      error
}

// Path returns the path of the service.
func (e Endpoints) Path() string { return e.path }

// Exists reports whether the service's node existed.
func (e Endpoints) Exists() bool { return e.exists }

// All ranges over the endpoints, whatever their status, sorted by the names of their nodes.
func (e Endpoints) All() iter.Seq[Endpoint] {
	return func(yield func(Endpoint) bool) {
		for _, n := range e.nodes {
			if n.err == nil && !yield(n.endpoint) {
				return
			}
		}
	}
}

// Addrs returns the addresses of the endpoints that are [Up], sorted, each once.
func (e Endpoints) Addrs() []string {
	addrs := []string{}
	for endpoint := range e.All() {
		if endpoint.Status == Up {
			addrs = append(addrs, endpoint.Addr)
		}
	}
	slices.Sort(addrs)
	return slices.Compact(addrs)
}

// Get returns the endpoint whose node has that name. The error says why the node is none, and is ErrNotEndpoint if
// there is no such node.
func (e Endpoints) Get(name string) (Endpoint, error) {
	i, found := slices.BinarySearchFunc(e.nodes, name, func(n decoded, name string) int {
		return strings.Compare(n.endpoint.Name, name)
	})
	if !found {
		return Endpoint{}, ErrNotEndpoint
	}
	return e.nodes[i].endpoint, e.nodes[i].err
}

// Errors ranges over the nodes that could not be decoded or read, sorted by name. Each error is a *zkstream.PathError.
func (e Endpoints) Errors() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, n := range e.nodes {
			if n.err != nil && !errors.Is(n.err, ErrNotEndpoint) && !yield(n.endpoint.Name, n.err) {
				return
			}
		}
	}
}
