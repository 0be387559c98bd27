package zkstream

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/content"
	"github.com/zkstream/zkstream/internal/watching"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// Properties is a snapshot of a znode's content as a mapping. Content that is a JSON object is that
// mapping; blank content is the empty one; anything else is a mapping of "string_value" to the content
// as text. As in the JSON of Python, NaN, Infinity and -Infinity are numbers, which Get and Value give as
// float64. White space before and after an object is JSON's: blank, tab, newline, carriage return.
//
// zc.zk keeps links in properties, of names that end with "->" or "=>". Here they are properties like others, and no path
// is resolved by them; package zktree follows them.
//
// Properties is immutable, and a value that may be copied; its JSON is decoded once, when it
// is first looked at, whatever the number of streams. The zero value is a node that does not exist.
type Properties struct{ n *watching.Node }

func (p Properties) decoded() *content.Properties { return p.n.Properties() }

// Path returns the path of the node.
func (p Properties) Path() string { return p.n.Path() }

// Exists reports whether the node existed.
func (p Properties) Exists() bool { return p.n.Exists() }

// Stat returns the node's metadata as it was when the content was read; zero if there was no node.
func (p Properties) Stat() zk.Stat { return p.n.Stat() }

// Err returns why the content could not be read: [zk.ErrNoAuth] for one of [Instances] that may not be read; or the error
// that [Properties.With] was given. It is nil for every other snapshot.
func (p Properties) Err() error { return p.n.Err() }

// Bytes returns the content as it stands. The slice is the caller's.
func (p Properties) Bytes() []byte { return p.n.Bytes() }

// String returns the content as it stands.
func (p Properties) String() string { return p.n.Data() }

// Len returns the number of properties.
func (p Properties) Len() int { return len(p.Keys()) }

// Keys returns the names of the properties, sorted. The slice is the caller's.
func (p Properties) Keys() []string { return p.decoded().Keys() }

// All ranges over the properties, sorted by name, with values as from Get.
func (p Properties) All() iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		for _, key := range p.Keys() {
			v, _ := p.Get(key)
			if !yield(key, v) {
				return
			}
		}
	}
}

// Get returns a property, and whether there is one of that name. Its value is a string, bool, int64,
// float64, nil, []any or map[string]any, and the caller's to change. A whole number that does not fit
// into an int64 is a float64; Value and Decode give exact ones.
func (p Properties) Get(key string) (any, bool) { return p.decoded().Get(key) }

// Decode decodes the content into dst, a pointer to a struct or map, as encoding/json would. Blank
// content is an empty object. The error is a [*PathError]: [zk.ErrNoNode] if there was no node, that of Err if it may not
// be read, and encoding/json's for content that does not fit.
func (p Properties) Decode(dst any) error {
	data := p.Bytes()
	if !p.Exists() {
		return &PathError{Op: "decode", Path: p.Path(), Err: zk.ErrNoNode}
	}
	if err := p.Err(); err != nil {
		return &PathError{Op: "decode", Path: p.Path(), Err: err}
	}
	if len(bytes.TrimSpace(data)) == 0 {
		data = []byte("{}")
	}
	if err := json.Unmarshal(data, dst); err != nil {
		return &PathError{Op: "decode", Path: p.Path(), Err: err}
	}
	return nil
}

// With returns a snapshot of the same node in which properties have the given values, JSON texts, in the place of those that
// stand in its content; and in which Err is err. Nothing is written. It is for values that are somewhere else, as those of
// links between properties are. The error says which value is not JSON, or why the content cannot have properties.
func (p Properties) With(values map[string]json.RawMessage, err error) (Properties, error) {
	data, failed := content.MergeRaw(p.n.Bytes(), values)
	if failed != nil {
		return Properties{}, &PathError{Op: "with", Path: p.Path(), Err: failed}
	}
	return Properties{p.n.With(data, err)}, nil
}

// Value returns a property as a T, as encoding/json would decode it; as a [json.RawMessage] it is as it stands. The error is a
// [*PathError] that names the property if there is none of that name, or if its value is no T.
func Value[T any](p Properties, key string) (T, error) {
	var v T
	if err := p.decoded().Decode(key, &v); err != nil {
		var zero T
		if why := p.Err(); why != nil {
			err = fmt.Errorf("%w: %w", err, why)
		}
		return zero, &PathError{Op: "value", Path: p.Path(), Err: fmt.Errorf("property %q: %w", key, err)}
	}
	return v, nil
}

// A PropertyStream is a stream of Properties that can also change them.
type PropertyStream struct {
	*Stream[Properties]
	client *Client
	path   string
}

// Properties streams the content of path as a mapping: the present one at once, then again after each
// change, those by Update and Set included. A path without a node is a snapshot whose Exists is false.
// The stream ends with a [*PathError] if path is not valid or may not be read.
func (c *Client) Properties(ctx context.Context, path string) *PropertyStream {
	s := subscribe(ctx, c, zkconn.Data, path, func(n *watching.Node) Properties { return Properties{n} })
	return &PropertyStream{s, c, path}
}

// Update is [Client.UpdateProperties] on the stream's node.
func (s *PropertyStream) Update(ctx context.Context, props map[string]any) error {
	return s.client.UpdateProperties(ctx, s.path, props)
}

// Set is [Client.SetProperties] on the stream's node.
func (s *PropertyStream) Set(ctx context.Context, props map[string]any) error {
	return s.client.SetProperties(ctx, s.path, props)
}

// Decoded is a snapshot of a znode's content as a T.
type Decoded[T any] struct {
	Value  T       // the zero value if there is no node; the last good one if Err is not nil
	Exists bool    // whether there was a node
	Err    error   // why the content is no T, a *PathError
	Stat   zk.Stat // the node's metadata
}

// Decode returns a stream of the snapshots of s, each decoded as by [Properties.Decode] into a new T. s is what
// [Client.Properties] returns, or any stream of Properties. Bad content does not end the stream: that snapshot
// has Err, and the last good Value, decoded anew. Decode owns s, as [Map] does.
func Decode[T any, S *PropertyStream | *Stream[Properties]](s S) *Stream[Decoded[T]] {
	source, ok := any(s).(*Stream[Properties])
	if !ok {
		source = any(s).(*PropertyStream).Stream
	}
	var good *Properties // the last one that is a T
	return Map(source, func(p Properties) Decoded[T] {
		d := Decoded[T]{Exists: p.Exists(), Stat: p.Stat()}
		if !d.Exists {
			return d
		}
		if d.Err = p.Decode(&d.Value); d.Err == nil {
			good = &p
			return d
		}
		var last T // what has been delivered is the consumer's, who may have changed it
		if good != nil {
			good.Decode(&last)
		}
		d.Value = last
		return d
	})
}

// SetProperties replaces all properties of the node at path; nil means none. Its content is then JSON,
// or the plain text if the only property is a string named "string_value". It returns when the server
// has answered or ctx ends, and meanwhile retries through lost connections. The error is a [*PathError]:
// [zk.ErrNoNode], for example. [ErrUnknown] is in it if the connection was lost, and somebody else has changed the node
// since.
func (c *Client) SetProperties(ctx context.Context, path string, props map[string]any) error {
	data, err := content.Encode(props)
	if err != nil {
		return &PathError{Op: "set", Path: path, Err: err}
	}
	_, err = c.change(ctx, "set", path, &zk.SetDataRequest{Path: c.chroot.Absolute(path), Data: data, Version: AnyVersion})
	return err
}

// UpdateProperties sets the named properties of the node at path and leaves all others as they are,
// byte by byte; nil sets null. Updates from anywhere at the same time lose nothing: each is based on the
// content that it replaces. It returns when the server has answered or ctx ends, and meanwhile retries
// through lost connections and conflicts. The error is a [*PathError]: [zk.ErrNoNode], for example. [ErrUnknown] is in it
// if the connection was lost, and others have changed the same properties since.
//
// Content that is not UTF-8, and content that begins with "{" and is not JSON, is refused: nothing is written. Any other
// text becomes the property "string_value".
//
// ZooKeeper compares only a version, which begins anew when a node is deleted and created again. So there is one gap, as
// long as a round trip: if between the read and the write of an update somebody deletes the node, makes it again and changes
// it as often as it had been changed before, the update overwrites that. It then returns an error that says so.
func (c *Client) UpdateProperties(ctx context.Context, path string, props map[string]any) error {
	err := c.check(path)
	if err == nil {
		_, err = content.Encode(props)
	}
	return c.call(ctx, "update", path, err, func() error {
		return c.calls.Update(ctx, c.chroot.Absolute(path), func(old []byte) ([]byte, error) {
			return content.Merge(old, props)
		})
	})
}
