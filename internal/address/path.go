// Package address checks what users write: connection strings, addresses of servers, and paths.
package address

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream/internal/zkconn"
)

// MaxPath is how many bytes a path may have, so that it fits into a request.
const MaxPath = zkconn.DefaultMaxRequest - 256

// ValidatePath applies ZooKeeper's rules (its programmer's guide, "The ZooKeeper Data Model"). The
// error is zk.ErrInvalidPath.
func ValidatePath(path string) error {
	if path == "/" {
		return nil
	}
	if !strings.HasPrefix(path, "/") || !utf8.ValidString(path) {
		return zk.ErrInvalidPath
	}
	if len(path) > MaxPath {
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

// Chroot is the path below which a client's paths are: "" or an absolute path.
type Chroot string

// Absolute returns path as the server has it: below the chroot.
func (c Chroot) Absolute(path string) string {
	if c == "" {
		return path
	}
	if path == "/" {
		return string(c)
	}
	return string(c) + path
}

// Relative is the inverse of Absolute.
func (c Chroot) Relative(path string) string {
	if path = path[len(c):]; path == "" {
		return "/"
	}
	return path
}
