package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zkdebug"
	"github.com/zkstream/zkstream/zktest"
)

func TestTheDebugPage(t *testing.T) {
	executable(t)
	server := zktest.Start(t, zktest.WithTree(shop))
	var recorder zkdebug.Recorder
	client := connect(t, server, zkstream.WithTrace(recorder.Trace()))
	mux := http.NewServeMux()
	mux.Handle("/debug/zkstream", recorder.Handler(client))
	h := httptest.NewServer(mux)
	t.Cleanup(h.Close)

	ctx := t.Context()
	registration, err := client.Register(ctx, "/services/search/providers", "10.0.4.11:8080", map[string]any{"version": "2.14.0"})
	do(t, err)
	client.Tree(ctx, "/config").Next(ctx)
	client.Properties(ctx, "/services/search").Next(ctx)
	client.Children(ctx, "/services/mail/providers").Next(ctx)
	slow, quick := client.Children(ctx, "/services/search/providers"), client.Children(ctx, "/services/search/providers")
	slow.Next(ctx)
	quick.Next(ctx)
	for i := range 5 {
		do(t, server.Create(fmt.Sprintf("/services/search/providers/10.0.4.2%d:8080", i), nil))
		quick.Next(ctx)
	}
	do(t, client.UpdateProperties(ctx, "/config/flags", map[string]any{"new_search": false}))
	client.Delete(ctx, "/locks/weekly-report")

	p := open(t, h.URL+"/debug/zkstream")
	for _, text := range []string{"connected", registration.Path(), "/services/mail/providers", "/locks/weekly-report", "node does not exist"} {
		p.sees(text)
	}
	p.until("the style sheet is not used", `getComputedStyle(document.querySelector(".state")).borderTopWidth === "1px"`)
	p.until("who is slow is not marked", `document.querySelector("tr.slow .path").innerText === "/services/search/providers"`)
	p.picture("zkdebug.png", 1180, 1000)
	p.types("input[name=q]", "mail\r")
	p.sees("1 watched")
	p.lacks("/services/search\t")
	p.click("form a")
	p.sees("4 watched")
	p.click("header nav a")
	p.sees(`"state":"connected"`)
}
