package browser_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/zkstream/zkstream/cmd/zkstream/internal/ui"
	"github.com/zkstream/zkstream/zktest"
)

// The command that serves the page is started again, and counts its states anew. An open page goes on.
func TestAnOpenPageOutlivesTheCommand(t *testing.T) {
	executable(t)
	server := zktest.Start(t)
	client := connect(t, server)
	var page atomic.Pointer[ui.Server]
	begin := func() {
		p := ui.New(client, ui.Options{Root: "/"})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); p.Run(ctx) }() // ends with ctx
		t.Cleanup(func() { cancel(); <-done })
		page.Store(p)
	}
	begin()
	var down atomic.Bool
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			panic(http.ErrAbortHandler) // closes the connection
		}
		page.Load().ServeHTTP(w, r)
	}))
	t.Cleanup(func() { h.CloseClientConnections(); h.Close() })

	p := open(t, h.URL)
	p.sees("connected")
	for i := range 10 {
		do(t, server.Create(fmt.Sprint("/before", i), nil))
		p.until("it is not shown", `document.querySelector('[data-path="/before%d"]')`, i)
	}
	begin()
	down.Store(true)
	h.CloseClientConnections()
	p.sees("tries to reach it again")
	down.Store(false)
	p.lacks("tries to reach it again")
	do(t, server.Create("/after", nil))
	p.until("what has come since is not shown", `document.querySelector('[data-path="/after"]')`)
}
