package zkstream_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
)

func ExampleConnect() {
	server, err := zktest.New()
	if err != nil {
		panic(err)
	}
	defer server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // for the first session
	defer cancel()
	client, err := zkstream.Connect(ctx, server.Addr(), // "zk1,zk2,zk3/app", for example
		zkstream.WithSessionTimeout(20*time.Second),
		zkstream.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))),
		zkstream.WithAuth("digest", []byte("search:secret")),
		zkstream.WithDefaultACL(zk.DigestACL(zk.PermAll, "search", "secret")),
		zkstream.WithMaxInFlight(128),
		zkstream.WithRecheck(time.Minute),
	)
	if err != nil {
		panic(err)
	}
	defer client.Close()
	client.Create(ctx, "/search", nil)
	acl, _, err := client.ACL(ctx, "/search")
	fmt.Println(acl[0].Scheme, client.Stats().Timeout, err)
	// Output: digest 20s <nil>
}

func ExampleWithTLS() {
	config := &tls.Config{} // with RootCAs, and Certificates for servers that ask for one
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_, err := zkstream.Connect(ctx, "127.0.0.1:1",
		zkstream.WithTLS(config),
		zkstream.WithResolver(&net.Resolver{PreferGo: true}),
		zkstream.WithDialer((&net.Dialer{KeepAlive: time.Minute}).DialContext),
	)
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output: true
}

func ExampleClient_Session() {
	ctx, client, end := open()
	defer end()
	describe := func(s zkstream.Session) string {
		switch s.State {
		case zkstream.Connecting, zkstream.Suspended:
			return "wait: the session may live on"
		case zkstream.Connected:
			return "all is well"
		case zkstream.Expired:
			return "ephemeral nodes are gone; registrations come back by themselves"
		case zkstream.Closed:
			return "the end"
		}
		return s.State.String()
	}
	session := client.Session(ctx)
	now, _ := session.Next(ctx)
	fmt.Println(describe(now))
	client.Close()
	now, _ = session.Next(ctx)
	fmt.Println(describe(now))
	_, err := session.Next(ctx)
	fmt.Println(errors.Is(err, zkstream.ErrClosed))
	// Output:
	// all is well
	// the end
	// true
}

func ExamplePathError() {
	describe := func(err error) string {
		switch {
		case err == nil:
			return "done"
		case errors.Is(err, zkstream.ErrUnknown):
			return "read the node to see whether it was done"
		case errors.Is(err, zk.ErrNoNode):
			return "there is no such node"
		case errors.Is(err, zkstream.ErrQuotaExceeded), errors.Is(err, zkstream.ErrTooLarge):
			return "too much"
		case errors.Is(err, zkstream.ErrUnimplemented), errors.Is(err, zkstream.ErrLocalSession), errors.Is(err, zkstream.ErrNotReadOnly):
			return "not by this server"
		}
		return "not done"
	}
	ctx, client, end := open()
	defer end()
	err := client.Delete(ctx, "/missing")
	var path *zkstream.PathError
	if errors.As(err, &path) {
		fmt.Println(path.Op, path.Path, path.Err)
	}
	fmt.Println(describe(err))
	// Output:
	// delete /missing zk: node does not exist
	// there is no such node
}

func ExampleRegistration_Status() {
	ctx, client, end := open()
	defer end()
	client.Create(ctx, "/search/providers", nil)
	// Others may read the node, and the path must be there already.
	r, err := client.Register(ctx, "/search/providers", "10.0.0.5:8080", nil,
		zkstream.WithACL(zk.WorldACL(zk.PermRead)), zkstream.WithExistingPath())
	if err != nil {
		panic(err)
	}
	status := r.Status(ctx)
	for range 2 {
		now, err := status.Next(ctx)
		if err != nil {
			panic(err)
		}
		switch now {
		case zkstream.Registered:
			fmt.Println("others find it")
			go r.Close()
		case zkstream.Pending, zkstream.Conflict, zkstream.Refused:
			fmt.Println("they do not:", r.Refusal())
		case zkstream.Withdrawn:
			fmt.Println("they do not any more")
		}
	}
	<-r.Done()
	fmt.Println(r.Err())
	// Output:
	// others find it
	// they do not any more
	// zkstream: closed
}

func ExampleClient_Watches() {
	ctx, client, end := open()
	defer end()
	config := client.Properties(ctx, "/search")
	defer config.Close()
	config.Next(ctx)
	for _, w := range client.Watches() {
		fmt.Println(w.Path)
	}
	// Output: /search
}

func ExampleStream_Latest() {
	ctx, client, end := open()
	defer end()
	client.Create(ctx, "/search", map[string]any{"threads": 8})
	config := client.Properties(ctx, "/search")
	config.Next(ctx) // the first snapshot; from now on Latest has one
	now, ok := config.Latest()
	fmt.Println(now, ok)
	// Output: {"threads": 8} true
}

func ExamplePropertyStream_Set() {
	ctx, client, end := open()
	defer end()
	client.Create(ctx, "/search", map[string]any{"threads": 8, "color": "red"})
	config := client.Properties(ctx, "/search")
	config.Next(ctx)
	err := config.Set(ctx, map[string]any{"threads": 16, "zone": "b"}) // replaces all
	now, _ := config.Next(ctx)
	fmt.Println(now.Keys(), err)
	// Output: [threads zone] <nil>
}
