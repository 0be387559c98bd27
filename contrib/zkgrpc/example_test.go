package zkgrpc_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/contrib/zkgrpc"
	"github.com/zkstream/zkstream/zktest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// A server that registers itself, and a client that finds it.
func Example() {
	zookeeper, err := zktest.New()
	if err != nil {
		log.Fatal(err)
	}
	defer zookeeper.Close()
	client, err := zkstream.Connect(context.Background(), zookeeper.Addr())
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	// The server. It is registered while it serves and is healthy, and withdrawn before it stops.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server, healthy := grpc.NewServer(), health.NewServer()
	grpc_health_v1.RegisterHealthServer(server, healthy)
	ctx, stop := context.WithCancel(context.Background()) // by signal.NotifyContext in a program
	served := make(chan error)
	go func() {
		served <- zkgrpc.Registrar{Client: client, Path: "/search/providers", Health: healthy}.Serve(ctx, server, listener)
	}()

	// The client. One Builder serves all ClientConns.
	builder := zkgrpc.NewBuilder(client)
	defer builder.Close()
	conn, err := grpc.NewClient("zk:///search/providers",
		grpc.WithResolvers(builder),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"round_robin":{}}]}`),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	answer, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.WaitForReady(true))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.Status)

	stop()
	fmt.Println(<-served)
	// Output:
	// SERVING
	// <nil>
}
