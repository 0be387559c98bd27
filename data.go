package zkstream

import (
	"context"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/watching"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// Data is a snapshot of the content of a znode, as raw bytes. It is immutable, and a value that may be
// copied. The zero value is a node that does not exist.
type Data struct{ n *watching.Node }

// Data streams the content of path: the present one at once, then again after each change. A path
// without a node is a snapshot whose Exists is false. The stream ends with a [*PathError] if path is not
// valid or may not be read.
func (c *Client) Data(ctx context.Context, path string) *Stream[Data] {
	return subscribe(ctx, c, zkconn.Data, path, func(n *watching.Node) Data { return Data{n} })
}

// Path returns the path of the node.
func (d Data) Path() string { return d.n.Path() }

// Exists reports whether the node existed.
func (d Data) Exists() bool { return d.n.Exists() }

// Bytes returns the content. The slice is the caller's.
func (d Data) Bytes() []byte { return d.n.Bytes() }

// String returns the content as a string.
func (d Data) String() string { return d.n.Data() }

// Stat returns the node's metadata as it was when the content was read; zero if there was no node.
func (d Data) Stat() zk.Stat { return d.n.Stat() }

// Properties returns the snapshot as a mapping.
func (d Data) Properties() Properties { return Properties(d) }

// Err returns why the content could not be read: [zk.ErrNoAuth] for a node in a Tree that may not be read. It is nil for every
// other snapshot.
func (d Data) Err() error { return d.n.Err() }
