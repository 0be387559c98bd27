package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// The statuses of shells for commands that cannot be run.
const (
	statusCannotRun = 126
	statusNotFound  = 127
)

// childStatus returns the error that ends this command as its child has ended; nil if that was well.
func childStatus(err error) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	if state, ok := exit.Sys().(syscall.WaitStatus); ok && state.Signaled() {
		return exitStatus(statusSignal + int(state.Signal()))
	}
	return exitStatus(exit.ExitCode())
}

// startError says why a child could not be started, and returns the status that shells end with then.
func (c *cli) startError(err error) error {
	fmt.Fprintln(c.stderr, "zkstream:", err)
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return exitStatus(statusNotFound)
	}
	return exitStatus(statusCannotRun)
}

// runChild runs a command with the standard input and outputs of this one, hands signals on to it, and returns its
// childStatus. The first signal that asks for an end is handed on when drain has returned, whose context ends with the child.
func (c *cli) runChild(command []string, drain func(context.Context)) error {
	child := exec.Command(command[0], command[1:]...)
	child.Stdin, child.Stdout, child.Stderr = c.stdin, c.stdout, c.stderr
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, handedOn...)
	defer signal.Stop(signals)
	c.ignore() // from here on signals are the child's
	if err := child.Start(); err != nil {
		return c.startError(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }() // a child that ignores all signals is waited for
	ctx, cancel := context.WithCancel(context.Background())
	drained := make(chan os.Signal, 1)
	var draining chan struct{} // closed when drain has returned; nil before the first signal
	defer func() {
		if cancel(); draining != nil {
			<-draining
		}
	}()
	for {
		select {
		case err := <-ended:
			return childStatus(err)
		case s := <-drained:
			child.Process.Signal(s)
		case s := <-signals:
			switch {
			case sentByTerminal(s):
			case draining == nil && (s == os.Interrupt || s == syscall.SIGTERM):
				draining = make(chan struct{})
				go func() {
					defer close(draining)
					drain(ctx)
					drained <- s
				}()
			default:
				child.Process.Signal(s)
			}
		}
	}
}

// endDelay is how long a command has to end after SIGTERM.
const endDelay = 5 * time.Second

// runCommand runs the watcher's command for a snapshot. A command that fails ends nothing.
func (w *watcher) runCommand(ctx context.Context, v view) error {
	input, err := commandInput(v, w.output)
	if err != nil {
		return err
	}
	child := exec.CommandContext(ctx, w.command[0], w.command[1:]...)
	child.Cancel = func() error { return child.Process.Signal(syscall.SIGTERM) }
	child.WaitDelay = endDelay
	child.Env = append(os.Environ(), "ZKSTREAM_PATH="+v.path(), "ZKSTREAM_EXISTS="+strconv.FormatBool(v.exists()))
	child.Stdin, child.Stdout, child.Stderr = bytes.NewReader(input), w.stdout, w.stderr
	if err := child.Start(); err != nil {
		return w.startError(err)
	}
	if err := child.Wait(); ctx.Err() != nil {
		return ctx.Err()
	} else if err != nil {
		fmt.Fprintf(w.stderr, "zkstream: %s: %v\n", w.command[0], err)
	}
	return nil
}
