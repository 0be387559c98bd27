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
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

func (c *cli) serversCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "servers",
		Short: "Write which server leads, which lags, and which does not answer",
		Long: `Ask each server of the connection string, at each address of its name, by the four-letter word
srvr, which servers answer unless they are configured otherwise (4lw.commands.whitelist).

LAG is by how many transactions a server is behind the leader; it may be more than nothing for a
moment while clients write. LATENCY is the average and the longest time, in milliseconds, that
the server has taken for a request. The status is 1 if a server does not answer or serve, or if
none leads.`,
		GroupID: groupServers,
		Args:    cobra.NoArgs,
		RunE: c.run(func(ctx context.Context, _ []string) error {
			if err := c.settings.resolve(c.getenv); err != nil {
				return err
			}
			config, err := c.settings.tlsConfig()
			if err != nil {
				return err
			}
			if limit := c.limit(); limit > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %v", limit))
				defer cancel()
			}
			servers := askServers(ctx, config, c.settings.servers)
			if isInterrupted(ctx) {
				return context.Cause(ctx)
			}
			leads := setLags(servers)
			if err := c.printServers(servers); err != nil {
				return err
			}
			for _, s := range servers {
				if s.Error != "" {
					return exitStatus(statusError)
				}
			}
			if !leads {
				return errors.New("no server leads")
			}
			return nil
		}),
	}
}

// serverJSON is what a server says of itself.
type serverJSON struct {
	Server      string  `json:"server"`         // as in the connection string
	Addr        string  `json:"addr,omitempty"` // that was asked
	Error       string  `json:"error,omitempty"`
	Mode        string  `json:"mode,omitempty"`
	Zxid        string  `json:"zxid,omitempty"`
	Lag         *int64  `json:"lag,omitempty"` // nil if there is nothing to compare with
	LatencyAvg  float64 `json:"latencyAvgMs"`
	LatencyMax  float64 `json:"latencyMaxMs"`
	RoundTrip   float64 `json:"roundTripMs"` // of the question
	Connections int     `json:"connections"`
	Outstanding int     `json:"outstanding"`
	Nodes       int     `json:"nodes"`
	Version     string  `json:"version,omitempty"`

	zxid int64
}

// askServers asks all servers at once.
func askServers(ctx context.Context, config *tls.Config, connection string) []serverJSON {
	addrs, errs := serverAddrs(ctx, connection)
	servers := make([]serverJSON, len(addrs))
	var wg sync.WaitGroup
	for i, s := range addrs {
		servers[i] = serverJSON{Server: s.name, Addr: s.addr}
		if s.addr == "" {
			servers[i].Error = errs[s.name].Error()
			continue
		}
		wg.Go(func() { servers[i].ask(ctx, withServerName(config, s.name)) })
	}
	wg.Wait()
	return servers
}

// withServerName returns a configuration for the server of that name, host:port, unless it names one itself.
func withServerName(config *tls.Config, name string) *tls.Config {
	if config == nil || config.ServerName != "" {
		return config
	}
	config = config.Clone()
	config.ServerName = strings.Trim(name[:strings.LastIndexByte(name, ':')], "[]")
	return config
}

func (s *serverJSON) ask(ctx context.Context, config *tls.Config) {
	began := time.Now()
	answer, err := askWord(ctx, config, s.Addr, "srvr")
	if err != nil {
		s.Error = err.Error()
		return
	}
	s.RoundTrip = float64(time.Since(began).Microseconds()) / 1000
	s.parse(answer)
	if s.Mode == "" {
		s.Error = "an answer that is not ZooKeeper's"
	}
}

// parse reads the answer to srvr, a name and a value on each line.
func (s *serverJSON) parse(answer string) {
	lines := bufio.NewScanner(strings.NewReader(answer))
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "Zookeeper version":
			s.Version, _, _ = strings.Cut(value, ",")
			s.Version, _, _ = strings.Cut(s.Version, "-")
		case "Latency min/avg/max":
			if parts := strings.Split(value, "/"); len(parts) == 3 {
				s.LatencyAvg, _ = strconv.ParseFloat(parts[1], 64)
				s.LatencyMax, _ = strconv.ParseFloat(parts[2], 64)
			}
		case "Connections":
			s.Connections, _ = strconv.Atoi(value)
		case "Outstanding":
			s.Outstanding, _ = strconv.Atoi(value)
		case "Zxid":
			if n, err := strconv.ParseInt(strings.TrimPrefix(value, "0x"), 16, 64); err == nil {
				s.Zxid, s.zxid = hex(n), n
			}
		case "Mode":
			s.Mode = value
		case "Node count":
			s.Nodes, _ = strconv.Atoi(value)
		}
	}
}

// setLags compares all servers with the one that leads, and reports whether there is one. The lower half of a zxid counts
// transactions; the upper half is the leader's epoch, and across epochs nothing can be counted.
func setLags(servers []serverJSON) bool {
	for _, leader := range servers {
		if leader.Mode != "leader" && leader.Mode != "standalone" {
			continue
		}
		for i := range servers {
			s := &servers[i]
			if s.Error == "" && s.zxid>>32 == leader.zxid>>32 {
				lag := max(0, leader.zxid-s.zxid)
				s.Lag = &lag
			}
		}
		return true
	}
	return false
}

func (c *cli) printServers(servers []serverJSON) error {
	if c.output == jsonOutput {
		return c.printJSON(servers)
	}
	table := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "SERVER\tMODE\tZXID\tLAG\tLATENCY\tCONNECTIONS\tNODES\tVERSION")
	for _, s := range servers {
		name := s.Server
		if s.Addr != "" && s.Addr != s.Server {
			name += " (" + s.Addr + ")"
		}
		if s.Error != "" {
			fmt.Fprintf(table, "%s\tdoes not serve: %s\n", name, s.Error)
			continue
		}
		lag := "unknown"
		if s.Lag != nil {
			lag = strconv.FormatInt(*s.Lag, 10)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%g/%g\t%d\t%d\t%s\n",
			name, s.Mode, s.Zxid, lag, s.LatencyAvg, s.LatencyMax, s.Connections, s.Nodes, s.Version)
	}
	return table.Flush()
}
