package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
)

// maxAnswer is the largest answer to a four-letter word that is read: cons has a line for each connection.
const maxAnswer = 64 << 20

// askWord sends one of ZooKeeper's four-letter words to the server at addr, and returns its answer. A server without
// a quorum, and one that is not allowed to answer (4lw.commands.whitelist), say so: that is an error.
func askWord(ctx context.Context, config *tls.Config, addr, word string) (string, error) {
	conn, err := dial(ctx, config, addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := io.WriteString(conn, word); err != nil {
		return "", cause(ctx, err)
	}
	answer, err := io.ReadAll(io.LimitReader(bufio.NewReader(conn), maxAnswer))
	text := string(answer)
	switch {
	case strings.Contains(text, "not in the whitelist"), strings.Contains(text, "not currently serving"):
		return "", errors.New(strings.ToLower(text[:1]) + strings.TrimSuffix(strings.TrimSpace(text[1:]), "."))
	case err != nil:
		return "", cause(ctx, err)
	case text == "":
		return "", fmt.Errorf("closed the connection without an answer to %s", word)
	}
	return text, nil
}

func dial(ctx context.Context, config *tls.Config, addr string) (net.Conn, error) {
	if config == nil {
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	}
	dialer := tls.Dialer{Config: config}
	return dialer.DialContext(ctx, "tcp", addr)
}

// cause returns why ctx has ended, or err if it has not.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// serverAddr is a server of the connection string.
type serverAddr struct {
	name string // host:port
	addr string // host:port to dial: one of the host's addresses
}

// serverAddrs returns the servers of a connection string, each with all of its addresses. An address is empty if the name
// cannot be resolved: the error says why.
func serverAddrs(ctx context.Context, servers string) (list []serverAddr, errs map[string]error) {
	hosts, _, _ := strings.Cut(servers, "/")
	if strings.TrimSpace(hosts) == "" {
		hosts = "127.0.0.1:2181"
	}
	errs = map[string]error{}
	for part := range strings.SplitSeq(hosts, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		host, port, err := net.SplitHostPort(part)
		if err != nil { // there is no port
			host, port = strings.Trim(part, "[]"), "2181"
		}
		name := net.JoinHostPort(host, port)
		ips, err := net.DefaultResolver.LookupHost(ctx, host)
		if err != nil {
			errs[name] = err
			list = append(list, serverAddr{name: name})
		}
		for _, ip := range ips {
			list = append(list, serverAddr{name, net.JoinHostPort(ip, port)})
		}
	}
	return list, errs
}
