package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/zkstream/zkstream"
)

func (c *cli) treeCommand() *cobra.Command {
	var (
		depth          int
		names, all     bool
		contentColumns int
	)
	cmd := &cobra.Command{
		Use:   "tree [PATH]",
		Short: "Draw a tree",
		Long: `Draw the node at PATH, by default the root, and all below it, with the beginning of each content.
Behind ephemeral nodes stands the session that they belong to. /zookeeper is left out of the root's tree.

With -o json it is an array of the nodes, parents before children.`,
		GroupID: groupRead,
		Args:    cobra.MaximumNArgs(1),
		RunE: c.once(func(ctx context.Context, client *zkstream.Client, args []string) error {
			path := "/"
			if len(args) == 1 {
				path = nodePath(args[0])
			}
			var opts []zkstream.TreeOption
			if depth >= 0 {
				opts = append(opts, zkstream.WithDepth(depth))
			}
			if names {
				opts = append(opts, zkstream.WithoutData())
			}
			tree, err := readTree(ctx, client, "tree", path, opts...)
			if err != nil {
				return err
			}
			if c.output == jsonOutput {
				return c.printNodes(tree, func(d zkstream.Data) bool { return all || path != "/" || !isReserved(d.Path()) }, !names)
			}
			t := treeDrawing{c: c, tree: tree, names: names, all: all, columns: contentColumns}
			t.draw(path, path, "", "")
			return nil
		}),
	}
	flags := cmd.Flags()
	flags.IntVarP(&depth, "depth", "L", -1, "only so many `levels` below PATH")
	flags.BoolVar(&names, "names", false, "only names; contents are not read")
	flags.BoolVarP(&all, "all", "a", false, "also /zookeeper")
	flags.IntVar(&contentColumns, "columns", 60, "show at most so many `characters` of a content; 0: all")
	return cmd
}

// treeDrawing draws a tree.
type treeDrawing struct {
	c          *cli
	tree       zkstream.Tree
	names, all bool
	columns    int
}

// draw draws the node at path. first stands before its line, and rest before those of what is below it.
func (t *treeDrawing) draw(path, name, first, rest string) {
	d, _ := t.tree.Get(path)
	fmt.Fprint(t.c.out, first, name)
	switch err := d.Err(); {
	case err != nil:
		fmt.Fprintf(t.c.out, "  (%v)", err)
	case !t.names && d.Stat().DataLength > 0:
		fmt.Fprint(t.c.out, "  ", oneLine(string(d.Bytes()), t.columns))
	}
	if owner := d.Stat().EphemeralOwner; owner != 0 {
		fmt.Fprintf(t.c.out, "  [%s]", hex(owner))
	}
	fmt.Fprintln(t.c.out)
	names := t.tree.Children(path)
	if path == "/" && !t.all {
		names = slices.DeleteFunc(names, func(name string) bool { return name == "zookeeper" })
	}
	for i, child := range names {
		first, below := "├── ", "│   "
		if i == len(names)-1 {
			first, below = "└── ", "    "
		}
		t.draw(strings.TrimSuffix(path, "/")+"/"+child, child, rest+first, rest+below)
	}
}

// printNodes writes those nodes of a tree that are wanted as an array.
func (c *cli) printNodes(tree zkstream.Tree, wanted func(zkstream.Data) bool, withContent bool) error {
	nodes := []nodeJSON{}
	for d := range tree.All() {
		if wanted(d) {
			nodes = append(nodes, newNodeJSON(d, withContent))
		}
	}
	return c.printJSON(nodes)
}
