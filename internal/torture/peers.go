package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// peer is a library that can take part.
type peer struct {
	name, title string
	command     func(source, dir string) (*exec.Cmd, error) // source is this folder, dir one for what is built
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
		source := ""
		if name != subject && name != "raw" {
			if source, err = sourceFolder(); err != nil {
				skipped = append(skipped, fmt.Sprintf("%s: %v", peers[i].title, err))
				continue
			}
		}
		cmd, err := peers[i].command(source, dir)
		if err != nil {
			skipped = append(skipped, fmt.Sprintf("%s: %v", peers[i].title, err))
			continue
		}
		ready = append(ready, prepared{peers[i], cmd})
	}
	return ready, skipped, nil
}

// sourceFolder returns the folder that this package's source is in.
func sourceFolder() (string, error) {
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/zkstream/zkstream/internal/torture").Output()
	if err != nil {
		return "", fmt.Errorf("its source is not found, run this in the repository: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// self is this program, as a contender.
func self(name string) func(source, dir string) (*exec.Cmd, error) {
	return func(string, string) (*exec.Cmd, error) {
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
func gokit(source, dir string) (*exec.Cmd, error) {
	program := filepath.Join(dir, "gokit")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = filepath.Join(source, "gokit")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %s", lastLine(out, err))
	}
	return exec.Command(program), nil
}

func kazoo(source, _ string) (*exec.Cmd, error) {
	const python = "/usr/bin/python3" // Debian's: its packages are not seen by others
	if out, err := exec.Command(python, "-c", "import kazoo").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("not installed, on Debian 'apt-get install python3-kazoo' (%s)", lastLine(out, err))
	}
	return exec.Command(python, "-u", filepath.Join(source, "peers", "kazoo.py")), nil
}

func curator(source, dir string) (*exec.Cmd, error) {
	var jars []string
	for _, name := range curatorJars {
		jar := "/usr/share/java/" + name + ".jar"
		if _, err := os.Stat(jar); err != nil {
			return nil, fmt.Errorf("no %s, on Debian 'apt-get install libcurator-discovery-java'", jar)
		}
		jars = append(jars, jar)
	}
	if _, err := exec.LookPath("javac"); err != nil {
		return nil, errors.New("no javac, on Debian 'apt-get install default-jdk-headless'")
	}
	classpath := strings.Join(jars, string(os.PathListSeparator))
	build := exec.Command("javac", "-d", dir, "-cp", classpath, filepath.Join(source, "peers", "Curator.java"))
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("javac: %s", lastLine(out, err))
	}
	return exec.Command("java", "-Xmx256m", "-XX:+UseSerialGC", "-cp", classpath+string(os.PathListSeparator)+dir, "Curator"), nil
}

// curatorJars are Curator's and what its service discovery needs.
var curatorJars = []string{
	"curator-recipes", "curator-framework", "curator-client", "curator-x-discovery", "zookeeper", "slf4j-nop",
	"jackson-core", "jackson-databind", "jackson-annotations",
}

func lastLine(out []byte, err error) string {
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	if last := lines[len(lines)-1]; len(last) > 0 {
		return string(last)
	}
	return err.Error()
}
