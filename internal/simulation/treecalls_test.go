package simulation

import (
	"context"
	"fmt"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
)

// Calls on the nodes of the tree.

// refusals are what a server may answer to a call on a node of the tree that is otherwise well.
var refusals = []error{
	zk.ErrNoNode, zk.ErrNodeExists, zk.ErrNotEmpty, zk.ErrBadVersion, zk.ErrNoAuth, zk.ErrNoChildrenForEphemerals, zkstream.ErrUnimplemented,
}

// callTree has a client change the tree.
func (s *simulation) callTree() {
	c := s.client()
	if c == nil {
		return
	}
	path := s.treePath()
	content := func(n int) []byte { return fmt.Appendf(nil, `{"n": %d}`, n) }
	create := func(what, path string, opts ...zkstream.CreateOption) {
		s.write(c, "CreateNode, "+what+",", path, func(ctx context.Context, n int) error {
			made, err := c.client.CreateNode(ctx, c.path(path), content(n), opts...)
			if err == nil && !(&write{path: path}).isOf(c.absolute(made)) {
				s.breach(promiseWrites, "%v: CreateNode of %s returns %s", c, path, made)
			}
			return err
		}, refusals...)
	}
	switch s.rng.IntN(12) {
	case 0:
		create("lasting", path)
	case 1:
		create("with its parents", path, zkstream.Parents())
	case 2:
		create("ephemeral", path+"/e", zkstream.Ephemeral())
	case 3:
		create("sequential", path+"/q-", zkstream.Sequential())
	case 4:
		create("ephemeral and sequential", path+"/q-", zkstream.Sequential(), zkstream.Ephemeral())
	case 5:
		create("with a list of its own", path, zkstream.NodeACL(zk.WorldACL(zk.PermAll)))
	case 6:
		if s.chance(2) {
			create("a container", path+"/c", zkstream.Container())
		} else {
			create("with a time to live", path+"/ttl", zkstream.TTL(time.Hour))
		}
	case 7, 8:
		version := zkstream.AnyVersion
		if s.chance(2) {
			version = int32(s.rng.IntN(3))
		}
		s.writeTree(c, path, version)
	case 9:
		s.counted(c, "DeleteNode", path, func(ctx context.Context) error {
			return c.client.DeleteNode(ctx, c.path(path), zkstream.AnyVersion)
		}, refusals...)
	case 10:
		s.write(c, "Multi", path, func(ctx context.Context, n int) error {
			all, err := c.client.Multi(ctx,
				&zk.CheckVersionRequest{Path: c.path(simTree), Version: -1},
				&zk.CreateRequest{Path: c.path(path), Data: content(n), Acl: zk.WorldACL(zk.PermAll)},
				&zk.CreateRequest{Path: c.path(path) + "/m", Acl: zk.WorldACL(zk.PermAll)})
			if err == nil && (len(all) != 3 || all[1].String != c.path(path)) {
				s.breach(promiseWrites, "%v: Multi of %s returns %+v", c, path, all)
			}
			return err
		}, refusals...)
	default:
		ctx := s.context()
		s.call(c, "SetACL of "+path, ctx, func(ctx context.Context) error {
			return c.client.SetACL(ctx, c.path(path), zk.WorldACL(zk.PermAll), zkstream.AnyVersion)
		}, nil, refusals...)
	}
}

// writeTree has a client write into a node of the tree.
func (s *simulation) writeTree(c *simClient, path string, version int32) {
	s.write(c, fmt.Sprintf("Write of version %d", version), path, func(ctx context.Context, n int) error {
		stat, err := c.client.Write(ctx, c.path(path), fmt.Appendf(nil, `{"n": %d}`, n), version)
		if err == nil {
			s.know(c, path, kindData, stat)
		}
		return err
	}, refusals...)
}

// readTree has a client read the tree.
func (s *simulation) readTree() {
	if c := s.client(); c != nil {
		s.readNode(c, s.treePath())
	}
}

func (s *simulation) readNode(c *simClient, path string) {
	ctx := s.context()
	switch s.rng.IntN(6) {
	case 0:
		s.call(c, "ACL of "+path, ctx, func(ctx context.Context) error {
			since := s.knows(c, path)
			acl, stat, err := c.client.ACL(ctx, c.path(path))
			if err == nil && len(acl) == 0 {
				s.breach("a call returns what the server has", "%v: the list of %s is empty", c, path)
			}
			if err == nil {
				s.checkRead(c, "ACL", path, kindData, since, true, stat)
			}
			return err
		}, nil, refusals...)
	case 1:
		s.call(c, "Sync of "+path, ctx, func(ctx context.Context) error { return c.client.Sync(ctx, c.path(path)) }, nil)
	case 2, 3:
		s.call(c, "List of "+path, ctx, func(ctx context.Context) error {
			since := s.knows(c, path)
			all, err := c.client.List(ctx, c.path(path))
			if err == nil {
				s.checkRead(c, "List", path, kindChildren, since, all.Exists(), all.Stat())
			}
			return err
		}, nil, refusals...)
	default:
		s.call(c, "Get of "+path, ctx, func(ctx context.Context) error {
			since := s.knows(c, path)
			d, err := c.client.Get(ctx, c.path(path))
			if err == nil {
				s.checkRead(c, "Get", path, kindData, since, d.Exists(), d.Stat())
			}
			return err
		}, nil, refusals...)
	}
}

// version is what a client knows of a node, from its own calls: zxids.
type version struct{ created, content, children int64 }

// know notes what a client has been told of a node.
func (s *simulation) know(c *simClient, path string, k kind, stat zk.Stat) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := c.known[path]
	v.created = max(v.created, stat.Czxid)
	if k == kindData {
		v.content = max(v.content, stat.Mzxid)
	} else {
		v.children = max(v.children, stat.Pzxid)
	}
	c.known[path] = v
}

func (s *simulation) knows(c *simClient, path string) version {
	s.mu.Lock()
	defer s.mu.Unlock()
	return c.known[path]
}

// checkRead: what a call reads is at least as new as what the client knew when it began.
func (s *simulation) checkRead(c *simClient, op, path string, k kind, since version, exists bool, stat zk.Stat) {
	const promise = "a call never shows less than its client knew of"
	if s.wiped() > 0 {
		return
	}
	switch {
	case !exists && since.created > 0 && !s.past.Vanished(path, max(since.created, since.content, since.children)):
		s.breach(promise, "%v: %s of %s shows no node after %+v", c, op, path, since)
	case !exists:
	case stat.Czxid < since.created, k == kindData && stat.Mzxid < since.content, k == kindChildren && stat.Pzxid < since.children:
		s.breach(promise, "%v: %s of %s shows %+v after %+v", c, op, path, stat, since)
	default:
		s.know(c, path, k, stat)
	}
}

// absolute returns a path that the client names as the server has it.
func (c *simClient) absolute(path string) string {
	if path == "/" {
		return c.chroot
	}
	return c.chroot + path
}
