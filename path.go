package zkstream

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/zkconn"
)

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

// maxContent is what fits into a request besides its path: a server closes the connection on a larger
// one than its jute.maxbuffer, 0xfffff bytes by default, and a retry would end the same way.
const maxContent = zkconn.DefaultMaxRequest - 256

// validatePath applies ZooKeeper's rules (its programmer's guide, "The ZooKeeper Data Model"). The
// error is zk.ErrInvalidPath.
func validatePath(path string) error {
	if path == "/" {
		return nil
	}
	if !strings.HasPrefix(path, "/") || !utf8.ValidString(path) {
		return zk.ErrInvalidPath
	}
	if len(path) > maxContent {
		return fmt.Errorf("%d bytes: %w", len(path), zk.ErrInvalidPath)
	}
	for name := range strings.SplitSeq(path[1:], "/") {
		if name == "" || name == "." || name == ".." {
			return zk.ErrInvalidPath
		}
	}
	for _, r := range path {
		// A server counts what is beyond 0xffff as two surrogates, which are not allowed.
		if r <= 0x1f || r >= 0x7f && r <= 0x9f || r >= 0xd800 && r <= 0xf8ff || r >= 0xfff0 {
			return zk.ErrInvalidPath
		}
	}
	return nil
}
