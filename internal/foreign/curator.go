package foreign

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// debianJars is where Debian and Ubuntu put the jar files of their packages.
const debianJars = "/usr/share/java"

// Curator is an installed Curator, a ZooKeeper client of Java, with its recipes and its service discovery.
type Curator struct {
	Version   string // such as 5.9.0
	Classpath string // with all that it needs
}

// FindCurator returns the Curator that 'make peers' has brought, or Debian's. The error says what to install.
func FindCurator() (Curator, error) {
	if _, err := exec.LookPath("javac"); err != nil {
		return Curator{}, errors.New("no javac, run 'make peers', or on Debian 'apt-get install default-jdk-headless'")
	}
	if folder, ok := Folder("curator"); ok {
		jars, err := filepath.Glob(filepath.Join(folder, "lib", "*.jar"))
		if err != nil {
			return Curator{}, err
		}
		return curatorOf(jars)
	}
	var jars []string
	for _, name := range []string{
		"curator-recipes", "curator-framework", "curator-client", "curator-x-discovery", "zookeeper", "slf4j-simple",
		"jackson-core", "jackson-databind", "jackson-annotations",
	} {
		found, err := filepath.Glob(filepath.Join(debianJars, name+"-[0-9]*.jar"))
		if err != nil || len(found) == 0 {
			return Curator{}, fmt.Errorf("Curator is not installed, run 'make peers' (no %s in %s)", name, debianJars)
		}
		jars = append(jars, found[0])
	}
	return curatorOf(jars)
}

// curatorOf returns the Curator that these jar files are.
func curatorOf(jars []string) (Curator, error) {
	for _, jar := range jars {
		if version, ok := strings.CutPrefix(filepath.Base(jar), "curator-recipes-"); ok {
			return Curator{strings.TrimSuffix(version, ".jar"), strings.Join(jars, string(os.PathListSeparator))}, nil
		}
	}
	return Curator{}, errors.New("no curator-recipes-VERSION.jar, run 'make peers'")
}

// Compile compiles a program around Curator, which is one class, into dir, and returns a command that runs it in a
// Java machine with these flags.
func (c Curator) Compile(dir, class, program string, flags ...string) (*exec.Cmd, error) {
	source := filepath.Join(dir, class+".java")
	if err := os.WriteFile(source, []byte(program), 0o600); err != nil {
		return nil, err
	}
	classpath := c.Classpath + string(os.PathListSeparator) + dir
	if out, err := exec.Command("javac", "-d", dir, "-cp", classpath, source).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("javac: %s", LastLine(out, err))
	}
	// Its log is no part of what a program says; errors go to the standard error.
	flags = append([]string{"-Dorg.slf4j.simpleLogger.defaultLogLevel=error"}, flags...)
	return exec.Command("java", append(flags, "-cp", classpath, class)...), nil
}
