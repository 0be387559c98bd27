// Package examples_test runs the examples as a reader would.
package examples_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/zkstream/zkstream/zktest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What each prints, among other lines, on any server.
var examples = map[string][]string{
	"quickstart":   {"providers: []", "providers: [10.0.0.1:8080 10.0.0.2:8080 10.0.0.3:8080]", "config:    map[color:red threads:8]"},
	"discovery":    {"session: connected"},
	"loadbalancer": {"3 servers: reload", "    server 10.0.0.2:8080 weight=2;"},
	"tree":         {"    db  ", "      primary  starting", "    web  ready"},
	"curator":      {"search: 10.0.0.1:8080 (UP), 10.0.0.2:8080 (OUT_OF_SERVICE)", "in use: [10.0.0.1:8080]"},
	"system": {"timeout: 30", "/search/blue/providers: [10.0.0.1:8080]", "moving the link to /search/green/providers", "/search/green/providers: [10.0.0.2:8080]",
		"/none: []"},
	"config": {"good: {Threads:8 Database:db1 Features:[a] Timeout:0s}", "      still {Threads:8 Database:db1 Features:[a] Timeout:0s}"},
}

// run runs an example, checks its lines, and returns them.
func run(t *testing.T, name, servers string) []string {
	t.Helper()
	cmd := exec.Command("go", "run", "./"+name)
	cmd.Env = append(os.Environ(), "ZOOKEEPER_SERVERS="+servers)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range examples[name] {
		if !strings.Contains("\n"+string(out), "\n"+want+"\n") {
			t.Errorf("no line is %q:\n%s", want, out)
		}
	}
	return strings.Split(string(out), "\n")
}

func TestTheExamplesRunWithNothingButGo(t *testing.T) {
	for name := range examples {
		t.Run(name, func(t *testing.T) {
			if first := run(t, name, "")[0]; !strings.Contains(first, "zktest") {
				t.Errorf("the first line does not say which server it is: %s", first)
			}
		})
	}
}

func TestTheExamplesTakeServersFromTheEnvironment(t *testing.T) {
	for name := range examples {
		t.Run(name, func(t *testing.T) {
			server := zktest.Start(t)
			before := server.Stats().Zxid
			if first := run(t, name, server.Addr())[0]; strings.Contains(first, "zktest") {
				t.Errorf("it says that it has a server of its own: %s", first)
			}
			if server.Stats().Zxid == before {
				t.Error("it has changed nothing on the server that it was told")
			}
			left, err := server.Children("/")
			if err != nil {
				t.Fatal(err)
			}
			for _, left := range left {
				if left != "zookeeper" {
					t.Errorf("it has left /%s", left)
				}
			}
		})
	}
}
