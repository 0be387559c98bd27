package discovery

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Nerve is the format of Airbnb's Nerve, which Synapse and Prometheus read: sequence nodes named for the instance.
//
// The attributes are the labels. Raw is a [NerveMember]. Nodes of either kind are decoded, whether PathEncoding is
// set or not.
type Nerve struct {
	// PathEncoding writes the content into the node's name as well, for readers that then need only the names
	// (Nerve's use_path_encoding).
	PathEncoding bool
}

// NerveMember is the content of a node of Nerve's.
type NerveMember struct {
	Host           string            `json:"host"`
	Port           int               `json:"port"`
	Name           string            `json:"name"` // of the instance
	Weight         *int              `json:"weight,omitempty"`
	HAProxyOptions string            `json:"haproxy_server_options,omitempty"`
	Labels         map[string]string `json:"labels,omitempty"`
}

// UnmarshalJSON takes the port also as a string, for Nerve writes it as its configuration has it.
func (m *NerveMember) UnmarshalJSON(content []byte) error {
	type plain NerveMember
	wire := struct {
		*plain
		Port json.RawMessage `json:"port"`
	}{plain: (*plain)(m)}
	if err := json.Unmarshal(content, &wire); err != nil {
		return err
	}
	if len(wire.Port) == 0 {
		return nil
	}
	port, err := strconv.Atoi(text(wire.Port))
	if err != nil {
		return fmt.Errorf("port %s is not a number", wire.Port)
	}
	m.Port = port
	return nil
}

func (Nerve) Decode(name string, content []byte) (Endpoint, error) {
	var m NerveMember
	if encoded, ok := pathEncoded(name); !ok || decode(encoded, &m) != nil {
		m = NerveMember{}
		if err := decode(content, &m); err != nil {
			return Endpoint{}, err
		}
	}
	e, err := ofNerveMember(m)
	e.Name = name
	return e, err
}

const pathPrefix = "base64_"

// pathEncoded returns the content that is in the name of a node, "base64_", its length, "_", itself, and "_" before
// the number.
func pathEncoded(name string) ([]byte, bool) {
	rest, ok := strings.CutPrefix(name, pathPrefix)
	if !ok {
		return nil, false
	}
	length, rest, _ := strings.Cut(rest, "_")
	n, err := strconv.ParseUint(length, 10, 31)
	if err != nil || int(n) > len(rest) {
		return nil, false
	}
	content, err := base64.URLEncoding.DecodeString(rest[:n])
	return content, err == nil
}

// ofNerveMember returns the endpoint of a member, but for its name. If the error is not nil only the address is missing.
func ofNerveMember(m NerveMember) (e Endpoint, err error) {
	e = Endpoint{Weight: 1, Status: Up, Attributes: m.Labels, Raw: m}
	if m.Weight != nil {
		if e.Weight = *m.Weight; e.Weight < 0 {
			return e, fmt.Errorf("weight %d is below 0", e.Weight)
		}
	}
	e.Addr, err = joinAddr(m.Host, m.Port)
	return e, err
}

func (f Nerve) Encode(_ string, e Endpoint) (Node, error) {
	m, _ := e.Raw.(NerveMember)
	base, _ := ofNerveMember(m)
	e = e.fill(base)
	host, port, err := splitAddr(e.Addr)
	if err != nil {
		return Node{}, err
	}
	if err := onlyUp(e); err != nil {
		return Node{}, err
	}
	if e.Weight < 0 {
		return Node{}, fmt.Errorf("weight %d is below 0", e.Weight)
	}
	if e.Addr != base.Addr {
		m.Host, m.Port = host, port
	}
	if m.Name == "" {
		if m.Name = e.Name; m.Name == "" {
			m.Name = e.Addr
		}
	}
	if e.Weight != base.Weight {
		m.Weight = &e.Weight
	}
	m.Labels = e.Attributes
	content, err := encode(m)
	if err != nil {
		return Node{}, err
	}
	node := Node{Name: m.Name + "_", Content: content, Sequential: true}
	if f.PathEncoding {
		encoded := base64.URLEncoding.EncodeToString(content)
		node.Name = fmt.Sprintf("%s%d_%s_", pathPrefix, len(encoded), encoded)
	} else if strings.Contains(m.Name, "/") {
		return Node{}, errors.New("the instance's name has a slash")
	}
	return node, nil
}
