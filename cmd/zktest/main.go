// Command zktest serves package zktest on a port: a ZooKeeper in memory, for programs in any language and for
// trying things out. It keeps nothing when it ends, which Ctrl-C makes it do.
//
//	go run github.com/zkstream/zkstream/cmd/zktest -addr 127.0.0.1:2181 -servers 3 -tree tree.txt
//
// It prints the connection string on its standard output when it serves, and nothing else there.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/zkstream/zkstream/zktest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "zktest:", strings.TrimPrefix(err.Error(), "zktest: "))
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("zktest", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // an error is printed once, by main
	addr := flags.String("addr", "127.0.0.1:2181", "`address` to listen on; port 0 is a free one")
	servers := flags.Int("servers", 1, "`number` of servers; each has a port of its own, counted up from the first")
	tick := flags.Duration("tick", 2*time.Second, "tick: sessions have between 2 and 20 of them")
	version := flags.String("version", "3.8", "ZooKeeper `version` to be, 3.5 to 3.9")
	tree := flags.String("tree", "", "`file` with the nodes to begin with, as a tree text of zc.zk")
	extended := flags.Bool("extended-types", false, "allow TTL nodes (extendedTypesEnabled)")
	quotas := flags.Bool("quotas", false, "enforce quotas (enforceQuota)")
	cert := flags.String("cert", "", "`file` with the TLS certificate, in PEM; TLS only, then")
	key := flags.String("key", "", "`file` with the certificate's key, in PEM")
	verbose := flags.Bool("v", false, "log to the standard error")
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		flags.SetOutput(stderr)
		flags.PrintDefaults()
	}
	if err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	opts := []zktest.Option{zktest.WithAddr(*addr), zktest.WithTickTime(*tick), zktest.WithVersion(*version)}
	if *extended {
		opts = append(opts, zktest.WithExtendedTypes())
	}
	if *quotas {
		opts = append(opts, zktest.WithQuotas())
	}
	if *verbose {
		opts = append(opts, zktest.WithLogger(slog.New(slog.NewTextHandler(stderr, nil))))
	}
	if *tree != "" {
		text, err := os.ReadFile(*tree)
		if err != nil {
			return err
		}
		opts = append(opts, zktest.WithTree(string(text)))
	}
	if (*cert == "") != (*key == "") {
		return errors.New("-cert and -key go together")
	}
	if *cert != "" {
		pair, err := tls.LoadX509KeyPair(*cert, *key)
		if err != nil {
			return err
		}
		opts = append(opts, zktest.WithTLS(&tls.Config{Certificates: []tls.Certificate{pair}}))
	}
	ensemble, err := zktest.NewEnsemble(*servers, opts...)
	if err != nil {
		return err
	}
	defer ensemble.Close()
	if _, err := fmt.Fprintln(stdout, strings.Join(ensemble.Addrs(), ",")); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
