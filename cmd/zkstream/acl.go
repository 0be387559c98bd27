package main

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/go-zookeeper/zk"
	"github.com/spf13/cobra"
	"github.com/zkstream/zkstream"
	"golang.org/x/sync/errgroup"
)

func (c *cli) aclCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "acl",
		Short:   "Write or change who may do what with a node",
		GroupID: groupWrite,
	}
	cmd.AddCommand(c.aclGetCommand(), c.aclSetCommand())
	return cmd
}

// aclJSON is an entry of an access control list.
type aclJSON struct {
	Scheme string `json:"scheme"`
	ID     string `json:"id"`
	Perms  string `json:"perms"`
}

func (c *cli) aclGetCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "get PATH",
		Short: "Write the access control list of a node",
		Args:  cobra.ExactArgs(1),
		RunE: c.once(func(ctx context.Context, client *zkstream.Client, args []string) error {
			acl, _, err := client.ACL(ctx, nodePath(args[0]))
			if err != nil {
				return err
			}
			list := []aclJSON{}
			for _, entry := range acl {
				list = append(list, aclJSON{entry.Scheme, entry.ID, permsText(entry.Perms)})
				if c.output == textOutput {
					fmt.Fprintf(c.out, "%s:%s:%s\n", entry.Scheme, oneLine(entry.ID, 0), permsText(entry.Perms))
				}
			}
			if c.output == jsonOutput {
				return c.printJSON(list)
			}
			return nil
		}),
	}
}

func (c *cli) aclSetCommand() *cobra.Command {
	var (
		recursive bool
		version   int32
	)
	cmd := &cobra.Command{
		Use:   "set PATH ENTRY...",
		Short: "Replace the access control list of a node",
		Long: `Replace the access control list of a node.

An entry is scheme:id:permissions, as "acl get" writes it. The permissions are some of c
(create children), d (delete children), r (read), w (write) and a (change this list). The ID
of the scheme digest is user:hash, and the scheme auth, with an empty ID, stands for who asks.`,
		Example: `  zkstream acl set /search world:anyone:r auth::cdrwa`,
		Args:    cobra.MinimumNArgs(2),
		RunE: c.once(func(ctx context.Context, client *zkstream.Client, args []string) error {
			acl, err := parseACL(args[1:])
			if err != nil {
				return err
			}
			path := nodePath(args[0])
			if recursive {
				return c.setTreeACL(ctx, client, path, acl)
			}
			return client.SetACL(ctx, path, acl, version)
		}),
	}
	cmd.Flags().BoolVarP(&recursive, "recursive", "R", false, "also of all nodes below, but for /zookeeper")
	cmd.Flags().Int32Var(&version, "if-version", zkstream.AnyVersion, "only if the list has this `version` (aclVersion)")
	cmd.MarkFlagsMutuallyExclusive("recursive", "if-version")
	return cmd
}

// inFlight is how many requests are sent at once.
const inFlight = 64

// setTreeACL sets the list of path and all nodes below. One that has gone meanwhile is no error.
func (c *cli) setTreeACL(ctx context.Context, client *zkstream.Client, path string, acl []zk.ACL) error {
	tree, err := readTree(ctx, client, "set access control list", path, zkstream.WithoutData())
	if err != nil {
		return err
	}
	bar := c.progress("setting lists")
	defer bar.finish()
	var done atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(inFlight)
	for d := range tree.All() {
		if path == "/" && isReserved(d.Path()) {
			continue
		}
		g.Go(func() error {
			err := client.SetACL(ctx, d.Path(), acl, zkstream.AnyVersion)
			if d.Path() != path && isNoNode(err) {
				err = nil
			}
			bar.set(int(done.Add(1)), tree.Len())
			return err
		})
	}
	return g.Wait()
}

// permLetters are the letters of permissions, that of the lowest bit first.
const permLetters = "rwcda"

// permOrder is the order in which ZooKeeper's own command writes them.
const permOrder = "cdrwa"

func permsText(perms int32) string {
	var b strings.Builder
	for _, letter := range permOrder {
		if perms&(1<<strings.IndexRune(permLetters, letter)) != 0 {
			b.WriteRune(letter)
		}
	}
	return b.String()
}

// parseACL reads entries of the form scheme:id:permissions. An ID may have colons in it.
func parseACL(entries []string) ([]zk.ACL, error) {
	var acl []zk.ACL
	for _, entry := range entries {
		first, last := strings.IndexByte(entry, ':'), strings.LastIndexByte(entry, ':')
		if first == last {
			return nil, fmt.Errorf("%q: an entry of an access control list is scheme:id:permissions", entry)
		}
		a := zk.ACL{Scheme: entry[:first], ID: entry[first+1 : last]}
		for _, letter := range entry[last+1:] {
			bit := strings.IndexRune(permLetters, letter)
			if bit < 0 {
				return nil, fmt.Errorf("%q: permissions are some of %s", entry, permOrder)
			}
			a.Perms |= 1 << bit
		}
		acl = append(acl, a)
	}
	return acl, nil
}
