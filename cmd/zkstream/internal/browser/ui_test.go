package browser_test

import (
	"testing"

	"github.com/chromedp/chromedp/kb"
	"github.com/zkstream/zkstream/cmd/zkstream/internal/ui"
	"github.com/zkstream/zkstream/zktest"
)

// shop is a tree as a small company has it.
const shop = `
/config
  /checkout
    currency = "EUR"
    max_basket = 250
    payment = {"providers": ["adyen", "stripe"], "timeout": 2.5}
  /flags
    new_search = true
    dark_launch = 0.05
  /motd
    string_value = "Maintenance on Sunday, 06:00 to 07:00 UTC"
/leader
/locks
  /nightly-report
/services
  /checkout
    /providers
  /mail
    /providers
  /search
    threads = 8
    /providers
`

func treeitem(path string) string { return `[data-path="` + path + `"] > .row` }

func TestThePageShowsTheTreeAndLightsUpWhatChanges(t *testing.T) {
	executable(t)
	server := zktest.Start(t, zktest.WithTree(shop))
	shopkeeper := connect(t, server)
	for _, addr := range []string{"10.0.4.11:8080", "10.0.4.12:8080", "10.0.4.13:8080"} {
		_, err := shopkeeper.Register(t.Context(), "/services/search/providers", addr, map[string]any{"pid": 4711, "version": "2.14.0", "weight": 10})
		do(t, err)
	}
	p := open(t, serveUI(t, server, ui.Options{}))
	p.sees("services")
	p.click(treeitem("/services") + " .twist")
	p.sees("search")
	p.click(treeitem("/services/search") + " .twist")
	p.until("no providers", `document.querySelector('[data-path="/services/search/providers"]')`)
	p.click(treeitem("/services/search/providers") + " .twist")
	p.sees("10.0.4.12:8080")
	p.click(treeitem("/services/search/providers/10.0.4.12:8080"))
	p.sees("session 0x")
	p.sees(`"weight": 10`)
	p.sees("world")

	// A row is lit for a moment only, so the page notes which have been.
	eval[bool](p, `(() => {
		window.lit = new Set();
		new MutationObserver((changes) => {
			for (const { target } of changes)
				for (const kind of ["lit", "lit-below"])
					if (target.classList.contains(kind)) window.lit.add(kind + " " + target.closest("[data-path]")?.dataset.path);
		}).observe(document.body, { subtree: true, attributes: true, attributeFilter: ["class"] });
		return true;
	})()`)
	do(t, server.Set("/services/search/providers/10.0.4.12:8080", []byte(`{"pid": 4711, "version": "2.14.1", "weight": 25}`)))
	p.sees(`"weight": 25`)
	p.until("it is not lit", `window.lit.has("lit /services/search/providers/10.0.4.12:8080")`)
	do(t, server.Create("/config/new", nil))
	p.until("what is above is not lit", `window.lit.has("lit-below /config")`)
	p.picture("ui.png", 1280, 760)
	p.click(treeitem("/config") + " .twist")
	p.sees("motd")
	do(t, server.Delete("/config/motd"))
	p.until("it is still there", `!document.querySelector('[data-path="/config/motd"]')`)
	p.types("#query", "10.0.4")
	p.sees("3 nodes")
	p.types("#query", kb.Escape)
	p.lacks("3 nodes")
}
