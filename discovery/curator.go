package discovery

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Curator is the format of Apache Curator's service discovery (curator-x-discovery), for a service at
// <base path>/<service>: each node is an instance, named by its id.
//
// The attributes come from the payload: from its metadata if it is Spring's or Dubbo's, from its members if it is a
// map. The weight is the attribute "weight" (as for Spring's load balancer), if that is a whole number. The status
// is the metadata's "instance_status", as Spring has it, but [OutOfService] if the instance is not enabled. Raw is a
// [CuratorInstance].
//
// The address is the instance's with its port; with its TLS port if it has no other, or is Spring's, which does
// the same. Only fields that every version of Curator knows are written, for readers before 4.0 refuse
// others. The one exception is "enabled", which is written if it is false.
type Curator struct {
	// Payload is the Java class of the payload that is written, which the readers demand: [SpringPayload],
	// [DubboPayload] or [MapPayload]. Empty means that of the endpoint's Raw, or none: then there is no
	// place for attributes and weights.
	Payload string
}

// Classes of payloads.
const (
	SpringPayload = "org.springframework.cloud.zookeeper.discovery.ZookeeperInstance"
	DubboPayload  = "org.apache.dubbo.registry.zookeeper.ZookeeperInstance"
	MapPayload    = "java.util.HashMap"
)

// CuratorInstance is the content of an instance's node. A field that is zero is null there, but for those that say
// otherwise.
type CuratorInstance struct {
	Name             string // of the service; when encoded, the last part of its path if empty
	ID               string // when encoded, the endpoint's name, Dubbo's the address, or else a random UUID if empty
	Address          string
	Port             int
	SSLPort          int
	Payload          json.RawMessage
	RegistrationTime int64     // in milliseconds since 1970; when encoded, now if 0
	ServiceType      string    // empty means DYNAMIC; STATIC and PERMANENT are nodes that outlive their sessions
	URISpec          []URIPart // when encoded, Spring's default for Spring's if empty
	Disabled         bool      // "enabled" is there, and false
}

// URIPart is a part of the URI at which an instance serves: a text, or the name of a variable.
type URIPart struct {
	Value    string `json:"value"`
	Variable bool   `json:"variable"`
}

// springURI is "{scheme}://{address}:{port}", without which Spring cannot use an instance.
var springURI = []URIPart{{"scheme", true}, {"://", false}, {"address", true}, {":", false}, {"port", true}}

const dynamicType = "DYNAMIC"

// wireInstance has the fields in the order in which Curator writes them.
type wireInstance struct {
	Name             string          `json:"name"`
	ID               string          `json:"id"`
	Address          *string         `json:"address"`
	Port             *int            `json:"port"`
	SSLPort          *int            `json:"sslPort"`
	Payload          json.RawMessage `json:"payload"`
	RegistrationTime int64           `json:"registrationTimeUTC"`
	ServiceType      string          `json:"serviceType"`
	URISpec          *wireURI        `json:"uriSpec"`
	Enabled          *bool           `json:"enabled,omitempty"`
}

type wireURI struct {
	Parts []URIPart `json:"parts"`
}

// MarshalJSON writes an instance as Curator does.
func (i CuratorInstance) MarshalJSON() ([]byte, error) {
	w := wireInstance{
		Name: i.Name, ID: i.ID, Address: nullable(i.Address), Port: nullable(i.Port), SSLPort: nullable(i.SSLPort),
		Payload: i.Payload, RegistrationTime: i.RegistrationTime, ServiceType: i.ServiceType,
	}
	if w.ServiceType == "" {
		w.ServiceType = dynamicType
	}
	if len(i.URISpec) > 0 {
		w.URISpec = &wireURI{i.URISpec}
	}
	if i.Disabled {
		w.Enabled = new(bool)
	}
	return encode(w)
}

func nullable[T comparable](v T) *T {
	if v == *new(T) {
		return nil
	}
	return &v
}

func orZero[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// UnmarshalJSON reads an instance with whatever fields are there, as Curator does.
func (i *CuratorInstance) UnmarshalJSON(content []byte) error {
	var w wireInstance
	if err := json.Unmarshal(content, &w); err != nil {
		return err
	}
	*i = CuratorInstance{
		Name: w.Name, ID: w.ID, Address: orZero(w.Address), Port: orZero(w.Port), SSLPort: orZero(w.SSLPort),
		Payload: w.Payload, RegistrationTime: w.RegistrationTime, ServiceType: w.ServiceType,
		URISpec: orZero(w.URISpec).Parts, Disabled: w.Enabled != nil && !*w.Enabled,
	}
	if string(i.Payload) == "null" {
		i.Payload = nil
	}
	return nil
}

func (Curator) Decode(name string, content []byte) (Endpoint, error) {
	var i CuratorInstance
	if err := decode(content, &i); err != nil {
		return Endpoint{}, err
	}
	e, err := ofInstance(i)
	e.Name = name
	return e, err
}

// ofInstance returns the endpoint of an instance, but for its name. If the error is not nil only the address is missing.
func ofInstance(i CuratorInstance) (Endpoint, error) {
	p := parsePayload(i.Payload)
	addr, err := joinAddr(i.Address, *i.port(p.class))
	e := Endpoint{Addr: addr, Weight: p.weight, Status: p.status, Attributes: p.attributes, Raw: i}
	if i.Disabled {
		e.Status = OutOfService
	}
	return e, err
}

// port returns that of the ports that the address has.
func (i *CuratorInstance) port(class string) *int {
	if i.SSLPort != 0 && (i.Port == 0 || class == SpringPayload) {
		return &i.SSLPort
	}
	return &i.Port
}

func (c Curator) Encode(path string, e Endpoint) (Node, error) {
	i, _ := e.Raw.(CuratorInstance)
	old := parsePayload(i.Payload)
	base, _ := ofInstance(i)
	e = e.fill(base)
	host, port, err := splitAddr(e.Addr)
	if err != nil {
		return Node{}, err
	}
	if i.Name == "" {
		i.Name = path[strings.LastIndexByte(path, '/')+1:]
	}
	class := c.Payload
	if class == "" {
		class = old.class
	}
	if i.ID == "" {
		if i.ID = e.Name; i.ID == "" {
			if i.ID = e.Addr; class != DubboPayload {
				i.ID = randomUUID()
			}
		}
	}
	if e.Addr != base.Addr {
		i.Address, *i.port(class) = host, port
	}
	if i.RegistrationTime == 0 {
		i.RegistrationTime = time.Now().UnixMilli()
	}
	if len(i.URISpec) == 0 && class == SpringPayload {
		i.URISpec = springURI
	}
	i.Disabled = false
	if e.Status != Up && e.Status != old.status && !hasMetadata(class) {
		if e.Status != OutOfService {
			return Node{}, fmt.Errorf("the payload has no place for status %s, but for %s", e.Status, OutOfService)
		}
		i.Disabled = true
	}
	same := class == old.class && e.Weight == base.Weight && maps.Equal(e.Attributes, base.Attributes) &&
		(e.Status == old.status || i.Disabled)
	if !same || class != "" && i.Payload == nil {
		if i.Payload, err = buildPayload(class, old, i, e); err != nil {
			return Node{}, err
		}
	}
	content, err := i.MarshalJSON()
	node := Node{Name: i.ID, Content: content}
	switch i.ServiceType {
	case "DYNAMIC_SEQUENTIAL":
		node.Sequential = true
	case "STATIC", "PERMANENT":
		node.Persistent = true
	}
	if e.Name != "" && !node.Sequential {
		node.Name = e.Name
	}
	return node, err
}

// payload is what an endpoint has from the payload of an instance.
type payload struct {
	class      string // "" if it says none
	id, name   string // of Spring's and Dubbo's
	attributes map[string]string
	weight     int
	status     Status
}

const (
	classKey  = "@class"
	statusKey = "instance_status"
)

func parsePayload(raw json.RawMessage) payload {
	p := payload{weight: 1, status: Up}
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil || members == nil {
		return p // none, or a text or a list, of which there are no attributes
	}
	p.class = text(members[classKey])
	delete(members, classKey)
	var metadata map[string]json.RawMessage
	if hasMetadata(p.class) || p.class == "" {
		if json.Unmarshal(members["metadata"], &metadata) == nil && metadata != nil {
			p.id, p.name = text(members["id"]), text(members["name"])
			members = metadata
		}
	}
	p.attributes = map[string]string{}
	for name, v := range members {
		p.attributes[name] = text(v)
	}
	if metadata != nil {
		p.status = statusOf(p.attributes[statusKey], Up)
		delete(p.attributes, statusKey)
	}
	var n int
	if s, ok := p.attributes[weightKey]; ok && json.Unmarshal([]byte(s), &n) == nil && n >= 0 {
		p.weight = n
		delete(p.attributes, weightKey)
	}
	return p
}

// hasMetadata reports whether payloads of the class have metadata, and in it the status.
func hasMetadata(class string) bool { return class == SpringPayload || class == DubboPayload }

// buildPayload writes the attributes, the weight and the status.
func buildPayload(class string, old payload, i CuratorInstance, e Endpoint) (json.RawMessage, error) {
	attributes := map[string]string{}
	maps.Copy(attributes, e.Attributes)
	if e.Weight != 1 {
		attributes[weightKey] = fmt.Sprint(e.Weight)
	}
	switch class {
	case "":
		if len(attributes) > 0 {
			return nil, errors.New("an instance without a payload has no place for attributes and weights: set Curator.Payload")
		}
		return nil, nil
	case MapPayload, "java.util.LinkedHashMap", "java.util.TreeMap":
		return encodeMap(class, attributes)
	case SpringPayload, DubboPayload:
		if class == SpringPayload || e.Status != Up {
			attributes[statusKey] = string(e.Status)
		}
	default:
		return nil, fmt.Errorf("the members of a payload of the class %s are not known", class)
	}
	if old.id == "" {
		old.id = i.ID
	}
	if old.name == "" {
		old.name = i.Name
	}
	return encode(struct {
		Class    string            `json:"@class"`
		ID       string            `json:"id"`
		Name     string            `json:"name"`
		Metadata map[string]string `json:"metadata"`
	}{class, old.id, old.name, attributes})
}

// encodeMap writes a Java map. Its class comes first, as Jackson writes it.
func encodeMap(class string, members map[string]string) (json.RawMessage, error) {
	b := bytes.NewBufferString("{")
	for n, name := range slices.Insert(slices.Sorted(maps.Keys(members)), 0, classKey) {
		value := members[name]
		if n == 0 {
			value = class
		} else if name == classKey {
			return nil, fmt.Errorf("an attribute of a map cannot be named %s", classKey)
		} else {
			b.WriteByte(',')
		}
		k, err := encode(name)
		if err != nil {
			return nil, err
		}
		v, err := encode(value)
		if err != nil {
			return nil, err
		}
		b.Write(k)
		b.WriteByte(':')
		b.Write(v)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// randomUUID returns a UUID of version 4, as Java's UUID.randomUUID does.
func randomUUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
