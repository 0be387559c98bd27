package main

import (
	"encoding/json"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zkstream/zkstream/zktest"
)

// wants checks the next line of a watch, whose time it leaves out.
func (j *job) wants(want string) {
	j.t.Helper()
	at, rest, _ := strings.Cut(j.line(), " ")
	if _, err := time.Parse(time.RFC3339, at); err != nil || rest != want {
		j.t.Errorf("got %q at %s, want %q", rest, at, want)
	}
}

// ends interrupts a command and checks its status.
func (j *job) ends(want int) {
	j.t.Helper()
	j.interrupt()
	if got := <-j.status; got != want {
		j.t.Errorf("status %d, want %d: %s", got, want, j.stderr)
	}
	j.status <- want // for the cleanup
}

func TestWatchSurvivesExpiryAndRestarts(t *testing.T) {
	s, server := start(t, "", zktest.WithTickTime(250*time.Millisecond))
	j := s.background("watch", "/config", "--session-timeout", "4s") // so that it outlives a restart, and the wipe is noticed soon
	j.wants("/config no node")
	server.Create("/config", []byte("one"))
	j.wants("/config v0 one")

	server.ExpireAll()
	server.Set("/config", []byte("two\n"))
	j.wants(`/config v1 "two\n"`)

	server.Restart()
	server.Set("/config", []byte("\xff"))
	j.wants(`/config v2 "\xff"`)

	server.Stop(true)
	server.Set("/config", nil) // the server's own methods work
	server.Stop(false)
	j.wants("/config v3 ")

	server.Wipe() // an ensemble that has lost its data
	j.wants("/config no node")
	server.Create("/config", []byte("again"))
	j.wants("/config v0 again")
	j.ends(0)
	for _, want := range []string{"has expired", "is lost", "in the new session 0x", "in the same session"} {
		if !strings.Contains(j.stderr.String(), want) {
			t.Errorf("no %q in: %s", want, j.stderr)
		}
	}
}

func TestWatchChildren(t *testing.T) {
	s, server := start(t, search)
	j := s.background("watch", "--children", "/search/providers")
	j.wants("/search/providers 0 children")
	server.Create("/search/providers/a:1", nil)
	j.wants("/search/providers 1 child +a:1")
	server.Partition(true)
	server.Create("/search/providers/b:1", nil)
	server.Delete("/search/providers/a:1")
	server.Partition(false)
	j.wants("/search/providers 1 child +b:1 -a:1")
	server.Delete("/search/providers/b:1")
	j.wants("/search/providers 0 children -b:1")
	server.Delete("/search/providers")
	j.wants("/search/providers no node")
	j.ends(0)
}

func TestWatchATree(t *testing.T) {
	s, server := start(t, search)
	tree := s.background("watch", "--tree", "/search/")
	tree.wants("/search 2 nodes +/search +/search/providers")
	instances := s.background("watch", "--instances", "/search/providers", "-o", "json")
	if line := instances.line(); !strings.Contains(line, `"nodes":1,`) {
		t.Error(line)
	}
	server.Create("/search/providers/a:1", []byte("x"))
	tree.wants("/search 3 nodes +/search/providers/a:1")
	var snapshot struct {
		Time    time.Time
		Nodes   int
		Added   []nodeJSON
		Changed []nodeJSON
		Removed []string
	}
	if err := json.Unmarshal([]byte(instances.line()), &snapshot); err != nil || snapshot.Nodes != 2 || len(snapshot.Added) != 1 || *snapshot.Added[0].Text != "x" {
		t.Errorf("%+v, %v", snapshot, err)
	}
	server.Set("/search/providers/a:1", []byte("y"))
	tree.wants("/search 3 nodes ~/search/providers/a:1")
	server.Delete("/search/providers/a:1")
	tree.wants("/search 2 nodes -/search/providers/a:1")
	tree.ends(0)
}

func TestWatchAsJSON(t *testing.T) {
	s, _ := start(t, search)
	if out := s.ok("watch", "/search", "-n", "1", "-o", "json"); !strings.HasPrefix(out, `{"time":"20`) || !strings.Contains(out, `"path":"/search","exists":true,"text":"{`) {
		t.Error(out)
	}
	if out := s.ok("watch", "/search/providers", "-n", "1", "-o", "json", "--children"); !strings.HasSuffix(out, `"exists":true,"children":[]}`+"\n") {
		t.Error(out)
	}
	if out := s.ok("watch", "/search", "-n", "1", "-o", "json", "--children"); !strings.HasSuffix(out, `"path":"/search","exists":true,"children":["providers"],"added":["providers"]}`+"\n") {
		t.Error(out)
	}
}

func TestWatchWithManyChanges(t *testing.T) {
	s, server := start(t, "")
	for i := range 60 {
		server.Create("/top/n"+string(rune('A'+i)), nil)
	}
	out := s.ok("watch", "--children", "/top", "-n", "1")
	if !strings.HasSuffix(out, "and 10 more\n") || strings.Count(out, "+") != maxShown {
		t.Error(out)
	}
}

func TestWatchWithACommand(t *testing.T) {
	s, server := start(t, search)
	j := s.background("watch", "/search/providers", "--", "sh", "-c", `echo "$ZKSTREAM_PATH $ZKSTREAM_EXISTS <$(cat)>"; exit 7`)
	equal(t, j.line(), "/search/providers true <{}>")
	server.Set("/search/providers", []byte("two\nlines"))
	equal(t, j.line(), "/search/providers true <two")
	equal(t, j.line(), "lines>")
	server.Delete("/search/providers") // a command that fails ends nothing
	equal(t, j.line(), "/search/providers false <>")
	j.ends(0)
	if !strings.Contains(j.stderr.String(), "zkstream: sh: exit status 7\n") {
		t.Error(j.stderr)
	}
	equal(t, s.ok("watch", "-n", "1", "--children", "/search", "--", "cat"), "")
	server.Create("/search/b", nil)
	equal(t, s.ok("watch", "-n", "1", "--children", "/search", "--", "cat"), "b\n")
	equal(t, s.ok("watch", "-n", "1", "--tree", "/search", "--", "cat"), "/search\n/search/b\n")
	if out := s.ok("watch", "-n", "1", "--tree", "/search", "-o", "json", "--", "cat"); !strings.Contains(out, `"nodes":2`) {
		t.Error(out)
	}
	s.fails(statusNotFound, "nosuchcommand", "watch", "/search", "--", "nosuchcommand")
}

func TestAWatchThatNobodyReads(t *testing.T) {
	s, server := start(t, search)
	r, w := io.Pipe()
	r.CloseWithError(syscall.EPIPE)
	var stderr buffer
	if status := s.cli(w, &stderr).main(t.Context(), []string{"watch", "/search"}); status != statusSignal+int(syscall.SIGPIPE) || stderr.String() != "" {
		t.Errorf("status %d, %s", status, &stderr)
	}
	if n := len(server.Sessions()); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

func TestAWatchEndsWhenItMayNotRead(t *testing.T) {
	s, server := start(t, search)
	j := s.background("watch", "/search")
	j.line()
	server.SetACL("/search", zktest.ACL{Perms: 16, Scheme: "world", ID: "anyone"})
	server.ExpireAll()
	if status := <-j.status; status != statusError || !strings.Contains(j.stderr.String(), "not authenticated") {
		t.Errorf("status %d, %s", status, j.stderr)
	}
	j.status <- 0
}
