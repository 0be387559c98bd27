//go:build !unix

package compat

import "os/exec"

// killWithChildren does nothing here: a command that is killed leaves the processes that it has started.
func killWithChildren(*exec.Cmd) {}
