package ensemble

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"time"
)

// outputTimeout bounds the wait for a dead program's output to be copied.
const outputTimeout = 5 * time.Second

// process is one run of a server's program.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the program has ended and was waited for
	err  error         // how it ended; may be read when done is closed
}

// startProcess starts the program. ended is called when it has ended, or could
// not be started.
func startProcess(cmd *exec.Cmd, ended func()) (*process, error) {
	dieWithParent(cmd)
	cmd.WaitDelay = outputTimeout
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	// Ends with the program, which kill ends and waits for. It keeps its OS thread
	// until then, because Linux takes the end of the thread that forked for the
	// end of the parent.
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		defer ended()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		<-p.done
		return nil, err
	}
	return p, nil
}

// alive reports whether the program has not ended.
func (p *process) alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// kill ends the program, a frozen one too, and waits until it has ended.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.done
	return nil
}
