package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"github.com/zkstream/zkstream"
)

// An action is what a command does when its arguments are fine.
type action func(ctx context.Context, args []string) error

// A clientAction is an action on servers.
type clientAction func(ctx context.Context, client *zkstream.Client, args []string) error

// run has a command do an action.
func (c *cli) run(do action) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c.started = true
		return do(cmd.Context(), args)
	}
}

// once has a command do an action that ends by itself. It fails when there has been no server for the time of --timeout.
func (c *cli) once(do clientAction) func(*cobra.Command, []string) error {
	return c.run(func(ctx context.Context, args []string) error {
		client, err := c.connect(ctx, c.limit)
		if err != nil {
			return err
		}
		defer client.Close()
		ctx, cancel := context.WithCancelCause(ctx)
		guard := make(chan struct{})
		go func() { // ends with ctx, below
			defer close(guard)
			giveUp(ctx, client, c.settings.timeout, cancel)
		}()
		defer func() { cancel(nil); <-guard }()
		return do(ctx, client, args)
	})
}

// lasting has a command do an action that goes on until a signal ends it, which is no error then.
func (c *cli) lasting(do clientAction) func(*cobra.Command, []string) error {
	return c.run(func(ctx context.Context, args []string) error {
		client, err := c.connect(ctx, c.limit)
		if err != nil {
			return err
		}
		defer client.Close()
		if err := do(ctx, client, args); !isInterrupted(ctx) {
			return err
		}
		return nil
	})
}

// limit is the time of --timeout.
func (c *cli) limit() time.Duration { return c.settings.timeout }

// connect returns a client with a session, within the limit, which is asked for when the settings are complete.
func (c *cli) connect(ctx context.Context, limit func() time.Duration) (*zkstream.Client, error) {
	if err := c.settings.resolve(c.getenv); err != nil {
		return nil, err
	}
	opts, err := c.settings.options()
	if err != nil {
		return nil, err
	}
	if c.verbose {
		opts = append(opts, zkstream.WithLogger(slog.New(slog.NewTextHandler(c.stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	}
	if limit := limit(); limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, noServer(limit))
		defer cancel()
	}
	return zkstream.Connect(ctx, c.settings.servers, opts...)
}

func noServer(limit time.Duration) error { return fmt.Errorf("no server within %v", limit) }

// giveUp cancels when the client has been without a server for the limit. It returns when ctx has ended.
func giveUp(ctx context.Context, client *zkstream.Client, limit time.Duration, cancel context.CancelCauseFunc) {
	var (
		sessions = client.Session(ctx)
		timer    *time.Timer
		elapsed  <-chan time.Time // nil while there is a server, or no limit
	)
	for {
		select {
		case s, open := <-sessions.C():
			switch {
			case !open:
				return
			case s.State == zkstream.Connected:
				elapsed = nil
			case elapsed == nil && limit > 0:
				timer = time.NewTimer(limit)
				defer timer.Stop()
				elapsed = timer.C
			}
		case <-elapsed:
			cancel(noServer(limit))
			return
		}
	}
}
