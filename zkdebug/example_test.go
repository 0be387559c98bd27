package zkdebug_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zkdebug"
	"github.com/zkstream/zkstream/zktest"
)

func Example() {
	server, err := zktest.New() // yours is a real one
	if err != nil {
		panic(err)
	}
	defer server.Close()
	ctx := context.Background()

	var recorder zkdebug.Recorder
	client, err := zkstream.Connect(ctx, server.Addr(), zkstream.WithTrace(recorder.Trace()))
	if err != nil {
		panic(err)
	}
	defer client.Close()
	mux := http.NewServeMux()
	mux.Handle("/debug/zkstream", recorder.Handler(client))
	debug := httptest.NewServer(mux)
	defer debug.Close()

	if err := client.Create(ctx, "/search/providers", nil); err != nil {
		panic(err)
	}
	providers := client.Children(ctx, "/search/providers")
	defer providers.Close()
	providers.Next(ctx)

	resp, err := http.Get(debug.URL + "/debug/zkstream?format=json") // without the query it is a page
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	var report struct {
		Session struct{ State string }
		Watches []struct {
			Path, Kind, State string
			Streams, Lag      int
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&report); err != nil {
		panic(err)
	}
	fmt.Println(report.Session.State)
	fmt.Printf("%+v\n", report.Watches)
	// Output:
	// connected
	// [{Path:/search/providers Kind:children State:current Streams:1 Lag:0}]
}
