// Package foreign finds what others wrote and zkstream is set beside: a real ZooKeeper, and the ZooKeeper clients
// of other languages, for which it runs programs. Each is the newest, as 'make zookeeper' and 'make peers' bring
// it into the folder .foreign of this repository, or Debian's.
package foreign

import "bytes"

// LastLine returns the last line of a failed command's output, or the failure where there is none.
func LastLine(out []byte, err error) string {
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	if last := lines[len(lines)-1]; len(last) > 0 {
		return string(last)
	}
	return err.Error()
}
