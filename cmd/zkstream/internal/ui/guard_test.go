package ui_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"testing"

	"github.com/zkstream/zkstream/cmd/zkstream/internal/ui"
	"github.com/zkstream/zkstream/zktest"
)

// With DNS rebinding, the page of somebody else asks for this one by a name of his own.
func TestThePageIsServedOnlyByNamesThatNobodyElseCanPointHere(t *testing.T) {
	f := start(t, ui.Options{Hosts: []string{"zk.example.com"}}).follow()
	own, err := os.Hostname()
	f.must(err)
	for host, want := range map[string]int{
		"127.0.0.1:8099": 200, "localhost:8099": 200, "LocalHost": 200, "[::1]:8099": 200, "192.168.3.4": 200, own + ":80": 200,
		"zk.example.com": 200, "ZK.example.com:443": 200, "localhost.:1": 200,
		"evil.com": 403, "evil.com:8099": 403, "127.0.0.1.evil.com": 403, "localhost.evil.com": 403, "evil.com/127.0.0.1": 400,
	} {
		for _, target := range []string{"/", "/api/node?path=/"} {
			status, body := f.request("GET", target, "", func(r *http.Request) { r.Host = host })
			if status != want && !(want == 400 && status == 403) {
				t.Errorf("%s by the name %q: %d %s", target, host, status, body)
			}
		}
	}
}

func TestRequestsOfOtherPagesAreRefused(t *testing.T) {
	f := start(t, ui.Options{Write: true}).follow()
	const body = `{"path": "/a"}`
	for name, with := range map[string]func(*http.Request){
		"of another site":          func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"of another port":          func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
		"of an old browser":        func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "http://evil.com") },
		"of a page without origin": func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "null") },
		"of a form":                func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") },
	} {
		if status, answer := f.request("POST", "/api/create", body, with); status != 403 && status != 400 {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
	if _, _, err := f.server.Get("/a"); err == nil {
		t.Fatal("it was carried out all the same")
	}
	for _, site := range []string{"cross-site", "same-site"} {
		status, _ := f.request("GET", "/api/node?path=/", "", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", site) })
		if status != 403 {
			t.Errorf("data for a page of %s: %d", site, status)
		}
		if status, _ = f.request("GET", "/", "", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", site) }); status != 200 {
			t.Errorf("a link from a page of %s: %d", site, status)
		}
	}
	if status, answer := f.request("POST", "/api/create", body, nil); status != 200 {
		t.Errorf("of the page itself: %d %s", status, answer)
	}
}

func TestNothingCanBeChangedUnlessThatWasAllowed(t *testing.T) {
	f := start(t, ui.Options{}, zktest.WithTree("/a\n")).follow()
	for _, what := range []string{"set", "create", "delete"} {
		if status, _ := f.request("POST", "/api/"+what, `{"path": "/a", "version": 0}`, nil); status != 405 && status != 404 {
			t.Errorf("%s: %d", what, status)
		}
	}
}

func TestAChangeNamesTheVersionThatWasSeen(t *testing.T) {
	f := start(t, ui.Options{Write: true}, zktest.WithTree("/a\n  /b\n")).follow()
	post := func(what, body string, want int) string {
		t.Helper()
		status, answer := f.request("POST", "/api/"+what, body, nil)
		if status != want {
			t.Errorf("%s %s: %d %s", what, body, status, answer)
		}
		return answer
	}
	data := base64.StdEncoding.EncodeToString([]byte("new\x00"))
	if got := post("create", `{"path": "/a/c", "data": "`+data+`"}`, 200); got != `{"path":"/a/c","version":0}`+"\n" {
		t.Errorf("%s", got)
	}
	if content, _, _ := f.server.Get("/a/c"); string(content) != "new\x00" {
		t.Errorf("%q", content)
	}
	post("create", `{"path": "/a/c"}`, 409)
	post("create", `{"path": "/missing/c"}`, 404)
	post("create", `{"path": "/a//c"}`, 400)
	post("create", `{"path": ""}`, 400)
	post("create", `{"path": "/a/c", "surprise": 1}`, 400)
	post("create", `{`, 400)
	if got := post("create", `{"path": "/a/n-", "sequential": true}`, 200); got != fmt.Sprintf(`{"path":"/a/n-%010d","version":0}`, 2)+"\n" {
		t.Errorf("%s", got)
	}
	if got := post("set", `{"path": "/a/c", "data": "", "version": 0}`, 200); got != `{"path":"/a/c","version":1}`+"\n" {
		t.Errorf("%s", got)
	}
	post("set", `{"path": "/a/c", "data": "", "version": 0}`, 409)
	post("set", `{"path": "/a/c", "data": ""}`, 400)
	post("set", `{"path": "/a/c", "data": "", "version": -1}`, 400)
	post("delete", `{"path": "/a/c", "version": 0}`, 409)
	post("delete", `{"path": "/a", "version": 0}`, 409)
	post("delete", `{"path": "/a/c"}`, 400)
	post("delete", `{"path": "/a/c", "version": 1}`, 200)
	f.must(f.server.SetACL("/a/b", secret))
	post("set", `{"path": "/a/b", "data": "", "version": 0}`, 403)
}
