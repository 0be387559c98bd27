package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal returns both sides of a new terminal.
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("there are no terminals here: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("there are no terminals here: %v", err)
	}
	return master, slave
}

// onTerminal starts a command on a terminal of its own, and returns what it writes there.
func (s *shell) onTerminal(args ...string) (keys *os.File, lines *bufio.Scanner, wait func() int) {
	s.t.Helper()
	master, slave := openTerminal(s.t)
	cmd := s.command(args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	slave.Close()
	s.t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	return master, bufio.NewScanner(master), func() int { return exit(s.t, cmd) }
}

// nextLine returns the next line with a text in it.
func nextLine(t *testing.T, lines *bufio.Scanner, text string) string {
	t.Helper()
	var seen []string
	for lines.Scan() {
		if seen = append(seen, lines.Text()); strings.Contains(lines.Text(), text) {
			return lines.Text()
		}
	}
	t.Fatalf("no %q in %q", text, seen)
	return ""
}

func TestCtrlCReachesTheCommandOfARegistrationOnce(t *testing.T) {
	s, server := start(t, search)
	const script = `
trap 'n=$((n+1)); echo "interrupt $n"' INT
trap 'echo "terminated after $n"; exit 0' TERM
echo ready $PPID
while :; do sleep 0.02; done`
	keys, lines, wait := s.onTerminal("register", "/search/providers", "h:1", "--", "sh", "-c", script)
	var pid int
	if _, err := fmt.Sscanf(nextLine(t, lines, "ready"), "ready %d", &pid); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		keys.WriteString("\x03")
		if got := nextLine(t, lines, "interrupt"); !strings.HasSuffix(strings.TrimSpace(got), fmt.Sprintf("interrupt %d", n+1)) {
			t.Errorf("%q after %d times Ctrl-C", got, n+1)
		}
	}
	awaitNode(t, server, "/search/providers/h:1", true)
	syscall.Kill(pid, syscall.SIGTERM)
	if got := nextLine(t, lines, "terminated"); !strings.Contains(got, "after 3") {
		t.Error(got)
	}
	if status := wait(); status != 0 {
		t.Errorf("status %d", status)
	}
}

func TestGetKnowsATerminal(t *testing.T) {
	s, server := start(t, search)
	server.Set("/search", []byte("\x1b]0;title\x07"))
	_, lines, wait := s.onTerminal("get", "/search")
	nextLine(t, lines, "|.]0;title.|")
	if status := wait(); status != 0 {
		t.Errorf("status %d", status)
	}
}
