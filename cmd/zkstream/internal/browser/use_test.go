package browser_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/zkstream/zkstream/cmd/zkstream/internal/ui"
	"github.com/zkstream/zkstream/zktest"
)

// clickText clicks the first element of a selector that has this text.
func clickText(selector, text string) chromedp.Action[chromedp.Void] {
	find := fmt.Sprintf(`[...document.querySelectorAll(%q)].find((e) => e.textContent === %q)`, selector, text)
	return func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := chromedp.Poll[chromedp.Void](find+` !== undefined`)(ctx, target)
		if err == nil {
			_, err = chromedp.Evaluate[chromedp.Void](find+`.click()`)(ctx, target)
		}
		return chromedp.Void{}, err
	}
}

func TestThePageIsUsedByTheKeyboard(t *testing.T) {
	executable(t)
	server := zktest.Start(t, zktest.WithTree(shop))
	p := open(t, serveUI(t, server, ui.Options{}))
	p.until("there is no tree", `document.querySelector('[data-path="/services"]')`)
	p.run(chromedp.Focus(chromedp.CSS(`[role=treeitem][tabindex="0"]`)))
	key := func(keys, at string) {
		t.Helper()
		p.run(chromedp.KeyEvent(keys))
		p.until(fmt.Sprintf("%q does not lead to %s", keys, at), `document.activeElement.dataset.path === %s`, quote(at))
	}
	key(kb.ArrowDown, "/config")
	key(kb.ArrowRight, "/config")
	p.until("it is not open", `document.querySelector('[data-path="/config/flags"]')`)
	key(kb.ArrowRight, "/config/checkout")
	key(kb.ArrowDown, "/config/flags")
	key(kb.Enter, "/config/flags")
	p.sees(`"new_search": true`)
	if hash := eval[string](p, `location.hash`); hash != "#%2Fconfig%2Fflags" {
		t.Errorf("the address is %s", hash)
	}
	key(kb.ArrowLeft, "/config")
	key(kb.ArrowLeft, "/config")
	p.until("it is not closed", `!document.querySelector('[data-path="/config/flags"]')`)
	key(kb.End, "/zookeeper")
	key(kb.Home, "/")
	p.run(chromedp.KeyEvent("/"))
	p.until("the slash does not search", `document.activeElement.id === "query"`)
	p.run(chromedp.KeyEvent("mail"))
	p.sees("2 nodes")
	p.run(chromedp.KeyEvent(kb.Enter))
	p.run(chromedp.KeyEvent(kb.Enter))
	p.until("what was found is not shown", `document.querySelector('[aria-selected="true"]')?.dataset.path === "/services/mail"`)
	p.until("the tree is not shown again", `!document.getElementById("tree").hidden`)

	// Back goes back, and each treeitem has a name, a level, and exactly one of them is in the order of the tabulator.
	p.run(chromedp.NavigateBack())
	p.sees(`"new_search": true`)
	if n := eval[int](p, `document.querySelectorAll('[role=treeitem]:not([aria-label]), [role=treeitem]:not([aria-level])').length`); n > 0 {
		t.Errorf("%d items have no name or level", n)
	}
	if n := eval[int](p, `document.querySelectorAll('[role=treeitem][tabindex="0"]').length`); n != 1 {
		t.Errorf("%d items are in the order of the tabulator", n)
	}
}

func TestThePageFollowsTheColoursThatTheUserPrefers(t *testing.T) {
	executable(t)
	p := open(t, serveUI(t, zktest.Start(t), ui.Options{}))
	p.sees("connected")
	const back = `getComputedStyle(document.body).backgroundColor`
	p.dark(false)
	light := eval[string](p, back)
	p.dark(true)
	if dark := eval[string](p, back); dark == light || light != "rgb(255, 255, 255)" {
		t.Errorf("light is %s, dark is %s", light, dark)
	}
}

func TestNodesAreChangedByThePage(t *testing.T) {
	executable(t)
	server := zktest.Start(t, zktest.WithTree("/a\n  x = 1\n"))
	p := open(t, serveUI(t, server, ui.Options{Write: true}))
	p.until("there is no /a", `document.querySelector('[data-path="/a"]')`)
	p.click(treeitem("/a"))
	p.click(`[data-key="edit"]`)
	p.run(chromedp.SetValue(chromedp.CSS("dialog textarea"), "héllo\n"))
	p.click("dialog .main")
	p.until("the dialog is open", `!document.querySelector("dialog").open`)
	p.sees("version\n1")
	if content, _, err := server.Get("/a"); string(content) != "héllo\n" {
		t.Errorf("%q, %v", content, err)
	}

	// Somebody else is faster.
	p.click(`[data-key="edit"]`)
	do(t, server.Set("/a", []byte("theirs")))
	p.sees("theirs")
	p.click("dialog .main")
	p.sees("version conflict")
	p.run(clickText("dialog button", "Cancel"))
	if content, _, _ := server.Get("/a"); string(content) != "theirs" {
		t.Errorf("it was overwritten by %q", content)
	}

	p.click(`[data-key="create"]`)
	p.types(`dialog input[type="text"]`, "child")
	p.click("dialog .main")
	p.until("the child is not shown", `document.querySelector('[aria-selected="true"]')?.dataset.path === "/a/child"`)
	p.until("there is nothing to delete", `document.querySelector("#detail b")?.textContent === "child" && document.querySelector('[data-key="delete"]')`)
	p.click(`[data-key="delete"]`)
	p.sees("This cannot be undone")
	p.click("dialog .main")
	p.until("the child is still shown", `!document.querySelector('[data-path="/a/child"]')`)
	if names, _ := server.Children("/a"); len(names) > 0 {
		t.Errorf("%q are left", names)
	}
}

func TestNothingCanBeChangedOnAPageThatIsReadOnly(t *testing.T) {
	executable(t)
	p := open(t, serveUI(t, zktest.Start(t, zktest.WithTree("/a\n")), ui.Options{}))
	p.until("there is no /a", `document.querySelector('[data-path="/a"]')`)
	p.click(treeitem("/a"))
	p.sees("read-only")
	p.until("there is no node", `document.querySelector(".facts")`)
	if n := eval[int](p, `document.querySelectorAll(".actions button").length`); n > 0 {
		t.Errorf("there are %d buttons", n)
	}
}

// The times are told, not judged: the machine may have other work.
func TestAHundredThousandNodesAreOnPages(t *testing.T) {
	executable(t)
	if testing.Short() {
		t.Skip("with -short")
	}
	const many = 100_000
	server := zktest.Start(t)
	do(t, server.Create("/large", nil))
	for i := range many {
		do(t, server.Create(fmt.Sprintf("/large/node-%06d", i), []byte("small")))
	}
	url := serveUI(t, server, ui.Options{})
	began := time.Now()
	picture := func(when string) {
		p := open(t, url+"/#%2Flarge%2Fnode-000000")
		ms := ask(p, chromedp.Poll[float64](`document.querySelector('[data-path="/large/node-000099"]') && document.querySelector("#detail b") && performance.now()`))
		t.Logf("%s, the first picture came after %.0f ms", when, ms)
		p.end()
	}
	picture(fmt.Sprintf("%v after the start", time.Since(began).Round(time.Millisecond)))
	p := open(t, url+"/#%2Flarge%2Fnode-000000")
	p.sees("100,00") // nodes, in the head: the tree has been read
	picture("with the tree read")

	for i := range 20 {
		text := fmt.Sprintf("content %d", i)
		began := time.Now()
		do(t, server.Set("/large/node-000000", []byte(text)))
		at := ask(p, chromedp.Poll[float64](fmt.Sprintf(`document.querySelector("pre.content")?.textContent === %q && Date.now()`, text)))
		t.Logf("a change was to be seen after %.0f ms", at-float64(began.UnixMilli()))
	}
	p.sees("1–100 of 100,000")
	p.click(`[aria-label="Last page"]`)
	p.sees("99,901–100,000 of 100,000")
	p.sees("node-099999")
	do(t, server.Delete("/large/node-099950"))
	p.until("it is still there", `!document.querySelector('[data-path="/large/node-099950"]')`)
	p.sees("99,901–99,999 of 99,999")
	p.run(chromedp.SetValue(chromedp.CSS(".pager input"), "500"), chromedp.Evaluate[chromedp.Void](`document.querySelector(".pager input").dispatchEvent(new Event("change"))`))
	p.sees("49,901–50,000 of 99,999")
	if n := eval[int](p, `document.querySelectorAll("[role=treeitem]").length`); n > 110 {
		t.Errorf("the page has %d items", n)
	}
	p.types("#query", "node-07777")
	p.sees("10 nodes")
	p.run(clickText("#results button", "/large/node-077777"))
	p.sees("77,701–77,800 of 99,999")
	p.until("it is not selected", `document.querySelector('[aria-selected="true"]')?.dataset.path === "/large/node-077777"`)
}
