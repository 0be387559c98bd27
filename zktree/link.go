package zktree

import (
	"context"
	"errors"
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
// zk.ErrNoNode inside if the path leads nowhere, with a *LoopError if links lead in a loop, with zk.ErrNoAuth if a node
// on the way may not be read. The nodes on the way are read one by one; [Follow] has them as they were together.
func Resolve(ctx context.Context, c *zkstream.Client, path string) (string, error) {
	at, err := resolver(func(path string) (zkstream.Data, error) { return c.Get(ctx, path) }).resolve(path)
	if err != nil {
		return "", &zkstream.PathError{Op: "resolve", Path: path, Err: err}
	}
	return at, nil
}

// A resolver resolves paths by the nodes that it returns.
type resolver func(path string) (zkstream.Data, error)

// resolve returns the path of the node that path leads to, and an error if it is not there: then at is where it would be.
// Should a node come into being there, then path leads to it.
func (r resolver) resolve(path string) (at string, err error) {
	if !strings.HasPrefix(path, "/") {
		return path, zk.ErrInvalidPath
	}
	return r.walk(path, nil)
}

// walk resolves path, on the way to what is in seen.
func (r resolver) walk(path string, seen []string) (at string, err error) {
	path = pathpkg.Clean(path)
	if there, err := r.exists(path); err != nil || there {
		return path, err
	}
	switch {
	case path == "/": // there is nothing at the client's chroot
		return path, nowhere(path)
	case slices.Contains(seen, path):
		return path, &LoopError{append(slices.Clone(seen), path)}
	case len(seen) > mostLinks:
		return path, fmt.Errorf("more than %d links: %w", mostLinks, &LoopError{append(slices.Clone(seen), path)})
	}
	seen = append(seen, path)
	above, name := pathpkg.Split(path)
	if above, err = r.walk(above, seen); err != nil {
		return path, err
	}
	at = join(above, name)
	if at != path {
		if there, err := r.exists(at); err != nil || there {
			return at, err
		}
	}
	d, err := r(above)
	if err == nil {
		err = d.Err()
	}
	if err != nil {
		return at, err
	}
	v, _ := d.Properties().Get(name + linkSuffix)
	target, _ := v.(string)
	switch {
	case target == "":
		return at, nowhere(at)
	case target[0] != '/':
		target = join(above, target)
	}
	to, err := r.walk(target, seen)
	if e, ok := err.(*zkstream.PathError); ok && e.Err == zk.ErrInvalidPath { // of the target itself: nothing can be there
		return at, fmt.Errorf("the link %s leads to %q: %w", at, target, zk.ErrInvalidPath)
	}
	return to, err
}

// mostLinks is how many links and nodes above them a path may lead through. It is a defence against trees that somebody has made
// to keep readers busy.
const mostLinks = 1000

// exists reports whether there is a node at path, for which it need not be readable.
func (r resolver) exists(path string) (bool, error) {
	d, err := r(path)
	if errors.Is(err, zk.ErrNoAuth) {
		return true, nil
	}
	return d.Exists(), err
}

func nowhere(path string) error { return fmt.Errorf("there is no %s: %w", path, zk.ErrNoNode) }

// leadsNowhere reports whether the error of a resolver says that there is no node, and not that this cannot be told.
func leadsNowhere(err error) bool {
	var loop *LoopError
	return errors.Is(err, zk.ErrNoNode) || errors.Is(err, zk.ErrInvalidPath) || errors.As(err, &loop)
}
