package discovery

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/zkstream/zkstream/internal/content"
)

// joinAddr returns the address that a registry keeps as host and port.
func joinAddr(host string, port int) (string, error) {
	switch {
	case host == "":
		return "", errors.New("the node names no host")
	case port == 0:
		return "", errors.New("the node names no port")
	case port < 0 || port > 65535:
		return "", fmt.Errorf("port %d is not a number from 1 to 65535", port)
	}
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") { // an IPv6 address, as in a URL
		host = host[1 : len(host)-1]
	}
	return net.JoinHostPort(host, strconv.Itoa(port)), nil
}

// splitAddr is the inverse of joinAddr.
func splitAddr(addr string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err // names the address
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil || n == 0 || host == "" {
		return "", 0, fmt.Errorf("address %q is not a host and a port from 1 to 65535", addr)
	}
	return host, int(n), nil
}

// decode reads content, a JSON object, into dst.
func decode(content []byte, dst any) error {
	if s := bytes.TrimSpace(content); len(s) == 0 || s[0] != '{' {
		return errors.New("the content is not a JSON object")
	}
	return json.Unmarshal(content, dst)
}

// encode writes v as the other libraries do: on one line, with "<", ">" and "&" as they are.
func encode(v any) ([]byte, error) { return content.EncodeJSON(v) }

// text returns a JSON value as the text of an attribute: a string without its quotes, anything else as it stands.
func text(v json.RawMessage) string {
	var s string
	if json.Unmarshal(v, &s) == nil && string(v) != "null" {
		return s
	}
	return string(v)
}

// onlyUp returns an error for an endpoint whose status the format cannot express, because it has none.
func onlyUp(e Endpoint) error {
	if e.Status != Up {
		return fmt.Errorf("the format has no status, and so none of %s", e.Status)
	}
	return nil
}
