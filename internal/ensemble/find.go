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

	"github.com/zkstream/zkstream/internal/foreign"
)

const (
	// debianJars is where Debian and Ubuntu put the jar files of their packages.
	debianJars = "/usr/share/java"

	// releaseVariable chooses between the releases that are installed: "newest", which is the default, or "debian".
	releaseVariable = "ZKSTREAM_ZOOKEEPER"
)

// Release is an installed ZooKeeper.
type Release struct {
	Version   string // such as 3.9.5
	Classpath string // for the Java machine
}

// Find returns the ZooKeeper that the tests run on. That is the one whose folder is in $ZOOKEEPER_HOME; without
// it the newest that 'make zookeeper' has brought; without that Debian's package. Where $ZKSTREAM_ZOOKEEPER is
// "debian" it is Debian's package only. There must also be a Java machine, in $JAVA_HOME/bin or on the PATH. The
// error says what to install.
func Find() (Release, error) {
	if _, err := findJava(); err != nil {
		return Release{}, err
	}
	switch which := os.Getenv(releaseVariable); which {
	case "", "newest":
	case "debian":
		return debianRelease(debianJars)
	default:
		return Release{}, fmt.Errorf(`%s=%q: want "newest" or "debian"`, releaseVariable, which)
	}
	if home := os.Getenv("ZOOKEEPER_HOME"); home != "" {
		r, err := unpackedRelease(home)
		if err != nil {
			return Release{}, fmt.Errorf("ZOOKEEPER_HOME=%s: %w", home, err)
		}
		return r, nil
	}
	if home, ok := foreign.Folder("zookeeper"); ok {
		return unpackedRelease(home)
	}
	return debianRelease(debianJars)
}

// unpackedRelease returns the release in a folder that has the jar files in lib or beside it.
func unpackedRelease(home string) (Release, error) {
	var jars []string
	for _, pattern := range []string{"lib/*.jar", "*.jar"} {
		found, err := filepath.Glob(filepath.Join(home, pattern))
		if err != nil {
			return Release{}, err
		}
		jars = append(jars, found...)
	}
	i := slices.IndexFunc(jars, func(jar string) bool { return jarVersion(jar) != "" })
	if i < 0 {
		return Release{}, fmt.Errorf("no zookeeper-VERSION.jar in %s, neither in lib nor beside it: "+
			"it must be the folder of an unpacked ZooKeeper release", home)
	}
	return Release{jarVersion(jars[i]), strings.Join(jars, string(os.PathListSeparator))}, nil
}

// jarVersion returns the version in the name of ZooKeeper's main jar, and "" for any other file:
// zookeeper-3.8.0.jar has one, zookeeper-jute-3.8.0.jar has not.
func jarVersion(path string) string {
	version, isOurs := strings.CutPrefix(filepath.Base(path), "zookeeper-")
	version, isJar := strings.CutSuffix(version, ".jar")
	if !isOurs || !isJar || version == "" || version[0] < '0' || version[0] > '9' {
		return ""
	}
	return version
}

// debianRelease returns the release of Debian's package, whose main jar names the jars that it needs, but neither
// snappy nor a logger, nor all of Netty, which serves TLS.
func debianRelease(dir string) (Release, error) {
	i := -1
	names, err := filepath.Glob(filepath.Join(dir, "zookeeper-*.jar"))
	if err == nil {
		i = slices.IndexFunc(names, func(jar string) bool { return jarVersion(jar) != "" })
	}
	if i < 0 {
		return Release{}, fmt.Errorf("ZooKeeper is not installed (no zookeeper-VERSION.jar in %s): run 'make zookeeper', "+
			"or unpack a release and set ZOOKEEPER_HOME to its folder", dir)
	}
	main := names[i]
	jars := []string{main}
	// slf4j-simple writes warnings to the standard error; without it ZooKeeper
	// logs nothing, and a server that cannot start does not say why.
	for _, name := range []string{"snappy-java.jar", "slf4j-simple.jar", "netty-codec.jar", "netty-resolver.jar"} {
		if path := filepath.Join(dir, name); fileExists(path) {
			jars = append(jars, path)
		}
	}
	return Release{jarVersion(main), strings.Join(jars, string(os.PathListSeparator))}, nil
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
