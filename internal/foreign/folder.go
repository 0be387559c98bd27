package foreign

import (
	"os"
	"path/filepath"
	"strings"
)

const module = "module github.com/zkstream/zkstream\n"

// Folder returns the folder that scripts/fetch has brought packages into, such as "zookeeper", and whether it is
// there. It is looked for in the repository that the working directory is in.
func Folder(name string) (path string, ok bool) {
	dir, err := os.Getwd()
	if err != nil {
		return "", false
	}
	for {
		if text, err := os.ReadFile(filepath.Join(dir, "go.mod")); err == nil && strings.HasPrefix(string(text), module) {
			path = filepath.Join(dir, ".foreign", name)
			_, err := os.Stat(path)
			return path, err == nil
		}
		above := filepath.Dir(dir)
		if above == dir {
			return "", false
		}
		dir = above
	}
}
