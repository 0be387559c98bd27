package calls

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// Create carries out a change that creates one node, and returns the node's path. With parents it also creates the nodes
// above that are missing. An ephemeral node that a lost request may have made is found again.
func (c *Caller) Create(ctx context.Context, change *zkconn.Change, parents bool) (path string, err error) {
	op := change.Operations()[0]
	w := &write{caller: c, path: zkconn.PathOf(op)}
	request, ok := op.(*zk.CreateRequest)
	sequential := ok && request.Flags == zk.FlagEphemeralSequential
	var nodes *ephemerals // nil unless the node is looked for among those of the session
	if sequential || ok && request.Flags == zk.FlagEphemeral {
		nodes = c.ephemerals
		defer nodes.enter()()
	}
	var made string
	create := func(ctx context.Context) error {
		end, err := nodes.hold(ctx, 1)
		if err != nil {
			return err
		}
		defer end()
		r, err := w.try(ctx, change)
		if made = r.Path; err == nil {
			nodes.take(made)
		}
		return err
	}
	w.send = func(ctx context.Context) error {
		if err := w.first(ctx, change); err != nil {
			return err
		}
		err := create(ctx)
		if !parents || !errors.Is(err, zk.ErrNoNode) {
			return err
		}
		if err := c.MakeParents(ctx, w.path); err != nil {
			return err
		}
		return create(ctx)
	}
	w.look = func(ctx context.Context) (f fate, err error) {
		end, err := nodes.hold(ctx, wholeGate)
		if err != nil {
			return unknown, err
		}
		defer end()
		if sequential {
			made, f, err = w.findSequential(ctx, request)
			return f, err
		}
		made = w.path
		if f, _, err = w.fateOf(ctx, op); f == done && !nodes.take(made) {
			f = unknown
		}
		return f, err
	}
	if err := w.run(ctx); err != nil {
		return "", err
	}
	return made, nil
}

// MakeParents creates the nodes above path that are missing, from the top. Call it in a function that Do or Run of the
// connection calls.
func (c *Caller) MakeParents(ctx context.Context, path string) error {
	for i := 1; i < len(path); i++ {
		if path[i] != '/' {
			continue
		}
		change, err := c.conn.NewChange(&zk.CreateRequest{Path: path[:i], Data: []byte{}, Acl: c.parentACL})
		if err != nil {
			return err
		}
		_, err = c.conn.Send(ctx, change)
		if err == nil || errors.Is(err, zk.ErrNodeExists) {
			continue
		}
		// It may be there although it may not be created.
		if found, _, existsErr := c.exists(ctx, path[:i]); existsErr != nil || !found {
			return fmt.Errorf("parent %s: %w", path[:i], err)
		}
	}
	return nil
}
