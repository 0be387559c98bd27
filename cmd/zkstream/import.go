package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktext"
	"github.com/zkstream/zkstream/zktree"
)

func (c *cli) importCommand() *cobra.Command {
	var (
		dryRun, trim, keep bool
		acl                []string
	)
	cmd := &cobra.Command{
		Use:   "import FILE [PATH]",
		Short: "Make a tree as a text says",
		Long: `Create the nodes of a text in the format of zc.zk below PATH, by default the root, and give those
that are there exactly the properties of the text. FILE "-" is the standard input.

Nodes below those of the text that are not in it are listed on the standard error, unless
--keep or --trim is given. If somebody else changes the tree meanwhile the command fails, and
can be repeated.`,
		GroupID: groupTree,
		Args:    cobra.RangeArgs(1, 2),
		RunE: c.once(func(ctx context.Context, client *zkstream.Client, args []string) error {
			var opts []zktree.PlanOption
			if trim {
				opts = append(opts, zktree.Trim())
			}
			if keep {
				opts = append(opts, zktree.Keep())
			}
			if len(acl) > 0 {
				list, err := parseACL(acl)
				if err != nil {
					return err
				}
				opts = append(opts, zktree.WithACL(list))
			}
			changes, err := c.plan(ctx, client, args, opts...)
			if err != nil {
				return err
			}
			for change := range changes.All() {
				switch change.Action {
				case zktree.KeepExtra, zktree.KeepEphemeral, zktree.KeepParent:
					fmt.Fprintln(c.stderr, change)
					continue
				}
				if !dryRun {
					continue
				}
				if err := c.printChange(change); err != nil {
					return err
				}
			}
			if dryRun {
				return nil
			}
			bar := c.progress("importing")
			defer bar.finish()
			return zktree.Apply(ctx, client, changes, zktree.WithProgress(bar.set))
		}),
	}
	flags := cmd.Flags()
	flags.BoolVarP(&dryRun, "dry-run", "n", false, "change nothing, but write what would be changed")
	flags.BoolVar(&trim, "trim", false, "delete nodes below those of the text that are not in it, but for ephemeral ones")
	flags.BoolVar(&keep, "keep", false, "keep such nodes without a word")
	flags.StringArrayVar(&acl, "acl", nil, "`entry` of the access control list of all nodes, such as world:anyone:r; may be repeated")
	cmd.MarkFlagsMutuallyExclusive("trim", "keep")
	cmd.ValidArgsFunction = c.completeFileThenPath
	return cmd
}

func (c *cli) diffCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff FILE [PATH]",
		Short: "Compare a text with a tree",
		Long: `Write what "zkstream import" with the same arguments would change, and the nodes that are not in
the text. The status is 1 if there is a difference. FILE "-" is the standard input.`,
		Example: `  zkstream --profile prod export /search | zkstream --profile test diff -`,
		GroupID: groupTree,
		Args:    cobra.RangeArgs(1, 2),
		RunE: c.once(func(ctx context.Context, client *zkstream.Client, args []string) error {
			changes, err := c.plan(ctx, client, args)
			if err != nil {
				return err
			}
			for change := range changes.All() {
				if err := c.printChange(change); err != nil {
					return err
				}
			}
			if changes.Len() > 0 {
				return exitStatus(statusError)
			}
			return nil
		}),
	}
	cmd.ValidArgsFunction = c.completeFileThenPath
	return cmd
}

func (c *cli) validateCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "validate FILE",
		Short:   "Check a text",
		Long:    `Check that a text is in the format that "zkstream import" reads. FILE "-" is the standard input.`,
		GroupID: groupTree,
		Args:    cobra.ExactArgs(1),
		RunE: c.run(func(_ context.Context, args []string) error {
			_, err := c.parseTree(args[0])
			return err
		}),
	}
}

// plan compares the text that args name with what is there.
func (c *cli) plan(ctx context.Context, client *zkstream.Client, args []string, opts ...zktree.PlanOption) (*zktree.Changes, error) {
	tree, err := c.parseTree(args[0])
	if err != nil {
		return nil, err
	}
	path := "/"
	if len(args) == 2 {
		path = nodePath(args[1])
	}
	return zktree.Plan(ctx, client, path, tree, opts...)
}

// parseTree reads a text from a file, or from the standard input if the name is "-".
func (c *cli) parseTree(name string) (*zktext.Node, error) {
	var (
		text []byte
		err  error
	)
	if name == "-" {
		text, err = io.ReadAll(c.stdin)
	} else {
		text, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, err
	}
	tree, err := zktext.Parse(string(text))
	if syntax := (*zktext.SyntaxError)(nil); errors.As(err, &syntax) {
		return nil, fmt.Errorf("%s:%d: %s: %s", name, syntax.Line, syntax.Reason, syntax.Text)
	}
	return tree, err
}

// changeJSON is a part of what a command changes, or would change.
type changeJSON struct {
	Action   string `json:"action"`
	Path     string `json:"path"`
	Property string `json:"property,omitempty"`
	Old      any    `json:"old,omitempty"`
	New      any    `json:"new,omitempty"`
}

// actions are the names of what is done.
var actions = map[zktree.Action]string{
	zktree.AddNode:        "addNode",
	zktree.AddProperty:    "addProperty",
	zktree.ChangeProperty: "changeProperty",
	zktree.RemoveProperty: "removeProperty",
	zktree.ChangeACL:      "changeACL",
	zktree.DeleteNode:     "deleteNode",
	zktree.KeepExtra:      "keepExtra",
	zktree.KeepEphemeral:  "keepEphemeral",
	zktree.KeepParent:     "keepParent",
}

func newChangeJSON(change zktree.Change) changeJSON {
	return changeJSON{actions[change.Action], change.Path, change.Name, change.Old, change.New}
}

func (c *cli) printChange(change zktree.Change) error {
	if c.output == jsonOutput {
		return c.printJSON(newChangeJSON(change))
	}
	_, err := fmt.Fprintln(c.out, oneLine(change.String(), 0))
	return err
}
