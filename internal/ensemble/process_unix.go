//go:build unix && !linux

package ensemble

import (
	"os"
	"os/exec"
	"syscall"
)

// dieWithParent does nothing where the kernel offers no such thing. The program
// stays in our process group, so that an interrupt from the terminal ends it too.
func dieWithParent(*exec.Cmd) {}

func stopProcess(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }

func continueProcess(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
