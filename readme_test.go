package zkstream_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// What the README shows is code that is compiled and run: its snippets stand in example_test.go, and its
// commands are targets of the Makefile, or are run by them.
func TestTheReadmeShowsWhatIsRun(t *testing.T) {
	read := func(name string) string {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	readme, examples, makefile := read("README.md"), read("example_test.go"), read("Makefile")
	snippets := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(readme, -1)
	if len(snippets) == 0 {
		t.Error("no snippet found")
	}
	for _, s := range snippets {
		if !strings.Contains(examples, s[1]) {
			t.Errorf("not in example_test.go:\n%s", s[1])
		}
	}
	commands := regexp.MustCompile(`(?m)^    ((?:go|make) [^#\n]*[^# \n])`).FindAllStringSubmatch(readme, -1)
	if len(commands) < 2 {
		t.Error("no commands found")
	}
	for _, c := range commands {
		target, isMake := strings.CutPrefix(c[1], "make ")
		if isMake && !strings.Contains(makefile, "\n"+target+":") || !isMake && !strings.Contains(makefile, "\t"+c[1]+"\n") {
			t.Errorf("not in the Makefile: %s", c[1])
		}
	}
}
