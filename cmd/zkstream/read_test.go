package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/zkstream/zkstream/zktest"
)

const search = `
/search : service
  threads = 8
  /providers
`

func TestGetWritesTheContentAsItIs(t *testing.T) {
	s, server := start(t, search)
	equal(t, s.ok("get", "/search"), `{"threads":8,"type":"service"}`)
	equal(t, s.ok("get", "/search/"), `{"threads":8,"type":"service"}`) // as completion writes it
	binary := "\xff\x00\x1b[31mred\n"
	server.Set("/search", []byte(binary))
	equal(t, s.ok("get", "/search"), binary)
	server.Set("/search", nil)
	equal(t, s.ok("get", "/search"), "")
}

func TestGetOnATerminal(t *testing.T) {
	s, server := start(t, search)
	s.terminals = []string{"stdout"}
	equal(t, s.ok("get", "/search"), `{"threads":8,"type":"service"}`+"\n")
	server.Set("/search", []byte("one\n"))
	equal(t, s.ok("get", "/search"), "one\n")
	server.Set("/search", []byte("\xff\x1b[31mred"))
	equal(t, s.ok("get", "/search"), "00000000  ff 1b 5b 33 31 6d 72 65  64                       |..[31mred|\n")
}

func TestGetAProperty(t *testing.T) {
	s, server := start(t, search)
	equal(t, s.ok("get", "/search", "--property", "threads"), "8\n")
	equal(t, s.ok("get", "/search", "--property", "type"), "service\n")
	equal(t, s.ok("get", "/search", "--property", "type", "-o", "json"), `"service"`+"\n")
	s.fails(1, `"none"`, "get", "/search", "--property", "none")
	server.Set("/search", []byte("\xff"))
	s.fails(1, "", "get", "/search", "--property", "threads")
}

func TestGetAsJSON(t *testing.T) {
	s, server := start(t, search)
	var node struct {
		Path, Text, Base64 string
		Exists             bool
		Stat               statJSON
	}
	get := func() {
		t.Helper()
		node.Text, node.Base64 = "", ""
		if err := json.Unmarshal([]byte(s.ok("-o", "json", "get", "/search")), &node); err != nil {
			t.Fatal(err)
		}
	}
	if get(); node.Path != "/search" || node.Text != `{"threads":8,"type":"service"}` || !node.Exists || node.Stat.NumChildren != 1 {
		t.Errorf("%+v", node)
	}
	if !strings.HasPrefix(node.Stat.Czxid, "0x") || !strings.HasSuffix(node.Stat.Ctime, "Z") {
		t.Errorf("%+v", node.Stat)
	}
	server.Set("/search", []byte("\xff\xfe"))
	if get(); node.Base64 != "//4=" || node.Text != "" {
		t.Errorf("%+v", node)
	}
}

func TestAMissingNodeIsStatus3(t *testing.T) {
	s, _ := start(t, search)
	for _, args := range []string{"get /none", "ls /none", "ls -l /none", "ls -R /none", "stat /none", "tree /none", "set /none x", "rm /none",
		"rm -r /none", "rm -n /none", "acl get /none", "acl set /none world:anyone:r", "owner /none", "export /none", "create /none/a"} {
		s.fails(statusNoNode, "node does not exist", strings.Fields(args)...)
	}
}

func TestANodeThatMayNotBeRead(t *testing.T) {
	s, server := start(t, search)
	server.SetACL("/search", zktest.ACL{Perms: 16, Scheme: "world", ID: "anyone"})
	for _, args := range []string{"get /search", "ls /search", "watch /search", "wait /search --children 1", "export /search"} {
		s.fails(statusError, "not authenticated", strings.Fields(args)...)
	}
	if out := s.ok("tree", "/"); !strings.Contains(out, "search  (zk: not authenticated)") {
		t.Error(out)
	}
	if fields := strings.Fields(s.ok("ls", "-l", "/")); !slices.Equal(fields[:6], []string{"-", "-", "-", "-", "-", "search"}) {
		t.Error(fields)
	}
	if out := s.ok("tree", "-o", "json", "/search"); !strings.Contains(out, `"error":"zk: not authenticated"`) {
		t.Error(out)
	}
}

func TestLs(t *testing.T) {
	s, server := start(t, search+"/ops\n")
	equal(t, s.ok("ls"), "ops\nsearch\nzookeeper\n")
	equal(t, s.ok("ls", "/search"), "providers\n")
	equal(t, s.ok("ls", "/ops"), "")
	equal(t, s.ok("ls", "/ops", "-o", "json"), "[]\n")
	equal(t, s.ok("ls", "-o", "json"), `["ops","search","zookeeper"]`+"\n")
	equal(t, s.ok("ls", "-R", "/search"), "/search\n/search/providers\n")
	server.Add(zktest.Node{Path: "/search/providers/a:1", Data: []byte("xyz"), Session: server.OpenSession(1e12)})
	out := s.ok("ls", "-l", "/search/providers")
	if fields := strings.Fields(out); len(fields) != 6 || fields[0] != "v0" || fields[1] != "3" || fields[2] != "0" || !strings.HasPrefix(fields[4], "0x") || fields[5] != "a:1" {
		t.Error(out)
	}
	var nodes []nodeJSON
	if err := json.Unmarshal([]byte(s.ok("ls", "-l", "/search/providers", "-o", "json")), &nodes); err != nil || len(nodes) != 1 || nodes[0].Stat.EphemeralOwner == "" {
		t.Errorf("%v, %v", nodes, err)
	}
}

func TestStat(t *testing.T) {
	s, _ := start(t, search)
	out := s.ok("stat", "/search")
	for _, want := range []string{"dataVersion     0\n", "numChildren     1\n", "ephemeralOwner  -\n", "dataLength      30\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	if out := s.ok("stat", "/search", "-o", "json"); strings.Contains(out, "text") || !strings.Contains(out, `"numChildren":1`) {
		t.Error(out)
	}
}

func TestTree(t *testing.T) {
	s, server := start(t, search+"/ops\n  string_value = 'a\\nb'\n")
	server.Add(zktest.Node{Path: "/search/providers/a:1", Session: 1}) // refused: there is no such session
	session := server.OpenSession(1e12)
	server.Add(zktest.Node{Path: "/search/providers/a:1", Data: []byte("{}"), Session: session})
	equal(t, s.ok("tree"), `/
├── ops  "a\nb"
└── search  {"threads":8,"type":"service"}
    └── providers  {}
        └── a:1  {}  [`+hex(session)+`]
`)
	equal(t, s.ok("tree", "/search", "-L", "1", "--columns", "8"), `/search  {"threa…
└── providers  {}
`)
	equal(t, s.ok("tree", "/ops", "--names"), "/ops\n")
	if out := s.ok("tree", "--all", "--names"); !strings.Contains(out, "└── zookeeper\n    ├── config\n") {
		t.Error(out)
	}
	var nodes []nodeJSON
	if err := json.Unmarshal([]byte(s.ok("tree", "-o", "json")), &nodes); err != nil || len(nodes) != 5 || nodes[1].Path != "/ops" || *nodes[1].Text != "a\nb" {
		t.Errorf("%v, %v", nodes, err)
	}
}

func TestUsageIsStatus2(t *testing.T) {
	s := newShell(t, "127.0.0.1:1")
	for _, args := range []string{"get", "get /a /b", "nosuch", "get /a --nosuch", "get /a -o xml", "set /a", "set /a b --property c=d", "watch /a --children --tree",
		"watch /a -- ", "watch /a b", "register /a", "register /a b c", "register /a b --", "register /a b --drain 1s", "wait", "wait /a --gone --children 1",
		"import --trim --keep x", "rm -r --if-version 1 /a", "acl set /a", "servers x", "tree -L x", "set /a b --if-version 1 --property c=d"} {
		s.fails(statusUsage, "--help' for usage", strings.Fields(args)...)
	}
	if out := s.ok("--help"); !strings.Contains(out, "Usage:") {
		t.Error(out)
	}
	if out := s.ok("get", "--help"); !strings.Contains(out, "byte for byte") {
		t.Error(out)
	}
}

func TestVersion(t *testing.T) {
	s := newShell(t, "")
	if out := s.ok("version"); !strings.HasPrefix(out, "zkstream ") {
		t.Error(out)
	}
	if out := s.ok("version", "-o", "json"); !strings.HasPrefix(out, `{"go":"go1.`) {
		t.Error(out)
	}
}
