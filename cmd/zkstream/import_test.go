package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zkstream/zkstream/zktest"
)

// write writes a file for the test, and returns its name.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const exported = `/search : service
  threads = 8
  /providers
`

func TestExport(t *testing.T) {
	s, server := start(t, search+"/ops\n")
	server.Add(zktest.Node{Path: "/search/providers/a:1", Data: []byte("{}"), Session: server.OpenSession(time.Hour)})
	equal(t, s.ok("export"), "/ops\n"+exported)
	equal(t, s.ok("export", "/search"), exported)
	equal(t, s.ok("export", "/search", "--name", "find", "-e"), "/find : service\n  threads = 8\n  /providers\n    /a:1\n")
	file := filepath.Join(t.TempDir(), "out.txt")
	equal(t, s.ok("export", "/search", "-f", file), "")
	if text, err := os.ReadFile(file); err != nil || string(text) != exported {
		t.Errorf("%q, %v", text, err)
	}
	s.fails(statusError, "not a directory", "export", "/search", "-f", filepath.Join(file, "x"))
	if out := s.ok("export", "-o", "json", "/search"); strings.Count(out, `"path"`) != 2 {
		t.Error(out)
	}
}

func TestExportOfWhatATextCannotSay(t *testing.T) {
	s, server := start(t, "")
	server.Create("/a", []byte("\xff\x00 binary"))
	text := s.ok("export")
	s.ok("rm", "/a")
	s.stdin = text
	s.ok("import", "-")
	equal(t, content(t, server, "/a"), "\xff\x00 binary")
	server.Create("/white space", nil)
	s.fails(statusError, "white space", "export")
	if out := s.ok("export", "-o", "json"); !strings.Contains(out, `"/white space"`) || !strings.Contains(out, `"base64":`) {
		t.Error(out)
	}
}

func TestImport(t *testing.T) {
	s, server := start(t, search+"/search/extra\n"[:0])
	server.Create("/search/extra", nil)
	file := write(t, "tree.txt", `
/search : service
  threads = 9
  /providers
  /new
    link -> /search
`)
	before := server.Dump("/")
	want := "/search threads change from 8 to 9\nadd /search/new\n"
	stdout, stderr, status := s.run("import", "-n", file)
	if stdout != want || stderr != "extra path not trimmed: /search/extra\n" || status != 0 {
		t.Errorf("status %d, %q, %q", status, stdout, stderr)
	}
	equal(t, server.Dump("/"), before)

	stdout, stderr, status = s.run("diff", file)
	if stdout != "/search threads change from 8 to 9\nextra path not trimmed: /search/extra\nadd /search/new\n" || stderr != "" || status != statusError {
		t.Errorf("status %d, %q, %q", status, stdout, stderr)
	}
	if stdout, _, _ = s.run("diff", file, "-o", "json"); !strings.HasPrefix(stdout, `{"action":"changeProperty","path":"/search","property":"threads","old":8,"new":9}`) {
		t.Error(stdout)
	}

	s.stdin = "/search\n  two = 'lines\\nand \\x1b[31mred'\n"
	if stdout, _, _ = s.run("diff", "-"); !strings.Contains(stdout, `"/search add property two = lines\nand \x1b[31mred"`) {
		t.Error(stdout)
	}

	equal(t, s.ok("import", file, "--keep"), "")
	equal(t, content(t, server, "/search/new"), `{"link ->":"/search"}`)
	equal(t, s.ok("import", file, "--trim"), "")
	if _, _, err := server.Get("/search/extra"); err == nil {
		t.Error("extra is not trimmed")
	}
	equal(t, s.ok("diff", file), "")

	s.ok("create", "/below")
	s.stdin = exported
	equal(t, s.ok("import", "-", "/below/", "--acl", "world:anyone:r", "--acl", "auth::cdrwa", "--auth", "digest:u:p"), "")
	equal(t, s.ok("diff", "-", "/below"), "")
	if dump := server.Dump("/below"); strings.Count(dump, "acl world:anyone:1 digest:u:") != 2 {
		t.Error(dump)
	}
	s.fails(statusNoNode, "node does not exist", "import", "-", "/none")
}

func TestAnImportThatSomebodyElseDisturbs(t *testing.T) {
	s, server := start(t, search)
	server.Intercept(func(r zktest.Request) zktest.Fault {
		if r.Op == zktest.OpMulti {
			server.Set("/search", []byte("mine"))
		}
		return zktest.Fault{}
	})
	file := write(t, "tree.txt", "/search\n  threads = 9\n")
	s.fails(statusError, "the tree has changed since it was read", "import", file, "--keep")
	equal(t, content(t, server, "/search"), "mine")
	server.Intercept(nil)
	equal(t, s.ok("import", file, "--keep"), "")
	equal(t, content(t, server, "/search"), `{"threads":9}`)
}

func TestValidate(t *testing.T) {
	s := newShell(t, "127.0.0.1:1") // it needs no server
	equal(t, s.ok("validate", write(t, "good.txt", search)), "")
	bad := write(t, "bad.txt", "/a\n  b = 1\n    c = 2\n")
	s.fails(statusError, bad+":3: ", "validate", bad)
	s.fails(statusError, "no such file", "validate", bad+"x")
	s.stdin = "nonsense"
	s.fails(statusError, "-:1: ", "validate", "-")
}

func TestABarForWhatTakesLong(t *testing.T) {
	s, server := start(t, "")
	for _, name := range []string{"a", "b", "c"} {
		server.Create("/top/"+name, []byte(strings.Repeat("x", 200<<10)))
	}
	for _, test := range []struct {
		command, label string
		slow           zktest.Op
	}{
		{"export /top", "exporting", zktest.OpGetData},
		{"import - --keep", "importing", zktest.OpMulti},
		{"rm -rf /top", "deleting", zktest.OpMulti},
	} {
		s.terminals = []string{"stderr"}
		delay := progressDelay
		server.Intercept(func(r zktest.Request) (f zktest.Fault) {
			if r.Op == test.slow {
				f.Delay, delay = delay, 0 // the first one
			}
			return f
		})
		stdout, stderr, status := s.run(strings.Fields(test.command)...)
		if status != 0 || !strings.Contains(stderr, test.label) || strings.Contains(stdout, test.label) {
			t.Errorf("%s: status %d, errors %q", test.command, status, stderr)
		}
		if s.stdin == "" {
			s.stdin = strings.ReplaceAll(stdout, "xx", "yy")
		}
	}
	s.terminals = nil
	s.stdin = exported
	equal(t, s.ok("import", "-"), "") // ok wants nothing on the standard error
}
