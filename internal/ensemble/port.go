package ensemble

import "strings"

const loopback = "127.0.0.1"

// reserver chooses a free port of the loopback address. Where the system allows
// it, nobody else gets that port until release is called.
type reserver func() (port int, release func(), err error)

// portTaken reports whether a start failed because somebody else took a port.
func portTaken(err error) bool {
	return strings.Contains(err.Error(), "Address already in use")
}
