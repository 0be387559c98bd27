// Curator watches services whose servers Apache Curator has registered, or Spring Cloud ZooKeeper, or Dubbo: which there
// are, and which of them are to be used.
//
// With ZOOKEEPER_SERVERS set, and the paths of services as arguments, it goes on until it is interrupted:
//
//	ZOOKEEPER_SERVERS=zk1,zk2 go run ./examples/curator /services/search /services/cart
//
// Without arguments it registers two servers, one of which is out of service, and ends.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/discovery"
	"github.com/zkstream/zkstream/zktest"
	"golang.org/x/sync/errgroup"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, paths []string) error {
	servers := os.Getenv("ZOOKEEPER_SERVERS")
	if servers == "" {
		fmt.Println("ZOOKEEPER_SERVERS is not set: using a ZooKeeper server in this process (zktest)")
		server, err := zktest.New()
		if err != nil {
			return err
		}
		defer server.Close()
		servers = server.Addr()
	}
	client, err := zkstream.Connect(ctx, servers)
	if err != nil {
		return err
	}
	defer client.Close()
	if len(paths) == 0 {
		return show(ctx, client)
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, path := range paths {
		services := discovery.Watch(ctx, client, path, discovery.Curator{})
		g.Go(func() error {
			return services.ForEach(func(e discovery.Endpoints) error {
				fmt.Println(describe(e))
				return nil
			})
		})
	}
	return g.Wait()
}

// describe says which servers a service has.
func describe(e discovery.Endpoints) string {
	var parts []string
	for endpoint := range e.All() {
		parts = append(parts, fmt.Sprintf("%s (%s)", endpoint.Addr, endpoint.Status))
	}
	for name, err := range e.Errors() {
		parts = append(parts, fmt.Sprintf("%s cannot be read: %v", name, err))
	}
	name := e.Path()[strings.LastIndexByte(e.Path(), '/')+1:]
	return fmt.Sprintf("%s: %s", name, strings.Join(parts, ", "))
}

// errEnough ends the example when it has seen all that it waits for.
var errEnough = errors.New("enough")

// show registers two servers of a service as Spring does, and watches them.
func show(ctx context.Context, client *zkstream.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	base := fmt.Sprintf("/curator-%d", os.Getpid())
	search := base + "/search"
	spring := discovery.Curator{Payload: discovery.SpringPayload}
	services := discovery.Watch(ctx, client, search, spring)
	var registered []*zkstream.Registration
	for _, e := range []discovery.Endpoint{
		{Name: "a", Addr: "10.0.0.1:8080"},
		{Name: "b", Addr: "10.0.0.2:8080", Status: discovery.OutOfService},
	} {
		r, err := discovery.Register(ctx, client, search, spring, e)
		if err != nil {
			return err
		}
		registered = append(registered, r)
	}
	err := services.ForEach(func(e discovery.Endpoints) error {
		if len(slices.Collect(e.All())) < len(registered) {
			return nil
		}
		fmt.Println(describe(e))
		fmt.Println("in use:", e.Addrs())
		return errEnough
	})
	if !errors.Is(err, errEnough) {
		return err
	}
	for _, r := range registered {
		if err := r.Close(); err != nil {
			return err
		}
	}
	if err := client.Delete(ctx, search); err != nil {
		return err
	}
	return client.Delete(ctx, base)
}
