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
	release, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{home + "/lib/zookeeper-3.9.3.jar", home + "/lib/zookeeper-jute-3.9.3.jar", home + "/more.jar"}
	if got := filepath.SplitList(release.Classpath); !slices.Equal(got, want) || release.Version != "3.9.3" {
		t.Errorf("version %s, class path %v; want %v", release.Version, got, want)
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
		if _, err := debianRelease(t.TempDir()); err == nil || !strings.Contains(err.Error(), "make zookeeper") {
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

func TestDebianReleaseAddsWhatTheMainJarDoesNotName(t *testing.T) {
	dir := files(t, "zookeeper.jar", "zookeeper-3.8.0.jar", "zookeeper-it-3.8.0.jar", "slf4j-simple.jar", "other.jar")
	got, err := debianRelease(dir)
	want := Release{"3.8.0", dir + "/zookeeper-3.8.0.jar:" + dir + "/slf4j-simple.jar"}
	if err != nil || got != want {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
}

func TestTheEnvironmentChoosesTheRelease(t *testing.T) {
	t.Setenv("JAVA_HOME", files(t, "bin/java"))
	repository := files(t, ".foreign/zookeeper/lib/zookeeper-9.8.7.jar", "internal/some/file")
	if err := os.WriteFile(filepath.Join(repository, "go.mod"), []byte("module github.com/zkstream/zkstream\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Join(repository, "internal", "some"))
	home := files(t, "lib/zookeeper-7.6.5.jar")
	_, debianErr := debianRelease(debianJars)
	for _, c := range []struct {
		home, which, version string
		fails                bool
	}{
		{"", "", "9.8.7", false},
		{"", "newest", "9.8.7", false},
		{home, "newest", "7.6.5", false},
		{home, "oldest", "", true},
		{home, "debian", "", debianErr != nil},
	} {
		t.Setenv("ZOOKEEPER_HOME", c.home)
		t.Setenv(releaseVariable, c.which)
		got, err := Find()
		if (err != nil) != c.fails || c.version != "" && got.Version != c.version {
			t.Errorf("ZOOKEEPER_HOME=%q, %s=%q: %v, %v", c.home, releaseVariable, c.which, got, err)
		}
		if c.which == "debian" && err == nil && !strings.HasPrefix(got.Classpath, debianJars) {
			t.Errorf("not Debian's: %v", got)
		}
	}
}

func TestServerStartsFromZooKeeperHome(t *testing.T) {
	Need(t)
	release, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, "lib"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, jar := range filepath.SplitList(release.Classpath) {
		// The names of Debian's main jar for others are relative to its own folder.
		if jar, err = filepath.EvalSymlinks(jar); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(jar, filepath.Join(home, "lib", filepath.Base(jar))); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv(releaseVariable, "newest")
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
