// Package foreign runs programs around the ZooKeeper clients of other languages, for those who set zkstream
// beside them. It finds the clients where Debian's packages have them.
package foreign

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Kazoo returns a command that runs a Python program around kazoo, or an error that says what is missing.
func Kazoo(program string) (*exec.Cmd, error) {
	const python = "/usr/bin/python3" // Debian's: its packages are not seen by others
	if out, err := exec.Command(python, "-c", "import kazoo").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("not installed, on Debian 'apt-get install python3-kazoo' (%s)", LastLine(out, err))
	}
	return exec.Command(python, "-u", "-c", program), nil
}

// curatorJars are Curator's and what its service discovery needs.
var curatorJars = []string{
	"curator-recipes", "curator-framework", "curator-client", "curator-x-discovery", "zookeeper", "slf4j-nop",
	"jackson-core", "jackson-databind", "jackson-annotations",
}

// Curator compiles a Java program around Curator, which is one class, into dir, and returns a command that
// runs it in a machine with these flags; or an error that says what is missing.
func Curator(dir, class, program string, flags ...string) (*exec.Cmd, error) {
	var jars []string
	for _, name := range curatorJars {
		jar := "/usr/share/java/" + name + ".jar"
		if _, err := os.Stat(jar); err != nil {
			return nil, fmt.Errorf("no %s, on Debian 'apt-get install libcurator-recipes-java libcurator-discovery-java'", jar)
		}
		jars = append(jars, jar)
	}
	if _, err := exec.LookPath("javac"); err != nil {
		return nil, errors.New("no javac, on Debian 'apt-get install default-jdk-headless'")
	}
	source := filepath.Join(dir, class+".java")
	if err := os.WriteFile(source, []byte(program), 0o600); err != nil {
		return nil, err
	}
	classpath := strings.Join(append(jars, dir), string(os.PathListSeparator))
	if out, err := exec.Command("javac", "-d", dir, "-cp", classpath, source).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("javac: %s", LastLine(out, err))
	}
	return exec.Command("java", append(flags, "-cp", classpath, class)...), nil
}

// LastLine returns the last line of a failed command's output, or the failure where there is none.
func LastLine(out []byte, err error) string {
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	if last := lines[len(lines)-1]; len(last) > 0 {
		return string(last)
	}
	return err.Error()
}
