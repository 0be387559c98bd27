// Package docs_test runs the programs of the pages in this folder as a reader would, each in a module of its own.
package docs_test

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
)

// A recipe is a section of the cookbook with a program.
type recipe struct {
	title   string
	program string
	output  string // that the page shows
}

func readRecipes(t *testing.T) (recipes []recipe) {
	t.Helper()
	page, err := os.ReadFile("cookbook.md")
	if err != nil {
		t.Fatal(err)
	}
	program := regexp.MustCompile("(?s)```go\n(.*?)```")
	output := regexp.MustCompile("(?s)```text\n(.*?)```")
	for _, section := range strings.Split(string(page), "\n## ")[1:] {
		title, _, _ := strings.Cut(section, "\n")
		programs, outputs := program.FindAllStringSubmatch(section, -1), output.FindAllStringSubmatch(section, -1)
		if len(programs) != 1 || len(outputs) != 1 {
			t.Fatalf("%q has %d programs and %d outputs", title, len(programs), len(outputs))
		}
		recipes = append(recipes, recipe{title, programs[0][1], outputs[0][1]})
	}
	return recipes
}

// A world is a server, and whoever else changes what is on it while a program runs.
type world struct {
	t       *testing.T
	server  *zktest.Server
	client  *zkstream.Client
	process *os.Process
}

func (w *world) create(path, content string) {
	w.t.Helper()
	if _, err := w.client.CreateNode(w.t.Context(), path, []byte(content), zkstream.Parents()); err != nil {
		w.t.Error(err)
	}
}

func (w *world) set(path, content string) {
	w.t.Helper()
	if _, err := w.client.Write(w.t.Context(), path, []byte(content), zkstream.AnyVersion); err != nil {
		w.t.Error(err)
	}
}

func (w *world) remove(path string) {
	w.t.Helper()
	if err := w.client.Delete(w.t.Context(), path); err != nil {
		w.t.Error(err)
	}
}

func (w *world) terminate() {
	w.t.Helper()
	if err := w.process.Signal(syscall.SIGTERM); err != nil {
		w.t.Error(err)
	}
}

// patience is how long a program may run.
const patience = time.Minute

// scripts say what happens around a program: before it starts, and when it has printed that many lines.
var scripts = map[string]struct {
	before func(w *world)
	after  map[int]func(w *world)
}{
	"Wait for a service": {after: map[int]func(*world){
		1: func(w *world) {
			w.create("/search/providers/10.0.0.1:80", "")
			w.create("/search/providers/10.0.0.2:80", "")
		},
	}},
	"Announce a server, and drain it": {after: map[int]func(*world){
		1: func(w *world) {
			there, err := w.client.List(w.t.Context(), "/search/providers")
			if err != nil || there.Len() != 1 {
				w.t.Fatalf("registered: %v, %v", there.Names(), err)
			}
			path := "/search/providers/" + there.Names()[0]
			before, err := w.client.Get(w.t.Context(), path)
			if err != nil || !before.Exists() || !strings.Contains(before.String(), `"zone": "b"`) {
				w.t.Errorf("registered: %v, %v", before, err)
			}
			w.server.ExpireSession(before.Stat().EphemeralOwner)
			back := zkstream.Filter(w.client.Data(w.t.Context(), path), func(d zkstream.Data) bool {
				return d.Exists() && d.Stat().EphemeralOwner != before.Stat().EphemeralOwner
			})
			if _, err := back.Next(w.t.Context()); err != nil {
				w.t.Error(err)
			}
			w.terminate()
		},
		2: func(w *world) {
			if left, err := w.client.List(w.t.Context(), "/search/providers"); err != nil || left.Len() > 0 {
				w.t.Errorf("withdrawn, and there is %v, %v", left.Names(), err)
			}
		},
	}},
	"The servers of a service, with their properties": {
		before: func(w *world) { w.create("/search/providers/10.0.0.1:80", `{"weight": 2}`) },
		after: map[int]func(*world){
			2: func(w *world) { w.set("/search/providers/10.0.0.1:80", `{"weight": 5}`) },
			4: func(w *world) { w.create("/search/providers/10.0.0.2:80", "") },
			7: (*world).terminate,
		},
	},
	"A load balancer's file": {
		before: func(w *world) { w.create("/search/providers/10.0.0.1:80", "") },
		after: map[int]func(*world){
			4: func(w *world) {
				_, err := w.client.Multi(w.t.Context(), &zk.CreateRequest{Path: "/search/providers/10.0.0.2:80"},
					&zk.CreateRequest{Path: "/search/providers/10.0.0.3:80"})
				if err != nil {
					w.t.Error(err)
				}
			},
			10: (*world).terminate,
		},
	},
	"gRPC": {},
	"Configuration that is reloaded and validated": {
		before: func(w *world) { w.create("/search", `{"threads": 8}`) },
		after: map[int]func(*world){
			1: func(w *world) { w.set("/search", `{"threads": 1000}`) },
			2: func(w *world) { w.set("/search", `{"threads": "many"}`) },
			3: func(w *world) { w.set("/search", `{"threads": 16}`) },
			4: (*world).terminate,
		},
	},
	"Feature flags": {after: map[int]func(*world){
		2: func(w *world) { w.create("/search/flags", `{"new_ranking": true}`) },
		3: func(w *world) { w.set("/search/flags", `{"new_ranking": false}`) },
	}},
	"Updates that lose nothing": {before: func(w *world) {
		w.create("/search", `{"threads": 8}`)
		w.create("/count", "41")
	}},
	"A tree as one value": {
		before: func(w *world) {
			w.create("/routes", "v1")
			w.create("/routes/search", "host1")
			w.create("/routes/user", "host2")
		},
		after: map[int]func(*world){
			3: func(w *world) { w.set("/routes/search", "host3") },
			4: func(w *world) { w.remove("/routes/user") },
			5: (*world).terminate,
		},
	},
	"One runner at a time": {
		before: func(w *world) {
			w.create("/report", "")
			w.create("/report/runners", "")
			if _, err := w.client.CreateNode(w.t.Context(), "/report/runners/runner-", nil, zkstream.Ephemeral(), zkstream.Sequential()); err != nil {
				w.t.Error(err)
			}
		},
		after: map[int]func(*world){
			1: func(w *world) { w.remove("/report/runners/runner-0000000000") },
			2: func(w *world) {
				if report, err := w.client.Get(w.t.Context(), "/report"); err != nil || report.String() != "made by runner-0000000001" {
					w.t.Errorf("the report is %v, %v", report, err)
				}
			},
		},
	},
	"Metrics": {},
	"A test of your own, with an expired session": {},
	"From go-zookeeper":                           {},
	"From go-kit":                                 {before: func(w *world) { w.create("/services/search/search_0000000000", "10.0.0.1:80") }},
	"From Curator": {before: func(w *world) { // whose node is listed before that of the program, which has a random name
		w.create("/services/search/00000000-6d6c-4a50-8c3c-1b1a6fbc9a39", `{"name":"search","id":"00000000-6d6c-4a50-8c3c-1b1a6fbc9a39",`+
			`"address":"10.0.0.1","port":8080,"sslPort":null,"payload":{"@class":"org.springframework.cloud.zookeeper.discovery.`+
			`ZookeeperInstance","id":"application-1","name":"search","metadata":{"instance_status":"OUT_OF_SERVICE","zone":"a"}},`+
			`"registrationTimeUTC":1654331328914,"serviceType":"DYNAMIC","uriSpec":null}`)
	}},
	"From kazoo": {
		before: func(w *world) { w.create("/app", "one") },
		after: map[int]func(*world){
			1: func(w *world) { w.remove("/app") },
			2: func(w *world) { w.create("/app", "two") },
			3: (*world).terminate,
		},
	},
}

func TestTheCookbookRuns(t *testing.T) {
	recipes := readRecipes(t)
	if len(recipes) != len(scripts) {
		t.Errorf("%d recipes, %d scripts", len(recipes), len(scripts))
	}
	for _, r := range recipes {
		t.Run(r.title, func(t *testing.T) {
			script, ok := scripts[r.title]
			if !ok {
				t.Fatal("no script")
			}
			if n := strings.Count(r.program, "\n"); n >= 40 {
				t.Errorf("%d lines", n)
			}
			server := zktest.Start(t)
			client, err := zkstream.Connect(t.Context(), server.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			w := &world{t: t, server: server, client: client}
			if script.before != nil {
				script.before(w)
			}
			if got := r.run(t, w, script.after); got != r.output {
				t.Errorf("it prints\n%s\nand the page says\n%s", got, r.output)
			}
		})
	}
}

// run builds the program in an empty module, runs it, and returns what it prints.
func (r recipe) run(t *testing.T, w *world, after map[int]func(*world)) string {
	t.Helper()
	dir := t.TempDir()
	writeModule(t, dir, r.program)
	file, build := "main.go", []string{"build", "-ldflags=-s -w", "-o", "recipe", "."}
	isTest := strings.Contains(r.program, "testing.T")
	if isTest {
		file, build = "main_test.go", []string{"test", "-c", "-ldflags=-s -w", "-o", "recipe", "."}
	}
	if err := os.WriteFile(filepath.Join(dir, file), []byte(r.program), 0o644); err != nil {
		t.Fatal(err)
	}
	vet := exec.Command("go", "vet", ".")
	for _, cmd := range []*exec.Cmd{vet, exec.Command("go", build...)} {
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd, err, out)
		}
	}

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "recipe"))
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "ZOOKEEPER_SERVERS="+w.server.Addr())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.process = cmd.Process
	var printed strings.Builder
	lines := bufio.NewScanner(stdout)
	for n := 1; lines.Scan(); n++ {
		printed.WriteString(lines.Text() + "\n")
		if do := after[n]; do != nil {
			do(w)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, stderr.String())
	}
	return printed.String()
}

// writeModule writes a go.mod that requires what the program imports of this checkout, and the versions that it has there.
func writeModule(t *testing.T, dir, program string) {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	const module = "github.com/zkstream/zkstream"
	mod := "module recipe\n\ngo 1.25.0\n\nreplace " + module + " => " + root + "\n\nrequire " + module + " v0.0.0\n\n"
	from := root
	if m := regexp.MustCompile(module + `/contrib/(\w+)"`).FindStringSubmatch(program); m != nil {
		from = filepath.Join(root, "contrib", m[1])
		name := module + "/contrib/" + m[1]
		mod += "replace " + name + " => " + from + "\n\nrequire " + name + " v0.0.0\n\n"
	}
	theirs, err := os.ReadFile(filepath.Join(from, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range regexp.MustCompile(`(?s)require \(.*?\n\)`).FindAllString(string(theirs), -1) {
		mod += block + "\n\n"
	}
	sum, err := os.ReadFile(filepath.Join(from, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"go.mod": []byte(mod), "go.sum": sum} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
