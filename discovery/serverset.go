package discovery

import (
	"errors"
	"fmt"
	"maps"
	"strings"
)

// Serverset is the format of Twitter's server sets, which Finagle, Aurora and Prometheus read: sequence nodes
// named "member_" and a number.
//
// The attributes are Finagle's metadata. Raw is a [ServersetMember]. A member without a status is [Unknown], for
// only those that say ALIVE are to be used. Finagle's nodes named "vector_", which give weights to members, are
// [ErrNotEndpoint] and are not applied: the format itself has no weights. Members in the older encoding, which is
// binary Thrift, are an error.
type Serverset struct {
	// Endpoint is the name of the additional endpoint to use, such as "http". Empty means the service endpoint.
	// A new member's address becomes that of both.
	Endpoint string
}

// ServersetMember is the content of a member's node.
type ServersetMember struct {
	ServiceEndpoint     HostPort            `json:"serviceEndpoint"`
	AdditionalEndpoints map[string]HostPort `json:"additionalEndpoints"`
	Status              string              `json:"status"`
	Shard               *int                `json:"shard,omitempty"`
	MemberID            *int                `json:"member_id,omitempty"` // of Python's library
	Metadata            map[string]string   `json:"metadata,omitempty"`  // of Finagle
}

// HostPort is an address in a [ServersetMember]. Inet and Inet6 are IP addresses of the host, if it has been resolved.
type HostPort struct {
	Host  string `json:"host"`
	Port  int    `json:"port"`
	Inet  string `json:"inet,omitempty"`
	Inet6 string `json:"inet6,omitempty"`
}

func (f Serverset) Decode(name string, content []byte) (Endpoint, error) {
	if strings.HasPrefix(name, "vector_") {
		return Endpoint{}, ErrNotEndpoint
	}
	var m ServersetMember
	if err := decode(content, &m); err != nil {
		return Endpoint{}, err
	}
	e, err := f.ofMember(m)
	e.Name = name
	return e, err
}

// ofMember returns the endpoint of a member, but for its name. If the error is not nil only the address is missing.
func (f Serverset) ofMember(m ServersetMember) (e Endpoint, err error) {
	e = Endpoint{Weight: 1, Status: statusOf(m.Status, Unknown), Attributes: m.Metadata, Raw: m}
	at := m.ServiceEndpoint
	if f.Endpoint != "" {
		var ok bool
		if at, ok = m.AdditionalEndpoints[f.Endpoint]; !ok {
			return e, fmt.Errorf("the member has no additional endpoint %q", f.Endpoint)
		}
	}
	e.Addr, err = joinAddr(at.Host, at.Port)
	return e, err
}

func (f Serverset) Encode(_ string, e Endpoint) (Node, error) {
	m, _ := e.Raw.(ServersetMember)
	base, _ := f.ofMember(m)
	if m.Status == "" {
		base.Status = Up // of a new member
	}
	e = e.fill(base)
	host, port, err := splitAddr(e.Addr)
	if err != nil {
		return Node{}, err
	}
	if e.Weight != 1 {
		return Node{}, errors.New("the format has no weights")
	}
	additional := map[string]HostPort{} // not nil: it is written also where it is empty
	maps.Copy(additional, m.AdditionalEndpoints)
	m.AdditionalEndpoints = additional
	if e.Addr != base.Addr {
		at := HostPort{Host: host, Port: port}
		if f.Endpoint != "" {
			additional[f.Endpoint] = at
		}
		if f.Endpoint == "" || m.ServiceEndpoint == (HostPort{}) {
			m.ServiceEndpoint = at
		}
	}
	switch e.Status {
	case statusOf(m.Status, Unknown): // as it stands
	case Up:
		m.Status = "ALIVE"
	case Dead, Starting, Stopping, Stopped, Warning:
		m.Status = string(e.Status)
	default:
		return Node{}, fmt.Errorf("the format has no status %s", e.Status)
	}
	m.Metadata = e.Attributes
	content, err := encode(m)
	return Node{Name: "member_", Content: content, Sequential: true}, err
}
