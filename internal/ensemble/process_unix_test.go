//go:build unix

package ensemble

import (
	"errors"
	"os"
	"syscall"
	"testing"
)

func TestCloseLeavesNothing(t *testing.T) {
	Need(t)
	t.Setenv("TMPDIR", t.TempDir())
	e, err := New(within(t), 3, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, s := range e.Servers() {
		pids = append(pids, s.PID())
	}
	// One is running, one dead, one frozen.
	if err := errors.Join(e.Servers()[0].Kill(), e.Servers()[1].Stop()); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		if pid == 0 || processExists(t, pid) {
			t.Errorf("process %d is there after Close", pid)
		}
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) != 0 {
		t.Errorf("files left behind: %v, %v", left, err)
	}
	if err := e.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if err := e.Servers()[0].StartProcess(); !errors.Is(err, errClosed) {
		t.Errorf("start after Close: %v, want %v", err, errClosed)
	}
}

// processExists reports whether a process has that ID, a zombie too.
func processExists(t *testing.T, pid int) bool {
	t.Helper()
	err := syscall.Kill(pid, 0)
	if err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Fatalf("process %d: %v", pid, err)
	}
	return err == nil
}
