package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktext"
	"github.com/zkstream/zkstream/zktree"
)

func (c *cli) exportCommand() *cobra.Command {
	var (
		ephemerals bool
		name, file string
	)
	cmd := &cobra.Command{
		Use:   "export [PATH]",
		Short: "Write a tree as text",
		Long: `Write the node at PATH, by default the root, and all below it as a text in the format of
zc.zk, which "zkstream import" reads. Left out are ephemeral nodes, and /zookeeper.

With -o json it is an array of the nodes, with their metadata.`,
		GroupID: groupTree,
		Args:    cobra.MaximumNArgs(1),
		RunE: c.once(func(ctx context.Context, client *zkstream.Client, args []string) error {
			path := "/"
			if len(args) == 1 {
				path = nodePath(args[0])
			}
			if c.output == jsonOutput {
				return c.exportJSON(ctx, client, path, ephemerals)
			}
			bar := c.progress("exporting")
			defer bar.finish()
			opts := []zktree.ExportOption{zktree.ExportProgress(bar.set)}
			if ephemerals {
				opts = append(opts, zktree.WithEphemerals())
			}
			if name != "" {
				opts = append(opts, zktree.WithName(name))
			}
			tree, err := zktree.Export(ctx, client, path, opts...)
			if err != nil {
				return err
			}
			bar.finish()
			text, err := zktext.Format(tree)
			if err != nil {
				return err
			}
			if file != "" {
				return os.WriteFile(file, []byte(text), 0o666)
			}
			_, err = c.out.WriteString(text)
			return err
		}),
	}
	cmd.Flags().BoolVarP(&ephemerals, "ephemerals", "e", false, "also write ephemeral nodes")
	cmd.Flags().StringVar(&name, "name", "", "another `name` for the node at PATH")
	cmd.Flags().StringVarP(&file, "file", "f", "", "write into this `file`, when all has been read")
	cmd.MarkFlagFilename("file")
	return cmd
}

// exportJSON writes the nodes with their contents.
func (c *cli) exportJSON(ctx context.Context, client *zkstream.Client, path string, ephemerals bool) error {
	tree, err := readTree(ctx, client, "export", path)
	if err != nil {
		return err
	}
	return c.printNodes(tree, func(d zkstream.Data) bool {
		return (ephemerals || d.Stat().EphemeralOwner == 0) && (path != "/" || !isReserved(d.Path()))
	}, true)
}
