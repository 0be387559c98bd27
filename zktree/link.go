package zktree

import (
	"context"
	"fmt"
	pathpkg "path"
	"slices"
	"strings"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
)

// linkSuffix ends the names of properties that are links.
const linkSuffix = " ->"

// Link makes source a link to target: it sets a property of the node above source. To a target that ends with "/" the last
// name of source is added. The target need not exist, and may be relative to the node above source. A child
// of that name would hide the link: see Resolve. The error is zk.ErrNoNode if the node above source does not exist.
func Link(ctx context.Context, c *zkstream.Client, target, source string) error {
	parent, name := pathpkg.Split(source)
	if strings.HasSuffix(target, "/") {
		target += name
	}
	if name == "" || !strings.HasPrefix(source, "/") {
		return fmt.Errorf("zktree: link %q: %w", source, zk.ErrInvalidPath)
	}
	if target == "" || strings.ContainsAny(target+name, " \t\r\n\v\f") {
		return fmt.Errorf("zktree: link %q to %q: a tree text could not say it: %w", source, target, zk.ErrInvalidPath)
	}
	return c.UpdateProperties(ctx, pathpkg.Clean(parent), map[string]any{name + linkSuffix: target})
}

// A LoopError is a link that leads back to itself.
type LoopError struct {
	Paths []string // in the order in which links led from one to the next; the last one is among those before
}

func (e *LoopError) Error() string {
	return "zktree: links in a loop: " + strings.Join(e.Paths, " -> ")
}

// Resolve returns the path of the node that path leads to. That is path itself, without "." and "..", if there is such a
// node. Otherwise the node above is resolved; if it has no child of the last name, but a link of that name, the link's target is
// resolved, relative to that node. So a child hides a link of its name. The error is a *zkstream.PathError: with
// zk.ErrNoNode inside if the path leads nowhere, with a *LoopError if links lead in a loop.
func Resolve(ctx context.Context, c *zkstream.Client, path string) (string, error) {
	r := resolver{ctx, c}
	resolved, err := r.resolve(path, nil)
	if err != nil {
		return "", &zkstream.PathError{Op: "resolve", Path: path, Err: err}
	}
	return resolved, nil
}

type resolver struct {
	ctx    context.Context
	client *zkstream.Client
}

// resolve resolves path, on the way to what is in seen.
func (r resolver) resolve(path string, seen []string) (string, error) {
	path = pathpkg.Clean("/" + path)
	d, err := r.client.Get(r.ctx, path)
	if err != nil || d.Exists() {
		return path, err
	}
	if path == "/" {
		return "", nowhere(path)
	}
	if slices.Contains(seen, path) {
		return "", &LoopError{append(slices.Clone(seen), path)}
	}
	seen = append(slices.Clone(seen), path)
	above, name := pathpkg.Split(path)
	if above, err = r.resolve(above, seen); err != nil {
		return "", err
	}
	at := join(above, name)
	if at != path {
		if d, err := r.client.Get(r.ctx, at); err != nil || d.Exists() {
			return at, err
		}
	}
	if d, err = r.client.Get(r.ctx, above); err != nil {
		return "", err
	}
	v, _ := d.Properties().Get(name + linkSuffix)
	target, _ := v.(string)
	switch {
	case target == "":
		return "", nowhere(at)
	case target[0] != '/':
		target = join(above, target)
	}
	return r.resolve(target, seen)
}

func nowhere(path string) error { return fmt.Errorf("there is no %s: %w", path, zk.ErrNoNode) }
