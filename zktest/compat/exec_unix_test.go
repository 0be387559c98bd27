//go:build unix

package compat

import (
	"os/exec"
	"syscall"
)

// killWithChildren has a command that is killed take all processes along that it has started.
func killWithChildren(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
