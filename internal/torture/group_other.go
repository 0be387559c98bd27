//go:build !unix

package main

import (
	"errors"
	"os/exec"
)

func ownGroup(*exec.Cmd) {}

func stopGroup(*exec.Cmd) error { return errors.ErrUnsupported }

func continueGroup(*exec.Cmd) error { return errors.ErrUnsupported }

func killGroup(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
