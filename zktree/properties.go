package zktree

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	pathpkg "path"
	"slices"
	"strings"

	"github.com/zkstream/zkstream"
)

// propertyLinkSuffix ends the names of properties that are links to other properties.
const propertyLinkSuffix = " =>"

// Properties is Client.Properties of the node that path leads to. It follows the path as [Children] does, and also the links
// between properties: where the node has a property "threads =>" whose value is "/other count", and no
// property "threads", the snapshot has a property "threads" with the value that the property "count" of /other has. Without a
// name in the link's value the names are the same. The link itself is a property, too. When the value at the
// other end changes, or leads elsewhere, the next snapshot has that.
//
// The path in a link is resolved like others; a relative one begins at path as it was given. What it leads to may be a
// link again, whose path begins at the node that has it. A property whose link leads nowhere, or in a loop, or to
// a node that may not be read, is missing. The Err of such a snapshot says why, so [zkstream.Decode] keeps what it had; the other
// properties are there.
func Properties(ctx context.Context, c *zkstream.Client, path string) *zkstream.Stream[zkstream.Properties] {
	return compute(ctx, c, "properties", path, sameProperties, func(v *view) (zkstream.Properties, error) {
		d, err := data(v, path)
		if err != nil {
			return zkstream.Properties{}, err
		}
		return v.linked(path, d.Properties())
	})
}

func sameProperties(a, b zkstream.Properties) bool {
	return sameData(zkstream.Data(a), zkstream.Data(b)) && a.String() == b.String() && fmt.Sprint(a.Err()) == fmt.Sprint(b.Err())
}

// linked returns the properties p of the node that path leads to with the values that their links lead to.
func (v *view) linked(path string, p zkstream.Properties) (zkstream.Properties, error) {
	values := map[string]json.RawMessage{}
	var broken []error
	for _, key := range p.Keys() {
		name, isLink := strings.CutSuffix(key, propertyLinkSuffix)
		if _, hidden := p.Get(name); !isLink || hidden {
			continue
		}
		value, err := v.property(path, p, name, nil)
		if err != nil {
			broken = append(broken, fmt.Errorf("property link %q: %w", name, err))
			continue
		}
		values[name] = value
	}
	if len(values) == 0 && len(broken) == 0 {
		return p, nil
	}
	return p.With(values, errors.Join(broken...))
}

// A PropertyLoopError is a link between properties that leads back to itself.
type PropertyLoopError struct {
	Links []string // each a path and a name, in order; the last one is among those before
}

func (e *PropertyLoopError) Error() string {
	return "zktree: property links in a loop: " + strings.Join(e.Links, " => ")
}

// property returns the property of that name of a node, as JSON; base is where its relative links begin.
func (v *view) property(base string, p zkstream.Properties, name string, seen []string) (json.RawMessage, error) {
	if value, err := zkstream.Value[json.RawMessage](p, name); err == nil {
		return value, nil
	}
	key := name + propertyLinkSuffix
	link, isLink := p.Get(key)
	if !isLink {
		return nil, fmt.Errorf("%s has no property %q", p.Path(), name)
	}
	this := p.Path() + " " + name
	if seen = append(seen, this); slices.Contains(seen[:len(seen)-1], this) {
		return nil, &PropertyLoopError{slices.Clone(seen)}
	}
	text, _ := link.(string)
	fields := strings.Fields(text)
	if len(fields) < 1 || len(fields) > 2 {
		return nil, fmt.Errorf("%s has a link %q that is not a path and a name: %v", p.Path(), key, link)
	}
	if len(fields) == 2 {
		name = fields[1]
	}
	to := fields[0]
	if !strings.HasPrefix(to, "/") {
		to = join(pathpkg.Clean(base), to)
	}
	at, reason, err := v.resolve(to)
	if err = errors.Join(reason, err); err != nil {
		return nil, err
	}
	d, err := v.node(at)
	if err == nil {
		err = d.Err()
	}
	if err != nil {
		return nil, err
	}
	return v.property(at, d.Properties(), name, seen)
}
