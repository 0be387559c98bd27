// Command zkstream looks at a ZooKeeper, changes it, and follows it, from the shell and from scripts.
//
//	zkstream --servers zk1,zk2,zk3/app tree /
//
// The standard output has what was asked for, and nothing else. It ends with 0, or with 1 after an error, 2 for a wrong
// usage, 3 where there is no such node.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

func main() {
	// Writing into a pipe that nobody reads any more is an error now, and does not kill the process: the session is to be
	// closed first. Unlike an ignored signal, one that is caught is not inherited by a child.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	c := &cli{
		stdin:    os.Stdin,
		stdout:   os.Stdout,
		stderr:   os.Stderr,
		getenv:   os.Getenv,
		terminal: isTerminal,
	}
	os.Exit(c.main(context.Background(), os.Args[1:]))
}

// isTerminal reports whether a standard input or output is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
