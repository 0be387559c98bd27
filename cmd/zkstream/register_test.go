//go:build unix

package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zkstream/zkstream/zktest"
)

// awaitNode waits until there is a node at path, or none, and returns its owner.
func awaitNode(t *testing.T, server *zktest.Server, path string, exists bool) int64 {
	t.Helper()
	changed := make(chan struct{}, 1)
	server.Journal(func(zktest.Change) {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	defer server.Journal(nil)
	for {
		_, stat, err := server.Get(path)
		if (err == nil) == exists {
			return stat.EphemeralOwner
		}
		select {
		case <-changed:
		case <-t.Context().Done():
			t.Fatalf("%s: %v", path, err)
		case <-time.After(30 * time.Second):
			t.Fatalf("%s: %v after 30 s", path, err)
		}
	}
}

func TestRegisterKeepsANodeUntilItIsInterrupted(t *testing.T) {
	s, server := start(t, search)
	j := s.background("register", "/search/providers", "10.0.0.5:8080", "weight=3", "zone=a")
	equal(t, j.line(), "/search/providers/10.0.0.5:8080")
	if got := content(t, server, "/search/providers/10.0.0.5:8080"); !strings.Contains(got, `"weight": 3`) && !strings.Contains(got, `"weight":3`) {
		t.Error(got)
	}
	owner := awaitNode(t, server, "/search/providers/10.0.0.5:8080", true)
	server.ExpireSession(owner)
	if again := awaitNode(t, server, "/search/providers/10.0.0.5:8080", true); again == owner || again == 0 {
		t.Errorf("owner %x after %x", again, owner)
	}
	server.Delete("/search/providers/10.0.0.5:8080")
	awaitNode(t, server, "/search/providers/10.0.0.5:8080", true)
	j.ends(0)
	awaitNode(t, server, "/search/providers/10.0.0.5:8080", false)
	if n := len(server.Sessions()); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

func TestRegisterWithNameContentAndSequence(t *testing.T) {
	s, server := start(t, search)
	j := s.background("register", "/search/members", "10.0.0.5:8080", "--name", "member_", "--content", "raw", "--sequential", "-o", "json", "--acl", "world:anyone:rd")
	equal(t, j.line(), `{"path":"/search/members/member_0000000000"}`)
	equal(t, server.Dump("/search/members"), "/search/members\n/search/members/member_0000000000 \"raw\" ephemeral acl world:anyone:9\n")
	j.ends(0)
}

func TestRegisterRefusals(t *testing.T) {
	s, server := start(t, search)
	s.fails(statusError, "port", "register", "/search/providers", "host")
	s.fails(statusError, "scheme:id:permissions", "register", "/search/providers", "h:1", "--acl", "x")
	server.SetACL("/search/providers", zktest.ACL{Perms: 1, Scheme: "world", ID: "anyone"})
	s.fails(statusError, "not authenticated", "register", "/search/providers", "h:1", "--", "echo", "started")
	s.fails(statusNotFound, "nosuchcommand", "register", "/search", "h:1", "--", "nosuchcommand")
	if names, _ := server.Children("/search"); len(names) != 1 {
		t.Errorf("%q are left", names)
	}
}

// childOf starts a registration with a command of the shell, and returns what it writes.
func (s *shell) childOf(script string, flags ...string) (cmd *exec.Cmd, lines *bufio.Scanner, stderr *bytes.Buffer) {
	s.t.Helper()
	args := append([]string{"register", "/search/providers", "h:1"}, flags...)
	cmd = s.command(append(args, "--", "sh", "-c", script)...)
	stderr = &bytes.Buffer{}
	cmd.Stderr = stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	return cmd, bufio.NewScanner(stdout), stderr
}

// exit waits for the end of a process, and returns its status.
func exit(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode()
}

func TestRegisterEndsWithTheStatusOfItsCommand(t *testing.T) {
	s, server := start(t, search)
	for script, want := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -KILL $$": 137, "kill -TERM $$": 143} {
		cmd, _, stderr := s.childOf(script)
		if got := exit(t, cmd); got != want || strings.Count(stderr.String(), "\n") > 1 {
			t.Errorf("%s: status %d, %s", script, got, stderr)
		}
		if names, _ := server.Children("/search/providers"); len(names) != 0 {
			t.Errorf("%s: %q are left", script, names)
		}
	}
}

func TestTheCommandOfARegistrationHasItsInputsAndOutputs(t *testing.T) {
	s, server := start(t, search)
	cmd := s.command("register", "/search/providers", "h:1", "--", "sh", "-c", "cat; echo errors >&2")
	cmd.Stdin = strings.NewReader("in\n")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	seen := make(chan bool, 1)
	server.Journal(func(c zktest.Change) {
		if c.Path == "/search/providers/h:1" && c.Op == zktest.OpCreate {
			seen <- true
		}
	})
	if err := cmd.Run(); err != nil || stdout.String() != "in\n" || !strings.HasPrefix(stderr.String(), "errors\n") {
		t.Errorf("%v, %q, %q", err, &stdout, &stderr)
	}
	if !<-seen {
		t.Error("no node")
	}
}

func TestRegisterHandsSignalsOn(t *testing.T) {
	s, server := start(t, search)
	const script = `
trap 'echo usr1' USR1
trap 'echo hup' HUP
trap 'echo int' INT
trap 'echo term; exit 9' TERM
echo ready
while :; do sleep 0.02; done`
	cmd, lines, stderr := s.childOf(script)
	for _, step := range []struct {
		signal syscall.Signal
		want   string
	}{{0, "ready"}, {syscall.SIGUSR1, "usr1"}, {syscall.SIGHUP, "hup"}, {syscall.SIGINT, "int"}, {syscall.SIGINT, "int"}, {syscall.SIGTERM, "term"}} {
		if step.signal != 0 {
			cmd.Process.Signal(step.signal)
		}
		if !lines.Scan() || lines.Text() != step.want {
			t.Fatalf("%v: got %q, want %q: %s", step.signal, lines.Text(), step.want, stderr)
		}
		if step.signal != syscall.SIGTERM {
			awaitNode(t, server, "/search/providers/h:1", true)
		}
	}
	if got := exit(t, cmd); got != 9 {
		t.Errorf("status %d", got)
	}
	awaitNode(t, server, "/search/providers/h:1", false)
}

func TestRegisterDrainsFirst(t *testing.T) {
	s, server := start(t, search)
	const script = `
trap 'echo term; exit 0' TERM
echo ready
while :; do sleep 0.02; done`
	cmd, lines, stderr := s.childOf(script, "--drain", "300ms")
	if !lines.Scan() {
		t.Fatal(stderr)
	}
	var withdrawn time.Time
	gone := make(chan struct{})
	server.Journal(func(c zktest.Change) {
		if c.Path == "/search/providers/h:1" && c.Op == zktest.OpDelete {
			withdrawn = time.Now()
			close(gone)
		}
	})
	cmd.Process.Signal(syscall.SIGTERM)
	<-gone
	if !lines.Scan() || lines.Text() != "term" {
		t.Fatalf("%q, %s", lines.Text(), stderr)
	}
	if passed := time.Since(withdrawn); passed < 300*time.Millisecond {
		t.Errorf("the command has got the signal %v after the node has gone", passed)
	}
	if got := exit(t, cmd); got != 0 {
		t.Errorf("status %d", got)
	}

	// A second signal does not wait, and neither does the end of the command.
	cmd, lines, _ = s.childOf(script, "--drain", "1h")
	lines.Scan()
	awaitNode(t, server, "/search/providers/h:1", true)
	cmd.Process.Signal(syscall.SIGTERM)
	awaitNode(t, server, "/search/providers/h:1", false)
	cmd.Process.Signal(syscall.SIGTERM)
	if got := exit(t, cmd); got != 0 {
		t.Errorf("status %d", got)
	}
}

func TestARegistrationLivesOnWhileItsCommandRuns(t *testing.T) {
	s, server := start(t, search)
	cmd := s.command("register", "/search/providers", "h:1", "--", "cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr, cmd.Stdout = &stderr, io.Discard
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	owner := awaitNode(t, server, "/search/providers/h:1", true)
	server.ExpireSession(owner)
	if again := awaitNode(t, server, "/search/providers/h:1", true); again == owner {
		t.Error("the same owner")
	}
	server.Restart()
	stdin.Close()
	if got := exit(t, cmd); got != 0 {
		t.Errorf("status %d, %s", got, &stderr)
	}
	awaitNode(t, server, "/search/providers/h:1", false)
}
