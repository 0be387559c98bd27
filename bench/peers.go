package main

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"slices"

	"github.com/zkstream/zkstream/internal/foreign"
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
var curatorProgram string

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
	k, err := foreign.FindKazoo()
	if err != nil {
		return nil, err
	}
	return k.Command(kazooProgram), nil
}

func curator(dir string) (*exec.Cmd, error) {
	c, err := foreign.FindCurator()
	if err != nil {
		return nil, err
	}
	return c.Compile(dir, "CuratorContender", curatorProgram, "-Xmx1g")
}
