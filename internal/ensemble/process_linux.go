package ensemble

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// stopTimeout bounds the wait for all threads of a program to stand still.
const stopTimeout = 10 * time.Second

// dieWithParent makes the kernel kill the program when the OS thread that starts
// it ends.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// stopProcess freezes a program and waits until each of its threads has stopped:
// kill(2) returns before.
func stopProcess(p *os.Process) error {
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for end := time.Now().Add(stopTimeout); ; {
		stopped, err := allThreadsStopped(p.Pid)
		if err != nil || stopped {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("process %d runs on %v after SIGSTOP", p.Pid, stopTimeout)
		}
		time.Sleep(time.Millisecond)
	}
}

func allThreadsStopped(pid int) (bool, error) {
	tasks := filepath.Join("/proc", strconv.Itoa(pid), "task")
	threads, err := os.ReadDir(tasks)
	if err != nil {
		return false, err
	}
	for _, thread := range threads {
		stat, err := os.ReadFile(filepath.Join(tasks, thread.Name(), "stat"))
		if err != nil {
			continue // that thread has just ended
		}
		// "pid (name) state ...": the name may hold anything, brackets too.
		_, rest, found := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" "))
		if !found || len(rest) == 0 {
			return false, fmt.Errorf("process %d: cannot read the state of thread %s", pid, thread.Name())
		}
		switch rest[0] {
		case 'T', 't', 'Z', 'X': // stopped, traced, or ended
		default:
			return false, nil
		}
	}
	return true, nil
}

func continueProcess(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
