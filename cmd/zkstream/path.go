package main

import (
	"errors"
	"strings"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
)

// nodePath returns an argument without the slash at its end that completion leaves there.
func nodePath(arg string) string {
	if arg != "/" {
		return strings.TrimSuffix(arg, "/")
	}
	return arg
}

// baseName returns the last name of a path; that of the root is empty.
func baseName(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// noNode is the error for a node that is not there.
func noNode(op, path string) error {
	return &zkstream.PathError{Op: op, Path: path, Err: zk.ErrNoNode}
}

// isNoNode reports whether an error says that a node is missing.
func isNoNode(err error) bool { return errors.Is(err, zk.ErrNoNode) }

// isReserved reports whether a path is that of ZooKeeper's own tree, or below.
func isReserved(path string) bool {
	return path == "/zookeeper" || strings.HasPrefix(path, "/zookeeper/")
}
