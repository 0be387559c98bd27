package zkstream_test

import (
	"context"
	"fmt"

	"github.com/zkstream/zkstream"
)

func ExampleClient_Stats() {
	ctx, client, end := open()
	defer end()
	registration, err := client.Register(ctx, "/search/providers", "10.0.0.5:8080", nil)
	if err != nil {
		panic(err)
	}
	defer registration.Close()
	providers, config := client.Children(ctx, "/search/providers"), client.Properties(ctx, "/search")
	providers.Next(ctx)
	config.Next(ctx)

	s := client.Stats()
	fmt.Println(s.State, s.Streams, "streams,", s.Snapshots, "snapshots,", s.Skipped, "of them skipped")
	fmt.Println(s.Registrations.Registered, "registered,", s.Registrations.Refused, "refused")
	fmt.Println(s.Connects, "connection,", s.Expirations, "expirations")
	// Output:
	// connected 2 streams, 2 snapshots, 0 of them skipped
	// 1 registered, 0 refused
	// 1 connection, 0 expirations
}

func ExampleWithTrace() {
	ctx, client, end := open(zkstream.WithTrace(&zkstream.Trace{
		Session: func(s zkstream.Session) { fmt.Println("session:", s.State) },
		Call: func(_ context.Context, call zkstream.CallTrace) {
			fmt.Println(call.Op, call.Path, call.Err) // call.Took is for a histogram
		},
	}))
	client.Create(ctx, "/search", nil)
	client.Delete(ctx, "/serach")
	end()
	// Output:
	// session: connected
	// create /search <nil>
	// delete /serach zkstream: delete "/serach": zk: node does not exist
	// session: closed
}
