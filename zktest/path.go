package zktest

import "strings"

// validPath applies the rules of ZooKeeper's PathUtils.validatePath. Java counts UTF-16 units there,
// so every character beyond U+FFFF is refused with the surrogates.
func validPath(path string) bool {
	if path == "" || path[0] != '/' {
		return false
	}
	if path == "/" {
		return true
	}
	if path[len(path)-1] == '/' {
		return false
	}
	for name := range strings.SplitSeq(path[1:], "/") {
		if name == "" || name == "." || name == ".." {
			return false
		}
	}
	for _, c := range path {
		switch {
		case c <= 0x1f, c >= 0x7f && c <= 0x9f, c >= 0xd800 && c <= 0xf8ff, c >= 0xfff0:
			return false
		}
	}
	return true
}

// splitPath cuts a path at its last slash. The parent of "/a" is "", which names the root too. ok is
// false if there is no slash or the path holds a NUL.
func splitPath(path string) (parent, name string, ok bool) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 || strings.IndexByte(path, 0) >= 0 {
		return "", "", false
	}
	return path[:i], path[i+1:], true
}

// isSpecialPath tells the nodes that every ZooKeeper has and that nobody may delete.
func isSpecialPath(path string) bool {
	switch path {
	case "/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config":
		return true
	}
	return false
}

// watchPath is the name under which the root's watches are kept.
func watchPath(path string) string {
	if path == "" {
		return "/"
	}
	return path
}
