package zkstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// retryPause is how long a call waits before it sends again what failed for a passing reason.
const retryPause = 10 * time.Millisecond

// call sends a request until there is an answer. After a passing failure, such as a lost connection,
// nobody knows whether the request was carried out; then fn is called with again true. fn may still be
// running when call has returned because ctx ended, so it leaves its result only in what it returns.
func call[T any](ctx context.Context, c *Client, op, path string, fn func(zc *zk.Conn, path string, again bool) (T, error)) (T, error) {
	var zero T
	err := validatePath(path)
	absolute := c.chroot.absolute(path)
	for again := false; err == nil; again = true {
		var v T
		v, err = zkconn.Do(ctx, c.conn, func(zc *zk.Conn) (T, error) { return fn(zc, absolute, again) })
		if err == nil {
			return v, nil
		}
		if zkconn.Transient(err) {
			err = c.pause(ctx, retryPause)
		}
	}
	return zero, &PathError{Op: op, Path: path, Err: err}
}

// pause waits for d; the error says why it did not.
func (c *Client) pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.ctx.Done():
		return ErrClosed
	}
}

// maxContent is what fits into a request besides its path: a server closes the connection on a larger
// one than its jute.maxbuffer, 0xfffff bytes by default, and a retry would end the same way.
const maxContent = 0xfffff - 256

func checkSize(path string, data []byte) error {
	if len(path)+len(data) > maxContent {
		return fmt.Errorf("content of %d bytes, a server takes 1 MB with the path: %w", len(data), ErrTooLarge)
	}
	return nil
}

func (c *Client) encode(op, path string, props map[string]any) ([]byte, error) {
	data, err := encodeProperties(props)
	if err == nil {
		err = checkSize(c.chroot.absolute(path), data)
	}
	if err != nil {
		return nil, &PathError{Op: op, Path: path, Err: err}
	}
	return data, nil
}

// Create creates the node at path with properties as SetProperties writes them, and its parents, empty,
// where they are missing. It returns when the server has answered or ctx ends, and meanwhile retries
// through lost connections. The error is a *PathError: zk.ErrNodeExists, for example. After a lost
// connection, a node that has this content and was never changed counts as created by this call.
func (c *Client) Create(ctx context.Context, path string, props map[string]any) error {
	data, err := c.encode("create", path, props)
	if err != nil {
		return err
	}
	_, err = call(ctx, c, "create", path, func(zc *zk.Conn, path string, again bool) (string, error) {
		made, err := createWithParents(zc, path, data, zk.FlagPersistent, c.acl, c.acl)
		if again && err == zk.ErrNodeExists {
			// Perhaps made by the try whose answer was lost: then it is as that try made it.
			got, stat, getErr := zc.Get(path)
			if getErr == nil && stat.Version == 0 && bytes.Equal(got, data) {
				return path, nil
			}
			if getErr != nil && zkconn.Transient(getErr) {
				return "", getErr
			}
		}
		return made, err
	})
	return err
}

// createWithParents creates a node, and before it those above it that are missing.
func createWithParents(zc *zk.Conn, path string, data []byte, flags int32, acl, parentACL []zk.ACL) (string, error) {
	made, err := zc.Create(path, data, flags, acl)
	if err != zk.ErrNoNode {
		return made, err
	}
	for i := 1; i < len(path); i++ {
		if path[i] != '/' {
			continue
		}
		if _, err := zc.Create(path[:i], []byte{}, zk.FlagPersistent, parentACL); err != nil && err != zk.ErrNodeExists {
			// It may be there although it may not be created.
			if exists, _, existsErr := zc.Exists(path[:i]); existsErr != nil || !exists {
				return "", fmt.Errorf("parent %s: %w", path[:i], err)
			}
		}
	}
	return zc.Create(path, data, flags, acl)
}

// Delete deletes the node at path, which must have no children. It returns when the server has answered
// or ctx ends, and meanwhile retries through lost connections. The error is a *PathError: zk.ErrNoNode
// or zk.ErrNotEmpty, for example. After a lost connection, a node that is not there counts as deleted by
// this call.
func (c *Client) Delete(ctx context.Context, path string) error {
	_, err := call(ctx, c, "delete", path, func(zc *zk.Conn, path string, again bool) (struct{}, error) {
		err := zc.Delete(path, -1)
		if again && errors.Is(err, zk.ErrNoNode) {
			err = nil // the try whose answer was lost has done it
		}
		return struct{}{}, err
	})
	return err
}
