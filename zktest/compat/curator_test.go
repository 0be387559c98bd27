package compat

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zkstream/zkstream/internal/ensemble"
	"github.com/zkstream/zkstream/zktest"
)

// curatorTick allows for the session timeout that the program asks for.
const curatorTick = time.Second

func TestCurator(t *testing.T) {
	suite(t)
	classpath := compileCurator(t)
	e := ensemble.Start(t, 1, ensemble.Options{TickTime: curatorTick})
	s := zktest.Start(t, zktest.WithTickTime(curatorTick))
	var real, fake []string
	var wg sync.WaitGroup
	// These end when the program does, at the latest when the test's time is up; waited for below.
	wg.Go(func() { real = runCurator(t, classpath, e.ConnectString()) })
	wg.Go(func() { fake = runCurator(t, classpath, s.Addr()) })
	wg.Wait()
	sections := 0
	for _, line := range real {
		switch {
		case strings.HasPrefix(line, "== "):
			sections++
		case strings.HasPrefix(line, "FAILED"):
			t.Errorf("on the real server: %s", line)
		}
	}
	t.Logf("real server: %d lines in %d sections", len(real), sections)
	if !slices.Equal(real, fake) {
		t.Error("different:\n" + difference(real, fake))
	}
}

// compileCurator compiles the program and returns the class path to run it with.
func compileCurator(t *testing.T) string {
	t.Helper()
	zookeeper, err := ensemble.Find()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("javac"); err != nil {
		t.Fatal("no javac: on Debian or Ubuntu run 'apt-get install default-jdk-headless'")
	}
	const jars = "/usr/share/java/"
	path := []string{t.TempDir()}
	for _, jar := range []string{"curator-recipes.jar", "curator-x-discovery.jar"} {
		if _, err := os.Stat(jars + jar); err != nil {
			t.Fatal("no " + jars + jar + ": on Debian or Ubuntu run " +
				"'apt-get install libcurator-recipes-java libcurator-discovery-java'")
		}
		path = append(path, jars+jar)
	}
	// Debian's jars name those that they need, but for this one.
	path = append(path, jars+"jackson-core.jar", zookeeper)
	classpath := strings.Join(path, string(os.PathListSeparator))
	javac := program{name: "javac", args: []string{"-cp", classpath, "-d", path[0], "testdata/curator/Recipes.java"}}
	out, errs, code, err := javac.run(t)
	if err != nil {
		t.Fatal(err)
	}
	if code != 0 {
		t.Fatalf("javac: exit code %d\n%s%s", code, out, errs)
	}
	return classpath
}

// runCurator runs the program on a server and returns the lines that it printed.
func runCurator(t *testing.T, classpath, addr string) []string {
	java := program{
		name: "java",
		args: []string{"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", classpath, "Recipes", addr},
		env:  []string{javaOptions},
	}
	out, errs, code, err := java.run(t)
	if err != nil {
		t.Error(err)
	}
	if code != 0 || strings.Contains(out, "FAILED") {
		t.Errorf("the program on %s: exit code %d\n%s\n%s", addr, code, out, errs)
	}
	return strings.Split(strings.TrimSpace(out), "\n")
}

// difference shows where two outputs part.
func difference(real, fake []string) string {
	i := 0
	for i < len(real) && i < len(fake) && real[i] == fake[i] {
		i++
	}
	show := func(lines []string) string {
		return strings.Join(lines[max(0, i-3):min(len(lines), i+5)], "\n  ")
	}
	return "real server:\n  " + show(real) + "\nzktest:\n  " + show(fake)
}
