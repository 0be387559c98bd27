package main

import (
	"bufio"
	"fmt"
	"os"
	"os/signal"
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

// asCounter in the environment makes this test binary a command that counts interrupts until it is terminated.
const asCounter = "ZKSTREAM_TEST_AS_COUNTER"

func init() {
	if os.Getenv(asCounter) == "" || os.Getenv(asCommand) != "" {
		return
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	fmt.Println("ready", os.Getppid())
	n := 0
	for s := range signals {
		if s == syscall.SIGTERM {
			fmt.Printf("terminated after %d interrupts\n", n)
			os.Exit(0)
		}
		n++
		fmt.Println("interrupted")
	}
}

func TestCtrlCReachesTheCommandOfARegistrationOnce(t *testing.T) {
	s, server := start(t, search)
	s.env[asCounter] = "1"
	keys, lines, wait := s.onTerminal("register", "/search/providers", "h:1", "--", os.Args[0])
	var pid int
	if _, err := fmt.Sscanf(nextLine(t, lines, "ready"), "ready %d", &pid); err != nil {
		t.Fatal(err)
	}
	keys.WriteString("\x03")
	nextLine(t, lines, "interrupted")
	awaitNode(t, server, "/search/providers/h:1", true)
	// An interrupt that was handed on would arrive before this.
	syscall.Kill(pid, syscall.SIGTERM)
	nextLine(t, lines, "terminated after 1 interrupts")
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
