package zkstream

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"unicode"
)

// parseServers takes a connection string apart.
func parseServers(s string) (hosts []string, root chroot, err error) {
	list, _, _ := strings.Cut(s, "/")
	if root = chroot(s[len(list):]); root == "/" {
		root = ""
	}
	if root != "" {
		if err := validatePath(string(root)); err != nil {
			return nil, "", fmt.Errorf("chroot %q: %w", root, err)
		}
	}
	if strings.TrimSpace(list) == "" {
		return []string{"127.0.0.1:2181"}, root, nil
	}
	for part := range strings.SplitSeq(list, ",") {
		host, err := parseHost(strings.TrimSpace(part))
		if err != nil {
			return nil, "", err
		}
		hosts = append(hosts, host)
	}
	return hosts, root, nil
}

func parseHost(s string) (string, error) {
	host, port := s, "2181"
	if inner, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(inner, "]") {
		host = strings.TrimSuffix(inner, "]")
	} else if strings.Contains(s, ":") {
		var err error
		if host, port, err = net.SplitHostPort(s); err != nil {
			return "", fmt.Errorf("server %q: %w", s, err)
		}
	}
	if host == "" {
		return "", fmt.Errorf("server %q: no host", s)
	}
	if strings.ContainsFunc(host, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == '[' || r == ']' }) {
		return "", fmt.Errorf("server %q: bad host %q", s, host)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("server %q: bad port %q", s, port)
	}
	return net.JoinHostPort(host, port), nil
}
