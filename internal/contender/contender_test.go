package contender

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const variable = "ZKSTREAM_CONTENDER_TEST"

// TestMain makes the test's program a contender where it is asked to be one.
func TestMain(m *testing.M) {
	if os.Getenv(variable) == "" {
		goleak.VerifyTestMain(m)
		return
	}
	open := func(servers string, timeout time.Duration) (string, error) {
		return servers + " " + timeout.String(), nil
	}
	lib, err := Run(os.Args[1:], open, func(lib string, words []string) error {
		if words[0] == "fail" {
			return errors.New("as it was told to")
		}
		Say("%s: %d words", lib, len(words))
		return nil
	})
	if err != nil {
		Say("error: %v", err)
		return
	}
	Say("closed %s", lib)
}

func run(t *testing.T, commands string, args ...string) string {
	t.Helper()
	cmd, _, err := Self(variable, "echo")(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cmd.Args = append(cmd.Args, args...)
	cmd.Stdin = strings.NewReader(commands)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out)
}

func TestAContenderObeysUntilThereAreNoMoreCommands(t *testing.T) {
	got := run(t, "one\none two\n", "h:1,h:2", "1500")
	if want := "ready\nh:1,h:2 1.5s: 1 words\nh:1,h:2 1.5s: 2 words\nclosed h:1,h:2 1.5s\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestAContenderSaysWhatItCouldNotDo(t *testing.T) {
	for _, c := range []struct {
		commands string
		args     []string
		want     string
	}{
		{"fail now\none\n", []string{"h:1", "1500"}, "ready\nerror: fail now: as it was told to\n"},
		{"", []string{"h:1", "soon"}, "error: strconv.Atoi: parsing \"soon\": invalid syntax\n"},
		{"", []string{"h:1"}, "error: usage: SERVERS TIMEOUT_MS\n"},
	} {
		if got := run(t, c.commands, c.args...); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
