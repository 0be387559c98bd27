package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/zkstream/zkstream"
)

func (c *cli) lsCommand() *cobra.Command {
	var long, recursive bool
	cmd := &cobra.Command{
		Use:     "ls [PATH]",
		Short:   "List the children of a node",
		GroupID: groupRead,
		Args:    cobra.MaximumNArgs(1),
		RunE: c.once(func(ctx context.Context, client *zkstream.Client, args []string) error {
			path := "/"
			if len(args) == 1 {
				path = nodePath(args[0])
			}
			if long || recursive {
				return c.listNodes(ctx, client, path, recursive, long)
			}
			list, err := client.List(ctx, path)
			if err != nil {
				return err
			}
			if !list.Exists() {
				return noNode("ls", path)
			}
			if c.output == jsonOutput {
				return c.printJSON(append([]string{}, list.Names()...)) // none is [], not null
			}
			for name := range list.All() {
				fmt.Fprintln(c.out, name)
			}
			return nil
		}),
	}
	cmd.Flags().BoolVarP(&long, "long", "l", false, "also write version, size, number of children, time of the last change, and owner")
	cmd.Flags().BoolVarP(&recursive, "recursive", "R", false, "list the node and all below it, by their paths")
	return cmd
}

// listNodes lists the children of path by their names, or all from path on by their paths.
func (c *cli) listNodes(ctx context.Context, client *zkstream.Client, path string, recursive, long bool) error {
	opts := []zkstream.TreeOption{zkstream.WithoutData()}
	if !recursive {
		opts = append(opts, zkstream.WithDepth(1))
	}
	tree, err := readTree(ctx, client, "ls", path, opts...)
	if err != nil {
		return err
	}
	if c.output == jsonOutput {
		return c.printNodes(tree, func(d zkstream.Data) bool { return recursive || d.Path() != path }, false)
	}
	table := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
	for d := range tree.All() {
		if !recursive && d.Path() == path {
			continue
		}
		name := d.Path()
		if !recursive {
			name = baseName(name)
		}
		switch s := d.Stat(); {
		case !long:
			fmt.Fprintln(c.out, name)
		case d.Err() != nil:
			fmt.Fprintf(table, "-\t-\t-\t-\t-\t%s\n", name)
		default:
			owner := "-"
			if s.EphemeralOwner != 0 {
				owner = hex(s.EphemeralOwner)
			}
			fmt.Fprintf(table, "v%d\t%d\t%d\t%s\t%s\t%s\n", s.Version, s.DataLength, s.NumChildren, timeText(s.Mtime), owner, name)
		}
	}
	return table.Flush()
}

// readTree returns what is at path and below.
func readTree(ctx context.Context, client *zkstream.Client, op, path string, opts ...zkstream.TreeOption) (zkstream.Tree, error) {
	tree, err := client.GetTree(ctx, path, opts...)
	if err == nil && !tree.Exists() {
		err = noNode(op, path)
	}
	return tree, err
}
