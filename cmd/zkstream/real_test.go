package main

import (
	"strings"
	"testing"
	"time"

	"github.com/zkstream/zkstream/internal/ensemble"
)

func TestOnRealServers(t *testing.T) {
	// Sessions outlive the election of a leader, also on a busy machine.
	e := ensemble.Start(t, 3, ensemble.Options{MaxSessionTimeout: time.Minute})
	s := newShell(t, e.ConnectString())
	s.stdin = search
	equal(t, s.ok("import", "-", "--keep"), "")
	equal(t, s.ok("export"), exported)
	equal(t, s.ok("diff", "-"), "")
	equal(t, s.ok("get", "/search"), `{"threads":8,"type":"service"}`)
	equal(t, s.ok("set", "/search", "--property", "threads=9"), "")
	equal(t, s.ok("get", "/search", "--property", "threads"), "9\n")
	equal(t, s.ok("create", "/search/q-", "--sequential"), "/search/q-0000000001\n")
	equal(t, s.ok("ls", "-R", "/search"), "/search\n/search/providers\n/search/q-0000000001\n")
	s.stdin = "\xff\x00"
	equal(t, s.ok("set", "/search/q-0000000001", "-"), "")
	equal(t, s.ok("get", "/search/q-0000000001"), "\xff\x00")
	s.fails(statusNoNode, "node does not exist", "get", "/none")
	equal(t, s.ok("acl", "set", "/search/q-0000000001", "world:anyone:dr", "auth::cdrwa", "--auth", "digest:u:p"), "")
	equal(t, s.ok("acl", "get", "/search/q-0000000001", "--auth", "digest:u:p"),
		"world:anyone:dr\ndigest:u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=:cdrwa\n")
	s.fails(statusError, "not authenticated", "set", "/search/q-0000000001", "x")
	equal(t, s.completes("get", "/sea"), "/search/ "+noFilesNoSpace)

	watch := s.background("watch", "--children", "/search/providers", "--session-timeout", "30s")
	watch.wants("/search/providers 0 children")
	register := s.background("register", "/search/providers", "h:1", "weight=3", "--session-timeout", "30s")
	equal(t, register.line(), "/search/providers/h:1")
	watch.wants("/search/providers 1 child +h:1")
	fields := strings.Fields(s.ok("owner", "/search/providers/h:1"))
	if len(fields) != 4 || !strings.HasPrefix(fields[2], "127.0.0.1:") || !strings.Contains(e.ConnectString(), fields[3]) {
		t.Errorf("owner: %q", fields)
	}
	if out := s.ok("tree", "/search/providers"); !strings.HasSuffix(out, "["+fields[1]+"]\n") {
		t.Error(out)
	}
	if _, stderr, status := s.run("rm", "-r", "/search"); status != statusError || !strings.Contains(stderr, "not deleting /search/providers/h:1 because it's ephemeral") {
		t.Errorf("status %d, %s", status, stderr)
	}
	equal(t, s.ok("ls", "-R", "/search"), "/search\n/search/providers\n/search/providers/h:1\n")

	leader, err := e.Leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := rows(s.ok("servers"))
	for _, server := range e.Servers() {
		if mode := out[server.Addr()][0]; (mode == "leader") != (server == leader) {
			t.Errorf("%s is a %s", server, mode)
		}
		if version := out[server.Addr()][6]; !strings.HasPrefix(version, "3.") {
			t.Errorf("version %q", version)
		}
	}
	if err := leader.Kill(); err != nil {
		t.Fatal(err)
	}
	equal(t, s.ok("create", "/search/providers/i:1", "--timeout", "1m"), "/search/providers/i:1\n") // waits for another leader
	watch.wants("/search/providers 2 children +i:1")
	register.ends(0)
	watch.wants("/search/providers 1 child -h:1")
	watch.ends(0)
	equal(t, s.ok("rm", "-r", "/search"), "")
	stdout, _, status := s.run("servers")
	if status != statusError || !strings.Contains(stdout, "leader") || !strings.Contains(stdout, "does not serve: dial tcp") {
		t.Errorf("status %d\n%s", status, stdout)
	}
}
