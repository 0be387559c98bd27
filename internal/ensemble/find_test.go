package ensemble

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// files makes empty files in a new folder and returns the folder.
func files(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFindTakesTheJarsOfZooKeeperHome(t *testing.T) {
	t.Setenv("JAVA_HOME", files(t, "bin/java"))
	home := files(t, "lib/zookeeper-3.9.3.jar", "lib/zookeeper-jute-3.9.3.jar", "lib/readme.txt", "more.jar")
	t.Setenv("ZOOKEEPER_HOME", home)
	classpath, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{home + "/lib/zookeeper-3.9.3.jar", home + "/lib/zookeeper-jute-3.9.3.jar", home + "/more.jar"}
	if got := filepath.SplitList(classpath); !slices.Equal(got, want) {
		t.Errorf("class path %v, want %v", got, want)
	}
}

func TestFindSaysWhatIsMissing(t *testing.T) {
	t.Run("ZooKeeper in its home", func(t *testing.T) {
		t.Setenv("JAVA_HOME", files(t, "bin/java"))
		t.Setenv("ZOOKEEPER_HOME", files(t, "lib/zookeeper-jute-3.9.3.jar"))
		if _, err := Find(); err == nil || !strings.Contains(err.Error(), "ZOOKEEPER_HOME=") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("Debian's package", func(t *testing.T) {
		if _, err := debianClasspath(t.TempDir()); err == nil || !strings.Contains(err.Error(), "apt-get install zookeeper") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("Java", func(t *testing.T) {
		t.Setenv("JAVA_HOME", "")
		t.Setenv("PATH", t.TempDir())
		if _, err := Find(); err == nil || !strings.Contains(err.Error(), "Java") {
			t.Errorf("error %v", err)
		}
	})
}

func TestDebianClasspathAddsWhatTheMainJarDoesNotName(t *testing.T) {
	dir := files(t, "zookeeper.jar", "slf4j-simple.jar", "other.jar")
	got, err := debianClasspath(dir)
	if want := dir + "/zookeeper.jar:" + dir + "/slf4j-simple.jar"; err != nil || got != want {
		t.Errorf("class path %q, %v; want %q", got, err, want)
	}
}

func TestServerStartsFromZooKeeperHome(t *testing.T) {
	jar := filepath.Join(debianJars, "zookeeper.jar")
	if !fileExists(jar) {
		t.Skipf("no %s to make a ZOOKEEPER_HOME of", jar)
	}
	Need(t)
	home := files(t, "lib/nothing.txt")
	if err := os.Symlink(jar, filepath.Join(home, "lib", "zookeeper-3.8.0.jar")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ZOOKEEPER_HOME", home)
	Start(t, 1)
}

// recorder is a testing.TB that records how a test was ended.
type recorder struct {
	testing.TB
	skipped, failed bool
}

func (r *recorder) Skipf(string, ...any) {
	r.skipped = true
	runtime.Goexit()
}

func (r *recorder) Fatalf(string, ...any) {
	r.failed = true
	runtime.Goexit()
}

func TestStartSkipsWithoutZooKeeperUnlessItIsRequired(t *testing.T) {
	t.Setenv("ZOOKEEPER_HOME", t.TempDir())
	for _, required := range []string{"", "1"} {
		t.Setenv(requireVariable, required)
		r := &recorder{TB: t}
		done := make(chan struct{})
		// Ends by Goexit, as a skipped or failed test does; we wait for done.
		go func() {
			defer close(done)
			Start(r, 1)
		}()
		<-done
		if r.skipped != (required == "") || r.failed != (required != "") {
			t.Errorf("%s=%q: skipped %v, failed %v", requireVariable, required, r.skipped, r.failed)
		}
	}
}
