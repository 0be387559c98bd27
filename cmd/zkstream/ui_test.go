package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestUIServesThePageUntilASignal(t *testing.T) {
	s, server := start(t, "/a\n  x = 1\n  /b\n")
	j := s.background("ui", "/a", "--listen", "127.0.0.1:0")
	url := j.line()
	if !strings.HasPrefix(url, "http://127.0.0.1:") || !strings.HasSuffix(url, "/") {
		t.Fatalf("the address is %q", url)
	}
	get := func(path string) string {
		t.Helper()
		resp, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%s: %s, %v", path, resp.Status, err)
		}
		return string(body)
	}
	defer http.DefaultClient.CloseIdleConnections()
	if page := get(""); !strings.Contains(page, "<title>zkstream</title>") {
		t.Errorf("the page is %q", page)
	}
	var children struct{ Rows []struct{ Path string } }
	if err := json.Unmarshal([]byte(get("api/children")), &children); err != nil || len(children.Rows) != 1 || children.Rows[0].Path != "/a/b" {
		t.Errorf("%+v, %v", children, err)
	}
	resp, err := http.Post(url+"api/delete", "application/json", strings.NewReader(`{"path": "/a/b", "version": 0}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if _, _, err := server.Get("/a/b"); err != nil || resp.StatusCode == 200 {
		t.Errorf("without --write it deletes: %s, %v", resp.Status, err)
	}
	events, err := http.Get(url + "api/events") // which goes on for as long as the command runs
	if err != nil {
		t.Fatal(err)
	}
	defer events.Body.Close()
	j.interrupt()
	if status := <-j.status; status != 0 {
		t.Errorf("status %d: %s", status, j.stderr)
	}
	io.ReadAll(events.Body) // ends
}

func TestUIWritesIfAllowedAndWarnsWhereOthersMay(t *testing.T) {
	s, server := start(t, "/a\n")
	j := s.background("ui", "--listen", ":0", "--write", "--host", "zk.example.com")
	url := j.line()
	if !strings.HasPrefix(url, "http://localhost:") || !strings.Contains(j.stderr.String(), "everybody who can reach") {
		t.Errorf("%q, %q", url, j.stderr)
	}
	r, err := http.NewRequestWithContext(t.Context(), "POST", url+"api/create", strings.NewReader(`{"path": "/a/b"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "zk.example.com"
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if _, _, err := server.Get("/a/b"); err != nil || resp.StatusCode != 200 {
		t.Errorf("%s, %v", resp.Status, err)
	}
	j.interrupt()
	if status := <-j.status; status != 0 {
		t.Errorf("status %d: %s", status, j.stderr)
	}
}

func TestUIFailsWhereItCannotListen(t *testing.T) {
	s, _ := start(t, "")
	s.fails(1, "address", "ui", "--listen", "192.0.2.1:80")
	s.fails(1, "missing port", "ui", "--listen", "8080")
}
