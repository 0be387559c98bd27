package foreign

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestKazooRunsOrSaysWhatToInstall(t *testing.T) {
	cmd, err := Kazoo("import sys, kazoo; print('kazoo', sys.argv[1])")
	if err != nil {
		if !strings.Contains(err.Error(), "apt-get install python3-kazoo") {
			t.Error(err)
		}
		return
	}
	cmd.Args = append(cmd.Args, "argument")
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "kazoo argument\n" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestCuratorSaysWhatToInstall(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // no javac
	if _, err := Curator(t.TempDir(), "None", ""); err == nil || !strings.Contains(err.Error(), "apt-get install") {
		t.Error(err)
	}
}

func TestLastLine(t *testing.T) {
	failure := errors.New("exit status 1")
	for out, want := range map[string]string{
		"":                       "exit status 1",
		" \n":                    "exit status 1",
		"one\ntwo\n":             "two",
		"error: no such symbol ": "error: no such symbol",
	} {
		if got := LastLine([]byte(out), failure); got != want {
			t.Errorf("%q: %q, want %q", out, got, want)
		}
	}
	var e *exec.ExitError
	if _, err := exec.Command("/usr/bin/env", "false").Output(); !errors.As(err, &e) || LastLine(e.Stderr, err) != "exit status 1" {
		t.Error(err)
	}
}
