package main

import (
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/zkstream/zkstream/zktest"
)

// rows returns the table that the command servers writes, by the servers' names.
func rows(out string) map[string][]string {
	table := map[string][]string{}
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		table[fields[0]] = fields[1:]
	}
	return table
}

func TestServers(t *testing.T) {
	e := zktest.StartEnsemble(t, 4)
	hung, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hung.Close()
	leader, followers := e.Leader(), e.Followers()
	s := newShell(t, strings.Join(e.Addrs(), ",")+"/app")
	out := rows(s.ok("servers"))
	if row := out[leader.Addr()]; row[0] != "leader" || row[2] != "0" {
		t.Errorf("%q", row)
	}
	if len(out) != 5 || out["SERVER"][1] != "ZXID" {
		t.Errorf("%q", out)
	}

	followers[0].Hold(true)
	for range 7 {
		e.Create("/a", nil)
		e.Delete("/a")
	}
	followers[1].Stop(true)
	s.env["ZKSTREAM_SERVERS"] += "," + "" // as people leave it
	s.env["ZKSTREAM_SERVERS"] = strings.Join(e.Addrs(), ",") + "," + hung.Addr().String() + ",nosuch.invalid"
	stdout, stderr, status := s.run("servers", "--timeout", "3s")
	out = rows(stdout)
	if status != statusError || stderr != "" {
		t.Errorf("status %d, %s", status, stderr)
	}
	for name, want := range map[string]string{
		leader.Addr():         "leader",
		followers[0].Addr():   "follower",
		followers[1].Addr():   "does not serve:",
		followers[2].Addr():   "follower",
		hung.Addr().String():  "does not serve: no answer within 3s",
		"nosuch.invalid:2181": "does not serve: lookup nosuch.invalid",
	} {
		if row := strings.Join(out[name], " "); !strings.HasPrefix(row, want) {
			t.Errorf("%s: %s, want %s", name, row, want)
		}
	}
	if lag := out[followers[0].Addr()][2]; lag != "14" {
		t.Errorf("lag %s in\n%s", lag, stdout)
	}
	var list []serverJSON
	stdout, _, _ = s.run("servers", "-o", "json", "-s", strings.Join(e.Addrs(), ",")+",127.0.0.1:1")
	if err := json.Unmarshal([]byte(stdout), &list); err != nil || len(list) != 5 || list[4].Error == "" || list[0].Version != "3.8.6" {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestServersWithoutAQuorum(t *testing.T) {
	e := zktest.StartEnsemble(t, 3)
	s := newShell(t, strings.Join(e.Addrs(), ","))
	for _, f := range e.Followers() {
		f.Stop(true)
	}
	stdout, _, status := s.run("servers", "--timeout", "3s")
	if strings.Count(stdout, "does not serve") < 2 || status != statusError {
		t.Errorf("status %d\n%s", status, stdout)
	}
}

func TestAServerThatKeepsWordsToItself(t *testing.T) {
	s, server := start(t, search, zktest.WithFourLetterWords("ruok"))
	stdout, _, status := s.run("servers")
	if !strings.Contains(stdout, "srvr is not executed because it is not in the whitelist") || status != statusError {
		t.Errorf("status %d, %s", status, stdout)
	}
	session := server.OpenSession(time.Hour)
	server.Add(zktest.Node{Path: "/search/a", Session: session})
	stdout, stderr, status := s.run("owner", "/search/a")
	equal(t, stdout, "/search/a "+hex(session)+" - -\n")
	if status != 0 || !strings.Contains(stderr, "cons is not executed") {
		t.Errorf("status %d, %s", status, stderr)
	}
}

func TestOwner(t *testing.T) {
	s, server := start(t, search)
	j := s.background("register", "/search/providers", "h:1")
	path := j.line()
	fields := strings.Fields(s.ok("owner", path))
	host, _, err := net.SplitHostPort(fields[2])
	if fields[0] != path || !strings.HasPrefix(fields[1], "0x") || err != nil || host != "127.0.0.1" || fields[3] != server.Addr() {
		t.Errorf("%q", fields)
	}
	session := server.OpenSession(time.Hour) // nobody is connected with
	server.Add(zktest.Node{Path: "/search/a", Session: session})
	equal(t, s.ok("owner", "/search/a", "-o", "json"), `[{"path":"/search/a","session":"`+hex(session)+`"}]`+"\n")
	s.fails(statusError, "not an ephemeral node", "owner", "/search")
}

func TestConnectionsOfIPv6(t *testing.T) {
	got := parseConnections(" /[0:0:0:0:0:0:0:1]:5000[1](queued=0,recved=1,sent=1,sid=0xf00000000000000a,lop=PING)\n /10.0.0.1:40[0](queued=0,recved=1,sent=0)\n")
	id := int64(-0xffffffffffffff6)
	if len(got) != 1 || got[id] != "[0:0:0:0:0:0:0:1]:5000" {
		t.Errorf("%x", got)
	}
}

func TestServe(t *testing.T) {
	s := newShell(t, "")
	j := s.background("serve", "--listen", "127.0.0.1:0", "-n", "3", write(t, "tree.txt", search), "--tick", "500ms")
	s.env["ZKSTREAM_SERVERS"] = j.line()
	if strings.Count(s.env["ZKSTREAM_SERVERS"], ",") != 2 {
		t.Error(s.env)
	}
	equal(t, s.ok("export"), exported)
	j.ends(0)
	s.fails(statusError, "no such file", "serve", "/no/such/file", "-l", "127.0.0.1:0")
	s.fails(statusError, "version", "serve", "--zookeeper", "2.9", "-l", "127.0.0.1:0")
	s.fails(statusError, "go together", "serve", "--tls-cert", "x", "-l", "127.0.0.1:0")
	s.fails(statusError, "line 1", "serve", write(t, "bad.txt", "nonsense"), "-l", "127.0.0.1:0")

	dir := t.TempDir()
	_, cert, key := certificate(t, dir, "server")
	j = s.background("serve", "-l", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key)
	s.env["ZKSTREAM_SERVERS"] = j.line()
	equal(t, s.ok("ls", "--tls-ca", cert), "zookeeper\n")
	j.ends(0)
}
