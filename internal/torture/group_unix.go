//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// ownGroup makes a program the head of a process group, so that killGroup reaches what it starts, and an
// interrupt from the terminal reaches the driver alone.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// stopGroup has a program and what it has started stand still, until continueGroup.
func stopGroup(cmd *exec.Cmd) error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGSTOP) }

func continueGroup(cmd *exec.Cmd) error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGCONT) }

// killGroup kills a program and what it has started.
func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
