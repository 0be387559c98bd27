package zkstream

import "github.com/zkstream/zkstream/internal/address"

// chroot is the path below which a client's paths are: "" or an absolute path.
type chroot string

// absolute returns path as the server has it: below the chroot.
func (c chroot) absolute(path string) string {
	if c == "" {
		return path
	}
	if path == "/" {
		return string(c)
	}
	return string(c) + path
}

// relative is the inverse of absolute.
func (c chroot) relative(path string) string {
	if path = path[len(c):]; path == "" {
		return "/"
	}
	return path
}

// validatePath applies ZooKeeper's rules. The error is zk.ErrInvalidPath.
func validatePath(path string) error { return address.ValidatePath(path) }
