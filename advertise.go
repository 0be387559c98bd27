package zkstream

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
)

// Advertise returns the addresses to [Client.Register] for a listener on addr, "host:port", such as a
// [net.Listener]'s Addr gives. A listener on all addresses (":8080", "0.0.0.0:8080" or "[::]:8080") gives
// each IPv4 address of this host that is not loopback, with that port; loopback only if there is no
// other. That is the rule of zc.zk. Addresses of interfaces that are down do not count. Any other
// address gives itself.
//
// A host may have addresses that others cannot reach, such as a container bridge's: a program that
// knows its own address does better to register that.
//
// The error says what is wrong with addr, or why the host's addresses are not known.
func Advertise(addr string) ([]string, error) {
	return advertise(addr, hostAddrs)
}

// hostAddrs returns the addresses of the network interfaces that are up.
func hostAddrs() ([]net.Addr, error) {
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

func advertise(addr string, hostAddrs func() ([]net.Addr, error)) ([]string, error) {
	fail := func(err error) ([]string, error) { return nil, fmt.Errorf("zkstream: advertise: %w", err) }
	host, port, err := splitAddr(addr)
	if err != nil {
		return fail(err)
	}
	if !isUnspecified(host) {
		return []string{addr}, nil
	}
	addrs, err := hostAddrs()
	if err != nil {
		return fail(fmt.Errorf("the addresses of this host: %w", err))
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
	return fail(errors.New("this host has no IPv4 address"))
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

// isUnspecified reports whether a listener on host takes connections at every address of its machine.
func isUnspecified(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.WithZone("").Unmap().IsUnspecified()
}

// validateAddr checks that others can dial addr.
func validateAddr(addr string) error {
	host, _, err := splitAddr(addr)
	if err != nil {
		return err
	}
	if isUnspecified(host) {
		return fmt.Errorf("address %q is every address of this host, and none that others can dial: register what zkstream.Advertise gives for it", addr)
	}
	return validatePath("/" + addr)
}
