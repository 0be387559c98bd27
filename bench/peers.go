package main

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A peer is a contender as the benchmark sees it.
type peer struct {
	name, title string
	kinds       []string // that it can watch
	most        int      // nodes that it is asked to watch
	mostOnOne   int      // streams on one node
	command     func() (*exec.Cmd, error)
	cmd         *exec.Cmd // to be copied; nil: it is skipped
}

//go:embed foreign/kazoo_contender.py
var kazooProgram string

//go:embed foreign/CuratorContender.java
var curatorProgram []byte

// findPeers returns the contenders of these names, or all, with their commands where they can run, and says
// why others cannot. Programs are compiled into dir.
func findPeers(dir string, names ...string) (peers []*peer, skipped []string) {
	everything := []string{"data", "children", "properties"}
	const many = 1_000_000
	peers = []*peer{
		{"zkstream", "zkstream", everything, many, many, self("zkstream"), nil},
		{"raw", "raw go-zookeeper", everything, many, many, self("raw"), nil},
		{"gokit", "go-kit sd/zk", []string{"children"}, 20_000, many, self("gokit"), nil},
		{"kazoo", "kazoo", everything, 20_000, 1000, kazoo, nil}, // with more, a change takes seconds
		{"curator", "Curator", []string{"data"}, 20_000, many, func() (*exec.Cmd, error) { return curator(dir) }, nil},
		{"floor", "no watching", nil, 0, 0, self("floor"), nil},
	}
	peers = slices.DeleteFunc(peers, func(p *peer) bool { return len(names) > 0 && !slices.Contains(names, p.name) })
	for _, p := range peers {
		var err error
		if p.cmd, err = p.command(); err != nil {
			skipped = append(skipped, fmt.Sprintf("%s: %v", p.title, err))
		}
	}
	return slices.DeleteFunc(peers, func(p *peer) bool { return p.cmd == nil }), skipped
}

// self is this program, as a contender.
func self(name string) func() (*exec.Cmd, error) {
	return func() (*exec.Cmd, error) {
		program, err := os.Executable()
		if err != nil {
			return nil, err
		}
		cmd := exec.Command(program)
		cmd.Env = append(os.Environ(), contenderEnv+"="+name)
		return cmd, nil
	}
}

func kazoo() (*exec.Cmd, error) {
	const python = "/usr/bin/python3" // Debian's: its packages are not seen by others
	if out, err := exec.Command(python, "-c", "import kazoo").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("not installed, on Debian 'apt-get install python3-kazoo' (%s)", lastLine(out, err))
	}
	return exec.Command(python, "-u", "-c", kazooProgram), nil
}

func curator(dir string) (*exec.Cmd, error) {
	var jars []string
	for _, name := range []string{"curator-recipes", "curator-framework", "curator-client", "zookeeper", "slf4j-nop"} {
		jar := "/usr/share/java/" + name + ".jar"
		if _, err := os.Stat(jar); err != nil {
			return nil, fmt.Errorf("no %s, on Debian 'apt-get install libcurator-recipes-java'", jar)
		}
		jars = append(jars, jar)
	}
	if _, err := exec.LookPath("javac"); err != nil {
		return nil, errors.New("no javac, on Debian 'apt-get install default-jdk-headless'")
	}
	source := filepath.Join(dir, "CuratorContender.java")
	if err := os.WriteFile(source, curatorProgram, 0o600); err != nil {
		return nil, err
	}
	classpath := strings.Join(jars, ":")
	if out, err := exec.Command("javac", "-d", dir, "-cp", classpath, source).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("javac: %s", lastLine(out, err))
	}
	return exec.Command("java", "-Xmx1g", "-cp", classpath+":"+dir, "CuratorContender"), nil
}

func lastLine(out []byte, err error) string {
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	if last := lines[len(lines)-1]; len(last) > 0 {
		return string(last)
	}
	return err.Error()
}
