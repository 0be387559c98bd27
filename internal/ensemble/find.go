package ensemble

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// debianJars is where Debian and Ubuntu put the jar files of their packages.
const debianJars = "/usr/share/java"

// Find returns the Java class path of the installed ZooKeeper: the jar files in
// $ZOOKEEPER_HOME/lib and $ZOOKEEPER_HOME if that variable is set, otherwise
// those of Debian's package. It also checks that there is a Java machine, in
// $JAVA_HOME/bin or on the PATH. The error says what to install.
func Find() (classpath string, err error) {
	if _, err := findJava(); err != nil {
		return "", err
	}
	if home := os.Getenv("ZOOKEEPER_HOME"); home != "" {
		return homeClasspath(home)
	}
	return debianClasspath(debianJars)
}

// homeClasspath returns the class path of an unpacked ZooKeeper release.
func homeClasspath(home string) (string, error) {
	var jars []string
	for _, pattern := range []string{"lib/*.jar", "*.jar"} {
		found, err := filepath.Glob(filepath.Join(home, pattern))
		if err != nil {
			return "", fmt.Errorf("ZOOKEEPER_HOME=%s: %w", home, err)
		}
		jars = append(jars, found...)
	}
	if !slices.ContainsFunc(jars, isServerJar) {
		return "", fmt.Errorf("ZOOKEEPER_HOME=%s has no zookeeper*.jar, neither in lib nor beside it: "+
			"set it to the folder of an unpacked ZooKeeper release", home)
	}
	return strings.Join(jars, string(os.PathListSeparator)), nil
}

// isServerJar reports whether a file is ZooKeeper's main jar.
func isServerJar(path string) bool {
	version, ok := strings.CutPrefix(filepath.Base(path), "zookeeper")
	if !ok {
		return false
	}
	// zookeeper.jar or zookeeper-3.8.0.jar, but not zookeeper-jute-3.8.0.jar.
	version = strings.TrimPrefix(version, "-")
	return version == ".jar" || version[0] >= '0' && version[0] <= '9'
}

// debianClasspath returns the class path of Debian's package, whose main jar
// names the jars that it needs, but neither snappy nor a logger, nor all of
// Netty, which serves TLS.
func debianClasspath(dir string) (string, error) {
	main := filepath.Join(dir, "zookeeper.jar")
	if _, err := os.Stat(main); err != nil {
		return "", fmt.Errorf("ZooKeeper is not installed (no %s): on Debian or Ubuntu run "+
			"'apt-get install zookeeper', elsewhere unpack a release and set ZOOKEEPER_HOME to its folder", main)
	}
	jars := []string{main}
	// slf4j-simple writes warnings to the standard error; without it ZooKeeper
	// logs nothing, and a server that cannot start does not say why.
	for _, name := range []string{"snappy-java.jar", "slf4j-simple.jar", "netty-codec.jar", "netty-resolver.jar"} {
		if path := filepath.Join(dir, name); fileExists(path) {
			jars = append(jars, path)
		}
	}
	return strings.Join(jars, string(os.PathListSeparator)), nil
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// findJava returns the path of the Java machine.
func findJava() (string, error) {
	if home := os.Getenv("JAVA_HOME"); home != "" {
		name := "java"
		if runtime.GOOS == "windows" {
			name = "java.exe"
		}
		if path := filepath.Join(home, "bin", name); fileExists(path) {
			return path, nil
		}
	}
	path, err := exec.LookPath("java")
	if err != nil {
		return "", errors.New("no java on the PATH nor in JAVA_HOME: install a Java runtime, " +
			"on Debian or Ubuntu with 'apt-get install default-jre-headless'")
	}
	return path, nil
}
