// Quickstart registers three servers of a service, follows the list of its servers and its
// configuration in one select loop, and changes both.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
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
	path := fmt.Sprintf("/quickstart-%d", os.Getpid())
	if err := client.Create(ctx, path+"/providers", nil); err != nil {
		return err
	}

	providers := client.Children(ctx, path+"/providers")
	config := client.Properties(ctx, path)
	steps := []func() error{
		func() error { return register(ctx, client, path, "10.0.0.1:8080") },
		func() error { return register(ctx, client, path, "10.0.0.2:8080") },
		func() error { return register(ctx, client, path, "10.0.0.3:8080") },
		func() error { return config.Set(ctx, map[string]any{"threads": 4, "color": "red"}) },
		func() error { return config.Update(ctx, map[string]any{"threads": 8}) },
	}
	// Two streams deliver at first; from then on each step brings one snapshot.
	for seen := 0; seen < len(steps)+2; seen++ {
		if seen >= 2 {
			if err := steps[seen-2](); err != nil {
				return err
			}
		}
		select {
		case p, ok := <-providers.C():
			if !ok {
				return providers.Err()
			}
			fmt.Printf("providers: [%s]\n", strings.Join(p.Names(), " "))
		case c, ok := <-config.C():
			if !ok {
				return config.Err()
			}
			fmt.Printf("config:    %v\n", values(c))
		}
	}
	providers.Close()
	return cleanUp(ctx, client, path)
}

var registered []*zkstream.Registration

// register announces a server; its node lives until the registration is closed or ctx ends.
func register(ctx context.Context, client *zkstream.Client, path, addr string) error {
	r, err := client.Register(ctx, path+"/providers", addr, nil)
	registered = append(registered, r)
	return err
}

func values(p zkstream.Properties) map[string]any {
	m := map[string]any{}
	for key, value := range p.All() {
		m[key] = value
	}
	return m
}

func cleanUp(ctx context.Context, client *zkstream.Client, path string) error {
	for _, r := range registered {
		if err := r.Close(); err != nil {
			return err
		}
	}
	if err := client.Delete(ctx, path+"/providers"); err != nil {
		return err
	}
	return client.Delete(ctx, path)
}
