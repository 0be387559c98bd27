package zkotel_test

import (
	"context"
	"fmt"
	"log"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/contrib/zkotel"
	"github.com/zkstream/zkstream/zktest"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func Example() {
	server, err := zktest.New() // a real server does as well
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	ctx := context.Background()
	spans := tracetest.NewSpanRecorder() // or an exporter, and otel.SetTracerProvider instead of the option
	telemetry, err := zkotel.New(zkotel.WithTracerProvider(trace.NewTracerProvider(trace.WithSpanProcessor(spans))))
	if err != nil {
		log.Fatal(err)
	}
	client, err := zkstream.Connect(ctx, server.Addr(), zkstream.WithTrace(telemetry.Trace()))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if err := telemetry.Observe(client); err != nil {
		log.Fatal(err)
	}
	defer telemetry.Close()

	client.Get(ctx, "/search")
	client.Delete(ctx, "/missing")
	for _, s := range spans.Ended() {
		fmt.Println(s.Name(), s.Status().Code)
	}
	// Output:
	// getData Unset
	// delete Error
}
