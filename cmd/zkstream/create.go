package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"github.com/zkstream/zkstream"
)

func (c *cli) createCommand() *cobra.Command {
	var (
		parents, sequential, container bool
		ttl                            time.Duration
		acl                            []string
	)
	cmd := &cobra.Command{
		Use:   "create PATH [CONTENT]",
		Short: "Create a node",
		Long: `Create a node, and write its path. Content "-" is the standard input; the default is none.

An ephemeral node goes with the session that has created it: "zkstream register" makes such
nodes, and keeps them in place.`,
		GroupID: groupWrite,
		Args:    cobra.RangeArgs(1, 2),
		RunE: c.once(func(ctx context.Context, client *zkstream.Client, args []string) error {
			var opts []zkstream.CreateOption
			if parents {
				opts = append(opts, zkstream.Parents())
			}
			if sequential {
				opts = append(opts, zkstream.Sequential())
			}
			if container {
				opts = append(opts, zkstream.Container())
			}
			if ttl != 0 {
				opts = append(opts, zkstream.TTL(ttl))
			}
			if len(acl) > 0 {
				list, err := parseACL(acl)
				if err != nil {
					return err
				}
				opts = append(opts, zkstream.NodeACL(list))
			}
			path := args[0]
			if !sequential { // there a name may be the number alone
				path = nodePath(path)
			}
			var content []byte
			if len(args) == 2 {
				var err error
				if content, err = c.readContent(args[1]); err != nil {
					return err
				}
			}
			path, err := client.CreateNode(ctx, path, content, opts...)
			if err != nil {
				return err
			}
			return c.printPath(path)
		}),
	}
	flags := cmd.Flags()
	flags.BoolVarP(&parents, "parents", "p", false, "create the nodes above that are missing")
	flags.BoolVar(&sequential, "sequential", false, "have the server append a number to the path")
	flags.BoolVar(&container, "container", false, "make a node that goes some time after the last of its children")
	flags.DurationVar(&ttl, "ttl", 0, "make a node that goes when it was not changed for this `time` (servers must allow it)")
	flags.StringArrayVar(&acl, "acl", nil, "`entry` of the access control list, such as world:anyone:r; may be repeated")
	return cmd
}
