package main

import (
	"bufio"
	"context"
	"io"

	"github.com/spf13/cobra"
)

// cli is one run of the command, with all that it gets from the process.
type cli struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	terminal       func(stream any) bool // whether one of the three above is a terminal

	out      *bufio.Writer // what goes to stdout
	settings settings
	output   outputFormat
	verbose  bool
	started  bool   // whether the arguments were fine, so that an error is not one of usage
	ignore   func() // ends the handling of signals; see catchSignals; may be called again
}

// main runs the command, and returns the status that the process is to end with.
func (c *cli) main(ctx context.Context, args []string) int {
	c.out = bufio.NewWriter(c.stdout)
	ctx, c.ignore = catchSignals(ctx)
	defer c.ignore()
	root := c.root()
	root.SetArgs(args)
	root.SetIn(c.stdin)
	root.SetOut(c.out)
	root.SetErr(c.stderr)
	ran, err := root.ExecuteContextC(ctx)
	if flushErr := c.out.Flush(); err == nil {
		err = flushErr
	}
	if err != nil && !c.started {
		err = &usageError{command: ran.CommandPath(), err: err}
	}
	return c.status(ctx, err)
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "zkstream",
		Short: "Looks at a ZooKeeper, changes it, and follows it",
		Long: `zkstream looks at a ZooKeeper, changes it, and follows it.

The standard output has what was asked for, and nothing else. The status is 0, or 1 after
an error, 2 for a wrong usage, 3 where there is no such node.

Servers are named by --servers, else by ZKSTREAM_SERVERS or ZC_ZK_CONNECTION_STRING, else by
a profile of the configuration file; the default is 127.0.0.1:2181. Each flag of the connection can be
given by the environment, too, as --tls-ca by ZKSTREAM_TLS_CA.`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddGroup(
		&cobra.Group{ID: groupRead, Title: "Look:"},
		&cobra.Group{ID: groupWrite, Title: "Change:"},
		&cobra.Group{ID: groupFollow, Title: "Follow:"},
		&cobra.Group{ID: groupTree, Title: "Trees as text:"},
		&cobra.Group{ID: groupServers, Title: "Servers:"},
	)
	flags := root.PersistentFlags()
	c.settings.addFlags(flags)
	flags.VarP(&c.output, "output", "o", "`format` of the output: text or json")
	flags.BoolVarP(&c.verbose, "verbose", "v", false, "log to the standard error")
	root.AddCommand(
		c.getCommand(), c.lsCommand(), c.statCommand(), c.treeCommand(),
		c.setCommand(), c.createCommand(), c.rmCommand(), c.aclCommand(),
		c.watchCommand(), c.waitCommand(), c.registerCommand(),
		c.exportCommand(), c.importCommand(), c.diffCommand(), c.validateCommand(),
		c.serversCommand(), c.ownerCommand(), c.serveCommand(), c.uiCommand(),
		c.versionCommand(),
	)
	c.complete(root)
	return root
}

// The groups of commands, in the order in which the help has them.
const (
	groupRead    = "read"
	groupWrite   = "write"
	groupFollow  = "follow"
	groupTree    = "tree"
	groupServers = "servers"
)
