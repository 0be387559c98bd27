// Config follows a service's configuration as a Go struct. It prints what an editor, here the program
// itself, writes; bad content is told and the last good one stays in use.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
)

// Settings is what the service wants to know.
type Settings struct {
	Threads  int           `json:"threads"`
	Database string        `json:"database"`
	Features []string      `json:"features"`
	Timeout  time.Duration `json:"timeout_ns"`
}

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
	path := fmt.Sprintf("/config-%d", os.Getpid())

	edits := []map[string]any{
		{"threads": 4, "database": "db1", "features": []string{"a"}},
		{"threads": 8},
		{"threads": "eight"}, // a typing error
		{"threads": 16, "timeout_ns": time.Second},
	}
	if err := client.Create(ctx, path, nil); err != nil {
		return err
	}
	settings := zkstream.Decode[Settings](client.Properties(ctx, path))
	for s := range settings.All() {
		if s.Err != nil {
			fmt.Printf("bad:  %v\n      still %+v\n", s.Err, s.Value)
		} else {
			fmt.Printf("good: %+v\n", s.Value)
		}
		if len(edits) == 0 {
			break
		}
		if err := client.UpdateProperties(ctx, path, edits[0]); err != nil {
			return err
		}
		edits = edits[1:]
	}
	if err := settings.Err(); err != nil {
		return err
	}
	return client.Delete(ctx, path)
}
