package main

import (
	_ "embed"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	program "github.com/zkstream/zkstream/internal/contender"
	"github.com/zkstream/zkstream/internal/foreign"
)

//go:embed peers/kazoo.py
var kazooProgram string

//go:embed peers/Curator.java
var curatorProgram string

// peer is a library that can take part.
type peer struct {
	name, title string
	command     program.Command
}

var peers = []peer{
	{subject, "zkstream", self(subject, "")},
	{"raw", "raw go-zookeeper", self("raw", "github.com/go-zookeeper/zk")},
	{"gokit", "go-kit sd/zk", gokit},
	{"kazoo", "kazoo", program.Kazoo(kazooProgram)},
	{"curator", "Curator", program.Curator("Curator", curatorProgram, "-Xmx256m", "-XX:+UseSerialGC")},
}

func everybody() []string {
	names := make([]string, len(peers))
	for i, p := range peers {
		names[i] = p.name
	}
	return names
}

// prepared is a peer that can run; its command is to be copied, and given arguments.
type prepared struct {
	peer
	cmd *exec.Cmd
}

// prepare builds the peers of these names, and says why others cannot run.
func prepare(names []string, dir string) (ready []prepared, skipped []string, err error) {
	for _, name := range names {
		i := slices.IndexFunc(peers, func(p peer) bool { return p.name == name })
		if i < 0 {
			return nil, nil, fmt.Errorf("no contender %q, only %s", name, strings.Join(everybody(), ", "))
		}
		cmd, version, err := peers[i].command(dir)
		if err != nil {
			skipped = append(skipped, fmt.Sprintf("%s: %v", peers[i].title, err))
			continue
		}
		p := prepared{peers[i], cmd}
		p.title = strings.TrimSpace(p.title + " " + version)
		ready = append(ready, p)
	}
	return ready, skipped, nil
}

// self is this program, as a contender, which has the version of a module that is built into it.
func self(name, module string) program.Command {
	return func(dir string) (*exec.Cmd, string, error) {
		version := ""
		if info, ok := debug.ReadBuildInfo(); ok {
			for _, m := range info.Deps {
				if m.Path == module {
					version = m.Version
				}
			}
		}
		cmd, _, err := program.Self(contenderEnv, name)(dir)
		return cmd, version, err
	}
}

// gokit is a module of its own, for its dependencies' sake.
func gokit(dir string) (*exec.Cmd, string, error) {
	source, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/zkstream/zkstream/internal/torture").Output()
	if err != nil {
		return nil, "", fmt.Errorf("its source is not found, run this in the repository: %w", err)
	}
	target := filepath.Join(dir, "gokit")
	build := exec.Command("go", "build", "-o", target, ".")
	build.Dir = filepath.Join(strings.TrimSpace(string(source)), "gokit")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, "", fmt.Errorf("go build: %s", foreign.LastLine(out, err))
	}
	list := exec.Command("go", "list", "-m", "-f", "{{.Version}}", "github.com/go-kit/kit")
	list.Dir = build.Dir
	version, err := list.Output()
	return exec.Command(target), strings.TrimSpace(string(version)), err
}
