package ensemble

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestServerDiesWithTheProgramThatStartedIt(t *testing.T) {
	Need(t)
	for _, end := range []string{"SIGKILL", "panic", "exit"} {
		t.Run(end, func(t *testing.T) {
			cmd := exec.CommandContext(within(t), os.Args[0])
			// The child cannot remove its servers' data: the test does.
			cmd.Env = append(os.Environ(), childVariable+"="+end, "TMPDIR="+t.TempDir())
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(stdout).ReadString('\n')
			if err != nil {
				t.Fatal("the child says nothing:", err, cmd.Wait())
			}
			pid, err := strconv.Atoi(strings.TrimSpace(line))
			if err != nil {
				t.Fatalf("the child says %q", line)
			}
			if !isJava(pid) {
				t.Fatalf("process %d is no Java machine", pid)
			}
			if end == "SIGKILL" {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			if err := stdin.Close(); err != nil {
				t.Fatal(err)
			}
			var exit *exec.ExitError
			if err := cmd.Wait(); !errors.As(err, &exit) {
				t.Fatalf("the child ended with %v", err)
			}
			if err := poll(within(t), func() (bool, error) { return !isJava(pid), nil }); err != nil {
				t.Errorf("the server lives on as process %d: %v", pid, err)
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		})
	}
}

// isJava reports whether a live process, not a zombie, is a Java machine. A zombie
// has no command line.
func isJava(pid int) bool {
	command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && bytes.Contains(command, []byte(mainClass))
}

func TestStopReturnsWhenAllThreadsStandStill(t *testing.T) {
	s := Start(t, 1).Servers()[0]
	for range 20 {
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		if stopped, err := allThreadsStopped(s.PID()); err != nil || !stopped {
			t.Fatalf("all threads stopped: %v, %v", stopped, err)
		}
		if err := s.Continue(); err != nil {
			t.Fatal(err)
		}
	}
	if stopped, err := allThreadsStopped(s.PID()); err != nil || stopped {
		t.Errorf("all threads stopped after Continue: %v, %v", stopped, err)
	}
}

func TestReservedPortIsKeptForItsOwner(t *testing.T) {
	seen := make(map[int]bool)
	for range 500 {
		port, release, err := reservePort()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(release)
		if seen[port] {
			t.Fatalf("port %d was given twice", port)
		}
		seen[port] = true
	}
	for range 500 { // nobody else is given one of them
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if port := l.Addr().(*net.TCPAddr).Port; seen[port] {
			t.Fatalf("port %d was given to somebody else", port)
		}
	}
	for port := range seen {
		addr := net.JoinHostPort(loopback, strconv.Itoa(port))
		if _, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("dial to a reserved port: %v, want that it is refused", err)
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatalf("the owner cannot listen: %v", err)
		}
		defer l.Close()
	}
}
