// Package browser has the tests of the pages, of zkstream ui and of zkdebug, in a real browser. They are skipped where there
// is none. With -pictures they make the pictures in docs.
package browser_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/cmd/zkstream/internal/ui"
	"github.com/zkstream/zkstream/zktest"
)

var pictures = flag.String("pictures", "", "write the pictures of the pages into this `folder`")

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// executable returns the path of a browser, or skips the test.
func executable(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "headless_shell"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("no Chromium or Chrome here: \"make browser\" installs one where there is apt-get")
	return ""
}

// shared is the browser of all tests, which the first of them starts.
var shared struct {
	sync.Mutex
	ctx context.Context
	end context.CancelFunc
}

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if shared.end != nil {
		shared.end()
	}
	os.Exit(code)
}

func browser(t *testing.T) context.Context {
	path := executable(t)
	shared.Lock()
	defer shared.Unlock()
	if shared.ctx != nil {
		return shared.ctx
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.WindowSize(1280, 800),
		chromedp.NoSandbox) // which root needs
	allocator, endAllocator := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, endBrowser := chromedp.NewContext(allocator)
	shared.ctx, shared.end = ctx, func() { endBrowser(); endAllocator() }
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("the browser does not start: %v", err)
	}
	return ctx
}

// tab is a page in the browser. What its console has of errors fails the test.
type tab struct {
	t   *testing.T
	ctx context.Context
	end context.CancelFunc
}

// open opens a page.
func open(t *testing.T, url string) *tab {
	t.Helper()
	ctx, end := chromedp.NewContext(browser(t), chromedp.WithNewBrowserContext())
	p := &tab{t: t, ctx: ctx, end: end}
	t.Cleanup(end)
	p.run(chromedp.Navigate("about:blank")) // in which the tab begins to exist, for longer than a limit of run
	err := chromedp.Listen(ctx, func(event any) {
		switch event := event.(type) {
		case *runtime.EventExceptionThrown:
			t.Errorf("the page's script has thrown: %+v", event.ExceptionDetails)
		case *network.EventRequestWillBeSent:
			if to := event.Request.URL; !strings.HasPrefix(to, origin(url)) && !strings.HasPrefix(to, "about:") {
				t.Errorf("the page asks for %s", to)
			}
		case *log.EventEntryAdded:
			if event.Entry.Level == log.EntryLevelError && !strings.Contains(event.Entry.Text, "Failed to load resource") {
				t.Errorf("the browser says: %s", event.Entry.Text)
			}
		}
	})
	do(t, err)
	p.run(chromedp.Navigate(url))
	return p
}

// origin returns the part of an address of a server of httptest that names the server.
func origin(url string) string { return strings.Join(strings.SplitN(url, "/", 4)[:3], "/") }

// run has the browser do something.
func (p *tab) run(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ask(p, chromedp.Steps(steps...))
}

// ask has the browser do something that has a result.
func ask[T any](p *tab, action chromedp.Action[T]) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, func(ctx context.Context, target *chromedp.Target) (T, error) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		return action(ctx, target)
	})
	if err != nil {
		p.t.Fatalf("%v; the page has:\n%s", err, p.text())
	}
	return v
}

// text returns what is to be read on the page.
func (p *tab) text() string {
	text, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](`document.body.innerText`))
	if err != nil {
		return err.Error()
	}
	return text
}

// eval returns the value of an expression.
func eval[T any](p *tab, format string, args ...any) T {
	p.t.Helper()
	return ask(p, chromedp.Evaluate[T](fmt.Sprintf(format, args...)))
}

// until waits for an expression to become true, on this page or on that which follows.
func (p *tab) until(what, format string, args ...any) {
	p.t.Helper()
	poll := chromedp.Poll[chromedp.Void](fmt.Sprintf(format, args...), chromedp.WithPollingTimeout(patience))
	for start := time.Now(); ; {
		_, err := chromedp.Run(p.ctx, poll)
		switch {
		case err == nil:
			return
		case time.Since(start) < patience && p.ctx.Err() == nil && gone(err):
			continue
		}
		p.t.Fatalf("%s: %v; the page has:\n%s", what, err, p.text())
	}
}

// gone reports whether an error says that the page has been left meanwhile.
func gone(err error) bool {
	return strings.Contains(err.Error(), "context with specified id") || strings.Contains(err.Error(), "navigated")
}

// sees waits for a text on the page.
func (p *tab) sees(text string) {
	p.t.Helper()
	p.until("no "+text, `document.body.innerText.includes(%s)`, quote(text))
}

// lacks waits for a text to go from the page.
func (p *tab) lacks(text string) {
	p.t.Helper()
	p.until("still "+text, `!document.body.innerText.includes(%s)`, quote(text))
}

func quote(s string) string { return fmt.Sprintf("%q", s) }

// click clicks the first element of a selector.
func (p *tab) click(selector string) {
	p.t.Helper()
	p.run(chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// types types into the first element of a selector.
func (p *tab) types(selector, keys string) {
	p.t.Helper()
	p.run(chromedp.SendKeys(chromedp.CSS(selector), keys, chromedp.NodeVisible))
}

// picture writes what is to be seen into docs, if that is asked for.
func (p *tab) picture(name string, width, height int64) {
	p.t.Helper()
	if *pictures == "" {
		return
	}
	p.run(chromedp.EmulateViewport(width, height))
	png := ask(p, chromedp.CaptureScreenshot())
	if err := os.WriteFile(*pictures+"/"+name, png, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// dark says which colours the user prefers.
func (p *tab) dark(on bool) {
	p.t.Helper()
	value := "light"
	if on {
		value = "dark"
	}
	p.run(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}},
		})
		return err
	}))
}

// connect opens a client, for as long as the test runs.
func connect(t *testing.T, server *zktest.Server, opts ...zkstream.Option) *zkstream.Client {
	t.Helper()
	opts = append([]zkstream.Option{zkstream.WithDialer(server.Dial), zkstream.WithLogger(slog.New(slog.NewTextHandler(t.Output(), nil)))}, opts...)
	client, err := zkstream.Connect(t.Context(), server.Addr(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// serveUI serves the page of a server, and returns its address.
func serveUI(t *testing.T, server *zktest.Server, options ui.Options) string {
	t.Helper()
	url, _ := serveCounted(t, server, options)
	return url
}

// serveCounted does so, and returns how many streams of events are open, too.
func serveCounted(t *testing.T, server *zktest.Server, options ui.Options) (url string, open *atomic.Int32) {
	t.Helper()
	if options.Root == "" {
		options.Root = "/"
	}
	page := ui.New(connect(t, server), options)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); page.Run(ctx) }() // ends with ctx
	open = new(atomic.Int32)
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/events" {
			open.Add(1)
			defer open.Add(-1)
		}
		page.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { h.CloseClientConnections(); h.Close(); cancel(); <-done })
	return h.URL, open
}

// do carries out what a test does to its server, and fails if that fails.
func do(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}
