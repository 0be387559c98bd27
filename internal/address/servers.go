package address

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"unicode"
)

// ParseServers takes a connection string apart: hosts are host:port, and root is a path or "".
func ParseServers(s string) (hosts []string, root string, err error) {
	if strings.Contains(s, "://") {
		return nil, "", errors.New("a scheme: want host:port,host:port/chroot")
	}
	list, _, _ := strings.Cut(s, "/")
	if root, err = parseChroot(s[len(list):]); err != nil {
		return nil, "", err
	}
	if strings.TrimSpace(list) == "" {
		return []string{"127.0.0.1:2181"}, root, nil
	}
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		host, err := parseHost(part)
		if err != nil {
			return nil, "", err
		}
		hosts = append(hosts, host)
	}
	if len(hosts) == 0 {
		return nil, "", fmt.Errorf("no server in %q", list)
	}
	return hosts, root, nil
}

// parseChroot refuses what ZooKeeper's rules for paths allow and nobody means: a chroot that goes with each
// server, and the blanks of a configuration file.
func parseChroot(s string) (string, error) {
	switch {
	case s == "" || s == "/":
		return "", nil
	case strings.Contains(s, ","):
		return "", fmt.Errorf("chroot %q has a comma: it is given once, after the last server", s)
	case strings.TrimSpace(s) != s:
		return "", fmt.Errorf("chroot %q ends in a blank", s)
	}
	if err := ValidatePath(s); err != nil {
		return "", fmt.Errorf("chroot %q: %w", s, err)
	}
	return s, nil
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
