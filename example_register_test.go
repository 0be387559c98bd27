package zkstream_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"github.com/zkstream/zkstream"
)

func ExampleAdvertise() {
	ctx := context.Background()
	client, done := connect(ctx)
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
