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
	var sequence *sequences // nil unless the node is looked for among others that equal it
	request, ok := op.(*zk.CreateRequest)
	if ok && request.Flags == zk.FlagEphemeralSequential {
		sequence = &c.sequences
		sequence.enter()
		defer sequence.leave()
	}
	var made string
	create := func(ctx context.Context, zc *zk.Conn) error {
		end, err := sequence.try(ctx)
		if err != nil {
			return err
		}
		defer end()
		r, err := w.try(ctx, zc, change)
		if made = r.Path; err == nil {
			sequence.take(made)
		}
		return err
	}
	w.send = func(ctx context.Context, zc *zk.Conn) error {
		if err := w.first(ctx, zc, change); err != nil {
			return err
		}
		err := create(ctx, zc)
		if !parents || !errors.Is(err, zk.ErrNoNode) {
			return err
		}
		if err := c.MakeParents(ctx, zc, w.path); err != nil {
			return err
		}
		return create(ctx, zc)
	}
	w.look = func(ctx context.Context, zc *zk.Conn) (f fate, err error) {
		if sequence != nil {
			made, f, err = w.findSequential(ctx, zc, request)
			return f, err
		}
		made = w.path
		f, _, err = w.fateOf(ctx, zc, op)
		return f, err
	}
	if err := w.run(ctx); err != nil {
		return "", err
	}
	return made, nil
}

// MakeParents creates the nodes above path that are missing, from the top.
func (c *Caller) MakeParents(ctx context.Context, zc *zk.Conn, path string) error {
	for i := 1; i < len(path); i++ {
		if path[i] != '/' {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		_, err := zc.Create(path[:i], []byte{}, zk.FlagPersistent, c.parentACL)
		if err == nil || err == zk.ErrNodeExists {
			continue
		}
		// It may be there although it may not be created.
		if found, _, existsErr := Exists(ctx, zc, path[:i]); existsErr != nil || !found {
			return fmt.Errorf("parent %s: %w", path[:i], err)
		}
	}
	return nil
}
