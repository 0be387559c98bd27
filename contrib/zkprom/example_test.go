package zkprom_test

import (
	"context"
	"fmt"
	"log"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/contrib/zkprom"
	"github.com/zkstream/zkstream/zktest"
)

func Example() {
	server, err := zktest.New() // a real server does as well
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	ctx := context.Background()
	registry := prometheus.NewRegistry() // or prometheus.DefaultRegisterer
	metrics := zkprom.New("orders")
	registry.MustRegister(metrics)
	client, err := zkstream.Connect(ctx, server.Addr(), zkstream.WithTrace(metrics.Trace()))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	metrics.Observe(client)

	client.Get(ctx, "/search")
	families, err := registry.Gather() // which promhttp.HandlerFor(registry, ...) serves
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "zkstream_requests_total" {
			fmt.Println(f.GetName(), f.GetMetric()[0].GetCounter().GetValue())
		}
	}
	// Output:
	// zkstream_requests_total 1
}
