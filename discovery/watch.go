package discovery

import (
	"context"
	"slices"

	"github.com/zkstream/zkstream"
)

// Watch streams the endpoints of the service at path: all of them as soon as they have been read, then again after
// each that comes, goes or changes. It promises what Client.Instances does, whose snapshots it decodes, and ends as
// that does.
//
// A node that cannot be decoded or read hides no other: Endpoints.Errors has its error. Endpoints that are not [Up]
// are there, too.
func Watch(ctx context.Context, c *zkstream.Client, path string, f Format) *zkstream.Stream[Endpoints] {
	if f == nil {
		ended, cancel := context.WithCancelCause(context.Background())
		cancel(errNoFormat)
		ctx = ended
	}
	var last zkstream.Instances
	var nodes []decoded // of last
	return zkstream.Map(c.Instances(ctx, path), func(now zkstream.Instances) Endpoints {
		nodes = decodeNodes(f, now, last, nodes)
		last = now
		return Endpoints{path: path, exists: now.Exists(), nodes: nodes}
	})
}

// decodeNodes decodes the nodes of now that are not as they were in last, and takes the others from nodes.
func decodeNodes(f Format, now, last zkstream.Instances, nodes []decoded) []decoded {
	unchanged := make(map[string]decoded, len(nodes))
	for _, n := range nodes {
		unchanged[n.endpoint.Name] = n
	}
	added, changed, _ := now.Diff(last)
	for _, name := range slices.Concat(added, changed) {
		delete(unchanged, name)
	}
	next := make([]decoded, 0, now.Len())
	for name, p := range now.All() {
		n, ok := unchanged[name]
		if !ok {
			n = decodeNode(f, name, p)
		}
		next = append(next, n)
	}
	return next
}

func decodeNode(f Format, name string, p zkstream.Properties) decoded {
	err := p.Err()
	if err == nil {
		var e Endpoint
		if e, err = f.Decode(name, p.Bytes()); err == nil {
			e.Name = name // by which it is found, whatever the format says
			return decoded{endpoint: e}
		}
	}
	return decoded{Endpoint{Name: name}, &zkstream.PathError{Op: "decode", Path: p.Path(), Err: err}}
}
