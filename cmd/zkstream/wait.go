package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/zkstream/zkstream"
)

func (c *cli) waitCommand() *cobra.Command {
	var (
		gone     bool
		children int
		timeout  time.Duration
	)
	cmd := &cobra.Command{
		Use:   "wait PATH",
		Short: "Wait until a node exists, is gone, or has children",
		Long: `Wait until there is a node, or until what a flag says. Lost connections and expired sessions end
nothing. The status is 1 if that takes longer than --timeout, in which the time until a server
is reached counts, too.`,
		Example: `  zkstream wait /search/providers --children 2 --timeout 1m && ./start`,
		GroupID: groupFollow,
		Args:    cobra.ExactArgs(1),
		RunE: c.run(func(ctx context.Context, args []string) error {
			path := nodePath(args[0])
			if timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not within %v", timeout))
				defer cancel()
			}
			client, err := c.connect(ctx, func() time.Duration { return 0 })
			if err != nil {
				return err
			}
			defer client.Close()
			if children > 0 {
				err = until(ctx, client.Children(ctx, path), func(now zkstream.Children) bool { return now.Len() >= children })
			} else {
				err = until(ctx, client.Data(ctx, path), func(now zkstream.Data) bool { return now.Exists() != gone })
			}
			if err != nil && errors.Is(err, context.Cause(ctx)) {
				err = fmt.Errorf("wait for %s: %w", path, err)
			}
			return err
		}),
	}
	flags := cmd.Flags()
	flags.BoolVar(&gone, "gone", false, "until there is no such node")
	flags.IntVar(&children, "children", 0, "until it has at least this `number` of children")
	flags.DurationVar(&timeout, "timeout", 0, "give up after that long (default: never)")
	flags.Bool("exists", true, "until there is such a node: the default")
	cmd.MarkFlagsMutuallyExclusive("exists", "gone", "children")
	return cmd
}

// until receives snapshots until there is one that is wanted.
func until[T any](ctx context.Context, s *zkstream.Stream[T], wanted func(T) bool) error {
	defer s.Close()
	for {
		switch now, err := s.Next(ctx); {
		case err != nil:
			return err
		case wanted(now):
			return nil
		}
	}
}
