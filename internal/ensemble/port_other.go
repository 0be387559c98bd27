//go:build !linux

package ensemble

import "net"

// reservePort returns a port that was free a moment ago. It cannot be kept here:
// somebody else may take it before it is used.
func reservePort() (port int, release func(), err error) {
	l, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return 0, nil, err
	}
	port = l.Addr().(*net.TCPAddr).Port
	return port, func() {}, l.Close()
}
