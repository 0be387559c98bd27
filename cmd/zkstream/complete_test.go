package main

import (
	"strings"
	"testing"

	"github.com/zkstream/zkstream/zktest"
)

// completes returns what the shell offers for the last word, and the directive behind it.
func (s *shell) completes(words ...string) string {
	s.t.Helper()
	stdout, _, status := s.run(append([]string{"__complete"}, words...)...)
	if status != 0 {
		s.t.Errorf("%q: status %d", words, status)
	}
	return strings.ReplaceAll(strings.TrimSuffix(stdout, "\n"), "\n", " ")
}

const (
	noFiles        = ":4"
	noFilesNoSpace = ":6"
	failed         = ":1"
	files          = ":0"
)

func TestPathsAreCompletedFromTheServer(t *testing.T) {
	s, server := start(t, search+"/seal\n/a\n  /b\n")
	server.Create("/names/10.0.0.5:80", nil)
	for words, want := range map[string]string{
		"get ":               "/ " + noFilesNoSpace,
		"get /":              "/a/ /names/ /seal /search/ /zookeeper/ " + noFiles,
		"get /se":            "/seal /search/ " + noFiles,
		"get /sear":          "/search/ " + noFilesNoSpace,
		"get /seal":          "/seal " + noFiles,
		"get /search/":       "/search/providers " + noFiles,
		"get /names/10":      "/names/10.0.0.5:80 " + noFiles,
		"get /none/":         noFiles,
		"get /a /":           noFiles,
		"rm /a /se":          "/seal /search/ " + noFiles,
		"ls /sear":           "/search/ " + noFilesNoSpace,
		"acl get /sear":      "/search/ " + noFilesNoSpace,
		"acl set /sear":      "/search/ " + noFilesNoSpace,
		"watch --tree /sear": "/search/ " + noFilesNoSpace,
		"watch /a -- ca":     files,
		"import fi":          files,
		"import file /sear":  "/search/ " + noFilesNoSpace,
		"validate fi":        files,
		"get -o ":            "text json " + noFiles,
	} {
		if got := s.completes(strings.Split(words, " ")...); got != want {
			t.Errorf("%s: %s, want %s", words, got, want)
		}
	}
	server.SetACL("/a", zktest.ACL{Perms: 2, Scheme: "world", ID: "anyone"})
	if got := s.completes("get", "/a/"); got != failed {
		t.Error(got)
	}
	if got := s.completes("get", "-s", server.Addr()+"/none", "/se"); got != noFiles {
		t.Error(got)
	}
}

func TestCompletionWithoutAServer(t *testing.T) {
	s := newShell(t, "127.0.0.1:1")
	if got := s.completes("get", "--timeout", "100ms", "/a"); got != failed {
		t.Error(got)
	}
}

func TestProfilesAreCompleted(t *testing.T) {
	s := newShell(t, "")
	s.env["ZKSTREAM_CONFIG"] = write(t, "config.toml", "[profiles.prod]\nservers = 'a'\n[profiles.dev]\nservers = 'b'\n")
	if got := s.completes("get", "--profile", ""); got != "dev prod "+noFiles {
		t.Error(got)
	}
}

func TestCompletionScripts(t *testing.T) {
	s := newShell(t, "")
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if out := s.ok("completion", shell); !strings.Contains(out, "zkstream") {
			t.Errorf("%s: %q", shell, out)
		}
	}
}
