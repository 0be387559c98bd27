package main

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/zkstream/zkstream/internal/foreign"
)

//go:embed peers/kazoo.py
var kazooProgram string

//go:embed peers/Curator.java
var curatorProgram string

// peer is a library that can take part.
type peer struct {
	name, title string
	command     func(dir string) (*exec.Cmd, error) // what is built goes into dir
}

var peers = []peer{
	{subject, "zkstream", self(subject)},
	{"raw", "raw go-zookeeper", self("raw")},
	{"gokit", "go-kit sd/zk", gokit},
	{"kazoo", "kazoo", kazoo},
	{"curator", "Curator", curator},
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
		cmd, err := peers[i].command(dir)
		if err != nil {
			skipped = append(skipped, fmt.Sprintf("%s: %v", peers[i].title, err))
			continue
		}
		ready = append(ready, prepared{peers[i], cmd})
	}
	return ready, skipped, nil
}

// self is this program, as a contender.
func self(name string) func(dir string) (*exec.Cmd, error) {
	return func(string) (*exec.Cmd, error) {
		program, err := os.Executable()
		if err != nil {
			return nil, err
		}
		cmd := exec.Command(program)
		cmd.Env = append(os.Environ(), contenderEnv+"="+name)
		return cmd, nil
	}
}

// gokit is a module of its own, for its dependencies' sake.
func gokit(dir string) (*exec.Cmd, error) {
	source, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/zkstream/zkstream/internal/torture").Output()
	if err != nil {
		return nil, fmt.Errorf("its source is not found, run this in the repository: %w", err)
	}
	program := filepath.Join(dir, "gokit")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = filepath.Join(strings.TrimSpace(string(source)), "gokit")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %s", foreign.LastLine(out, err))
	}
	return exec.Command(program), nil
}

func kazoo(string) (*exec.Cmd, error) {
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
	return c.Compile(dir, "Curator", curatorProgram, "-Xmx256m", "-XX:+UseSerialGC")
}
