package discovery_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/discovery"
	"github.com/zkstream/zkstream/zktest"
)

// connect is what each example begins with.
func connect(ctx context.Context) (*zktest.Server, *zkstream.Client) {
	server, err := zktest.New()
	if err != nil {
		log.Fatal(err)
	}
	client, err := zkstream.Connect(ctx, server.Addr())
	if err != nil {
		log.Fatal(err)
	}
	return server, client
}

// A service whose servers are written in Java, with Spring Cloud ZooKeeper.
func Example() {
	ctx := context.Background()
	server, client := connect(ctx)
	defer server.Close()
	defer client.Close()

	// A server for Spring's clients.
	_, err := discovery.Register(ctx, client, "/services/search", discovery.Curator{Payload: discovery.SpringPayload},
		discovery.Endpoint{Addr: "10.0.0.5:8080", Attributes: map[string]string{"zone": "a"}})
	if err != nil {
		log.Fatal(err)
	}

	// A client of Spring's servers.
	endpoints := discovery.Watch(ctx, client, "/services/search", discovery.Curator{})
	newest, err := endpoints.Next(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(newest.Addrs())
	for e := range newest.All() {
		fmt.Println(e.Addr, e.Status, e.Attributes)
	}
	for name, err := range newest.Errors() {
		fmt.Println("not to be read:", name, err)
	}
	// Output:
	// [10.0.0.5:8080]
	// 10.0.0.5:8080 UP map[zone:a]
}

func ExampleServerset() {
	e, err := discovery.Serverset{}.Decode("member_0000000007", []byte(
		`{"serviceEndpoint":{"host":"foo","port":1000},"additionalEndpoints":{},"status":"STARTING","shard":42}`))
	if err != nil {
		log.Fatal(err)
	}
	member := e.Raw.(discovery.ServersetMember)
	fmt.Println(e.Addr, e.Status, *member.Shard)
	// Output: foo:1000 STARTING 42
}

func ExampleNewHTTPSD() {
	ctx := context.Background()
	server, client := connect(ctx)
	defer server.Close()
	defer client.Close()
	server.Create("/nerve", nil)
	server.Create("/nerve/i-1_0000000003", []byte(`{"host":"10.0.0.5","port":9100,"name":"i-1"}`))

	endpoints := discovery.Watch(ctx, client, "/nerve", discovery.Nerve{})
	endpoints.Next(ctx) // the handler has something to say from now on
	handler := discovery.NewHTTPSD(endpoints)

	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest("GET", "/targets", nil))
	fmt.Println(answer.Body)
	// Output: [{"targets":["10.0.0.5:9100"],"labels":{"__meta_zookeeper_name":"i-1_0000000003","__meta_zookeeper_path":"/nerve","__meta_zookeeper_status":"UP","__meta_zookeeper_weight":"1"}}]
}
