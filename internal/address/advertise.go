package address

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
)

// OfHost returns the addresses of the network interfaces that are up.
func OfHost() ([]net.Addr, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var all []net.Addr
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			return nil, err
		}
		all = append(all, addrs...)
	}
	return all, nil
}

// Advertise returns what to register for a listener on addr, on a host with the addresses that ofHost returns.
func Advertise(addr string, ofHost func() ([]net.Addr, error)) ([]string, error) {
	host, port, err := splitAddr(addr)
	if err != nil {
		return nil, err
	}
	if !IsUnspecified(host) {
		return []string{addr}, nil
	}
	addrs, err := ofHost()
	if err != nil {
		return nil, fmt.Errorf("the addresses of this host: %w", err)
	}
	var public, loopback []string
	for _, a := range addrs {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil || !prefix.Addr().Unmap().Is4() {
			continue
		}
		ip := prefix.Addr().Unmap()
		list := &public
		if ip.IsLoopback() {
			list = &loopback
		}
		*list = append(*list, net.JoinHostPort(ip.String(), port))
	}
	switch {
	case len(public) > 0:
		return public, nil
	case len(loopback) > 0:
		return loopback, nil
	}
	return nil, errors.New("this host has no IPv4 address")
}

// splitAddr takes "host:port" apart. The host may be empty; the port is a number that can be dialled.
func splitAddr(addr string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(addr)
	if err != nil {
		return "", "", err // names the address
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", "", fmt.Errorf("address %q: port %q is not a number from 1 to 65535", addr, port)
	}
	if strings.ContainsFunc(host, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune("/[]", r) }) {
		return "", "", fmt.Errorf("address %q: %q is not a host", addr, host)
	}
	return host, port, nil
}

// IsUnspecified reports whether a listener on host takes connections at every address of its machine.
func IsUnspecified(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.WithZone("").Unmap().IsUnspecified()
}

// Validate checks that others can dial addr.
func Validate(addr string) error {
	host, _, err := splitAddr(addr)
	if err != nil {
		return err
	}
	if IsUnspecified(host) {
		return fmt.Errorf("address %q is every address of this host, and none that others can dial: register what zkstream.Advertise gives for it", addr)
	}
	return ValidatePath("/" + addr)
}
