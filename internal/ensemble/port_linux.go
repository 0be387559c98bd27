package ensemble

import (
	"fmt"
	"os"
	"syscall"
)

// reservePort binds a socket to a free port and keeps it without listening. Linux
// lets a second socket listen on that port as long as both have SO_REUSEADDR, as
// Go's and ZooKeeper's listeners do, but gives it to nobody who asks for any free
// port. So a server finds its port free after a restart, and until then a dial is
// refused.
func reservePort() (port int, release func(), err error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, nil, os.NewSyscallError("socket", err)
	}
	defer func() {
		if err != nil {
			_ = syscall.Close(fd)
		}
	}()
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return 0, nil, os.NewSyscallError("setsockopt", err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, nil, os.NewSyscallError("bind", err)
	}
	addr, err := syscall.Getsockname(fd)
	if err != nil {
		return 0, nil, os.NewSyscallError("getsockname", err)
	}
	inet, ok := addr.(*syscall.SockaddrInet4)
	if !ok {
		return 0, nil, fmt.Errorf("bound to %T, not an IPv4 address", addr)
	}
	return inet.Port, func() { _ = syscall.Close(fd) }, nil
}
