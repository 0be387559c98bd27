package compat

import (
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zkstream/zkstream/internal/ensemble"
	"github.com/zkstream/zkstream/internal/foreign"
	"github.com/zkstream/zkstream/zktest"
)

// curatorTick allows for the session timeout that the program asks for.
const curatorTick = time.Second

func TestCurator(t *testing.T) {
	suite(t)
	classpath := compileCurator(t)
	e := ensemble.Start(t, 1, ensemble.Options{TickTime: curatorTick})
	s := zktest.Start(t, zktest.WithTickTime(curatorTick), zktest.WithExtendedTypes())
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
	curator, err := foreign.FindCurator()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("Curator %s", curator.Version)
	dir := t.TempDir()
	classpath := curator.Classpath + string(os.PathListSeparator) + dir
	javac := program{name: "javac", args: []string{"-cp", classpath, "-d", dir, "testdata/curator/Recipes.java"}}
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
