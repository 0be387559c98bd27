package zkstream_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"testing"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
	"golang.org/x/sync/errgroup"
)

func Example() {
	server, _ := zktest.New() // a ZooKeeper server in this process; a real one does as well
	defer server.Close()
	server.Create("/search", []byte(`{"threads": 8}`))

	ctx, cancel := context.WithCancel(context.Background())
	balance = func(servers []string) {
		if ctx.Err() == nil { // else it is without this server already
			fmt.Println("servers:", servers)
			step(cancel)
		}
	}
	resize = func(threads int) { fmt.Println("threads:", threads); step(cancel) }
	fmt.Println(serve(ctx, server.Addr()))
	// Unordered output:
	// servers: [10.0.0.5:8080]
	// threads: 8
	// context canceled
}

var (
	balance func(servers []string)
	resize  func(threads int)
	steps   int
)

// step calls done at the second call.
func step(done func()) {
	if steps++; steps == 2 {
		done()
	}
}

func serve(ctx context.Context, servers string) error {
	client, err := zkstream.Connect(ctx, servers) // "zk1,zk2,zk3/app"
	if err != nil {
		return err
	}
	defer client.Close()

	// Announce this server, until ctx ends.
	if _, err := client.Register(ctx, "/search/providers", "10.0.0.5:8080", nil); err != nil {
		return err
	}

	// Follow the servers of the service, and its configuration.
	providers := client.Children(ctx, "/search/providers")
	config := client.Properties(ctx, "/search")
	for {
		select {
		case p, ok := <-providers.C():
			if !ok {
				return providers.Err()
			}
			balance(p.Names())
		case c, ok := <-config.C():
			if !ok {
				return config.Err()
			}
			if threads, err := zkstream.Value[int](c, "threads"); err == nil {
				resize(threads)
			}
		}
	}
}

// exampleClient is what each example begins with.
func exampleClient(ctx context.Context) (*zkstream.Client, func()) {
	server, err := zktest.New()
	if err != nil {
		log.Fatal(err)
	}
	client, err := zkstream.Connect(ctx, server.Addr())
	if err != nil {
		log.Fatal(err)
	}
	return client, func() {
		client.Close()
		server.Close()
	}
}

func ExampleClient_Children() {
	ctx := context.Background()
	client, done := exampleClient(ctx)
	defer done()

	previous := zkstream.Children{}
	for c := range client.Children(ctx, "/services").All() {
		added, removed := c.Diff(previous)
		fmt.Println(c.Exists(), added, removed)
		previous = c
		switch {
		case !c.Exists():
			client.Create(ctx, "/services", nil)
		case c.Len() == 0:
			client.Create(ctx, "/services/search", nil)
		default:
			return
		}
	}
	// Output:
	// false [] []
	// true [] []
	// true [search] []
}

func ExampleStream_ForEach() {
	ctx := context.Background()
	client, done := exampleClient(ctx)
	defer done()

	enough := errors.New("enough")
	g, gctx := errgroup.WithContext(ctx)
	for _, path := range []string{"/a", "/b"} {
		s := client.Data(gctx, path)
		g.Go(func() error {
			return s.ForEach(func(d zkstream.Data) error {
				if d.String() == "{}" {
					return enough // ends this stream, and through the group's context the other
				}
				return nil
			})
		})
	}
	client.Create(ctx, "/b", nil)
	fmt.Println(g.Wait())
	// Output: enough
}

func ExampleClient_Register() {
	ctx := context.Background()
	client, done := exampleClient(ctx)
	defer done()

	r, err := client.Register(ctx, "/search/providers", "10.0.0.5:8080", map[string]any{"pid": 4711, "zone": "b"})
	if err != nil {
		log.Fatal(err)
	}
	node := client.Properties(ctx, r.Path())
	fmt.Println(r.Path(), <-node.C())
	r.Close()
	fmt.Println((<-node.C()).Exists(), r.Err())
	// Output:
	// /search/providers/10.0.0.5:8080 {"pid": 4711, "zone": "b"}
	// false zkstream: closed
}

func ExamplePropertyStream_Update() {
	ctx := context.Background()
	client, done := exampleClient(ctx)
	defer done()

	config := client.Properties(ctx, "/search")
	err := config.Update(ctx, map[string]any{"threads": 8})
	fmt.Println(err, errors.Is(err, zk.ErrNoNode))

	client.Create(ctx, "/search", map[string]any{"threads": 4, "color": "red"})
	config.Update(ctx, map[string]any{"threads": 8})
	for c := range config.All() {
		if threads, err := zkstream.Value[int](c, "threads"); err == nil && threads == 8 {
			fmt.Println(c)
			break
		}
	}
	// Output:
	// zkstream: update "/search": zk: node does not exist true
	// {"color": "red", "threads": 8}
}

func ExampleDecode() {
	ctx := context.Background()
	client, done := exampleClient(ctx)
	defer done()

	type settings struct{ Threads int }
	s := zkstream.Decode[settings](client.Properties(ctx, "/search"))
	fmt.Println((<-s.C()).Exists)
	client.Create(ctx, "/search", map[string]any{"threads": 4})
	fmt.Println((<-s.C()).Value)
	client.SetProperties(ctx, "/search", map[string]any{"threads": "four"})
	bad := <-s.C()
	fmt.Println(bad.Value, bad.Err != nil)
	// Output:
	// false
	// {4}
	// {4} true
}

func ExampleCombine() {
	ctx := context.Background()
	client, done := exampleClient(ctx)
	defer done()

	client.Create(ctx, "/search/providers", nil)
	ready := zkstream.Combine(
		client.Children(ctx, "/search/providers"),
		client.Properties(ctx, "/search").Stream,
		func(c zkstream.Children, p zkstream.Properties) bool {
			want, err := zkstream.Value[int](p, "servers")
			return err == nil && c.Len() >= want
		})
	fmt.Println(<-ready.C())
	client.SetProperties(ctx, "/search", map[string]any{"servers": 1})
	client.Register(ctx, "/search/providers", "10.0.0.5:8080", nil)
	for ok := range ready.All() {
		if ok {
			fmt.Println(ok)
			break
		}
	}
	// Output:
	// false
	// true
}

// A user's own test: what does a service do when its session expires?
func TestMyServiceSurvivesAnExpiry(t *testing.T) {
	server := zktest.Start(t)
	client, err := zkstream.Connect(t.Context(), server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Register(t.Context(), "/search", "10.0.0.5:8080", nil); err != nil {
		t.Fatal(err)
	}
	providers := client.Children(t.Context(), "/search")
	<-providers.C()

	server.ExpireAll() // the ephemeral node goes with its session
	for c := range providers.All() {
		if c.Contains("10.0.0.5:8080") {
			break // it is back
		}
	}
}
