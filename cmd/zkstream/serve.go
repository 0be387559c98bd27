package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/zkstream/zkstream/zktest"
)

func (c *cli) serveCommand() *cobra.Command {
	var (
		listen, version  string
		members          int
		tick             time.Duration
		extended, quotas bool
	)
	cmd := &cobra.Command{
		Use:   "serve [TREE-FILE]",
		Short: "Be a ZooKeeper in memory, for development and tests",
		Long: `Serve a ZooKeeper in memory, with the nodes of a tree text, if one is given, until a signal ends it. It
stores nothing. It writes its connection string when it serves. With --tls-cert and --tls-key it serves TLS.`,
		GroupID: groupServers,
		Args:    cobra.MaximumNArgs(1),
		RunE: c.run(func(ctx context.Context, args []string) error {
			opts := []zktest.Option{zktest.WithAddr(listen), zktest.WithTickTime(tick), zktest.WithVersion(version)}
			if extended {
				opts = append(opts, zktest.WithExtendedTypes())
			}
			if quotas {
				opts = append(opts, zktest.WithQuotas())
			}
			if c.verbose {
				opts = append(opts, zktest.WithLogger(slog.New(slog.NewTextHandler(c.stderr, nil))))
			}
			if len(args) == 1 {
				text, err := os.ReadFile(args[0])
				if err != nil {
					return err
				}
				opts = append(opts, zktest.WithTree(string(text)))
			}
			if (c.settings.tlsCert == "") != (c.settings.tlsKey == "") {
				return errors.New("--tls-cert and --tls-key go together")
			}
			if c.settings.tlsCert != "" {
				pair, err := tls.LoadX509KeyPair(c.settings.tlsCert, c.settings.tlsKey)
				if err != nil {
					return err
				}
				opts = append(opts, zktest.WithTLS(&tls.Config{Certificates: []tls.Certificate{pair}}))
			}
			servers, err := zktest.NewEnsemble(members, opts...)
			if err != nil {
				return err
			}
			defer servers.Close()
			fmt.Fprintln(c.out, strings.Join(servers.Addrs(), ","))
			if err := c.out.Flush(); err != nil {
				return err
			}
			if <-ctx.Done(); isInterrupted(ctx) {
				return nil
			}
			return ctx.Err()
		}),
	}
	flags := cmd.Flags()
	flags.StringVarP(&listen, "listen", "l", "127.0.0.1:2181", "`address` to listen on; port 0 is a free one")
	flags.IntVarP(&members, "members", "n", 1, "`number` of servers; each has a port of its own, counted up from the first")
	flags.DurationVar(&tick, "tick", 2*time.Second, "tick: sessions have between 2 and 20 of them")
	flags.StringVar(&version, "zookeeper", "3.8", "`version` of ZooKeeper to be, 3.5 to 3.9")
	flags.BoolVar(&extended, "extended-types", false, "allow TTL nodes (extendedTypesEnabled)")
	flags.BoolVar(&quotas, "quotas", false, "enforce quotas (enforceQuota)")
	return cmd
}
