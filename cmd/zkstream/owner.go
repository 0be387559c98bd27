package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/zkstream/zkstream"
)

func (c *cli) ownerCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "owner PATH...",
		Short: "Write which session ephemeral nodes belong to, and which client has it",
		Long: `Write for each ephemeral node its path, the session that it belongs to, the address of the client
that has this session, and the server that the client is connected to. The last two are "-"
if no server tells: then the client is not connected, or servers do not answer the four-letter
word cons (4lw.commands.whitelist), which the standard error says.`,
		GroupID: groupServers,
		Args:    cobra.MinimumNArgs(1),
		RunE: c.once(func(ctx context.Context, client *zkstream.Client, args []string) error {
			owners := make([]ownerJSON, len(args))
			for i, arg := range args {
				d, err := client.Get(ctx, nodePath(arg))
				if err == nil {
					err = missing(d, "owner")
				}
				if err != nil {
					return err
				}
				id := d.Stat().EphemeralOwner
				if id == 0 {
					return &zkstream.PathError{Op: "owner", Path: d.Path(), Err: errors.New("not an ephemeral node")}
				}
				owners[i] = ownerJSON{Path: d.Path(), Session: hex(id), session: id}
			}
			config, err := c.settings.tlsConfig()
			if err != nil {
				return err
			}
			clients := c.askClients(ctx, config)
			for i := range owners {
				o := &owners[i]
				found := clients[o.session]
				o.Client, o.Server = found.client, found.server
				if c.output == jsonOutput {
					continue
				}
				if o.Client == "" {
					o.Client, o.Server = "-", "-"
				}
				fmt.Fprintln(c.out, o.Path, o.Session, o.Client, o.Server)
			}
			if c.output == jsonOutput {
				return c.printJSON(owners)
			}
			return nil
		}),
	}
}

// ownerJSON is whose an ephemeral node is.
type ownerJSON struct {
	Path    string `json:"path"`
	Session string `json:"session"`
	Client  string `json:"client,omitempty"` // host:port
	Server  string `json:"server,omitempty"` // that it is connected to

	session int64
}

// connection is a client's, and to a server.
type clientConnection struct{ client, server string }

// askClients asks all servers which sessions are connected to them. It says on the standard error why some do not tell.
func (c *cli) askClients(ctx context.Context, config *tls.Config) map[int64]clientConnection {
	if limit := c.limit(); limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %v", limit))
		defer cancel()
	}
	var (
		mu      sync.Mutex // guards clients, and the standard error
		clients = map[int64]clientConnection{}
		wg      sync.WaitGroup
	)
	servers, errs := serverAddrs(ctx, c.settings.servers)
	for _, s := range servers {
		wg.Go(func() {
			err := errs[s.name]
			var answer string
			if s.addr != "" {
				answer, err = askWord(ctx, withServerName(config, s.name), s.addr, "cons")
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				fmt.Fprintf(c.stderr, "zkstream: %s does not tell its clients: %v\n", s.name, err)
			}
			for session, client := range parseConnections(answer) {
				clients[session] = clientConnection{client, s.name}
			}
		})
	}
	wg.Wait()
	return clients
}

// parseConnections reads the answer to cons: addresses of clients by their sessions. A line is
// " /10.0.0.5:43210[1](queued=0,...,sid=0x10000a,...)".
func parseConnections(answer string) map[int64]string {
	clients := map[int64]string{}
	lines := bufio.NewScanner(strings.NewReader(answer))
	for lines.Scan() {
		addr, rest, _ := strings.Cut(strings.TrimLeft(lines.Text(), " /"), "[")
		if strings.HasPrefix(strings.TrimLeft(lines.Text(), " /"), "[") { // IPv6
			addr, rest, _ = strings.Cut(strings.TrimLeft(lines.Text(), " /")[1:], "[")
			addr = "[" + addr
		}
		_, rest, found := strings.Cut(rest, "sid=0x")
		id, _, _ := strings.Cut(rest, ",")
		if n, err := strconv.ParseUint(id, 16, 64); found && err == nil {
			clients[int64(n)] = addr
		}
	}
	return clients
}
