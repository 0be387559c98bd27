package zkstream_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"time"

	"github.com/zkstream/zkstream"
)

func ExampleStream_Next() {
	ctx := context.Background()
	client, done := exampleClient(ctx)
	defer done()

	client.Create(ctx, "/search", map[string]any{"threads": 4})
	config := client.Properties(ctx, "/search")
	first, err := config.Next(ctx)
	fmt.Println(first, err)

	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	_, err = config.Next(short) // nothing changes; the stream stays open
	fmt.Println(err)

	config.Close()
	_, err = config.Next(ctx)
	fmt.Println(err)
	// Output:
	// {"threads": 4} <nil>
	// context deadline exceeded
	// zkstream: closed
}

// A service's node says in which node its database's address is.
func ExampleSwitch() {
	ctx := context.Background()
	client, done := exampleClient(ctx)
	defer done()

	client.Create(ctx, "/databases/old", map[string]any{"address": "10.0.0.1:5432"})
	client.Create(ctx, "/databases/new", map[string]any{"address": "10.0.0.2:5432"})
	client.Create(ctx, "/search", map[string]any{"database": "/databases/old", "threads": 4})

	paths := zkstream.Map(client.Properties(ctx, "/search").Stream, func(p zkstream.Properties) string {
		path, _ := zkstream.Value[string](p, "database")
		return path
	})
	paths = zkstream.Distinct(paths, func(a, b string) bool { return a == b }) // threads may change, too
	database := zkstream.Switch(paths, func(ctx context.Context, path string) *zkstream.Stream[zkstream.Properties] {
		if path == "" {
			return nil
		}
		return client.Properties(ctx, path).Stream
	})

	fmt.Println(<-database.C())
	client.UpdateProperties(ctx, "/search", map[string]any{"database": "/databases/new"})
	fmt.Println(<-database.C())
	// Output:
	// {"address": "10.0.0.1:5432"}
	// {"address": "10.0.0.2:5432"}
}

func ExampleDistinct() {
	ctx := context.Background()
	client, done := exampleClient(ctx)
	defer done()

	client.Create(ctx, "/search", map[string]any{"threads": 4})
	threads := zkstream.Map(client.Properties(ctx, "/search").Stream, func(p zkstream.Properties) int {
		n, _ := zkstream.Value[int](p, "threads")
		return n
	})
	changes := zkstream.Distinct(threads, func(a, b int) bool { return a == b })

	fmt.Println(<-changes.C())
	client.UpdateProperties(ctx, "/search", map[string]any{"color": "red"}) // no change of threads
	client.UpdateProperties(ctx, "/search", map[string]any{"threads": 8})
	fmt.Println(<-changes.C())
	// Output:
	// 4
	// 8
}

// A load balancer is reloaded once for all servers that start within a short time.
func ExampleSettle() {
	ctx := context.Background()
	client, done := exampleClient(ctx)
	defer done()

	client.Create(ctx, "/search", nil)
	servers := zkstream.Settle(client.Children(ctx, "/search"), 500*time.Millisecond, 5*time.Second)
	for i := range 3 {
		if err := client.Create(ctx, fmt.Sprintf("/search/10.0.0.%d:8080", i), nil); err != nil {
			log.Fatal(err)
		}
	}
	for c := range servers.All() {
		if c.Len() == 3 {
			fmt.Println(c.Names())
			break
		}
	}
	// Output: [10.0.0.0:8080 10.0.0.1:8080 10.0.0.2:8080]
}

func ExampleMap() {
	ctx := context.Background()
	client, done := exampleClient(ctx)
	defer done()

	client.Create(ctx, "/search", nil)
	counts := zkstream.Map(client.Children(ctx, "/search"), zkstream.Children.Len)
	fmt.Println(<-counts.C())
	client.Create(ctx, "/search/10.0.0.5:8080", nil)
	fmt.Println(<-counts.C())
	// Output:
	// 0
	// 1
}

func ExampleFilter() {
	ctx := context.Background()
	client, done := exampleClient(ctx)
	defer done()

	there := zkstream.Filter(client.Data(ctx, "/ready"), zkstream.Data.Exists)
	client.Create(ctx, "/ready", map[string]any{"string_value": "yes"})
	fmt.Println(<-there.C()) // waits for the node
	// Output: yes
}

// Two nodes are followed in one loop.
func ExampleMerge() {
	ctx := context.Background()
	client, done := exampleClient(ctx)
	defer done()

	client.Create(ctx, "/a", map[string]any{"string_value": "1"})
	client.Create(ctx, "/b", map[string]any{"string_value": "2"})
	both := zkstream.Merge(client.Data(ctx, "/a"), client.Data(ctx, "/b"))
	for range 2 {
		d := <-both.C()
		fmt.Println(d.Path(), d)
	}
	// Unordered output:
	// /a 1
	// /b 2
}

// A stream of one's own: the content of the node that another one names, as a text.
func ExampleGenerate() {
	ctx, client, end := open()
	defer end()
	client.CreateNode(ctx, "/current", []byte("/v2"))
	client.CreateNode(ctx, "/v2", []byte("two"))

	texts := zkstream.Generate(ctx, client, func(ctx context.Context, deliver func(string)) error {
		for pointer := range client.Data(ctx, "/current").All() {
			target, err := client.Get(ctx, pointer.String())
			if err != nil {
				return err
			}
			deliver(pointer.String() + ": " + target.String())
		}
		return context.Cause(ctx)
	})
	defer texts.Close()
	now, err := texts.Next(ctx)
	fmt.Println(now, err)
	// Output: /v2: two <nil>
}

func ExampleProperties_With() {
	ctx, client, end := open()
	defer end()
	client.Create(ctx, "/search", map[string]any{"threads": 8, "color": "red"})
	node, _ := client.Get(ctx, "/search")

	shown, err := node.Properties().With(map[string]json.RawMessage{"threads": []byte("16")}, nil)
	fmt.Println(shown.Keys(), err)
	threads, err := zkstream.Value[int](shown, "threads")
	fmt.Println(threads, err)
	// Output:
	// [color threads] <nil>
	// 16 <nil>
}
