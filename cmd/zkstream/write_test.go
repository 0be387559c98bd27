package main

import (
	"strings"
	"testing"
	"time"

	"github.com/zkstream/zkstream/zktest"
)

// content returns a node's content as the server has it.
func content(t *testing.T, server *zktest.Server, path string) string {
	t.Helper()
	data, _, err := server.Get(path)
	if err != nil {
		t.Errorf("%s: %v", path, err)
	}
	return string(data)
}

func TestSet(t *testing.T) {
	s, server := start(t, search)
	equal(t, s.ok("set", "/search", "one"), "")
	equal(t, content(t, server, "/search"), "one")
	s.stdin = "\xff\x00\n"
	equal(t, s.ok("set", "/search", "-"), "")
	equal(t, content(t, server, "/search"), "\xff\x00\n")
	s.fails(statusError, "version conflict", "set", "/search", "two", "--if-version", "1")
	equal(t, s.ok("set", "/search", "two", "--if-version", "2"), "")
	if out := s.ok("set", "/search", "", "-o", "json"); !strings.Contains(out, `"dataVersion":4`) {
		t.Error(out)
	}
	equal(t, content(t, server, "/search"), "")
}

func TestSetProperties(t *testing.T) {
	s, server := start(t, "")
	server.Create("/a", []byte(`{ "b": 1.50,  "x": 1}`))
	s.ok("set", "/a", "--property", "x=2", "--property", `list=["a"]`, "--property", "text=3 apples", "--property", "empty=")
	equal(t, content(t, server, "/a"), `{ "b": 1.50,  "x": 2, "empty": "", "list": ["a"], "text": "3 apples"}`)
	server.Set("/a", []byte("\xff"))
	s.fails(statusError, "UTF-8", "set", "/a", "--property", "x=2")
	equal(t, content(t, server, "/a"), "\xff")
}

func TestCreate(t *testing.T) {
	s, server := start(t, search, zktest.WithExtendedTypes())
	equal(t, s.ok("create", "/a"), "/a\n")
	equal(t, s.ok("create", "/a/b/c", "x", "-p"), "/a/b/c\n")
	equal(t, content(t, server, "/a/b/c"), "x")
	equal(t, s.ok("create", "/a/n-", "--sequential"), "/a/n-0000000001\n")
	equal(t, s.ok("create", "/a/", "--sequential", "-o", "json"), `{"path":"/a/0000000002"}`+"\n")
	equal(t, s.ok("create", "/c", "--container"), "/c\n")
	equal(t, s.ok("create", "/t", "--ttl", "1h", "--acl", "world:anyone:r", "--acl", "auth::cdrwa", "--auth", "digest:u:p"), "/t\n")
	s.stdin = "\x00"
	equal(t, s.ok("create", "/raw", "-"), "/raw\n")
	equal(t, content(t, server, "/raw"), "\x00")
	s.fails(statusError, "already exists", "create", "/a")
	s.fails(statusError, "invalid path", "create", "a")
	s.fails(statusError, "permissions", "create", "/z", "--acl", "world:anyone:x")
	dump := server.Dump("/")
	for _, want := range []string{"/c container\n", "/t ttl 1h0m0s acl world:anyone:1 digest:u:"} {
		if !strings.Contains(dump, want) {
			t.Errorf("no %q in:\n%s", want, dump)
		}
	}
}

func TestRm(t *testing.T) {
	s, server := start(t, search+"/a\n/b\n")
	equal(t, s.ok("rm", "/a", "/b"), "")
	s.fails(statusError, "children", "rm", "/search")
	s.fails(statusError, "version conflict", "rm", "/search/providers", "--if-version", "7")
	equal(t, s.ok("rm", "/search/providers", "--if-version", "0"), "")
	equal(t, server.Dump("/"), "/\n/search \"{\\\"threads\\\":8,\\\"type\\\":\\\"service\\\"}\"\n")
}

func TestRmRecursivelyKeepsEphemerals(t *testing.T) {
	s, server := start(t, search)
	session := server.OpenSession(time.Hour)
	server.Create("/search/old/one", nil)
	server.Add(zktest.Node{Path: "/search/providers/a:1", Session: session})

	stdout, stderr, status := s.run("rm", "-n", "/search")
	equal(t, stdout, "would delete /search/old/one\nwould delete /search/old\n")
	kept := "not deleting /search/providers/a:1 because it's ephemeral\n/search/providers not deleted due to ephemeral descendent\n/search not deleted due to ephemeral descendent\n"
	if stderr != kept || status != statusError {
		t.Errorf("status %d, %s", status, stderr)
	}
	if _, _, err := server.Get("/search/old/one"); err != nil {
		t.Error("a dry run deletes")
	}

	stdout, stderr, status = s.run("rm", "-r", "/search")
	if stdout != "" || stderr != kept || status != statusError {
		t.Errorf("status %d, %q, %s", status, stdout, stderr)
	}
	if names, _ := server.Children("/search"); len(names) != 1 {
		t.Errorf("%q is left", names)
	}
	equal(t, s.ok("rm", "-rn", "--force", "/search", "-o", "json"), `{"action":"deleteNode","path":"/search/providers/a:1"}
{"action":"deleteNode","path":"/search/providers"}
{"action":"deleteNode","path":"/search"}
`)
	equal(t, s.ok("rm", "-r", "--force", "/search"), "")
	equal(t, server.Dump("/"), "/\n")
}

func TestRmRefusesTheRootAndZooKeepersOwnTree(t *testing.T) {
	s, server := start(t, search)
	before := server.Dump("/")
	for _, args := range []string{"rm -r /", "rm -r / --force --yes", "rm -rf /zookeeper", "rm -rf /zookeeper/", "rm -n /", "rm -rf /zookeeper/quota", "rm -rf //"} {
		s.fails(statusError, "", strings.Fields(args)...)
	}
	equal(t, server.Dump("/"), before)
	if _, _, err := server.Get("/zookeeper/quota"); err != nil {
		t.Error(err)
	}
}

func TestRmAsksOnATerminal(t *testing.T) {
	s, server := start(t, search)
	s.terminals = []string{"stdin"}
	for answer, asked := range map[string]int{"": 1, "n\n": 1, "maybe\n": 1} {
		s.stdin = answer
		_, stderr, status := s.run("rm", "-r", "/search")
		if strings.Count(stderr, "delete /search: 2 nodes? [y/N]") != asked || status != statusError {
			t.Errorf("%q: status %d, %s", answer, status, stderr)
		}
	}
	if _, _, err := server.Get("/search/providers"); err != nil {
		t.Error("it has not waited for a yes")
	}
	server.Add(zktest.Node{Path: "/search/x/a:1", Session: server.OpenSession(time.Hour)})
	s.stdin = "y\n"
	_, stderr, status := s.run("rm", "-r", "/search")
	if !strings.Contains(stderr, "1 node, and keep 3, which are ephemeral or above such? ") || status != statusError {
		t.Errorf("status %d, %s", status, stderr)
	}
	if _, _, err := server.Get("/search/providers"); err == nil {
		t.Error("it has not deleted")
	}
	s.stdin = ""
	if stdout := s.ok("rm", "-rfy", "/search"); stdout != "" {
		t.Error(stdout)
	}
}

func TestACL(t *testing.T) {
	s, server := start(t, search)
	equal(t, s.ok("acl", "get", "/search"), "world:anyone:cdrwa\n")
	equal(t, s.ok("acl", "set", "/search", "world:anyone:ra", "ip:127.0.0.1:cdrwa"), "")
	equal(t, s.ok("acl", "get", "/search"), "world:anyone:ra\nip:127.0.0.1:cdrwa\n")
	equal(t, s.ok("acl", "get", "/search", "-o", "json"), `[{"scheme":"world","id":"anyone","perms":"ra"},{"scheme":"ip","id":"127.0.0.1","perms":"cdrwa"}]`+"\n")
	s.fails(statusError, "version conflict", "acl", "set", "/search", "world:anyone:ra", "--if-version", "5")
	s.fails(statusError, "invalid ACL", "acl", "set", "/search", "nosuch:x:r")
	s.fails(statusError, "scheme:id:permissions", "acl", "set", "/search", "world:anyone")

	equal(t, s.ok("acl", "set", "-R", "/", "world:anyone:cdrwa"), "")
	equal(t, s.ok("acl", "set", "-R", "/search", "world:anyone:ra"), "")
	if dump := server.Dump("/search"); strings.Count(dump, "acl world:anyone:17") != 2 {
		t.Error(dump)
	}
	equal(t, s.ok("acl", "get", "/zookeeper/config"), "world:anyone:r\n")

	// A list that shuts everybody else out, this command's credential included later on.
	equal(t, s.ok("acl", "set", "/search", "auth::cdrwa", "--auth", "digest:u:p"), "")
	s.fails(statusError, "not authenticated", "get", "/search")
	equal(t, s.ok("get", "/search", "--auth", "digest:u:p"), `{"threads":8,"type":"service"}`)
}
