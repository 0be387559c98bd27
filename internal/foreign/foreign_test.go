package foreign

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestKazooRunsOrSaysWhatToInstall(t *testing.T) {
	kazoo, err := FindKazoo()
	if err != nil {
		if !strings.Contains(err.Error(), "make peers") {
			t.Error(err)
		}
		t.Skip(err)
	}
	cmd := kazoo.Command("import sys, kazoo.version; print(kazoo.version.__version__, sys.argv[1])")
	cmd.Args = append(cmd.Args, "argument")
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != kazoo.Version+" argument\n" {
		t.Errorf("%q, %v; version %q", out, err, kazoo.Version)
	}
}

func TestCuratorRunsOrSaysWhatToInstall(t *testing.T) {
	curator, err := FindCurator()
	if err != nil {
		if !strings.Contains(err.Error(), "make peers") {
			t.Error(err)
		}
		t.Skip(err)
	}
	const program = `public class Program {
	public static void main(String[] args) {
		System.out.println(org.apache.curator.framework.CuratorFramework.class.getSimpleName() + " " + args[0]);
	}
}`
	cmd, err := curator.Compile(t.TempDir(), "Program", program, "-Xmx64m")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Args = append(cmd.Args, "argument")
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "CuratorFramework argument\n" {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := curator.Compile(t.TempDir(), "Program", "nonsense"); err == nil || !strings.HasPrefix(err.Error(), "javac: ") {
		t.Errorf("nonsense compiled: %v", err)
	}
}

func TestCuratorSaysWhatIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // no javac
	if _, err := FindCurator(); err == nil || !strings.Contains(err.Error(), "make peers") {
		t.Error(err)
	}
	if _, err := curatorOf([]string{"lib/curator-framework-5.9.0.jar"}); err == nil {
		t.Error("Curator without its recipes was found")
	}
}

func TestCuratorHasTheVersionOfItsRecipes(t *testing.T) {
	got, err := curatorOf([]string{"lib/zookeeper-3.9.5.jar", "lib/curator-recipes-5.9.0.jar"})
	if want := (Curator{"5.9.0", "lib/zookeeper-3.9.5.jar:lib/curator-recipes-5.9.0.jar"}); err != nil || got != want {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
}

func TestFolderIsThatOfTheRepositoryAround(t *testing.T) {
	repository := t.TempDir()
	below := filepath.Join(repository, "bench", "deep")
	if err := os.MkdirAll(below, 0o700); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{
		"go.mod":       "module github.com/zkstream/zkstream\n\ngo 1.25.0\n",
		"bench/go.mod": "module github.com/zkstream/zkstream/bench\n",
	} {
		if err := os.WriteFile(filepath.Join(repository, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(below)
	if path, ok := Folder("thing"); ok {
		t.Errorf("there is no folder, found %s", path)
	}
	if err := os.MkdirAll(filepath.Join(repository, ".foreign", "thing"), 0o700); err != nil {
		t.Fatal(err)
	}
	path, ok := Folder("thing")
	if !ok || !strings.HasSuffix(path, filepath.Join(".foreign", "thing")) {
		t.Errorf("%q, %v", path, ok)
	}
	t.Chdir(os.TempDir())
	if path, ok := Folder("thing"); ok {
		t.Errorf("outside of the repository, found %s", path)
	}
}

func TestLastLine(t *testing.T) {
	failure := errors.New("exit status 1")
	for out, want := range map[string]string{
		"":                       "exit status 1",
		" \n":                    "exit status 1",
		"one\ntwo\n":             "two",
		"error: no such symbol ": "error: no such symbol",
	} {
		if got := LastLine([]byte(out), failure); got != want {
			t.Errorf("%q: %q, want %q", out, got, want)
		}
	}
	var e *exec.ExitError
	if _, err := exec.Command("/usr/bin/env", "false").Output(); !errors.As(err, &e) || LastLine(e.Stderr, err) != "exit status 1" {
		t.Error(err)
	}
}
