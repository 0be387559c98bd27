package address

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
)

// hostWith is a host with these addresses, in CIDR notation.
func hostWith(t *testing.T, cidrs ...string) func() ([]net.Addr, error) {
	return func() ([]net.Addr, error) {
		var addrs []net.Addr
		for _, cidr := range cidrs {
			ip, network, err := net.ParseCIDR(cidr)
			if err != nil {
				t.Fatal(err)
			}
			addrs = append(addrs, &net.IPNet{IP: ip, Mask: network.Mask})
		}
		return addrs, nil
	}
}

func TestAdvertiseGivesTheAddressesOfTheHost(t *testing.T) {
	server := hostWith(t, "127.0.0.1/8", "::1/128", "10.0.0.5/24", "192.168.1.7/16", "2001:db8::5/64", "fe80::1/64")
	laptop := hostWith(t, "127.0.0.1/8", "127.0.1.1/8", "::1/128", "fe80::1/64")
	for _, c := range []struct {
		addr string
		host func() ([]net.Addr, error)
		want []string
	}{
		{":8080", server, []string{"10.0.0.5:8080", "192.168.1.7:8080"}},
		{"0.0.0.0:8080", server, []string{"10.0.0.5:8080", "192.168.1.7:8080"}},
		{"[::]:8080", server, []string{"10.0.0.5:8080", "192.168.1.7:8080"}},
		{"[::ffff:0.0.0.0]:8080", server, []string{"10.0.0.5:8080", "192.168.1.7:8080"}},
		{":8080", laptop, []string{"127.0.0.1:8080", "127.0.1.1:8080"}},
		{"10.1.1.1:8080", server, []string{"10.1.1.1:8080"}},
		{"127.0.0.1:8080", server, []string{"127.0.0.1:8080"}},
		{"[::1]:8080", server, []string{"[::1]:8080"}},
		{"[fe80::1%eth0]:8080", server, []string{"[fe80::1%eth0]:8080"}},
		{"web1.example.com:8080", server, []string{"web1.example.com:8080"}},
	} {
		got, err := Advertise(c.addr, c.host)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v, want %q", c.addr, got, err, c.want)
		}
		for _, addr := range got {
			if err := Validate(addr); err != nil {
				t.Errorf("Register refuses it: %v", err)
			}
		}
	}
}

func TestAdvertiseSaysWhatIsWrong(t *testing.T) {
	for _, addr := range []string{"", "8080", ":0", ":", ":http", ":65536", ":-1", ":80 ", "a b:80", "::1:80", "h/x:80"} {
		if got, err := Advertise(addr, hostWith(t, "10.0.0.5/24")); err == nil {
			t.Errorf("%q: %q, %v", addr, got, err)
		}
	}
	if _, err := Advertise(":80", hostWith(t, "::1/128")); err == nil || !strings.Contains(err.Error(), "no IPv4") {
		t.Errorf("a host without addresses: %v", err)
	}
	cause := errors.New("cause")
	if _, err := Advertise(":80", func() ([]net.Addr, error) { return nil, cause }); !errors.Is(err, cause) {
		t.Errorf("unknown addresses: %v", err)
	}
}

// A listener's own address can be given as it is.
func TestAdvertiseTakesAListenersAddress(t *testing.T) {
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	addrs, err := Advertise(l.Addr().String(), OfHost)
	if err != nil || len(addrs) == 0 {
		t.Fatal(addrs, err)
	}
	for _, addr := range addrs {
		if err := Validate(addr); err != nil {
			t.Error(err)
		}
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Errorf("nobody listens at %s: %v", addr, err)
			continue
		}
		conn.Close()
	}
}

func TestAddressesThatNobodyCanDialAreRefused(t *testing.T) {
	for _, addr := range []string{"10.0.0.1:99999", "10.0.0.1:-1", "10.0.0.1:+80", "10.0.0.1:0", "10.0.0.1:80 ", " 10.0.0.1:80", "a b:80",
		"host:http", "host", "host:", "::1:80", "[::1]", "ho\x00st:80", "h:8/0", "a/b:80", ""} {
		if err := Validate(addr); err == nil {
			t.Errorf("%q is taken", addr)
		}
	}
	for _, addr := range []string{":8080", "0.0.0.0:8080", "[::]:8080", "[::%eth0]:8080"} {
		if err := Validate(addr); err == nil || !strings.Contains(err.Error(), "Advertise") {
			t.Errorf("%q: %v", addr, err)
		}
	}
	for _, addr := range []string{"10.0.0.1:80", "[::1]:65535", "[fe80::1%eth0]:80", "web-1.example.com:8080", "host:1"} {
		if err := Validate(addr); err != nil {
			t.Errorf("%q: %v", addr, err)
		}
	}
}
