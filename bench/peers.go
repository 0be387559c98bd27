package main

import (
	_ "embed"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"github.com/zkstream/zkstream/internal/contender"
)

// A peer is a contender as the benchmark sees it.
type peer struct {
	name, title string
	kinds       []string // that it can watch
	most        int      // nodes that it is asked to watch
	mostOnOne   int      // streams on one node
	command     contender.Command
	cmd         *exec.Cmd // to be copied; nil: it is skipped
}

//go:embed foreign/kazoo_contender.py
var kazooProgram string

//go:embed foreign/CuratorContender.java
var curatorProgram string

// findPeers returns the contenders of these names, or all, with their commands where they can run, and says
// why others cannot. Programs are compiled into dir.
func findPeers(dir string, names ...string) (peers []*peer, skipped []string) {
	everything := slices.Clip([]string{"data", "children", "properties"})
	const many = 1_000_000
	peers = []*peer{
		{"zkstream", "zkstream", append(everything, "tree"), many, many, contender.Self(contenderEnv, "zkstream"), nil},
		{"raw", "raw go-zookeeper", everything, many, many, contender.Self(contenderEnv, "raw"), nil},
		{"gokit", "go-kit sd/zk", []string{"children"}, 20_000, many, contender.Self(contenderEnv, "gokit"), nil},
		{"kazoo", "kazoo", append(everything, "tree"), 20_000, 1000, contender.Kazoo(kazooProgram), nil}, // with more, a change takes seconds
		{"curator", "Curator", []string{"data", "tree"}, 20_000, many, contender.Curator("CuratorContender", curatorProgram, "-Xmx2g"), nil},
		{"channels", "one loop, bare channels", []string{"data"}, 1, many, contender.Self(contenderEnv, "channels"), nil},
		{"floor", "no watching", nil, 0, 0, contender.Self(contenderEnv, "floor"), nil},
	}
	peers = slices.DeleteFunc(peers, func(p *peer) bool { return len(names) > 0 && !slices.Contains(names, p.name) })
	for _, p := range peers {
		var err error
		var version string
		if p.cmd, version, err = p.command(dir); err != nil {
			skipped = append(skipped, fmt.Sprintf("%s: %v", p.title, err))
			p.cmd = nil
		}
		p.title = strings.TrimSpace(p.title + " " + version)
	}
	return slices.DeleteFunc(peers, func(p *peer) bool { return p.cmd == nil }), skipped
}
