package compat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

// javaOptions make Java machines small, and quick to start.
const javaOptions = "JAVA_TOOL_OPTIONS=-Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData"

// suite is called first by a test that runs another project's tests. They take minutes, so it skips the test
// where nobody has asked for it.
func suite(t *testing.T) {
	t.Helper()
	if os.Getenv("ZKSTREAM_COMPAT") == "" {
		t.Skip("other clients' tests take minutes: 'make compat' runs them")
	}
	t.Parallel()
}

// program is a command to run.
type program struct {
	name string
	args []string
	dir  string   // "" for this package's folder
	env  []string // besides this process's own
}

// run runs a program to its end. If that does not come before the test's time is up, the program and all
// that it has started are killed. The error is nil whatever the exit code.
func (p program) run(t *testing.T) (stdout, stderr string, code int, err error) {
	ctx := t.Context()
	if end, ok := t.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end.Add(-20*time.Second)) // some time is needed to tell of it
		defer cancel()
	}
	cmd := exec.CommandContext(ctx, p.name, p.args...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), p.env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	killWithChildren(cmd)
	cmd.WaitDelay = 5 * time.Second // for those that keep its output open
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && ctx.Err() == nil {
		return out.String(), errs.String(), exit.ExitCode(), nil
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("killed, because the test's time is up: %w", err)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s%s", p.name, err, out.String(), errs.String())
	}
	return out.String(), errs.String(), 0, err
}
