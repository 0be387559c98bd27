package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/zkstream/zkstream"
)

func (c *cli) statCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "stat PATH",
		Short:   "Write the metadata of a node",
		GroupID: groupRead,
		Args:    cobra.ExactArgs(1),
		RunE: c.once(func(ctx context.Context, client *zkstream.Client, args []string) error {
			d, err := client.Get(ctx, nodePath(args[0]))
			if err == nil {
				err = missing(d, "stat")
			}
			if err != nil {
				return err
			}
			if c.output == jsonOutput {
				return c.printJSON(newNodeJSON(d, false))
			}
			s := newStatJSON(d.Stat())
			owner := s.EphemeralOwner
			if owner == "" {
				owner = "-"
			}
			_, err = fmt.Fprintf(c.out, `czxid           %s
ctime           %s
mzxid           %s
mtime           %s
pzxid           %s
cversion        %d
dataVersion     %d
aclVersion      %d
ephemeralOwner  %s
dataLength      %d
numChildren     %d
`, s.Czxid, s.Ctime, s.Mzxid, s.Mtime, s.Pzxid, s.Cversion, s.DataVersion, s.ACLVersion, owner, s.DataLength, s.NumChildren)
			return err
		}),
	}
}
