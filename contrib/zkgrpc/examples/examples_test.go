// Package examples_test runs the examples as a reader would.
package examples_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/zkstream/zkstream/zktest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNoCallFailsWhenServersAreKilled(t *testing.T) {
	for where, servers := range map[string]string{"in the process": "", "from the environment": zktest.Start(t).Addr()} {
		t.Run(where, func(t *testing.T) {
			cmd := exec.Command("go", "run", "./failover", "-kills", "3")
			cmd.Env = append(os.Environ(), "ZOOKEEPER_SERVERS="+servers)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if strings.Count(string(out), "kill -9") != 3 || !regexp.MustCompile(`(?m)^\d{3,} calls answered by 5 servers, .*; 0 failed$`).Match(out) {
				t.Errorf("%s", out)
			}
			t.Logf("%s", out)
		})
	}
}
