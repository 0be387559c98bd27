package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/go-zookeeper/zk"
)

// The statuses that the command ends with. A signal adds its number to statusSignal, as in shells.
const (
	statusError  = 1
	statusUsage  = 2
	statusNoNode = 3
	statusSignal = 128
)

// A usageError is one of the arguments.
type usageError struct {
	command string // such as "zkstream get"
	err     error
}

func (e *usageError) Error() string {
	return fmt.Sprintf("%v\nRun '%s --help' for usage.", e.err, e.command)
}

func (e *usageError) Unwrap() error { return e.err }

// An exitStatus ends the command with that status and without a message.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("status %d", int(s)) }

// interrupted is the cause of the context's end after a signal.
type interrupted struct{ signal os.Signal }

func (i interrupted) Error() string { return i.signal.String() }

// isInterrupted reports whether a signal has ended the context.
func isInterrupted(ctx context.Context) bool {
	_, ok := context.Cause(ctx).(interrupted)
	return ok
}

// catchSignals returns a context that the first signal that asks for an end does end. A second one ends the process.
// Once stop is called, signals are as they were before.
func catchSignals(ctx context.Context) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	done := make(chan struct{})
	go func() { // ends with stop
		select {
		case s := <-signals:
			signal.Stop(signals)
			cancel(interrupted{s})
		case <-done:
		}
	}()
	return ctx, sync.OnceFunc(func() {
		signal.Stop(signals)
		close(done)
	})
}

// status returns the status that err means, and says on the standard error what has gone wrong.
func (c *cli) status(ctx context.Context, err error) int {
	var (
		exit  exitStatus
		usage *usageError
	)
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return int(exit)
	case errors.Is(err, syscall.EPIPE):
		return statusSignal + int(syscall.SIGPIPE)
	case isInterrupted(ctx):
		if s, ok := context.Cause(ctx).(interrupted).signal.(syscall.Signal); ok {
			return statusSignal + int(s)
		}
		return statusError
	}
	fmt.Fprintln(c.stderr, "zkstream:", strings.TrimPrefix(err.Error(), "zkstream: "))
	switch {
	case errors.As(err, &usage):
		return statusUsage
	case errors.Is(err, zk.ErrNoNode):
		return statusNoNode
	}
	return statusError
}
