package zkstream_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
)

func ExampleAdvertise() {
	ctx := context.Background()
	client, done := exampleClient(ctx)
	defer done()

	l, err := net.Listen("tcp", "127.0.0.1:") // ":8080" would give each address of this host
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	addrs, err := zkstream.Advertise(l.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	for _, addr := range addrs {
		if _, err := client.Register(ctx, "/search/providers", addr, nil); err != nil {
			log.Fatal(err)
		}
	}
	providers := <-client.Children(ctx, "/search/providers").C()
	fmt.Println(len(addrs), providers.Contains(l.Addr().String()))
	// Output: 1 true
}

func ExampleWithName() {
	ctx := context.Background()
	client, done := exampleClient(ctx)
	defer done()

	// For clients of another registry, which read the address from the content of a node of any name.
	r, err := client.Register(ctx, "/services/search", "10.0.0.5:8080", nil,
		zkstream.WithName("8f0d9a4e"),
		zkstream.WithContent([]byte(`{"id":"8f0d9a4e","address":"10.0.0.5","port":8080}`)))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Path(), <-client.Data(ctx, r.Path()).C())
	// Output: /services/search/8f0d9a4e {"id":"8f0d9a4e","address":"10.0.0.5","port":8080}
}

func ExampleWithContent() {
	ctx := context.Background()
	client, done := exampleClient(ctx)
	defer done()

	r, err := client.Register(ctx, "/services/search", "10.0.0.5:8080", nil, zkstream.WithContent([]byte("ALIVE")))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-client.Data(ctx, r.Path()).C())
	fmt.Println(r.Update(ctx, map[string]any{"zone": "b"})) // there are no properties to set
	// Output:
	// ALIVE
	// zkstream: update "/services/search/10.0.0.5:8080": the content that WithContent gave is not a JSON object
}

func ExampleWithSequence() {
	ctx := context.Background()
	client, done := exampleClient(ctx)
	defer done()

	for range 2 {
		r, err := client.Register(ctx, "/services/search", "10.0.0.5:8080", nil, zkstream.WithName("member_"), zkstream.WithSequence())
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(r.Path())
	}
	// Output:
	// /services/search/member_0000000000
	// /services/search/member_0000000001
}

func ExampleRegistration_Refusal() {
	ctx := context.Background()
	client, done := exampleClient(ctx)
	defer done()

	r, err := client.Register(ctx, "/search/providers", "10.0.0.5:8080", nil)
	if err != nil {
		log.Fatal(err)
	}
	// Somebody forbids the creation of nodes there, and then the node is lost.
	client.Conn().SetACL("/search/providers", zk.WorldACL(zk.PermAll&^zk.PermCreate), -1)
	client.Delete(ctx, r.Path())
	for status := range r.Status(ctx).All() {
		if status == zkstream.Refused {
			fmt.Println(r.Refusal())
			break
		}
	}
	client.Conn().SetACL("/search/providers", zk.WorldACL(zk.PermAll), -1)
	for status := range r.Status(ctx).All() {
		if status == zkstream.Registered {
			fmt.Println(status, r.Refusal())
			break
		}
	}
	// Output:
	// zkstream: register "/search/providers/10.0.0.5:8080": zk: not authenticated
	// registered <nil>
}

func ExampleRegistration_Update() {
	ctx := context.Background()
	client, done := exampleClient(ctx)
	defer done()

	r, err := client.Register(ctx, "/search/providers", "10.0.0.5:8080", map[string]any{"pid": 4711})
	if err != nil {
		log.Fatal(err)
	}
	if err := r.Update(ctx, map[string]any{"load": 0.5}); err != nil {
		log.Print(err) // it is refused; the registration goes on as it was
	}
	fmt.Println(<-client.Properties(ctx, r.Path()).C())
	// Output: {"pid": 4711, "load": 0.5}
}
