package discovery

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"

	"github.com/zkstream/zkstream/zktext"
)

// ZC is the format of zc.zk and of zkstream's Client.Register: the node's name is the address, its content is
// properties.
//
// The attributes are the properties, those that are no strings as JSON. The weight is the property "weight", if
// that is a whole number. Raw is a map[string]any as zktext.Properties gives it, with the types of the
// values; an attribute that is changed becomes a string. "pid" is written if it is not among the properties.
type ZC struct{}

const (
	weightKey = "weight"
	pidKey    = "pid"
)

func (ZC) Decode(name string, content []byte) (Endpoint, error) {
	if _, _, err := splitAddr(name); err != nil {
		return Endpoint{}, err
	}
	properties := zktext.Properties(content)
	e := ofProperties(properties)
	e.Name, e.Addr = name, name
	return e, nil
}

func ofProperties(properties map[string]any) Endpoint {
	e := Endpoint{Weight: 1, Status: Up, Attributes: map[string]string{}, Raw: properties}
	for name, v := range properties {
		if n, ok := v.(int64); ok && name == weightKey && n >= 0 && int64(int(n)) == n {
			e.Weight = int(n)
			continue
		}
		e.Attributes[name] = propertyText(v)
	}
	return e
}

// propertyText returns a property as an attribute.
func propertyText(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	if b, err := json.Marshal(v); err == nil {
		return string(b)
	}
	switch f, _ := v.(float64); { // a number that only Python's JSON has
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return fmt.Sprint(v)
}

func (ZC) Encode(_ string, e Endpoint) (Node, error) {
	raw, _ := e.Raw.(map[string]any)
	base := ofProperties(raw)
	if e = e.fill(base); e.Addr == "" {
		e.Addr = e.Name
	}
	if _, _, err := splitAddr(e.Addr); err != nil {
		return Node{}, err
	}
	if err := onlyUp(e); err != nil {
		return Node{}, err
	}
	properties := map[string]any{pidKey: int64(os.Getpid())}
	maps.Copy(properties, raw)
	for name := range base.Attributes {
		if _, ok := e.Attributes[name]; !ok {
			delete(properties, name)
		}
	}
	for name, v := range e.Attributes {
		if old, ok := base.Attributes[name]; !ok || old != v {
			properties[name] = v
		}
	}
	if e.Weight != base.Weight {
		properties[weightKey] = int64(e.Weight)
	}
	node := zktext.Node{Properties: properties}
	content, err := node.Content()
	return Node{Name: e.Addr, Content: content}, err
}
