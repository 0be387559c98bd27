package browser_test

import (
	"testing"
	"time"

	"github.com/zkstream/zkstream/cmd/zkstream/internal/ui"
	"github.com/zkstream/zkstream/zktest"
)

// What is in a ZooKeeper was written by anybody. None of it may become a part of the page.
func TestHostileNamesAndContentAreText(t *testing.T) {
	executable(t)
	const (
		script   = `<script>window.pwned = 1<\x2fscript>`
		image    = `<img src=x onerror="window.pwned = 2">`
		reversed = "\u202egnp.exe"
		quotes   = `"'onmouseover="window.pwned = 3`
		template = "{{7*7}}${7*7}"
	)
	server := zktest.Start(t)
	do(t, server.Create("/h", nil))
	for _, name := range []string{script, image, reversed, quotes, template} {
		do(t, server.Create("/h/"+name, []byte(`{"`+"</pre><script>window.pwned = 4</script>"+`": "`+"<svg onload='window.pwned = 5'>"+`"}`)))
	}
	p := open(t, serveUI(t, server, ui.Options{})+"/#%2Fh")
	p.sees("session")
	p.until("it is not open", `document.querySelector('[data-path="/h"]')`)
	p.click(treeitem("/h") + " .twist")
	for _, want := range []string{script, image, `\u{202e}gnp.exe`, quotes, template} {
		p.sees(want)
	}
	for i, name := range []string{image, script, quotes} {
		p.run(clickText(".name", name))
		p.until("it is not selected", `document.querySelector("#detail b")?.textContent === %s`, quote(name))
		p.sees("</pre><script>window.pwned = 4</script>")
		p.click(`[data-key="` + []string{"text", "json", "hex"}[i] + `"]`)
		p.until("there is no content", `document.querySelector("pre.content")`)
	}
	// In the list of changes, and in what a search has found.
	do(t, server.Create("/h/"+image+"2", nil), server.Delete("/h/"+script))
	p.until("the change is not listed", `document.querySelector("#changes .removed button")`)
	p.types("#query", "onerror")
	p.sees("2 nodes")
	if pwned := eval[bool](p, `"pwned" in window || document.querySelector("main img, main script, main svg, iframe") !== null`); pwned {
		t.Error("something of it has become a part of the page")
	}
	if raw := eval[bool](p, `document.body.innerText.includes("\u202e")`); raw {
		t.Error("an override of the text's direction has got through")
	}
}

func TestANodeWithoutPermissionIsMarked(t *testing.T) {
	executable(t)
	server := zktest.Start(t, zktest.WithTree("/a\n  /secret\n    x = 1\n"))
	do(t, server.SetACL("/a/secret", zktest.ACL{Perms: 16, Scheme: "world", ID: "anyone"}))
	p := open(t, serveUI(t, server, ui.Options{}))
	p.until("there is no /a", `document.querySelector('[data-path="/a"] .twist')?.textContent`)
	p.click(treeitem("/a") + " .twist")
	p.sees("no permission")
	p.click(treeitem("/a/secret"))
	p.sees("no permission to read the node")
}

func TestContentIsShownAsWhatItIs(t *testing.T) {
	executable(t)
	server := zktest.Start(t)
	for path, content := range map[string]string{
		"/json": `{"big":12345678901234567890,"list":[1,{"a":[]},{}],"text":"a, \"b\": {c}"}`, "/text": "one\ttwo\nthree\x00", "/binary": "\xff\xfe\x00caf\xe9", "/empty": "",
	} {
		do(t, server.Create(path, []byte(content)))
	}
	p := open(t, serveUI(t, server, ui.Options{}))
	shows := func(path, view, want string) {
		t.Helper()
		p.until("there is no "+path, `document.querySelector('[data-path="%s"]')`, path)
		p.click(treeitem(path))
		p.until("it is not selected", `document.querySelector("#detail b")?.textContent === %s && document.querySelector(".content")`, quote(path[1:]))
		if got := eval[string](p, `document.querySelector('.tabs [aria-pressed="true"]').textContent`); got != view {
			t.Errorf("%s is shown as %s", path, got)
		}
		if got := eval[string](p, `document.querySelector(".content").textContent`); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", path, got, want)
		}
	}
	shows("/json", "JSON", "{\n  \"big\": 12345678901234567890,\n  \"list\": [\n    1,\n    {\n      \"a\": []\n    },\n    {}\n  ],\n  \"text\": \"a, \\\"b\\\": {c}\"\n}")
	shows("/text", "Text", "one\ttwo\nthree\\u{0}")
	shows("/binary", "Hex", "00000000  ff fe 00 63 61 66 e9                              ...caf.")
	shows("/empty", "Text", "empty")
}

func TestOutagesAreSaidAndAClosedTabEndsItsStream(t *testing.T) {
	executable(t)
	server := zktest.Start(t, zktest.WithTree("/a\n"))
	url, streams := serveCounted(t, server, ui.Options{})
	p := open(t, url)
	p.sees("connected")
	server.Stop(true)
	p.sees("No ZooKeeper server answers")
	server.Stop(false)
	p.lacks("No ZooKeeper server answers")
	do(t, server.Create("/b", nil))
	p.until("what has come since is not shown", `document.querySelector('[data-path="/b"]')`)
	if streams.Load() != 1 {
		t.Errorf("%d streams of events", streams.Load())
	}
	p.end()
	late := time.Now().Add(patience)
	for streams.Load() > 0 {
		if time.Now().After(late) {
			t.Fatal("the tab is closed, and its stream of events is not")
		}
		p2 := open(t, "about:blank") // which takes a moment
		p2.end()
	}
}
