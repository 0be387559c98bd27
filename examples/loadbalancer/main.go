// Loadbalancer keeps the configuration file of a load balancer: one line for each server of a service, with the weight
// that stands in its properties. Settle makes one new file of all servers that come or go within a short time, so that a
// deployment is one reload, not hundreds.
package main

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
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
	service := fmt.Sprintf("/loadbalancer-%d", os.Getpid())
	dir, err := os.MkdirTemp("", "loadbalancer")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "upstream.conf")

	instances := zkstream.Settle(client.Instances(ctx, service), 200*time.Millisecond, 5*time.Second)
	defer instances.Close()

	// Servers register themselves; here they are in the same process.
	var registered []*zkstream.Registration
	for i := range 3 {
		r, err := client.Register(ctx, service, fmt.Sprintf("10.0.0.%d:8080", i+1), map[string]any{"weight": i + 1})
		if err != nil {
			return err
		}
		registered = append(registered, r)
	}

	for now := range instances.All() {
		if err := replace(file, config(now)); err != nil {
			return err
		}
		fmt.Printf("%d servers: reload\n", now.Len())
		if now.Len() == len(registered) {
			break
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	fmt.Print(string(text))

	for _, r := range registered {
		if err := r.Close(); err != nil {
			return err
		}
	}
	return client.Delete(ctx, service)
}

// config returns the servers as nginx has them.
func config(instances zkstream.Instances) []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b, "upstream service {")
	for name, properties := range instances.All() {
		weight, err := zkstream.Value[int](properties, "weight")
		if err != nil {
			weight = 1
		}
		fmt.Fprintf(&b, "    server %s weight=%d;\n", name, weight)
	}
	fmt.Fprintln(&b, "}")
	return b.Bytes()
}

// replace writes a file such that no reader sees half of it.
func replace(file string, content []byte) error {
	next := file + ".next"
	if err := os.WriteFile(next, content, 0o644); err != nil {
		return err
	}
	return os.Rename(next, file)
}
