package ui_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/cmd/zkstream/internal/ui"
	"github.com/zkstream/zkstream/zktest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 2 * time.Minute

// fixture is the page of a server in the process.
type fixture struct {
	t      *testing.T
	server *zktest.Server
	client *zkstream.Client
	page   *ui.Server
	http   *httptest.Server
}

// start serves the page, without following the tree yet.
func start(t *testing.T, options ui.Options, opts ...zktest.Option) *fixture {
	t.Helper()
	f := &fixture{t: t, server: zktest.Start(t, opts...)}
	client, err := zkstream.Connect(t.Context(), f.server.Addr(), zkstream.WithDialer(f.server.Dial))
	f.must(err)
	t.Cleanup(func() { client.Close() })
	f.client = client
	if options.Root == "" {
		options.Root = "/"
	}
	f.page = ui.New(client, options)
	f.http = httptest.NewServer(f.page)
	t.Cleanup(func() { f.http.CloseClientConnections(); f.http.Close(); http.DefaultClient.CloseIdleConnections() })
	return f
}

// follow has the page follow the tree, and waits until it has been read.
func (f *fixture) follow() *fixture {
	f.t.Helper()
	ctx, cancel := context.WithCancel(f.t.Context())
	done := make(chan struct{})
	go func() { defer close(done); f.page.Run(ctx) }() // ends with ctx
	f.t.Cleanup(func() { cancel(); <-done })
	e := f.events()
	e.until("ready", func(m message) bool { return m.Ready })
	e.end()
	return f
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// request sends one that a browser would send from the page itself, changed by with.
func (f *fixture) request(method, target, body string, with func(*http.Request)) (status int, answer string) {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), method, f.http.URL+target, strings.NewReader(body))
	f.must(err)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Origin", f.http.URL)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	if with != nil {
		with(r)
	}
	resp, err := http.DefaultClient.Do(r)
	f.must(err)
	defer resp.Body.Close()
	if policy := resp.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; script-src 'self'") {
		f.t.Errorf("%s %s: the policy is %q", method, target, policy)
	}
	all, err := io.ReadAll(resp.Body)
	f.must(err)
	return resp.StatusCode, string(all)
}

// get asks for JSON.
func get[T any](f *fixture, target string) (v T) {
	f.t.Helper()
	status, body := f.request("GET", target, "", nil)
	if status != 200 {
		f.t.Fatalf("%s: %d %s", target, status, body)
	}
	f.must(json.Unmarshal([]byte(body), &v))
	return v
}

type row struct {
	Name, Path, Owner string
	Children, Version int
	Size              int
	Denied, Container bool
	TTL               int64
}

type children struct {
	Exists      bool
	Total, From int
	Node        row
	Rows        []row
}

func (c children) names() string {
	names := make([]string, len(c.Rows))
	for i, r := range c.Rows {
		names[i] = r.Name
	}
	return strings.Join(names, " ")
}

type node struct {
	row
	Exists   bool
	Data     []byte
	Cut      bool
	ACL      []struct{ Scheme, ID, Perms string }
	ACLError string
	Old      string
}

type message struct {
	Seq         uint64
	Root, Error string
	Write       bool
	Ready       bool
	Begin       bool
	Nodes       int
	Total       int
	Session     struct{ State, ID, Server string }
	Changes     []struct {
		Path, What string
		Node       *row
	}
}

// events is a browser's stream of events.
type events struct {
	t     *testing.T
	lines *bufio.Scanner
	end   context.CancelFunc
	bytes int
}

func (f *fixture) events() *events {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	f.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", f.http.URL+"/api/events", nil)
	f.must(err)
	resp, err := http.DefaultClient.Do(r)
	f.must(err)
	f.t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		f.t.Fatalf("%s, %q", resp.Status, resp.Header.Get("Content-Type"))
	}
	e := &events{t: f.t, lines: bufio.NewScanner(resp.Body), end: cancel}
	e.lines.Buffer(nil, 1<<20)
	return e
}

// next returns the next message.
func (e *events) next() (m message) {
	e.t.Helper()
	for e.lines.Scan() {
		e.bytes += len(e.lines.Bytes()) + 1
		if data, found := bytes.CutPrefix(e.lines.Bytes(), []byte("data: ")); found {
			if err := json.Unmarshal(data, &m); err != nil {
				e.t.Fatal(err)
			}
			return m
		}
	}
	e.t.Fatalf("the stream of events has ended: %v", e.lines.Err())
	return m
}

// until returns the first message for which ok is true.
func (e *events) until(what string, ok func(message) bool) message {
	e.t.Helper()
	for {
		if m := e.next(); ok(m) {
			return m
		}
	}
}

func TestAnEventSaysWhatHasChanged(t *testing.T) {
	f := start(t, ui.Options{}, zktest.WithTree("/a\n  x = 1\n  /b\n")).follow()
	e := f.events()
	if m := e.next(); !m.Begin || !m.Ready || m.Nodes != 6 || m.Root != "/" || m.Write || m.Session.State != "connected" || m.Total != 0 {
		t.Errorf("at first %+v", m)
	}
	change := func(want string, do error) message {
		t.Helper()
		f.must(do)
		m := e.next()
		if m.Begin || len(m.Changes) != 1 || m.Total != 1 || m.Changes[0].What+" "+m.Changes[0].Path != want {
			t.Errorf("%s: %+v", want, m)
		}
		return m
	}
	if m := change("changed /a", f.server.Set("/a", []byte("0123456789"))); m.Changes[0].Node.Size != 10 || m.Changes[0].Node.Children != 1 {
		t.Errorf("%+v", m.Changes[0].Node)
	}
	change("added /a/c", f.server.Create("/a/c", nil))
	if m := change("removed /a/b", f.server.Delete("/a/b")); m.Changes[0].Node != nil || m.Nodes != 6 {
		t.Errorf("%+v", m)
	}
	f.server.Stop(true)
	e.until("a lost connection", func(m message) bool { return m.Session.State == "suspended" })
	f.server.Stop(false)
	e.until("a new one", func(m message) bool { return m.Session.State == "connected" })
}

func TestManyChangesAreCountedInOneMessage(t *testing.T) {
	f := start(t, ui.Options{}).follow()
	f.must(f.server.Create("/a", nil))
	e := f.events()
	e.next()
	for i := range 1000 {
		f.must(f.server.Create(fmt.Sprint("/a/", i), nil))
	}
	sum, messages := 0, 0
	for sum < 1000 {
		m := e.next()
		if len(m.Changes) > 200 || m.Total > 200 && len(m.Changes) != 200 {
			t.Fatalf("%d changes, %d in all", len(m.Changes), m.Total)
		}
		sum += m.Total
		messages++
	}
	if messages > 500 {
		t.Errorf("%d messages", messages)
	}
}

func TestAClosedTabEndsItsStream(t *testing.T) {
	f := start(t, ui.Options{}).follow()
	f.page.WaitForNoStreams(t, patience)
	for range 10 {
		var open []*events
		for range ui.MostStreams {
			e := f.events() // fails where those of before are still counted
			e.next()
			open = append(open, e)
		}
		if status, _ := f.request("GET", "/api/events", "", nil); status != 503 {
			t.Fatalf("one stream more than are allowed is answered by %d", status)
		}
		for _, e := range open {
			e.end()
		}
		f.page.WaitForNoStreams(t, patience)
	}
}
