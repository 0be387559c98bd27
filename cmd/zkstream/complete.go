package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/zkstream/zkstream"
	"golang.org/x/sync/errgroup"
)

// completionTimeout is how long the shell waits for a server. The tests set it, since a busy machine may need longer.
var completionTimeout = 2 * time.Second

// complete sets how the shell completes the arguments of all commands.
func (c *cli) complete(root *cobra.Command) {
	root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	root.RegisterFlagCompletionFunc("profile", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		file, err := readConfig(c.settings.config, c.getenv)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return file.names(), cobra.ShellCompDirectiveNoFileComp
	})
	c.completeArguments(root)
}

// completeArguments sets how the arguments of a command, and of those below it, are completed that do not say it themselves.
func (c *cli) completeArguments(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		c.completeArguments(sub)
	}
	_, usage, _ := strings.Cut(cmd.Use, " ")
	if cmd.ValidArgsFunction != nil || !strings.HasPrefix(strings.TrimPrefix(usage, "["), "PATH") {
		return
	}
	many, command := strings.Contains(usage, "PATH..."), strings.Contains(usage, "COMMAND")
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		switch {
		case len(args) == 0 || many:
			return c.completePath(cmd.Context(), word)
		case command:
			return nil, cobra.ShellCompDirectiveDefault
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeFileThenPath completes arguments of the form FILE [PATH].
func (c *cli) completeFileThenPath(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return nil, cobra.ShellCompDirectiveDefault
	case 1:
		return c.completePath(cmd.Context(), word)
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// completePath returns the paths that begin with word, as far as the next slash.
func (c *cli) completePath(ctx context.Context, word string) ([]string, cobra.ShellCompDirective) {
	if word == "" {
		return []string{"/"}, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	client, err := c.connect(ctx, c.limit)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	defer client.Close()
	above, start := word[:strings.LastIndexByte(word, '/')+1], baseName(word)
	list, err := client.List(ctx, nodePath(above))
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var paths []string
	for name := range list.All() {
		if strings.HasPrefix(name, start) {
			paths = append(paths, above+name)
		}
	}
	directive := cobra.ShellCompDirectiveNoFileComp
	if markParents(ctx, client, paths); len(paths) == 1 && strings.HasSuffix(paths[0], "/") {
		directive |= cobra.ShellCompDirectiveNoSpace
	}
	return paths, directive
}

// markParents adds a slash to the paths of nodes that have children, unless there are very many paths.
func markParents(ctx context.Context, client *zkstream.Client, paths []string) {
	if len(paths) > 500 {
		return
	}
	var g errgroup.Group
	for i, path := range paths {
		g.Go(func() error {
			if d, err := client.Get(ctx, path); err == nil && d.Stat().NumChildren > 0 {
				paths[i] = path + "/"
			}
			return nil
		})
	}
	g.Wait()
}
