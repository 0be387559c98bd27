package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktree"
)

func (c *cli) rmCommand() *cobra.Command {
	var r removal
	cmd := &cobra.Command{
		Use:   "rm PATH...",
		Short: "Delete nodes",
		Long: `Delete nodes.

With --recursive a node is deleted with all below it, but for ephemeral nodes, which stand for
servers that are running, and the nodes above those: they stay unless --force is given, and
the status is 1. On a terminal the command says what it would delete, and asks. The root and
/zookeeper are refused.`,
		GroupID: groupWrite,
		Args:    cobra.MinimumNArgs(1),
		RunE: c.once(func(ctx context.Context, client *zkstream.Client, args []string) error {
			var kept bool
			for _, arg := range args {
				path := nodePath(arg)
				if !r.recursive && !r.dryRun {
					if err := client.DeleteNode(ctx, path, r.version); err != nil {
						return err
					}
					continue
				}
				stays, err := c.remove(ctx, client, path, r)
				if err != nil {
					return err
				}
				kept = kept || stays
			}
			if kept {
				return exitStatus(statusError)
			}
			return nil
		}),
	}
	flags := cmd.Flags()
	flags.BoolVarP(&r.recursive, "recursive", "r", false, "also delete what is below")
	flags.BoolVarP(&r.dryRun, "dry-run", "n", false, "delete nothing, but write what would be deleted; implies --recursive")
	flags.BoolVarP(&r.force, "force", "f", false, "also delete ephemeral nodes")
	flags.BoolVarP(&r.yes, "yes", "y", false, "do not ask")
	flags.Int32Var(&r.version, "if-version", zkstream.AnyVersion, "only if the node has this `version`")
	cmd.MarkFlagsMutuallyExclusive("recursive", "if-version")
	cmd.MarkFlagsMutuallyExclusive("dry-run", "if-version")
	return cmd
}

type removal struct {
	recursive, dryRun, force, yes bool
	version                       int32
}

// remove deletes a node with all below it, and reports whether it stays because of ephemeral ones.
func (c *cli) remove(ctx context.Context, client *zkstream.Client, path string, r removal) (stays bool, err error) {
	var opts []zktree.DeleteOption
	if r.force {
		opts = append(opts, zktree.Force())
	}
	ask := !r.yes && c.terminal(c.stdin)
	if r.dryRun || ask {
		changes, err := zktree.DeleteAll(ctx, client, path, append(opts, zktree.DryRun())...)
		switch {
		case err != nil:
			return false, err
		case r.dryRun:
			return c.reportRemoval(changes, "would delete "), nil
		case !c.confirm(path, changes):
			return true, nil
		}
	}
	bar := c.progress("deleting")
	defer bar.finish()
	changes, err := zktree.DeleteAll(ctx, client, path, append(opts, zktree.DeleteProgress(bar.set))...)
	if err != nil {
		return false, err
	}
	bar.finish()
	return c.reportRemoval(changes, ""), nil
}

// reportRemoval writes what is deleted, unless the prefix is empty, and what is kept.
func (c *cli) reportRemoval(changes *zktree.Changes, prefix string) (stays bool) {
	for change := range changes.All() {
		switch {
		case change.Action != zktree.DeleteNode:
			stays = true
			fmt.Fprintln(c.stderr, change)
		case prefix == "":
		case c.output == jsonOutput:
			c.printJSON(newChangeJSON(change))
		default:
			fmt.Fprintln(c.out, prefix+change.Path)
		}
	}
	return stays
}

// confirm says what would be deleted, and asks whether it is to be.
func (c *cli) confirm(path string, changes *zktree.Changes) bool {
	deleted, kept := 0, 0
	for change := range changes.All() {
		if change.Action == zktree.DeleteNode {
			deleted++
		} else {
			kept++
		}
	}
	fmt.Fprintf(c.stderr, "delete %s: %s", path, plural(deleted, "node"))
	if kept > 0 {
		fmt.Fprintf(c.stderr, ", and keep %d, which are ephemeral or above such", kept)
	}
	fmt.Fprintf(c.stderr, "? [y/N] ")
	answer, _ := bufio.NewReader(c.stdin).ReadString('\n')
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if noun, ok := strings.CutSuffix(noun, "child"); ok {
		return fmt.Sprintf("%d %schildren", n, noun)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
