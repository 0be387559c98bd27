// Discovery runs several streams side by side under one errgroup: a table of the servers of two
// services, their configuration, and the state of the session. One context stops them all.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"sync"
	"time"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
	"golang.org/x/sync/errgroup"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

// errDone ends the example when it has seen all that it waits for.
var errDone = errors.New("done")

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
	root := fmt.Sprintf("/discovery-%d", os.Getpid())
	services := []string{root + "/web", root + "/db"}

	// The first function to fail, here with errDone, ends the context of the others, and so their streams.
	g, gctx := errgroup.WithContext(ctx)
	table := newTable(len(services))
	for _, service := range services {
		providers := client.Children(gctx, service)
		g.Go(func() error { return providers.ForEach(table.update) })
	}
	sessions := client.Session(gctx)
	g.Go(func() error {
		return sessions.ForEach(func(s zkstream.Session) error {
			fmt.Println("session:", s.State)
			return nil
		})
	})
	var registered []*zkstream.Registration
	g.Go(func() error {
		for i, service := range services {
			for n := range 2 {
				// Not gctx: the servers shall outlive the group.
				r, err := client.Register(ctx, service, fmt.Sprintf("10.0.%d.%d:80", i, n), nil)
				if err != nil {
					return err
				}
				registered = append(registered, r)
			}
		}
		return nil
	})
	if err := g.Wait(); !errors.Is(err, errDone) {
		return err
	}
	for _, service := range services {
		fmt.Println(table.newest[service])
	}

	for _, r := range registered {
		if err := r.Close(); err != nil {
			return err
		}
	}
	for _, path := range append(services, root) {
		if err := client.Delete(ctx, path); err != nil {
			return err
		}
	}
	return nil
}

// table is the newest list of servers of each service.
type table struct {
	mu       sync.Mutex
	services int
	newest   map[string]zkstream.Children
}

func newTable(services int) *table {
	return &table{services: services, newest: map[string]zkstream.Children{}}
}

// update takes a snapshot in; it fails with errDone when each service has two servers.
func (t *table) update(c zkstream.Children) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	added, removed := c.Diff(t.newest[c.Path()])
	for _, name := range added {
		fmt.Println("up:  ", c.Path(), name)
	}
	for _, name := range removed {
		fmt.Println("down:", c.Path(), name)
	}
	t.newest[c.Path()] = c
	for _, c := range t.newest {
		if len(t.newest) < t.services || c.Len() < 2 {
			return nil
		}
	}
	return errDone
}
