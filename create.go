package zkstream

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
	"golang.org/x/sync/semaphore"
)

// A CreateOption changes what CreateNode creates.
type CreateOption func(*createOptions)

type createOptions struct {
	ephemeral, sequential, container, parents bool

	ttl time.Duration // 0: none
	acl []zk.ACL
}

// Ephemeral has the node go with the session of the client that has created it.
func Ephemeral() CreateOption { return func(o *createOptions) { o.ephemeral = true } }

// Sequential has the server append a number of ten digits to the path, which grows with each child that the parent
// has ever had. A path that ends with "/" gives a name that is the number alone.
func Sequential() CreateOption { return func(o *createOptions) { o.sequential = true } }

// Container makes a node that the servers delete some time after the last of its children has gone
// (ZooKeeper 3.5.3 and later).
func Container() CreateOption { return func(o *createOptions) { o.container = true } }

// TTL makes a node that the servers delete when it has had no children and was not changed for d, in milliseconds.
// Servers do this only if they are told to (zookeeper.extendedTypesEnabled); the error is ErrUnimplemented otherwise.
func TTL(d time.Duration) CreateOption { return func(o *createOptions) { o.ttl = d } }

// NodeACL sets the access control list of the node. The default is that of WithDefaultACL.
func NodeACL(acl []zk.ACL) CreateOption {
	acl = slices.Clone(acl)
	return func(o *createOptions) { o.acl = acl }
}

// Parents creates the nodes above that are missing, empty, with the list of WithDefaultACL. They stay when the node
// itself cannot be created.
func Parents() CreateOption { return func(o *createOptions) { o.parents = true } }

// request is what to ask for, and flags are its kind.
func (o *createOptions) request(path string, data []byte) (request any, flags int32, err error) {
	switch {
	case o.ttl != 0 && (o.ephemeral || o.container):
		return nil, 0, fmt.Errorf("a node with a TTL is neither ephemeral nor a container: %w", zk.ErrInvalidFlags)
	case o.container && (o.ephemeral || o.sequential):
		return nil, 0, fmt.Errorf("a container is neither ephemeral nor sequential: %w", zk.ErrInvalidFlags)
	case o.ttl < 0 || o.ttl > 0 && o.ttl < time.Millisecond:
		return nil, 0, fmt.Errorf("a TTL of %v: %w", o.ttl, zk.ErrBadArguments)
	case o.ttl > 0:
		flags = zk.FlagTTL
		if o.sequential {
			flags = zk.FlagPersistentSequentialWithTTL
		}
		return &zk.CreateTTLRequest{Path: path, Data: data, Acl: o.acl, Flags: flags, Ttl: o.ttl.Milliseconds()}, flags, nil
	case o.container:
		flags = zk.FlagContainer
	case o.ephemeral:
		flags = zk.FlagEphemeral
	}
	if o.sequential {
		flags |= zk.FlagSequence
	}
	return &zk.CreateRequest{Path: path, Data: data, Acl: o.acl, Flags: flags}, flags, nil
}

// Create creates the node at path with properties as SetProperties writes them, and its parents, empty,
// where they are missing. It returns when the server has answered or ctx ends, and meanwhile retries
// through lost connections. The error is a *PathError: zk.ErrNodeExists, for example. ErrUnknown is in it
// if the connection was lost, and a node is there that may be this call's or somebody else's.
func (c *Client) Create(ctx context.Context, path string, props map[string]any) error {
	data, err := encodeProperties(props)
	if err != nil {
		return &PathError{Op: "create", Path: path, Err: err}
	}
	_, err = c.CreateNode(ctx, path, data, Parents())
	return err
}

// CreateNode creates a node with that content, and returns its path, to which Sequential has appended a number. The
// default is a lasting node, with the access control list of WithDefaultACL, and a parent that exists.
//
// It returns when the server has answered or ctx ends, and meanwhile retries through lost connections, but never what may
// have been carried out. The error is a *PathError: zk.ErrNodeExists, or zk.ErrNoNode if the parent is missing. If the
// connection was lost, an ephemeral node that belongs to this session, has this content and was not there before is this
// call's; of others nobody can know: ErrUnknown.
func (c *Client) CreateNode(ctx context.Context, path string, data []byte, opts ...CreateOption) (string, error) {
	w := &write{client: c, op: "create", path: path}
	o := createOptions{acl: c.acl}
	for _, opt := range opts {
		if opt == nil {
			return "", w.fail(errors.New("option is nil"))
		}
		opt(&o)
	}
	abs, err := c.absoluteOf(path, o.sequential)
	if err != nil {
		return "", w.fail(err)
	}
	request, flags, err := o.request(abs, data)
	if err != nil {
		return "", w.fail(err)
	}
	change, err := c.conn.NewChange(request)
	if err != nil {
		return "", w.fail(err)
	}
	sequence := &c.sequences
	if flags != zk.FlagEphemeralSequential {
		sequence = nil // its name will not be looked for
	}
	sequence.enter()
	defer sequence.leave()
	var made string
	w.send = func(ctx context.Context, zc *zk.Conn) error {
		if err := lookFirst(ctx, zc, change, w.change); err != nil {
			return err
		}
		create := func() (err error) {
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
		err := create()
		if !o.parents || !errors.Is(err, zk.ErrNoNode) {
			return err
		}
		if err := makeParents(ctx, zc, abs, c.acl); err != nil {
			return err
		}
		return create()
	}
	w.look = func(ctx context.Context, zc *zk.Conn) (f fate, err error) {
		if sequence != nil {
			made, f, err = w.findSequential(ctx, zc, sequence, request.(*zk.CreateRequest))
			return f, err
		}
		made = abs
		f, _, err = w.fateOf(ctx, zc, request)
		return f, err
	}
	if err := w.run(ctx); err != nil {
		return "", err
	}
	return c.chroot.relative(made), nil
}

// absoluteOf returns the path of a node that is to be created as the server has it. A server appends a number to a
// sequential one, so that may end with a slash.
func (c *Client) absoluteOf(path string, sequential bool) (string, error) {
	if !sequential {
		return c.chroot.absolute(path), validatePath(path)
	}
	abs := c.chroot.absolute(path + "0")
	return abs[:len(abs)-1], validatePath(path + "0")
}

// sequences are the ephemeral sequential nodes that calls under way have been told of, or have found. A call whose answer
// was lost looks for its node among those of its session. Other calls that create nodes with the same content at
// the same time have theirs there, too. Requests that are equal may share them out as they like, but each node
// belongs to one call.
//
// gate keeps a search from seeing a node that is already answered for but not yet taken: a try has a part of it until it has
// taken its node, and a search has all of it. It is no mutex, since both wait for the server meanwhile.
//
// A nil one does nothing.
type sequences struct {
	gate *semaphore.Weighted

	mu    sync.Mutex // guards what follows
	calls int        // under way
	taken map[string]bool
}

func (s *sequences) enter() {
	if s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.calls++
	}
}

// leave forgets the nodes when there is no call left that could look for its own: of the calls that begin
// later, each looks only for what was created after it had begun.
func (s *sequences) leave() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls--; s.calls == 0 {
		s.taken = nil
	}
}

// wholeGate is more than there can be tries at once.
const wholeGate = 1 << 30

// try begins a try, which ends when the returned function is called.
func (s *sequences) try(ctx context.Context) (end func(), err error) {
	if s == nil {
		return func() {}, nil
	}
	if err := s.gate.Acquire(ctx, 1); err != nil {
		return nil, context.Cause(ctx)
	}
	return func() { s.gate.Release(1) }, nil
}

// take reports whether no other call has that node, and takes it.
func (s *sequences) take(path string) bool {
	if s == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken[path] {
		return false
	}
	if s.taken == nil {
		s.taken = map[string]bool{}
	}
	s.taken[path] = true
	return true
}

// findSequential looks for the node that a lost request may have made: an ephemeral one of the session in which it was
// sent, created since, with its content. Names are looked at from the highest number down, which is the order of their
// creation backwards, to the first that was there before.
func (w *write) findSequential(ctx context.Context, zc *zk.Conn, taken *sequences, request *zk.CreateRequest) (string, fate, error) {
	if err := taken.gate.Acquire(ctx, wholeGate); err != nil {
		return "", unknown, context.Cause(ctx)
	}
	defer taken.gate.Release(wholeGate)
	since := w.change.Since()
	if same, err := untouched(ctx, zc, request, since); err != nil || same {
		return "", notDone, err
	}
	parent, prefix := parentOf(request.Path), request.Path[strings.LastIndexByte(request.Path, '/')+1:]
	if ctx.Err() != nil {
		return "", unknown, context.Cause(ctx)
	}
	names, _, err := zc.Children(parent)
	if err != nil {
		return "", unknown, err
	}
	numbers := map[string]int64{}
	names = slices.DeleteFunc(names, func(name string) bool {
		digits, ok := strings.CutPrefix(name, prefix)
		n, err := strconv.ParseInt(digits, 10, 32)
		numbers[name] = n
		return !ok || err != nil || len(digits) < 10
	})
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(numbers[b], numbers[a]) })
	session := w.client.conn.Owner(w.change)
	for _, name := range names {
		path := strings.TrimSuffix(parent, "/") + "/" + name
		found, stat, err := exists(ctx, zc, path)
		switch {
		case err != nil:
			return "", unknown, err
		case !found:
			continue
		case stat.Czxid <= since:
			return "", unknown, nil // it may have been deleted since
		case stat.EphemeralOwner != session:
			continue
		}
		data, _, err := get(ctx, zc, path)
		switch {
		case errors.Is(err, zk.ErrNoNode):
		case err != nil:
			return "", unknown, err
		case bytes.Equal(data, request.Data) && taken.take(path):
			return path, done, nil
		}
	}
	return "", unknown, nil
}

// makeParents creates the nodes above path that are missing, from the top.
func makeParents(ctx context.Context, zc *zk.Conn, path string, acl []zk.ACL) error {
	for i := 1; i < len(path); i++ {
		if path[i] != '/' {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		_, err := zc.Create(path[:i], []byte{}, zk.FlagPersistent, acl)
		if err == nil || err == zk.ErrNodeExists {
			continue
		}
		// It may be there although it may not be created.
		if found, _, existsErr := exists(ctx, zc, path[:i]); existsErr != nil || !found {
			return fmt.Errorf("parent %s: %w", path[:i], err)
		}
	}
	return nil
}
