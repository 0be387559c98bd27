// Package discovery reads and writes the registries of other libraries, so that a Go service finds the servers that
// they have registered, and is found by their clients:
//
//   - [ZC]: zkstream's own, which is that of zc.zk;
//   - [Curator]: Apache Curator's service discovery, also as Spring Cloud ZooKeeper and Dubbo use it;
//   - [Serverset]: that of Finagle and Aurora;
//   - [Nerve]: that of Nerve and Synapse.
//
// [Watch] streams the endpoints of a service, [Register] keeps a server registered, and [NewHTTPSD] hands endpoints to
// Prometheus. A [Format] can be written for any registry that has a node for each server.
package discovery

import (
	"errors"
	"strings"
)

// A Format is the way in which a registry keeps its servers, each as a child of the service's node. Its methods may be
// called from several goroutines.
type Format interface {
	// Decode reads the node of that name and content. The error says why it is no endpoint; it is ErrNotEndpoint
	// if it is not meant to be one.
	Decode(name string, content []byte) (Endpoint, error)

	// Encode returns the node for an endpoint of the service at path. What the endpoint leaves open is taken
	// from its Raw, if that is of this format, or else is the format's default. The error says what the
	// format cannot express.
	Encode(path string, e Endpoint) (Node, error)
}

// ErrNotEndpoint is the error of Format.Decode for a node that belongs to the registry and is no server.
var ErrNotEndpoint = errors.New("the node is no endpoint")

// An Endpoint is one server of a service. The zero value of each field leaves it open when it is encoded: a
// weight of 0, with which Nerve has a server get no load, is then that of Raw.
//
// Decoded endpoints are shared: what Attributes and Raw refer to must not be changed.
type Endpoint struct {
	Name       string            // of the node, without the path
	Addr       string            // "host:port"
	Weight     int               // its share of the load, beside those of others; 1 if the node has none
	Status     Status            // Up if the node has none
	Attributes map[string]string // what else the node says: properties, metadata or labels
	Raw        any               // the whole content, in a type of its format
}

// fill returns e with what it leaves open taken from base.
func (e Endpoint) fill(base Endpoint) Endpoint {
	if e.Addr == "" {
		e.Addr = base.Addr
	}
	if e.Weight == 0 {
		e.Weight = base.Weight
	}
	if e.Status == "" {
		e.Status = base.Status
	}
	if e.Attributes == nil {
		e.Attributes = base.Attributes
	}
	return e
}

// A Status says whether a server is to be used. It is in upper case, as it stands in the node, but ALIVE is Up.
type Status string

const (
	Up           Status = "UP" // the only status with which a server is to be used
	Starting     Status = "STARTING"
	Stopping     Status = "STOPPING"
	Stopped      Status = "STOPPED"
	Dead         Status = "DEAD"
	Warning      Status = "WARNING"
	OutOfService Status = "OUT_OF_SERVICE"
	Unknown      Status = "UNKNOWN" // the node lacks the status that its format demands
)

// statusOf returns the status that a node has as text; absent is that of blank text.
func statusOf(text string, absent Status) Status {
	switch s := Status(strings.ToUpper(strings.TrimSpace(text))); s {
	case "":
		return absent
	case "ALIVE":
		return Up
	default:
		return s
	}
}

// A Node is what stands for an endpoint in its registry.
type Node struct {
	Name       string // without the path
	Content    []byte
	Sequential bool // the server appends a number to Name
	Persistent bool // it outlives the session of its writer
}
