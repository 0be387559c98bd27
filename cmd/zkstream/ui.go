package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/cmd/zkstream/internal/ui"
)

func (c *cli) uiCommand() *cobra.Command {
	var listen string
	var options ui.Options
	cmd := &cobra.Command{
		Use:   "ui [PATH]",
		Short: "Serve a page with the live tree for a browser",
		Long: `Serve a page with the live tree from PATH on, for a browser, and write its address.

The page shows content, ephemeral nodes with their sessions and access control lists, and lights up
what changes. It changes nothing unless --write is given.

It is served on the loopback interface only, unless --listen says otherwise. Whoever can reach it
sees what this client may see, and with --write changes what it may change: there is no password.`,
		GroupID: groupFollow,
		Args:    cobra.MaximumNArgs(1),
		RunE: c.lasting(func(ctx context.Context, client *zkstream.Client, args []string) error {
			options.Root = "/"
			if len(args) == 1 {
				options.Root = nodePath(args[0])
			}
			return c.serveUI(ctx, client, listen, options)
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&listen, "listen", "127.0.0.1:8099", "`address` to serve the page on; port 0 means any that is free")
	flags.BoolVar(&options.Write, "write", false, "let the page create, change and delete nodes")
	flags.StringSliceVar(&options.Hosts, "host", nil, "also serve who asks for the page by this `name`, as behind a proxy")
	flags.IntVar(&options.MaxNodes, "max-nodes", 1_000_000, "give up the tree when it has more nodes than `n`")
	return cmd
}

// serveUI serves the page until ctx ends.
func (c *cli) serveUI(ctx context.Context, client *zkstream.Client, listen string, options ui.Options) error {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	addr := listener.Addr().(*net.TCPAddr)
	if options.Write && !addr.IP.IsLoopback() {
		fmt.Fprintf(c.stderr, "zkstream: everybody who can reach %v can change nodes\n", addr)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	page := ui.New(client, options)
	server := &http.Server{
		Handler:           page,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10, // of which the path of a node is the most
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	served, followed := make(chan struct{}), make(chan struct{})
	go func() { // ends with the server, which is closed below
		defer close(served)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			cancel(err)
		}
	}()
	go func() { // ends with ctx
		defer close(followed)
		page.Run(ctx)
	}()
	fmt.Fprintf(c.out, "http://%s/\n", reachable(addr))
	if err := c.out.Flush(); err != nil {
		cancel(err)
	}
	<-ctx.Done()
	server.Close()
	<-served
	<-followed
	return context.Cause(ctx)
}

// reachable returns an address for the browser on this machine.
func reachable(addr *net.TCPAddr) string {
	if addr.IP.IsUnspecified() {
		return net.JoinHostPort("localhost", strconv.Itoa(addr.Port))
	}
	return addr.String()
}
