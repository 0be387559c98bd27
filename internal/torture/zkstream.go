package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/internal/history"
	"github.com/zkstream/zkstream/internal/nameserver"
)

// zkstreamLib is this repository's library, through its public API. What it logs goes to the standard error.
type zkstreamLib struct {
	client *zkstream.Client
	server *nameserver.Server // of the servers' names; nil: they are found by their addresses

	mu            sync.Mutex // guards what follows
	streams       int
	withdrawals   int
	registrations map[string]*zkstreamRegistration
}

// zkstreamRegistration is a registration, or the attempt to get one.
type zkstreamRegistration struct {
	cancel context.CancelFunc
	handle *zkstream.Registration // nil before there is one
	failed bool                   // it is over, and said so
}

func openZkstream(servers string, timeout time.Duration) (library, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	z := &zkstreamLib{registrations: map[string]*zkstreamRegistration{}}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	opts := []zkstream.Option{zkstream.WithSessionTimeout(timeout), zkstream.WithLogger(log)}
	if os.Getenv(namesEnv) != "" {
		var named zkstream.Option
		z.server = new(nameserver.Server)
		servers, named = z.name(servers)
		opts = append(opts, named, zkstream.WithResolver(z.server.Resolver()))
	}
	client, err := zkstream.Connect(ctx, servers, opts...)
	if err != nil {
		return nil, err
	}
	z.client = client
	// Ends when the client closes, which nobody waits for: the process ends then.
	go func() {
		for s := range client.Session(context.Background()).All() {
			say("session %v", s.State)
		}
	}()
	return z, nil
}

// name gives all servers one name, which has one more address that is dead. It returns the connection string, and the
// dialer that knows which address is which server.
func (z *zkstreamLib) name(servers string) (string, zkstream.Option) {
	const name = "zk.torture.test"
	targets := map[string]string{}
	addrs := []string{"10.0.0.99"}
	for i, server := range strings.Split(servers, ",") {
		addr := fmt.Sprintf("10.0.0.%d", i+1)
		addrs = append(addrs, addr)
		targets[addr+":2181"] = server
	}
	z.server.Set(name, addrs...)
	dialer := zkstream.WithDialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
		target, ok := targets[addr]
		if !ok {
			return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
		}
		var d net.Dialer
		return d.DialContext(ctx, network, target)
	})
	return name + ":2181", dialer
}

func (z *zkstreamLib) names(mode string) {
	modes := map[string]nameserver.Mode{"answer": nameserver.Answer, "fail": nameserver.Fail, "silent": nameserver.Silent}
	if m, ok := modes[mode]; ok && z.server != nil {
		z.server.SetMode(m)
	}
}

func (z *zkstreamLib) large(ctx context.Context, id, path string, size int) {
	value := map[string]any{"string_value": strings.Repeat("x", size)}
	switch err := z.client.SetProperties(ctx, path, value); {
	case err == nil:
		say("updated %s", id)
	case errors.Is(err, zkstream.ErrTooLarge):
		say("toolarge %s", id)
	case errors.Is(err, zkstream.ErrUnknown):
		say("unknown %s %v", id, err)
	default:
		sayFailed(id, err)
	}
}

// call makes one call of a kind. The content that it writes is its ID.
func (z *zkstreamLib) call(ctx context.Context, id, kind, path string) {
	var version int32
	var err error
	create := func(opts ...zkstream.CreateOption) {
		_, err = z.client.CreateNode(ctx, path+"/"+id, []byte(id), opts...)
	}
	switch kind {
	case createCall:
		create()
	case sequentialCall:
		create(zkstream.Sequential())
	case ephemeralCall:
		create(zkstream.Sequential(), zkstream.Ephemeral())
	case deleteCall:
		err = z.client.DeleteNode(ctx, path, zkstream.AnyVersion)
	case writeCall:
		var stat zk.Stat
		stat, err = z.client.Write(ctx, path, []byte(id), zkstream.AnyVersion)
		version = stat.Version
	case multiCall:
		var all []zk.MultiResponse
		all, err = z.client.Multi(ctx,
			&zk.CreateRequest{Path: path + "/" + id + "a", Acl: zk.WorldACL(zk.PermAll)},
			&zk.CreateRequest{Path: path + "/" + id + "b", Acl: zk.WorldACL(zk.PermAll)},
			&zk.SetDataRequest{Path: path, Data: []byte(id), Version: zkstream.AnyVersion})
		if err == nil {
			version = all[2].Stat.Version
		}
	case getCall:
		var d zkstream.Data
		d, err = z.client.Get(ctx, path)
		version = d.Stat().Version
	}
	switch {
	case err == nil:
		say("made %s %d", id, version)
	case errors.Is(err, zkstream.ErrUnknown):
		say("unknown %s %s", id, oneLine(err))
	default:
		sayFailed(id, err)
	}
}

func (z *zkstreamLib) close() { _ = z.client.Close() }

// data uses the two kinds of stream in turn that deliver a node's content. They end when the client closes.
func (z *zkstreamLib) data(id, path string) {
	z.mu.Lock()
	z.streams++
	odd := z.streams%2 == 1
	z.mu.Unlock()
	if odd {
		go follow("data", id, z.client.Data(context.Background(), path), func(d zkstream.Data) {
			sayData(id, d.Stat().Czxid, d.Stat().Mzxid, d.String())
		})
		return
	}
	go follow("data", id, z.client.Properties(context.Background(), path).Stream, func(p zkstream.Properties) {
		sayData(id, p.Stat().Czxid, p.Stat().Mzxid, string(p.Bytes()))
	})
}

// children ends when the client closes.
func (z *zkstreamLib) children(id, path string) {
	go follow("children", id, z.client.Children(context.Background(), path), func(c zkstream.Children) {
		sayChildren(id, c.Stat().Czxid, c.Stat().Pzxid, c.Names())
	})
}

// instances ends when the client closes.
func (z *zkstreamLib) instances(id, path string) {
	go follow("instances", id, z.client.Instances(context.Background(), path), func(all zkstream.Instances) {
		nodes := []history.Node{{Name: ".", Czxid: all.Stat().Czxid}}
		for name, p := range all.All() {
			nodes = append(nodes, history.Node{Name: name, Czxid: p.Stat().Czxid, Mzxid: p.Stat().Mzxid, Value: string(p.Bytes())})
		}
		saySet("instances", id, nodes)
	})
}

// tree ends when the client closes.
func (z *zkstreamLib) tree(id, path string) {
	go follow("tree", id, z.client.Tree(context.Background(), path), func(t zkstream.Tree) {
		var nodes []history.Node
		for d := range t.All() {
			name := strings.TrimPrefix(strings.TrimPrefix(d.Path(), path), "/")
			if name == "" {
				name = "."
			}
			nodes = append(nodes, history.Node{Name: name, Czxid: d.Stat().Czxid, Mzxid: d.Stat().Mzxid, Value: d.String()})
		}
		saySet("tree", id, nodes)
	})
}

// follow tells of a stream until it ends.
func follow[T interface{ Exists() bool }](verb, id string, s *zkstream.Stream[T], tell func(T)) {
	for v := range s.All() {
		if v.Exists() {
			tell(v)
		} else {
			sayMissing(verb, id)
		}
	}
	say("end %s %v", id, s.Err())
}

// register keeps a registration until it is withdrawn.
func (z *zkstreamLib) register(id, path, addr string) {
	ctx, cancel := context.WithCancel(context.Background())
	r := &zkstreamRegistration{cancel: cancel}
	z.mu.Lock()
	z.registrations[id] = r
	z.mu.Unlock()
	// Ends when the registration does.
	go func() {
		defer cancel()
		handle, err := z.client.Register(ctx, path, addr, nil)
		if err == nil {
			say("registered %s", id)
			z.mu.Lock()
			r.handle = handle
			z.mu.Unlock()
			<-handle.Done()
			err = handle.Err()
		}
		z.mu.Lock()
		r.failed = ctx.Err() == nil && !errors.Is(err, zkstream.ErrClosed)
		z.mu.Unlock()
		if r.failed {
			sayFailed(id, err)
			return
		}
		say("withdrawn %s", id)
	}()
}

// withdraw uses the two ways to withdraw in turn.
func (z *zkstreamLib) withdraw(id string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	r := z.registrations[id]
	if r == nil {
		return
	}
	delete(z.registrations, id)
	if r.failed {
		say("withdrawn %s", id)
		return
	}
	z.withdrawals++
	if z.withdrawals%2 == 0 || r.handle == nil {
		r.cancel()
		return
	}
	// Ends after two session timeouts at the latest; the registration's end is told by register.
	go func() {
		if err := r.handle.Close(); err != nil {
			log.Printf("withdraw %s: %v", id, err)
		}
	}()
}

func (z *zkstreamLib) update(ctx context.Context, id, path, key, value string) {
	if err := z.client.UpdateProperties(ctx, path, map[string]any{key: value}); err != nil {
		if errors.Is(err, zkstream.ErrUnknown) {
			say("unknown %s %v", id, err)
			return
		}
		sayFailed(id, err)
		return
	}
	say("updated %s", id)
}
