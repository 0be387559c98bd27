package compat

import (
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

// patience bounds waits for things that must happen; no test waits for it to pass.
const patience = time.Minute

// writeConfig writes a zoo.cfg in a folder of its own.
func writeConfig(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "zoo.cfg")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestServerRunsWhileItsProcessLivesAndKeepsItsData(t *testing.T) {
	h := startHost(t)
	port, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	path := writeConfig(t, "tickTime=2000", "clientPort="+strconv.Itoa(port))
	dir, env := h.commands(t, "java")
	launch := func() *exec.Cmd {
		cmd := exec.Command(filepath.Join(dir, "java"), "-cp", "x", "Main", path)
		cmd.Env = append(os.Environ(), env...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	kill := func(cmd *exec.Cmd) {
		cmd.Process.Kill()
		cmd.Wait()
	}

	process := launch()
	defer func() { kill(process) }()
	conn, events, err := zk.Connect([]string{net.JoinHostPort("127.0.0.1", strconv.Itoa(port))},
		20*time.Second, zk.WithLogger(log.New(io.Discard, "", 0)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		conn.Close()
		for range events { // closed when the goroutines of the Conn have ended
		}
	}()
	await(t, events, zk.StateHasSession)
	session := conn.SessionID()
	if _, err := conn.Create("/mine", nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}

	kill(process)
	await(t, events, zk.StateDisconnected)
	if _, _, err := conn.Get("/mine"); err == nil {
		t.Error("a server without a process answered")
	}
	process = launch()
	await(t, events, zk.StateHasSession)
	if conn.SessionID() != session {
		t.Error("the session was lost")
	}
	if _, _, err := conn.Get("/mine"); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	if h.started() != 2 {
		t.Errorf("%d starts, want 2", h.started())
	}
}

// await waits until a client is in a state.
func await(t *testing.T, events <-chan zk.Event, state zk.State) {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case event := <-events:
			if event.State == state {
				return
			}
		case <-late:
			t.Fatalf("the client is not in state %v", state)
		}
	}
}

func TestProcessEndsWhenItsServerCannotRun(t *testing.T) {
	h := startHost(t)
	dir, env := h.commands(t, "zkServer.sh")
	path := writeConfig(t, "clientPort=1", "server.1=a:1:2", "server.2=b:1:2", "server.3=c:1:2")
	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "zkServer.sh"), "start-foreground", path)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "an ensemble of 3") {
		t.Errorf("%v, %s", err, out)
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		lines []string
		want  config
		err   string
	}{
		{[]string{"clientPort=2181"}, config{addr: "127.0.0.1:2181"}, ""},
		{[]string{"tickTime=500", "dataDir=/x", "clientPort=2181", "server.1=a:1:2"},
			config{addr: "127.0.0.1:2181", tick: 500 * time.Millisecond}, ""},
		{[]string{"tickTime=500"}, config{}, "no clientPort"},
		{[]string{"clientPort=2181", "tickTime=x"}, config{}, "invalid syntax"},
		{[]string{"clientPort=2181", "server.1=a:1:2", "server.2=b:1:2"}, config{}, "an ensemble of 2"},
	} {
		got, err := readConfig(writeConfig(t, c.lines...))
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: %v, %v; want %v, %q", c.lines, got, err, c.want, c.err)
		}
	}
}
