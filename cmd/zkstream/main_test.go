package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zkstream/zkstream/zktest"
	"go.uber.org/goleak"
)

// asCommand in the environment makes this test binary the command itself.
const asCommand = "ZKSTREAM_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		os.Unsetenv(asCommand)
		main()
		return
	}
	completionTimeout = time.Minute
	goleak.VerifyTestMain(m)
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// shell runs commands in this process.
type shell struct {
	t         *testing.T
	env       map[string]string
	stdin     string
	terminals []string // "stdin", "stdout" or "stderr"
}

// newShell returns a shell whose commands connect to a server.
func newShell(t *testing.T, servers string) *shell {
	return &shell{t: t, env: map[string]string{"ZKSTREAM_SERVERS": servers, "XDG_CONFIG_HOME": t.TempDir()}}
}

// start returns a shell and its server, which has the nodes of a tree text.
func start(t *testing.T, tree string, opts ...zktest.Option) (*shell, *zktest.Server) {
	t.Helper()
	server := zktest.Start(t, append(opts, zktest.WithTree(tree))...)
	return newShell(t, server.Addr()), server
}

// cli returns the command as a process would be.
func (s *shell) cli(stdout, stderr io.Writer) *cli {
	c := &cli{
		stdin:  strings.NewReader(s.stdin),
		stdout: stdout,
		stderr: stderr,
		getenv: func(name string) string { return s.env[name] },
	}
	c.terminal = func(stream any) bool {
		for _, name := range s.terminals {
			if stream == map[string]any{"stdin": c.stdin, "stdout": c.stdout, "stderr": c.stderr}[name] {
				return true
			}
		}
		return false
	}
	return c
}

// run runs a command to its end.
func (s *shell) run(args ...string) (stdout, stderr string, status int) {
	s.t.Helper()
	var out, errs buffer
	status = s.cli(&out, &errs).main(s.t.Context(), args)
	return out.String(), errs.String(), status
}

// ok runs a command that is to succeed without a word on the standard error, and returns its output.
func (s *shell) ok(args ...string) string {
	s.t.Helper()
	stdout, stderr, status := s.run(args...)
	if status != 0 || stderr != "" {
		s.t.Fatalf("%q: status %d: %s", args, status, stderr)
	}
	return stdout
}

// fails runs a command that is to write nothing and end with that status, with a text in its message.
func (s *shell) fails(status int, message string, args ...string) {
	s.t.Helper()
	stdout, stderr, got := s.run(args...)
	if stdout != "" || got != status || !strings.Contains(stderr, message) || message != "" && strings.Count(stderr, "\n") > 2 {
		s.t.Errorf("%q: status %d, output %q, errors %q; want %d with %q", args, got, stdout, stderr, status, message)
	}
}

// equal checks an output.
func equal(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// job is a command that runs in the background in this process.
type job struct {
	t      *testing.T
	lines  *bufio.Scanner
	stderr *buffer
	cancel context.CancelCauseFunc
	status chan int
}

// background starts a command. The test's cleanup interrupts it.
func (s *shell) background(args ...string) *job {
	r, w := io.Pipe()
	j := &job{t: s.t, lines: bufio.NewScanner(r), stderr: &buffer{}, status: make(chan int, 1)}
	var ctx context.Context
	ctx, j.cancel = context.WithCancelCause(context.Background())
	c := s.cli(w, j.stderr)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		j.status <- c.main(ctx, args)
		w.Close()
	}()
	s.t.Cleanup(func() {
		j.interrupt()
		r.Close()
		<-ended
	})
	return j
}

// interrupt has the command see what it sees after Ctrl-C.
func (j *job) interrupt() { j.cancel(interrupted{os.Interrupt}) }

// line returns the command's next line.
func (j *job) line() string {
	j.t.Helper()
	if !j.lines.Scan() {
		j.t.Fatalf("the output has ended: %s", j.stderr)
	}
	return j.lines.Text()
}

// command returns the command as a process that has not been started.
func (s *shell) command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	for name, value := range s.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}
