package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/zkstream/zkstream"
)

func (c *cli) watchCommand() *cobra.Command {
	var (
		w    watcher
		what struct{ children, instances, tree bool }
	)
	cmd := &cobra.Command{
		Use:   "watch PATH [-- COMMAND...]",
		Short: "Follow a node, and write a line for each change",
		Long: `Follow the content of a node, or its children, or all below it: write a line for what there is,
and another for each change, until a signal ends it. Lost connections, expired sessions, and
nodes that come and go end nothing; the standard error says what happens to the session.

A line has the time, the path, and the version and the content of the node; or the number of
children or nodes, and which have come (+), changed (~) and gone (-). If changes come faster
than they can be written, states in between are skipped.

With a COMMAND no line is written. The command is run for each snapshot instead, one after the
other. Its standard input is the content, or the names of the children on a line each, or with
-o json the line; ZKSTREAM_PATH and ZKSTREAM_EXISTS (true or false) say the rest.`,
		Example: `  zkstream watch --children /search/providers
  zkstream watch /search/config -- sh -c 'cat > /etc/search.json; systemctl reload search'`,
		GroupID: groupFollow,
		Args: func(cmd *cobra.Command, args []string) error {
			if n := cmd.ArgsLenAtDash(); n >= 0 {
				if len(args) == n {
					return fmt.Errorf("no command after --")
				}
				args = args[:n]
			}
			return cobra.ExactArgs(1)(cmd, args)
		},
		RunE: c.lasting(func(ctx context.Context, client *zkstream.Client, args []string) error {
			path := nodePath(args[0])
			w.cli, w.command = c, args[1:]
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			states := c.logSession(ctx, client)
			defer func() { cancel(); <-states }()
			switch {
			case what.children:
				return follow(ctx, &w, client.Children(ctx, path), newChildrenView)
			case what.instances:
				return follow(ctx, &w, client.Tree(ctx, path, zkstream.WithDepth(1)), newTreeView)
			case what.tree:
				return follow(ctx, &w, client.Tree(ctx, path), newTreeView)
			}
			return follow(ctx, &w, client.Data(ctx, path), newDataView)
		}),
	}
	flags := cmd.Flags()
	flags.BoolVar(&what.children, "children", false, "follow the names of the children")
	flags.BoolVar(&what.instances, "instances", false, "follow the node and its children, with their contents")
	flags.BoolVar(&what.tree, "tree", false, "follow the node and all below it")
	flags.IntVarP(&w.count, "count", "n", 0, "end after so many `snapshots`")
	cmd.MarkFlagsMutuallyExclusive("children", "instances", "tree")
	return cmd
}

// watcher writes snapshots, or runs a command for each.
type watcher struct {
	*cli
	count   int // of snapshots, after which to end; 0 for none
	command []string
}

// view is a snapshot as it is shown.
type view interface {
	line() string // in text, without the time and the path
	json(at string) any
	input() []byte // for a command
	path() string
	exists() bool
}

// follow shows the snapshots of s until it ends. show gets a snapshot and the one before, zero at first.
func follow[T any](ctx context.Context, w *watcher, s *zkstream.Stream[T], show func(now, before T) view) error {
	defer s.Close()
	var before T
	for n := 1; ; n++ {
		now, err := s.Next(ctx)
		if err != nil {
			return err
		}
		if err := w.show(ctx, show(now, before)); err != nil {
			return err
		}
		if n == w.count {
			return nil
		}
		before = now
	}
}

func (w *watcher) show(ctx context.Context, v view) error {
	if len(w.command) > 0 {
		return w.runCommand(ctx, v)
	}
	at := nowText()
	if w.output == jsonOutput {
		if err := w.printJSON(v.json(at)); err != nil {
			return err
		}
	} else {
		fmt.Fprintln(w.out, at, v.path(), v.line())
	}
	return w.out.Flush()
}

// logSession writes a line on the standard error each time that the session changes. What it returns is closed when it
// has ended, with ctx.
func (c *cli) logSession(ctx context.Context, client *zkstream.Client) (done <-chan struct{}) {
	sessions := client.Session(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var id int64
		for s := range sessions.All() {
			switch {
			case s.State == zkstream.Suspended:
				fmt.Fprintf(c.stderr, "zkstream: the connection to %s is lost\n", s.Server)
			case s.State == zkstream.Expired:
				fmt.Fprintf(c.stderr, "zkstream: session %s has expired\n", hex(s.ID))
			case s.State == zkstream.Connected && id == 0:
				id = s.ID
			case s.State == zkstream.Connected && id == s.ID:
				fmt.Fprintf(c.stderr, "zkstream: connected to %s, in the same session\n", s.Server)
			case s.State == zkstream.Connected:
				id = s.ID
				fmt.Fprintf(c.stderr, "zkstream: connected to %s, in the new session %s\n", s.Server, hex(id))
			}
		}
	}()
	return ended
}

// signed returns the names with a sign before each.
func signed(sign string, names []string) []string {
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = sign + name
	}
	return list
}

// maxShown is how many changes a line of text names.
const maxShown = 50

// counted writes a number of things, and the changes.
func counted(count string, changes ...string) string {
	if n := len(changes); n > maxShown {
		changes = append(changes[:maxShown:maxShown], fmt.Sprintf("and %d more", n-maxShown))
	}
	return strings.Join(append([]string{count}, changes...), " ")
}
